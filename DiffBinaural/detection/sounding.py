"""Which of the tracks makes the sound: the one that changes as the sound's loudness does.

What makes a sound moves with it: a mouth is open while there is voice, a string shakes when it is struck.  In
a window of several seconds two things of each track are correlated with curves of the sound, a little earlier
and later: how fast its looks change, and its looks themselves, in their main directions of change.  How far a
correlation may be chance depends on how many independent samples the window holds: motion and loudness
both vary slowly, and 6 s of 20 samples a second are worth 10 to 40 (Bartlett 1946).  With that, a correlation
becomes a log likelihood ratio, "it sounds" against "it does not", near 0 where there is too little to tell.

The hypotheses exclude one another: one of the tracks sounds, or none (what sounds is not in the picture).
Beforehand each track has odds of 7 to 3 against "none".  So without evidence one track has 0.7, two have 0.41
each, three 0.29; evidence decides between the tracks, and between them and "none", at once.  Where several
sound together, the one that follows the sum of all best has most of the probability; in the others it is low.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.special import logsumexp

from DiffBinaural.detection.loudness import Loudness
from DiffBinaural.detection.motion import Look

GRID = 20.0  # samples a second at which motion and sound are compared; loudness varies up to 8 times a second
STEP = 5  # samples from window to window
WINDOW = 6.0  # seconds; on drawn scenes the right one first in .76, .83, .84 of windows of 4, 6, 8 s
LAGS = range(-1, 4)  # samples that motion may come after its sound: -50 to +150 ms
MEMORY = 1.5  # seconds over which a curve's likeness to itself counts; beyond, its estimate is only noise
STILL = 0.1  # of a look's contrast a second: slower is noise of the picture
DIRECTIONS = 3  # in which looks change most, that may follow the loudness
SEEN = 0.5  # seconds that a track goes on before its first look, after its last
SOFT = 0.2  # of a track's median speed, added to its speed before the logarithm
ODDS = 7 / 3  # of a track against "none", without evidence
TURN = 25.0  # seconds after which another takes over, on average
SHARE = 0.08  # of a window's evidence that counts at each step; windows overlap, so it is told many times
BLOCK = 256  # windows at a time


class Belief(NamedTuple):
    """How a curve of the sound correlates with a track; Fisher's z of the correlation is normal.

    mean, spread   of the true correlation where the track sounds
    stray          spread of the true correlation around 0 where it does not
    """

    mean: float
    spread: float
    stray: float


# Set by hand: values fitted to drawn scenes rely on what drawn mouths follow too simply.
SPEED = Belief(mean=0.35, spread=0.2, stray=0.1)  # of change, with a curve
SHAPE = Belief(mean=0.5, spread=0.25, stray=0.15)  # the look itself, with log energy
# Weights of the log likelihood ratios of speed with log energy, of speed with onsets, of shape.  A thing that
# sounds follows either all the while, as a mouth, or each time it is struck; which is not known.
WAYS = ((0.5, 0.25, 0.5), (0.0, 1.0, 0.0))


def chance_of_sounding(
    looks: Sequence[Look],
    loudness: Loudness,
    times: np.ndarray,
    *,
    seen: np.ndarray | None = None,
    begin: float = 0.0,
) -> np.ndarray:
    """Probability (K, T), 0 to 1, that each of K tracks makes the sound; their sum is at most 1.

    In pauses of the sound it stays as it was; it is 0 where the track is not seen.

    looks     of the K tracks, as of Motion.follow
    times     (T,) seconds, ascending
    seen      (K, T) bool: where the tracks are seen; None: where there are looks
    begin     seconds of the video at which the sound begins
    """
    times = np.asarray(times, float)
    if seen is None:
        seen = np.array([seen_at(look, times) for look in looks], bool).reshape(len(looks), len(times))
    if seen.shape != (len(looks), len(times)):
        raise ValueError(f"seen {seen.shape}; expected {(len(looks), len(times))}, tracks and times")
    if not seen.any():
        return np.zeros(seen.shape)
    grid = np.arange(times[0], times[-1] + 1 / GRID, 1 / GRID)
    curves, heard = loudness.curves(grid - begin)
    rows = np.stack([on_grid(look, grid) for look in looks])
    chances = over_time(evidence(rows, curves) * SHARE, heard[::STEP])
    rows = np.where(seen, np.stack([np.interp(times, grid[::STEP], row) for row in chances]), 0.0)
    # "none" keeps its chance; what an unseen track would have had goes to the others in proportion
    return rows / np.maximum(rows.sum(0) + np.interp(times, grid[::STEP], 1 - chances.sum(0)), 1e-12)


def seen_at(look: Look, times: np.ndarray) -> np.ndarray:
    """At which times (T,) a track is seen: (T,) bool."""
    if not len(look.times):
        return np.zeros(len(times), bool)
    return (times >= look.times[0] - SEEN) & (times <= look.times[-1] + SEEN)


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


def on_grid(look: Look, grid: np.ndarray) -> np.ndarray:
    """Log speed of change, and the main directions of change: (1 + DIRECTIONS, G); NaN where not seen."""
    rows = np.full((1 + DIRECTIONS, len(grid)), np.nan)
    seen = seen_at(look, grid)
    if len(look.times) < 3 or not seen.any():
        return rows
    steps = np.diff(look.times)
    speeds = np.abs(np.diff(look.values, axis=0)).mean(1) / steps
    steady = ~look.fresh[1:]
    if not steady.any():
        return rows
    logs = np.log(speeds + SOFT * np.median(speeds[steady]) + STILL)
    between = (look.times[1:] + look.times[:-1]) / 2
    rows[0] = np.interp(grid, between[steady], logs[steady])
    for row, values in zip(rows[1:], main_directions(look)):
        row[:] = np.interp(grid, look.times, values)
    rows[:, ~seen] = np.nan
    return rows


def main_directions(look: Look) -> np.ndarray:
    """How far (DIRECTIONS, T) looks lie from the mean look, in the directions in which they vary most."""
    shots = np.cumsum(look.fresh)
    values = look.values.copy()
    for shot in np.unique(shots):
        values[shots == shot] -= values[shots == shot].mean(0)
    size = values.shape[1]
    _, directions = eigh(values.T @ values, subset_by_index=[size - DIRECTIONS, size - 1])
    return (values @ directions).T


def evidence(rows: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Log likelihood ratios (K, C) that a track sounds, in windows around every STEP-th sample.

    rows (K, 1 + DIRECTIONS, G), NaN where not seen; curves (2, G)
    """
    blocks, (k, kinds, length) = [], rows.shape
    for start in range(0, length, BLOCK * STEP):
        centres = np.arange(start, min(start + BLOCK * STEP, length), STEP)
        r, variance = correlations(rows.reshape(k * kinds, length), curves, centres)
        r, variance = (x.reshape(*x.shape[:-2], k, kinds, len(centres)) for x in (r, variance))
        speeds = [likelihood_ratio(*both, SPEED) for both in zip(r[..., 0, :], variance[..., 0, :])]
        # one of the directions follows, in one sense or the other; which is not known
        shapes = [
            likelihood_ratio(sign * r[0, ..., 1:, :], variance[0, ..., 1:, :], SHAPE) for sign in (1, -1)
        ]
        shape = logsumexp(shapes, axis=(0, 2)) - np.log(2 * DIRECTIONS)
        ways = np.tensordot(np.array(WAYS), np.stack([*speeds, shape]), 1)
        blocks.append(logsumexp(ways, axis=0) - np.log(len(WAYS)))
    return np.concatenate(blocks, axis=-1)


