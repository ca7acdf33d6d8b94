"""Which of the tracks makes the sound, from their motion and the sound's loudness.

What makes a sound moves with it: a mouth while there is voice, a string when it is struck.  In a window of
several seconds each track's motion is correlated with curves of the sound, a little earlier and later.  How
far a correlation may be chance depends on how many independent samples the window holds: motion and loudness
both vary slowly, and 6 s of 20 samples a second are worth 10 to 40 (Bartlett 1946).  With that, a correlation
becomes a log likelihood ratio, "it sounds" against "it does not", near 0 where there is too little to tell.

The hypotheses exclude one another: one of the tracks sounds, or none (what sounds is not in the picture).
Beforehand each track has odds of 7 to 3 against "none".  So without evidence one track has 0.7, two have 0.41
each, three 0.29; evidence decides between the tracks, and between them and "none", at once.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

SAMPLE_RATE = 22_050  # Hz
HOP, SIZE = 220, 512  # samples: 100 spectra a second
BANDS = np.geomspace(80, 8000, 9)  # Hz, edges
FLOOR = 40.0  # dB below the loud parts (95th percentile): what is softer counts as silence
GRID = 20.0  # samples a second at which motion and sound are compared; loudness varies up to 8 times a second
STEP = 5  # samples from window to window
WINDOW = 6.0  # seconds; on drawn scenes the right one first in .76, .83, .84 of windows of 4, 6, 8 s
LAGS = range(-1, 4)  # samples that motion may come after its sound: -50 to +150 ms
MEMORY = 1.5  # seconds over which a curve's likeness to itself counts; beyond, its estimate is only noise
STILL = 0.02  # boxes a second: slower is noise of the picture
SOFT = 0.2  # of a track's median speed, added to its speed before the logarithm
ODDS = 7 / 3  # of a track against "none", without evidence
# Fitted by likelihood to 110 drawn scenes: talking heads, shaking strings, bystanders, sounds from elsewhere.
TURN = 25.0  # seconds after which another takes over, on average
SHARE = 0.1  # of a window's evidence that counts at each step; windows overlap, so it is told many times
BLOCK = 256  # windows at a time


class Belief(NamedTuple):
    """How a curve of the sound correlates with motion; Fisher's z of the correlation is normal.

    mean, spread   of the true correlation where the track sounds
    stray          spread of the true correlation around 0 where it does not
    weight         of its log likelihood ratio in the sum
    """

    mean: float
    spread: float
    stray: float
    weight: float


# The same for log energy, onsets, change of energy.  Set by hand: values fitted to drawn scenes gained 0.01
# to 0.04 nats on other drawn scenes, by relying on onsets and change: drawn mouths follow these too simply.
BELIEFS = (Belief(mean=0.35, spread=0.2, stray=0.1, weight=0.5),) * 3


class Loudness:
    """Energy of a sound in bands, taken in piece by piece; memory: 12 MB an hour."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._bands: list[np.ndarray] = []
        self._taper = np.hanning(SIZE).astype(np.float32)
        frequencies = np.fft.rfftfreq(SIZE, 1 / SAMPLE_RATE)[:, None]
        self._inside = ((frequencies >= BANDS[:-1]) & (frequencies < BANDS[1:])).astype(np.float32)

    def push(self, samples: np.ndarray) -> None:
        """Take the next samples (N,), mono at 22,050 Hz, N >= 0."""
        sound = np.concatenate([self._rest, np.asarray(samples, np.float32)])
        count = max(0, (len(sound) - SIZE) // HOP + 1)
        for start in range(0, count, 4096):
            first, last = start * HOP, (min(start + 4096, count) - 1) * HOP + SIZE
            pieces = np.lib.stride_tricks.sliding_window_view(sound[first:last], SIZE)[::HOP]
            power = np.abs(np.fft.rfft(pieces * self._taper)) ** 2
            self._bands.append((power @ self._inside).astype(np.float32))
        self._rest = sound[count * HOP :]

    def curves(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Curves (3, T) of the sound at times (T,) in seconds, and where it is heard at all (T,) bool.

        The curves: log energy, onset strength, how fast the log energy changes; each smoothed over 0.15 s.
        All stay the same when the sound is scaled.
        """
        bands = np.concatenate([np.zeros((1, len(BANDS) - 1), np.float32), *self._bands]).astype(np.float64)
        energy = bands.sum(1)
        floor = np.percentile(energy, 95) * 10 ** (-FLOOR / 10)
        if not floor > 0:
            return np.zeros((3, len(times))), np.zeros(len(times), bool)
        level = np.log(energy + floor)
        by_band = np.log(bands + floor / bands.shape[1])
        rise = np.zeros(len(bands))
        rise[2:-2] = np.maximum(by_band[4:] - by_band[:-4], 0).mean(1)
        level, rise = smoothed(level), smoothed(rise)
        change = smoothed(np.abs(np.gradient(level)))
        at = ((np.arange(len(bands)) - 1) * HOP + SIZE / 2) / SAMPLE_RATE
        curves = np.stack([np.interp(times, at, curve) for curve in (level, rise, change)])
        return curves, np.interp(times, at, smoothed((energy > 10 * floor).astype(float))) > 0.1


def smoothed(curve: np.ndarray) -> np.ndarray:
    """A curve (N,) of 100 a second, averaged over about 0.15 s."""
    taper = np.hanning(31)[1:-1]
    return np.convolve(np.pad(curve, len(taper) // 2, mode="edge"), taper / taper.sum(), "valid")


def sounding(motions: np.ndarray, loudness: Loudness, times: np.ndarray) -> np.ndarray:
    """Probability (K, T), 0 to 1, that each of K tracks makes the sound; their sum is at most 1.

    In pauses of the sound it stays as it was; it is 0 where the track is not seen.

    motions   (K, T) speeds, as of Motion.motion_in; NaN where the track is not seen
    times     (T,) seconds, ascending
    """
    motions, times = np.asarray(motions, float), np.asarray(times, float)
    if motions.ndim != 2 or motions.shape[1:] != times.shape:
        raise ValueError(f"motions {motions.shape}, times {times.shape}; expected (K, T) and (T,)")
    seen = np.isfinite(motions)
    if not seen.any():
        return np.zeros(motions.shape)
    grid = np.arange(times[0], times[-1] + 1 / GRID, 1 / GRID)
    curves, heard = loudness.curves(grid)
    speeds = on_grid(motions, times, grid)
    chances = over_time(evidence(speeds, curves) * SHARE, heard[::STEP])
    rows = np.where(seen, np.stack([np.interp(times, grid[::STEP], row) for row in chances]), 0.0)
    # "none" keeps its chance; what an unseen track would have had goes to the others in proportion
    return rows / np.maximum(rows.sum(0) + np.interp(times, grid[::STEP], 1 - chances.sum(0)), 1e-12)


def over_time(evidence: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Probabilities (K, C) of the tracks, of evidence before and after: forward-backward, Rabiner 1989.

    evidence  (K, C) log likelihood ratios of each step against "none"
    heard     (C,) bool; where not, nothing is learnt and nothing changes
    """
    k = len(evidence)
    prior = np.append(np.full(k, ODDS), 1.0)
    prior /= prior.sum()
    logs = np.concatenate([np.where(heard, evidence, 0.0), np.zeros((1, len(heard)))])
    likely = np.exp(logs - logs.max(0)).T
    change = np.where(heard, STEP / GRID / TURN, 0.0)
    forward, backward = np.empty_like(likely), np.empty_like(likely)
    state = prior
    for t in range(len(heard)):
        state = ((1 - change[t]) * state + change[t] * prior) * likely[t]
        state = forward[t] = state / state.sum()
    state = np.ones(k + 1)
    for t in reversed(range(len(heard))):
        backward[t] = state
        state = state * likely[t]
        state = (1 - change[t]) * state + change[t] * (prior @ state)
        state = state / state.sum()
    both = forward * backward
    return (both / both.sum(1, keepdims=True)).T[:-1]


def on_grid(motions: np.ndarray, times: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Log speeds (K, G) on the grid; NaN where the track is not seen."""
    rows = np.full((len(motions), len(grid)), np.nan)
    nearest = np.clip(np.searchsorted(times, grid), 0, len(times) - 1)
    for row, speeds in zip(rows, motions):
        seen = np.isfinite(speeds)
        if seen.any():
            logs = np.log(speeds[seen] + SOFT * np.median(speeds[seen]) + STILL)
            row[:] = np.where(seen[nearest], np.interp(grid, times[seen], logs), np.nan)
    return rows


def evidence(motion: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Log likelihood ratios (K, C) that a track sounds, in windows around every STEP-th sample.

    motion (K, G), NaN where not seen; curves (3, G)
    """
    blocks = []
    for start in range(0, motion.shape[1], BLOCK * STEP):
        centres = np.arange(start, min(start + BLOCK * STEP, motion.shape[1]), STEP)
        r, variance = correlations(motion, curves, centres)
        ratios = [b.weight * likelihood_ratio(one, chance, b) for b, one, chance in zip(BELIEFS, r, variance)]
        blocks.append(np.sum(ratios, axis=0))
    return np.concatenate(blocks, axis=-1)


def likelihood_ratio(r: np.ndarray, variance: np.ndarray, belief: Belief) -> np.ndarray:
    """Log likelihood ratio (K, C) of correlations r (L, K, C), their mean over the L lags."""
    z = np.arctanh(np.clip(r, -0.98, 0.98))
    if_so, if_not = belief.spread**2 + variance, belief.stray**2 + variance
    logs = 0.5 * (z**2 / if_not - (z - belief.mean) ** 2 / if_so + np.log(if_not / if_so))
    return logsumexp(logs, axis=0) - np.log(len(logs))


def correlations(
    motion: np.ndarray, curves: np.ndarray, centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations (F, L, K, C) of curves (F, G) with motion (K, G), and their variance by chance.

    The variance is the sum over shifts of both curves' autocorrelations (Bartlett 1946), of weighted samples.
    """
    half, length = round(WINDOW * GRID / 2), motion.shape[1]
    reach = np.arange(-half, half + 1)
    taper = np.hanning(len(reach) + 2)[1:-1]
    here = centres[:, None] + reach
    inside = (here >= 0) & (here < length)
    picked = motion[:, np.clip(here, 0, length - 1)]
    present = np.isfinite(picked) & inside
    picked = np.nan_to_num(picked)
    results = []
    for lag in LAGS:
        there = here - lag
        weights = taper * (present & (there >= 0) & (there < length))  # (K, C, N)
        x = centred(picked, weights)
        y = centred(curves[:, None, np.clip(there, 0, length - 1)], weights)  # (F, K, C, N)
        results.append(correlation(x, y, weights))
    r, variance = zip(*results)
    return np.stack(r, 1), np.stack(variance, 1)


def centred(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (…, N) less their weighted mean, times the roots of the weights."""
    total = np.maximum(weights.sum(-1, keepdims=True), 1e-9)
    return (values - (values * weights).sum(-1, keepdims=True) / total) * np.sqrt(weights)


def correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of x (K, C, N) with y (F, K, C, N), both centred, and its variance by chance."""
    own_x, own_y = autocorrelation(x), autocorrelation(y)
    power = own_x[..., 0] * own_y[..., 0]
    flat = (own_x[..., 0] < 1e-6) | (own_y[..., 0] < 1e-6)
    r = np.where(flat, 0.0, (x * y).sum(-1) / np.sqrt(np.where(flat, 1.0, power)))
    shifts = np.arange(own_x.shape[-1])
    fading = np.where(shifts > 0, 2, 1) * np.cos(np.minimum(shifts / (MEMORY * GRID), 1) * np.pi / 2) ** 2
    overlap = autocorrelation(weights) / np.maximum(autocorrelation(np.sqrt(weights)) ** 2, 1e-6)
    total = (own_x * own_y * overlap * fading).sum(-1) / np.where(flat, 1.0, power)
    samples = weights.sum(-1) ** 2 / np.maximum((weights**2).sum(-1), 1e-9)
    return r, np.where(flat, 1e6, np.maximum(total, 1 / np.maximum(samples, 1e-6)))


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """Sums (…, N // 2) over products of values (…, N) with themselves, shifted by 0, 1, … samples."""
    n = values.shape[-1]
    power = np.abs(np.fft.rfft(values, 2 * n)) ** 2
    return np.fft.irfft(power, 2 * n)[..., : n // 2]
