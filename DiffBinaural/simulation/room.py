"""The room of a simulated scene.

A shoebox with the listener in it. What the walls reflect once or twice keeps its direction; the rest is a
diffuse tail that sets in as the third-order reflections do. Both follow from volume, wall area and
reverberation time (Eyring 1930); one factor, as if the sources faced the listener, gives the drawn level.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

from DiffBinaural.heads.head import Head
from DiffBinaural.heads.sphere import SPEED_OF_SOUND
from DiffBinaural.simulation.config import RATE
from DiffBinaural.simulation.signals import Rng

RT60 = (0.1, 1.0)  # seconds at 1 kHz
DRR = (-3.0, 20.0)  # dB at 1 kHz
DISTANCE = (0.6, 5.0)  # metres from the listener to a source
REFERENCE = 1.0  # metres, of a source whose DRR is the room's
CLEAR = 0.8  # metres at least from the listener to a wall
MARGIN = 0.2  # metres at least from a source to a wall
BANDS = 1000 * 2.0 ** np.arange(-2, 4)  # Hz: octaves in which the tail decays
FIELD = 512  # FFT with which a head's diffuse field is measured
DIRECTIONS = 400  # from which it comes
ORDERS = (1, 2)  # of the reflections that keep their directions
KILOHERTZ = np.array([1000.0])


@dataclass(frozen=True)
class Room:
    """A shoebox around the listener, who looks along y of the scene."""

    walls: np.ndarray  # (3, 2) metres from the listener, in the room's own axes: low, high end of each
    turn: float  # degrees by which the room's axes are turned against the scene's, around z
    rt60: float  # seconds at 1 kHz
    drr: float  # dB at 1 kHz at the head's centre: direct over reflected sound of a source at REFERENCE
    tilt: float  # the decay per second grows with frequency to this power
    uneven: np.ndarray  # (3, 2) nepers lost at each wall in relation to the mean
    seed: int  # of the tails

    @property
    def size(self) -> np.ndarray:
        """Width, length, height in metres."""
        return np.ptp(self.walls, 1)

    @property
    def free_path(self) -> float:
        """Mean metres between two reflections: 4 V / S."""
        return 2 / (1 / self.size).sum()

    def decay(self, hz: np.ndarray) -> np.ndarray:
        """Nepers of energy lost a second (F,): to the walls, and to the air (about ISO 9613, 20 °C, 50 %)."""
        hz = np.maximum(hz, BANDS[0])
        walls = 6 * math.log(10) / self.rt60 - air_decay(1000.0)
        return walls * (hz / 1000) ** self.tilt + air_decay(hz)

    def images(self, positions: np.ndarray, *orders: int) -> np.ndarray:
        """Image sources (Allen & Berkley 1979) of these orders of a source at (T, 3) metres: (K, T, 3)."""
        cells, low, high = lattice(orders)[:, None], *self.walls.T
        inside, mirror = positions @ self._axes, np.where(cells > 0, high, low)
        across = np.where(cells % 2, 2 * mirror - inside, inside) + self.size * (
            cells - np.sign(cells) * (cells % 2)
        )
        return across @ self._axes.T

    def reflection(self, hz: np.ndarray, *orders: int) -> np.ndarray:
        """Fraction of the amplitude that is left of each image of these orders: (K, F)."""
        cells = lattice(orders)[..., None]
        hits = (np.abs(cells) + (np.sign(cells) == [-1, 1])) // 2  # on the low and the high wall of each axis
        lost = self.decay(hz) * self.free_path / SPEED_OF_SOUND
        return np.exp(-0.5 * (hits * self.uneven).sum((1, 2))[:, None] * lost)

    @property
    def _axes(self) -> np.ndarray:
        """The room's axes in the scene's: the columns of a rotation."""
        c, s = math.cos(math.radians(self.turn)), math.sin(math.radians(self.turn))
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])

    def reach(self, rays: np.ndarray) -> float:
        """How far a source can be in all of these directions (T, 3), unit vectors: metres."""
        steps = rays @ self._axes
        ends = np.where(steps > 0, self.walls[:, 1], self.walls[:, 0])
        return float(((np.abs(ends) - MARGIN) / np.maximum(np.abs(steps), 1e-9)).min())

    def drr_at(self, distance: float) -> float:
        """DRR in dB of a source at this distance: the diffuse field is everywhere the same."""
        return self.drr - 20 * math.log10(distance / REFERENCE)

    def placed(self, distance: float, rays: np.ndarray) -> float:
        """The distance in metres that this room gives a source.

        distance  within DISTANCE, drawn without regard to the room; its order is kept
        rays      (T, 3) unit vectors, all its directions
        ->        within DISTANCE, within the walls, and such that its DRR is within DRR where it can be
        """
        near, far = (REFERENCE * 10 ** ((self.drr - end) / 20) for end in reversed(DRR))
        far = min(far, self.reach(rays), DISTANCE[1])
        near = min(max(near, DISTANCE[0]), far)
        share = math.log(distance / DISTANCE[0]) / math.log(DISTANCE[1] / DISTANCE[0])
        return near * (far / near) ** share

    def reverberation(self, positions: np.ndarray, head: Head, number: int) -> tuple[float, np.ndarray]:
        """Reverberation of a source in relation to its direct sound.

        positions  (T, 3) metres, all at about the same distance
        number     of the source: each has a tail of its own
        ->         factor on the amplitude of its first reflections; its tail (2, L) at the ears, from the
                   arrival of the direct sound on
        """
        distance, middle = float(np.linalg.norm(positions, axis=1).mean()), positions[len(positions) // 2]
        tail, seconds = self._tail(*self._onset(middle), head, np.random.default_rng([self.seed, number]))
        # images arrive at 4 pi c^3 t^2 / V a second, each with (r / ct)^2 of the direct sound's energy
        density = 4 * math.pi * SPEED_OF_SOUND * distance**2 / self.size.prod()
        late = density * seconds * math.exp(-self.decay(KILOHERTZ)[0] * distance / SPEED_OF_SOUND)
        spread = distance / np.linalg.norm(self.images(positions, *ORDERS), axis=-1)
        early = ((spread**2).mean(1) * self.reflection(KILOHERTZ, *ORDERS)[:, 0] ** 2).sum()
        factor = math.sqrt(10 ** (-self.drr_at(distance) / 10) / (early + late))
        return factor, factor * math.sqrt(late) * tail

    def _onset(self, position: np.ndarray) -> tuple[float, float]:
        """Seconds from the direct sound of a source (3,) to its first image in the tail, to their mean."""
        lengths = np.linalg.norm(self.images(position[None], ORDERS[-1] + 1), axis=-1)
        late = (lengths - np.linalg.norm(position)) / SPEED_OF_SOUND
        return late.min(), late.mean()

    def _tail(self, first: float, full: float, head: Head, rng: Rng) -> tuple[np.ndarray, float]:
        """Draw the decaying noise of a diffuse field that sets in between two times (seconds).

        ->  (2, L) at the ears, its energy at 1 kHz without the head 1; the integral of its decay, seconds
        """
        n = next_fast_len(round((full + 6 * math.log(10) / self.decay(BANDS).min()) * RATE), real=True)
        hz, times = rfftfreq(n, 1 / RATE), np.arange(n) / RATE
        rise = np.clip((times - first) / (full - first), 0, 1) ** 0.5
        white = rng.standard_normal((2, len(hz), 2)) @ [1, 1j]
        # between the bands' centres the same noise fades from one decay to the next
        octaves = np.clip(np.log2(np.maximum(hz, 1) / BANDS[0]), 0, len(BANDS) - 1)
        noise = np.zeros((2, n))
        for band, rate in enumerate(self.decay(BANDS)):
            part = white * np.maximum(1 - np.abs(octaves - band), 0)
            noise += irfft(part, n) * np.exp(-rate / 2 * times)
        spectra = rfft(noise * rise)
        octave = (hz > 707) & (hz < 1414)
        spectra /= np.sqrt((np.abs(spectra[:, octave]) ** 2).mean(1, keepdims=True))
        ears = np.einsum("ekf,kf->ef", at_frequencies(diffuse_field(head), hz), spectra)
        return irfft(ears, n), float((rise**2 * np.exp(-self.decay(KILOHERTZ)[0] * times)).sum() / RATE)


@lru_cache
def lattice(orders: tuple[int, ...]) -> np.ndarray:
    """Cells (K, 3) of the images of these orders: how often each was reflected along each axis, signed."""
    span = range(-max(orders), max(orders) + 1)
    return np.array([cell for cell in product(span, repeat=3) if sum(map(abs, cell)) in orders])


def air_decay(hz):
    """Nepers of energy lost a second in air of 20 °C and 50 % humidity, roughly: 0.4 at 1 kHz, 7 at 8 kHz."""
    return 0.4 * (np.asarray(hz) / 1000) ** 1.4


def sphere_of_directions(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth, elevation (count,) in degrees of directions spread evenly over the sphere (Fibonacci)."""
    k = np.arange(count)
    return np.degrees(k * math.pi * (3 - math.sqrt(5))), np.degrees(np.arcsin(1 - (2 * k + 1) / count))


