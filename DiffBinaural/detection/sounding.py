"""Which of the tracks makes the sound: the one that changes as the sound's loudness does.

What makes a sound moves with it: a mouth is open while there is voice, a string shakes when it is struck.  In
a window of several seconds two things of each track are correlated with curves of the sound, a little earlier
and later: how fast its looks change, and its looks themselves, in their main directions of change.  How far a
correlation may be chance depends on how many independent samples the window holds: motion and loudness
both vary slowly, and 6 s of 20 samples a second are worth 10 to 40 (Bartlett 1946).  With that, a correlation
becomes a log likelihood ratio, "it sounds" against "it does not", near 0 where there is too little to tell.

The hypotheses exclude one another: one of the tracks sounds, or none (what sounds is not in the picture).
Beforehand each track has odds of 7 to 3 against "none", more if it moves more than the others, less if less;
more if it is a person and the sound a voice, or neither (voice.py).
So without evidence one track has 0.7, two alike have 0.41 each.  More than two at once divide the odds of
two: the more is seen, the less likely it is to be what sounds, as where music is laid over a street.
Evidence decides between the tracks, and between them and "none", at once.  Where several sound together, the
one that follows the sum of all best has most of the probability; in the others it is low.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh
from scipy.special import logsumexp

from DiffBinaural.detection.correlation import GRID, correlations, without_drift
from DiffBinaural.detection.loudness import Loudness
from DiffBinaural.detection.motion import Look

STEP = 5  # samples from window to window
STILL = 0.1  # of a look's contrast a second: slower is noise of the picture
DIRECTIONS = 3  # in which looks change most, that may follow the loudness
SEEN = 0.5  # seconds that a track goes on before its first look, after its last
SOFT = 0.2  # of a track's median speed, added to its speed before the logarithm
ODDS = 7 / 3  # of a track against "none", without evidence
ALIKE = 2.0  # tracks at once, on average over the time that counts, with these odds each; more divide them
TURN = 25.0  # seconds after which another takes over, on average
SURE = 5.0  # seconds of motion that say half as much about how lively a track is as a long time does
LIVELIEST = 2.0  # log odds, at most, for what moves more than the other tracks; against what moves less
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
SHAPE = Belief(mean=0.5, spread=0.25, stray=0.15)  # the look itself, with a curve
# Weights of the log likelihood ratios of speed with log energy, with onsets; of shape with log energy, with
# onsets.  A thing that sounds follows all the while, as a mouth, moves when it is struck, or looks otherwise
# after each stroke, as a key; which is not known.
WAYS = ((0.5, 0.25, 0.5, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.5, 0.5, 0.5))


def chance_of_sounding(
    looks: Sequence[Look],
    loudness: Loudness,
    times: np.ndarray,
    *,
    kinds: np.ndarray | float = 1.0,
    seen: np.ndarray | None = None,
    begin: float = 0.0,
) -> np.ndarray:
    """Probability (K, T), 0 to 1, that each of K tracks makes the sound; their sum is at most 1.

    In pauses of the sound it stays as it was; it is 0 where the track is not seen.

    looks     of the K tracks, as of Motion.follow
    times     (T,) seconds, ascending
    kinds     (K,) factors of their odds, by what they are: voice.odds_of_kinds
    seen      (K, T) presence of the tracks, 0 to 1; None: 1 where there are looks
    begin     seconds of the video at which the sound begins
    """
    times = np.asarray(times, float)
    if seen is None:
        seen = np.array([seen_at(look, times) for look in looks], float).reshape(len(looks), len(times))
    if seen.shape != (len(looks), len(times)):
        raise ValueError(f"seen {seen.shape}; expected {(len(looks), len(times))}, tracks and times")
    if not seen.any():
        return np.zeros(seen.shape)
    grid = np.arange(times[0], times[-1] + 1 / GRID, 1 / GRID)
    curves, heard = loudness.curves(grid - begin)
    rows = np.stack([on_grid(look, grid) for look in looks])
    told = evidence(without_drift(rows), without_drift(curves)) * SHARE
    at_once = seen.sum() / seen.any(0).sum()
    odds = ODDS * min(ALIKE / at_once, 1.0) * kinds * liveliness(rows[:, 0])
    chances = over_time(told, heard[::STEP], odds)
    rows = np.stack([np.interp(times, grid[::STEP], row) for row in chances])
    none = np.interp(times, grid[::STEP], 1 - chances.sum(0))
    part = np.where((seen > 0) & (seen < 1), seen, 1.0).min(0)  # of a track that comes or goes
    return part * among_seen(rows * (seen > 0), none) + (1 - part) * among_seen(rows * (seen >= 1), none)


def among_seen(rows: np.ndarray, none: np.ndarray) -> np.ndarray:
    """Chances (K, T) of what is seen: "none" keeps its own, what unseen tracks would have is divided."""
    return rows / np.maximum(rows.sum(0) + none, 1e-12)


def seen_at(look: Look, times: np.ndarray) -> np.ndarray:
    """At which times (T,) a track is seen: (T,) bool."""
    if not len(look.times):
        return np.zeros(len(times), bool)
    return (times >= look.times[0] - SEEN) & (times <= look.times[-1] + SEEN)


def liveliness(speeds: np.ndarray) -> np.ndarray:
    """Factors (K,) of the odds of tracks with log speeds (K, G), NaN where not seen.

    More for what moves more than the others do.
    """
    seen = np.isfinite(speeds)
    samples = seen.sum(1)
    if not samples.any():
        return np.ones(len(speeds))
    means = np.where(seen, speeds, 0.0).sum(1) / np.maximum(samples, 1)
    apart = (means - means[samples > 0].mean()) * samples / (samples + SURE * GRID)
    return np.exp(np.clip(apart, -LIVELIEST, LIVELIEST))


def over_time(evidence: np.ndarray, heard: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """Probabilities (K, C) of the tracks, of evidence before and after: forward-backward, Rabiner 1989.

    evidence  (K, C) log likelihood ratios of each step against "none"
    heard     (C,) bool; where not, nothing is learnt and nothing changes
    odds      (K,) of the tracks against "none", without evidence
    """
    k = len(evidence)
    prior = np.append(odds, 1.0)
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
        shapes = [shape_ratio(*both) for both in zip(r[..., 1:, :], variance[..., 1:, :])]
        ways = np.tensordot(np.array(WAYS), np.stack([*speeds, *shapes]), 1)
        blocks.append(logsumexp(ways, axis=0) - np.log(len(WAYS)))
    return np.concatenate(blocks, axis=-1)


def shape_ratio(r: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Log likelihood ratio (K, C) of correlations (L, K, DIRECTIONS, C) of looks with a curve of the sound.

    One of the directions follows it, in one sense or the other; which is not known.
    """
    ratios = [likelihood_ratio(sign * r, variance, SHAPE) for sign in (1, -1)]
    return logsumexp(ratios, axis=(0, 2)) - np.log(2 * DIRECTIONS)


def likelihood_ratio(r: np.ndarray, variance: np.ndarray, belief: Belief) -> np.ndarray:
    """Log likelihood ratio (…) of correlations r (L, …), their mean over the L lags; variance (…)."""
    z = np.arctanh(np.clip(r, -0.98, 0.98))
    if_so, if_not = belief.spread**2 + variance, belief.stray**2 + variance
    logs = 0.5 * (z**2 / if_not - (z - belief.mean) ** 2 / if_so + np.log(if_not / if_so))
    return logsumexp(logs, axis=0) - np.log(len(logs))
