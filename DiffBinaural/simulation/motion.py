"""Motion of what sounds: how a dry sound moves the shape that makes it."""

import math

import numpy as np
from scipy.signal import find_peaks, lfilter

from DiffBinaural.simulation.shapes import Pose

TICKS = 100  # a second, at which loudness and motion are followed
SMOOTHING = 9  # ticks of the window around a picture's time
ATTACK = 3  # ticks within which the loudness rises at an onset
ONSET = 0.12  # of the loudest: a smaller rise is no onset
SWING_HZ, SWING_DECAY = 2.5, 0.4  # of what an onset sets swinging; seconds to 1/e
SWING_GAIN = 2.0  # a note from silence swings almost to the end


def hann_mean(values: np.ndarray, ticks: int) -> np.ndarray:
    """Values (T,) averaged over a Hann window around each.  ticks: odd"""
    window = np.hanning(ticks + 2)[1:-1]
    return np.convolve(np.pad(values, ticks // 2, "edge"), window / window.sum(), "valid")


def loudness(sound: np.ndarray, rate: int) -> np.ndarray:
    """Loudness (T,) of a sound (N,) at TICKS a second, from 0 to 1, which is that of its loudest 5 %.

    Power 0.3 of the energy: a sound that is twice as loud has ten times the energy (Stevens 1957).
    """
    hop = rate / TICKS
    edges = np.round(np.arange(math.ceil(len(sound) / hop) + 1) * hop).astype(int).clip(0, len(sound))
    energy = np.diff(np.concatenate([[0.0], np.cumsum(np.square(sound))])[edges]) / hop
    energy = hann_mean(energy, 3)
    return np.clip(energy / max(np.quantile(energy, 0.95), 1e-12), 0, 1) ** 0.3


def swinging(rises: np.ndarray) -> np.ndarray:
    """Damped oscillation (T,), -1 to 1, of what every onset pushes."""
    turn, kept = 2 * math.pi * SWING_HZ / TICKS, math.exp(-1 / (SWING_DECAY * TICKS))
    pushed = lfilter([kept * math.sin(turn)], [1, -2 * kept * math.cos(turn), kept**2], rises)
    return np.tanh(SWING_GAIN * pushed)


def poses_of(sound: np.ndarray, rate: int, times: np.ndarray, side: int = 1) -> list[Pose]:
    """How a sound's shape stands at the times of pictures.

    sound  (N,) dry, at `rate` Hz; its level does not matter
    times  (K,) seconds
    side   1 or -1: to which side the first onset pushes
    """
    now = loudness(sound, rate)
    before = np.concatenate([np.zeros(ATTACK), now])[: len(now)]
    onsets, found = find_peaks(np.pad(now - before, 1), height=ONSET, distance=2 * ATTACK)
    rises, onsets = np.zeros(len(now)), onsets - 1
    rises[onsets] = found["peak_heights"]
    notes = np.cumsum(rises > 0)
    keys = (hann_mean((notes >> bit & 1).astype(float), SMOOTHING) for bit in (0, 1))
    tracks = hann_mean(now, SMOOTHING), side * swinging(rises), *keys
    at = (np.arange(len(now)) + 0.5) / TICKS
    values = np.stack([np.interp(times, at, track) for track in tracks], 1)
    return [Pose(*row) for row in values.tolist()]
