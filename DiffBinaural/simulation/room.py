"""The room of a simulated scene."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, rfft, rfftfreq

from DiffBinaural.position_utils import HEAD_RADIUS, SPEED_OF_SOUND
from DiffBinaural.simulation.config import RATE
from DiffBinaural.simulation.signals import Rng


@dataclass(frozen=True)
class Room:
    """A shoebox around the listener."""

    walls: np.ndarray  # (3, 2) metres from the listener: left, right; behind, ahead; floor, ceiling
    reflection: float  # fraction of the amplitude that a wall reflects
    tail: np.ndarray  # (2, L) response of the diffuse field


def draw_room(rng: Rng, radius: float = HEAD_RADIUS) -> Room:
    """Draw a furnished room: direct sound 8 to 15 dB above all reflections.  radius: of the head, metres"""
    walls = rng.uniform([[-4, 2.5], [-3, 2.5], [-1.6, 1.3]], [[-2.5, 4], [-1.5, 4.5], [-1.2, 2.2]])
    reflection, rt60, below = (rng.uniform(*span) for span in ((0.28, 0.42), (0.15, 0.3), (12, 17)))
    return Room(walls, reflection, draw_tail(rng, rt60, below, radius))


def draw_tail(rng: Rng, rt60: float, below: float, radius: float) -> np.ndarray:
    """Draw the decaying noise of a diffuse field at two ears: coherent at low frequencies only.

    rt60   seconds to -60 dB.  below: dB under the direct sound
    ->     (2, L) impulse responses that start 10 ms after the direct sound
    """
    n = round(rt60 * RATE)
    hz = rfftfreq(n, 1 / RATE)
    # coherence of two points at the distance of the ears along the surface of the head
    coherence = np.sinc(2 * hz * math.pi * radius / SPEED_OF_SOUND)
    common, apart = (rfft(rng.standard_normal(n)) * np.sqrt(1 + s * coherence) for s in (1, -1))
    noise = irfft(np.stack([common - apart, common + apart]) / (1 + hz / 5000), n)
    noise *= 10 ** (-3 * np.arange(n) / n)
    noise *= 10 ** (-below / 20) / np.sqrt((noise**2).sum(1).mean())
    return np.pad(noise, ((0, 0), (RATE // 100, 0)))


def image_sources(position: np.ndarray, walls: np.ndarray) -> Iterator[np.ndarray]:
    """The six first-order image sources (Allen & Berkley 1979) of a source at (T, 3) metres."""
    for axis, wall in np.ndindex(3, 2):
        image = position.copy()
        image[:, axis] = 2 * walls[axis, wall] - position[:, axis]
        yield image