def likelihood_ratio(r: np.ndarray, variance: np.ndarray, belief: Belief) -> np.ndarray:
    """Log likelihood ratio (…) of correlations r (L, …), their mean over the L lags; variance (…)."""
    z = np.arctanh(np.clip(r, -0.98, 0.98))
    if_so, if_not = belief.spread**2 + variance, belief.stray**2 + variance
    logs = 0.5 * (z**2 / if_not - (z - belief.mean) ** 2 / if_so + np.log(if_not / if_so))
    return logsumexp(logs, axis=0) - np.log(len(logs))


def correlations(
    motion: np.ndarray, curves: np.ndarray, centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations (F, L, K, C) of curves (F, G) with motion (K, G); their variance (F, K, C) by chance.

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
    found = []
    for lag in LAGS:
        there = here - lag
        weights = taper * (present & (there >= 0) & (there < length))  # (K, C, N)
        x = centred(picked, weights)
        y = centred(curves[:, None, np.clip(there, 0, length - 1)], weights)  # (F, K, C, N)
        power = (x * x).sum(-1) * (y * y).sum(-1)
        found.append(np.where(power < 1e-12, 0.0, (x * y).sum(-1) / np.sqrt(np.maximum(power, 1e-12))))
        if lag == 0:
            variance = chance_variance(x, y, weights)
    return np.stack(found, 1), variance


def centred(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (…, N) less their weighted mean, times the roots of the weights."""
    total = np.maximum(weights.sum(-1, keepdims=True), 1e-9)
    return (values - (values * weights).sum(-1, keepdims=True) / total) * np.sqrt(weights)


def chance_variance(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Variance (F, K, C) by chance of a correlation of x (K, C, N) with y (F, K, C, N), both centred."""
    own_x, own_y = autocorrelation(x), autocorrelation(y)
    power = own_x[..., 0] * own_y[..., 0]
    flat = (own_x[..., 0] < 1e-6) | (own_y[..., 0] < 1e-6)
    shifts = np.arange(own_x.shape[-1])
    fading = np.where(shifts > 0, 2, 1) * np.cos(np.minimum(shifts / (MEMORY * GRID), 1) * np.pi / 2) ** 2
    overlap = autocorrelation(weights) / np.maximum(autocorrelation(np.sqrt(weights)) ** 2, 1e-6)
    total = (own_x * own_y * overlap * fading).sum(-1) / np.where(flat, 1.0, power)
    samples = weights.sum(-1) ** 2 / np.maximum((weights**2).sum(-1), 1e-9)
    return np.where(flat, 1e6, np.maximum(total, 1 / np.maximum(samples, 1e-6)))


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """Sums (…, N // 2) over products of values (…, N) with themselves, shifted by 0, 1, … samples."""
    n = values.shape[-1]
    power = np.abs(np.fft.rfft(values, 2 * n)) ** 2
    return np.fft.irfft(power, 2 * n)[..., : n // 2]
