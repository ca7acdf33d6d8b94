"""Boxes as a detector gives them: inexact, late, missing, doubled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

# of a poor detector, in sizes of the box unless stated otherwise
JITTER, DRIFT = 0.03, 0.05  # standard deviation from picture to picture; of what changes within DRIFTING
DRIFTING = 0.5  # seconds
SIZE = 0.15  # standard deviation of the logarithm of width and of height, the same for a whole track
WRONG, WRONG_SIZES = 0.25, (0.5, 1.6)  # of the tracks: width and height are off by such a factor
LATE, DELAYS = 0.6, (0.1, 0.8)  # of the tracks; seconds
MISSED = 0.08  # of the pictures, one by one
GAPS, GAP_SECONDS = 0.3, 0.3  # a second; mean length
DOUBLES, DOUBLE_SECONDS = 0.15, (0.2, 0.8)  # a second: a second box with a track of its own
SCORES = 0.6  # subtracted from 1 at most


@dataclass(frozen=True)
class Detected:
    """Detections of one track."""

    track: int
    thing: int  # number of the object that it shows
    at: np.ndarray  # (D,) numbers of the pictures, from 0, at least one
    boxes: np.ndarray  # (D, 4) x1, y1, x2, y2 in pixels
    scores: np.ndarray  # (D,)


def detected_exactly(boxes: Sequence[np.ndarray]) -> list[Detected]:
    """Detections of objects with boxes (K, 4) each: all of them."""
    return [
        Detected(track, track, np.arange(len(one)), one, np.ones(len(one))) for track, one in enumerate(boxes)
    ]


def detected_poorly(
    rng: np.random.Generator, boxes: Sequence[np.ndarray], fps: float, amount: float
) -> list[Detected]:
    """Detections of objects with boxes (K, 4) each, by a detector that errs.

    amount  0: exact .. 1: poor
    ->      a track for each object, and short ones, numbered after them, where one is detected twice
    """
    tracks, doubles = [], []
    for thing, exact in enumerate(boxes):
        inexact = moved(rng, exact, fps, amount)
        at = np.flatnonzero(noticed(rng, len(exact), fps, amount))
        tracks.append(Detected(thing, thing, at, inexact[at], scores(rng, len(at), amount)))
        for start in np.flatnonzero(rng.random(len(exact)) < DOUBLES * amount / fps):
            end = start + 1 + int(rng.uniform(*DOUBLE_SECONDS) * fps)
            twice = np.arange(start, min(end, len(exact)))
            other = moved(rng, exact[twice], fps, 1.0)
            doubles.append((thing, twice, other, scores(rng, len(twice), 1.0)))
    return tracks + [Detected(k, *double) for k, double in enumerate(doubles, start=len(tracks))]


def scores(rng: np.random.Generator, count: int, amount: float) -> np.ndarray:
    """Scores (count,) from 0 to 1."""
    return (1 - amount * SCORES * rng.uniform(size=count)).round(3)


def noticed(rng: np.random.Generator, count: int, fps: float, amount: float) -> np.ndarray:
    """In which pictures (count,) a track is detected; at least in one."""
    found = rng.random(count) >= MISSED * amount
    for start in np.flatnonzero(rng.random(count) < GAPS * amount / fps):
        found[start : start + 1 + int(rng.exponential(GAP_SECONDS) * fps)] = False
    if rng.random() < LATE * amount:
        found[: round(rng.uniform(*DELAYS) * fps)] = False
    found[-1] |= not found.any()
    return found


def moved(rng: np.random.Generator, boxes: np.ndarray, fps: float, amount: float) -> np.ndarray:
    """Boxes (K, 4) off their places and sizes; their middles stay, but for jitter and drift."""
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    factor = np.exp(amount * SIZE * rng.standard_normal(2))
    if rng.random() < WRONG * amount:
        factor = factor * np.exp(rng.uniform(*np.log(WRONG_SIZES), 2))
    kept = np.exp(-1 / (DRIFTING * fps))
    fast, slow = rng.standard_normal((2, len(boxes), 4))
    slow = lfilter([np.sqrt(1 - kept**2)], [1, -kept], slow, axis=0)
    off = amount * (JITTER * fast + DRIFT * slow)
    middle, size = middle + off[:, :2] * size, size * factor * np.exp(off[:, 2:])
    return np.concatenate([middle - size / 2, middle + size / 2], 1)