@lru_cache(maxsize=64)
def diffuse_field(head: Head) -> np.ndarray:
    """What a head makes of sound from everywhere: (2, 2, FIELD/2 + 1) complex, lower triangular.

    On two independent noises it gives two ears with the head's power and coherence in a diffuse field.
    """
    pair = head.responses(*sphere_of_directions(DIRECTIONS), RATE, FIELD).numpy().astype(np.complex128)
    power = np.einsum("itf,jtf->fij", pair, pair.conj()) / DIRECTIONS
    power += 1e-9 * np.trace(power, axis1=1, axis2=2).real[:, None, None] * np.eye(2)
    return np.linalg.cholesky(power).transpose(1, 2, 0)


def at_frequencies(spectra: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Spectra (..., FIELD/2 + 1) between their bins, linearly: (..., F)."""
    place = np.clip(hz / RATE * FIELD, 0, FIELD // 2)
    below = np.minimum(place.astype(int), FIELD // 2 - 1)
    return spectra[..., below] + (place - below) * (spectra[..., below + 1] - spectra[..., below])


def draw_room(rng: Rng) -> Room:
    """Draw a room of 3 to 10 m with the listener in it, looking anywhere, rather into it than at a wall."""
    length = rng.uniform(3, 10)
    size = np.array([max(2.5, length * rng.uniform(0.5, 0.95)), length, rng.uniform(2.3, 3.8)])
    ear = rng.uniform(1.0, min(1.6, size[2] - CLEAR))  # metres above the floor
    views = []
    for _ in range(3):
        low = -np.append(rng.uniform(CLEAR, size[:2] - CLEAR), ear)
        views.append((np.stack([low, low + size], 1), rng.uniform(-180, 180)))
    rt60 = math.exp(rng.uniform(*np.log(RT60)))
    # a source that radiates alike in all directions has the lowest DRR
    lowest = 10 * math.log10(size.prod() * 6 * math.log(10) / (4 * math.pi * SPEED_OF_SOUND * rt60))
    drr = rng.uniform(max(DRR[0], lowest - 20 * math.log10(REFERENCE)), DRR[1])
    uneven = rng.uniform(0.4, 1.6, (3, 2))
    area = (size.prod() / size)[:, None]
    uneven *= 2 * area.sum() / (area * uneven).sum()
    tilt, seed = rng.uniform(0, 0.35), int(rng.integers(1 << 31))
    rooms = [Room(*view, rt60, drr, tilt, uneven, seed) for view in views]
    return max(rooms, key=lambda room: room.reach(np.array([[0.0, 1.0, 0.0]])))
