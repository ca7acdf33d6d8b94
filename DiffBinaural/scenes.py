"""Simulated scenes: moving sources heard by a spherical head in a small room, and the picture of them."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import irfft, rfft, rfftfreq
from scipy.interpolate import PchipInterpolator
from scipy.signal import oaconvolve
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, SimulateConfig
from DiffBinaural.looks import film
from DiffBinaural.position_utils import FOV, HEAD_RADIUS, SPEED_OF_SOUND, sphere_response
from DiffBinaural.sounds import FAMILIES, Rng, excerpt, melody

RATE = MelConfig().sample_rate
FAR = 55.0  # degrees; no source goes farther to the side; less in a narrow picture
HIGH = 15.0  # degrees; nor farther up or down
HOP = 512  # samples from block to block: 23 ms, in which a moving source hardly moves
GUARD = HOP // 2  # samples of silence on either side of a block for what the head adds
FFT = 3 * HOP  # a block of 2 HOP between its guards


# --- the room -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Room:
    """A shoebox around the listener."""

    walls: np.ndarray  # (3, 2) metres from the listener: left, right; behind, ahead; floor, ceiling
    reflection: float  # share of the amplitude that a wall gives back
    tail: np.ndarray  # (2, L) response of the diffuse field


def draw_room(rng: Rng, radius: float = HEAD_RADIUS) -> Room:
    """A furnished room: direct sound 8 to 15 dB above all that it adds.  radius: of the head, metres"""
    walls = rng.uniform([[-4, 2.5], [-3, 2.5], [-1.6, 1.3]], [[-2.5, 4], [-1.5, 4.5], [-1.2, 2.2]])
    reflection, rt60, below = (rng.uniform(*span) for span in ((0.28, 0.42), (0.15, 0.3), (12, 17)))
    return Room(walls, reflection, draw_tail(rng, rt60, below, radius))


def draw_tail(rng: Rng, rt60: float, below: float, radius: float) -> np.ndarray:
    """Decaying noise as two ears hear a diffuse field: the same at low frequencies, independent at high ones.

    rt60   seconds to -60 dB.  below: dB under the direct sound
    ->     (2, L) impulse responses that start 10 ms after the direct sound
    """
    n = round(rt60 * RATE)
    hz = rfftfreq(n, 1 / RATE)
    # Coherence of two points that are as far apart as the ears are along the head's surface
    coherence = np.sinc(2 * hz * math.pi * radius / SPEED_OF_SOUND)
    common, apart = (rfft(rng.standard_normal(n)) * np.sqrt(1 + s * coherence) for s in (1, -1))
    noise = irfft(np.stack([common - apart, common + apart]) / (1 + hz / 5000), n)
    noise *= 10 ** (-3 * np.arange(n) / n)
    noise *= 10 ** (-below / 20) / np.sqrt((noise**2).sum(1).mean())
    return np.pad(noise, ((0, 0), (RATE // 100, 0)))


def mirrored(place: np.ndarray, walls: np.ndarray) -> Iterator[np.ndarray]:
    """The six first-order image sources (Allen & Berkley 1979) of a source at (T, 3) metres."""
    for axis, wall in np.ndindex(3, 2):
        image = place.copy()
        image[:, axis] = 2 * walls[axis, wall] - place[:, axis]
        yield image


# --- from a dry sound to two ears ---------------------------------------------------------------------------


def toward(azimuth, elevation, distance: float) -> np.ndarray:
    """Places (T, 3) in metres, x right, y ahead, z up, that the picture shows at these angles (degrees)."""
    ray = np.stack(np.broadcast_arrays(np.tan(np.radians(azimuth)), 1.0, np.tan(np.radians(elevation))), -1)
    return distance * ray / np.linalg.norm(ray, axis=-1, keepdims=True)


def delayed_blocks(dry: np.ndarray, delay: np.ndarray) -> Tensor:
    """Spectra (T, FFT/2 + 1) of Hann-windowed blocks of a sound (N,) that comes `delay` (T,) samples late."""
    most = delay.max()
    padded = torch.from_numpy(np.pad(dry.astype(np.float32), (HOP + most, 2 * HOP)))
    starts = torch.from_numpy(most + HOP * np.arange(len(delay)) - delay)
    blocks = padded.unfold(0, 2 * HOP, 1)[starts] * torch.hann_window(2 * HOP)
    return torch.fft.rfft(F.pad(blocks, (GUARD, GUARD)))


def render(
    dry: np.ndarray, path: Callable, room: Room | None = None, radius: float = HEAD_RADIUS
) -> np.ndarray:
    """Place a sound on a path around the head, with its first reflections when there is a room.

    dry     (N,)  at RATE
    path    times (T,) in seconds -> (T, 3) metres, x right, y ahead, z up
    radius  of the head, metres
    ->      (2, N) float32: left, right; in the mean of both ears direct sound comes when the dry sound does
    """
    count = -(-len(dry) // HOP) + 1
    place = path(HOP * np.arange(count) / RATE)
    direct, halves = np.linalg.norm(place, axis=1), torch.zeros(2, count, FFT // 2 + 1, dtype=torch.complex64)
    for order, image in enumerate([place, *(mirrored(place, room.walls) if room else ())]):
        far = np.linalg.norm(image, axis=1)
        delay = np.round((far - direct) / SPEED_OF_SOUND * RATE).astype(int)
        level = torch.from_numpy(direct / far).float() * (room.reflection if order else 1)
        blocks = delayed_blocks(dry, delay) * level[:, None]
        for half, response in zip(halves, sphere_response(image[:, 0] / far, RATE, FFT, radius), strict=True):
            half.addcmul_(response, blocks)
    common, differing = overlap_add(torch.fft.irfft(halves, FFT))[:, HOP + GUARD :][:, : len(dry)]
    return np.stack([common - differing, common + differing])


def overlap_add(blocks: Tensor) -> np.ndarray:
    """Sum blocks (2, T, FFT) that start HOP apart: (2, (T - 1) HOP + FFT)."""
    parts, (_, count, _) = FFT // HOP, blocks.shape
    out = torch.zeros(2, count + parts - 1, HOP)
    for part, piece in enumerate(blocks.unflatten(2, (parts, HOP)).unbind(2)):
        out[:, part : part + count] += piece
    return out.flatten(1).numpy()


def listen(
    sounds: Sequence[np.ndarray], paths: Sequence[Callable], room: Room | None, radius: float = HEAD_RADIUS
) -> np.ndarray:
    """All sources (N,) on their paths together, with the room's tail: (2, N)."""
    pair = sum(render(sound, path, room, radius) for sound, path in zip(sounds, paths, strict=True))
    return pair + oaconvolve(sum(sounds)[None], room.tail, axes=1)[:, : pair.shape[1]] if room else pair


# --- scenes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """One sounding object of a scene."""

    family: str  # what it is: a family of sounds, or a recording's name
    azimuth: np.ndarray  # (K,) degrees in each picture
    boxes: np.ndarray  # (K, 4) x1, y1, x2, y2 in pixels


def truth_of(cast: Sequence[Source]) -> list[dict]:
    """What is known about a scene: what sounds in it, and where (degrees, in each picture)."""
    return [{"family": s.family, "azimuth": np.round(s.azimuth, 3).tolist()} for s in cast]


@dataclass(frozen=True)
class Scene:
    """What a simulated camera with two ears records."""

    binaural: np.ndarray  # (2, N) float32 at RATE, whole multiples of 2^-15
    frames: np.ndarray  # (K, H, W, 3) uint8; picture k, from 0, shows time k / fps
    sources: tuple[Source, ...]


def draw_setting(seed: int, cfg: SimulateConfig) -> dict:
    """What may differ from scene to scene: room or none, radius (m) of the head, fov (degrees)."""
    rng = np.random.default_rng([seed, 1])
    dry, radius, fov = rng.random(), rng.uniform(*cfg.head_radius) / 100, rng.uniform(*cfg.fov)
    return {"room": cfg.room and dry >= cfg.dry_share, "radius": round(radius, 5), "fov": round(fov, 2)}


@dataclass(frozen=True)
class Path3D:
    """Where a source is at any time: two smooth functions of seconds, and a distance that stays."""

    azimuth: Callable  # degrees, positive right
    elevation: Callable  # degrees, positive up
    distance: float  # metres

    def angles(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Azimuth and elevation (T,) in degrees."""
        return self.azimuth(times), self.elevation(times)

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Places (T, 3) in metres: x right, y ahead, z up."""
        return toward(*self.angles(times), self.distance)


def wander(rng: Rng, seconds: float, limit: float, still: bool) -> Callable:
    """A smooth function of time (s) within ±limit: to a new value about every two seconds, or constant."""
    knots = np.linspace(0, seconds, 2 + int(seconds / 2))
    values = rng.uniform(-limit, limit, len(knots))
    return PchipInterpolator(knots, values[:1].repeat(len(knots)) if still else values)


def draw_path(rng: Rng, seconds: float, fov: float = FOV) -> Path3D:
    """A path ahead of the listener, in a picture of `fov` degrees; every fourth source stands still."""
    still, part = rng.random() < 0.25, fov / FOV
    across, up = (wander(rng, seconds, limit * part, still) for limit in (FAR, HIGH))
    return Path3D(across, up, rng.uniform(0.8, 1.6))


def shape_of(name: str, k: int) -> str:
    """What the k-th recording looks like: the family with which its name begins, else one in turn."""
    shapes = list(FAMILIES)
    return next((shape for shape in shapes if name.startswith(shape)), shapes[k % len(shapes)])


def cast(
    rng: Rng, count: int, n: int, files: tuple[Path, ...], share: float
) -> list[tuple[str, str, np.ndarray]]:
    """Who sounds in a scene: (name, shape, dry sound (n,)) each, all different as far as there are enough.

    share  of the sources that are recordings; below 1, a scene's shapes are drawn before its sounds
    """
    shapes, only = list(FAMILIES), bool(files) and share == 1
    looks = [shape_of(path.stem, k) for k, path in enumerate(files)]
    chosen = np.resize(rng.permutation(len(files if only else shapes)), count)
    levels = 10 ** (rng.uniform(-3, 3, count) / 20)  # so no source is more than 6 dB below another
    sounds = []
    for k in chosen:
        alike = [k] if only else [i for i, look in enumerate(looks) if look == shapes[k]]
        if alike and (only or rng.random() < share):
            i = alike[0] if only else alike[rng.integers(len(alike))]
            sounds.append((files[i].stem, looks[i], excerpt(files[i], rng, n, RATE)))
        else:
            sounds.append((shapes[k], shapes[k], melody(shapes[k], rng, n, RATE)))
    return [(name, shape, sound * level) for (name, shape, sound), level in zip(sounds, levels, strict=True)]


def simulate(
    seed: int,
    *,
    seconds: float = 6.0,
    sources: tuple[int, int] = (1, 3),
    room: bool = True,
    fps: int = 10,
    files: tuple[Path, ...] = (),
    share: float = 1.0,
    radius: float = HEAD_RADIUS,
    fov: float = FOV,
) -> Scene:
    """Draw a scene; the same arguments give the same arrays, and room changes nothing but the room.

    sources  fewest, most
    files    dry recordings instead of built-in sounds, for this share of the sources
    radius   of the head, metres
    fov      degrees from the picture's left edge to its right one; sources stay in the picture
    """
    streams = np.random.SeedSequence(seed).spawn(4)
    sounding, moving, echoing, looking = (np.random.default_rng(stream) for stream in streams)
    n, count = round(seconds * RATE), sounding.integers(sources[0], sources[1] + 1)
    names, shapes, sounds = zip(*cast(sounding, count, n, files, share), strict=True)
    paths = [draw_path(moving, seconds, fov) for _ in names]
    binaural = listen(sounds, paths, draw_room(echoing, radius) if room else None, radius)
    binaural *= sounding.uniform(0.5, 0.9) / np.abs(binaural).max()

    times = np.arange(math.ceil(n / RATE * fps - 1e-6)) / fps
    angles = [path.angles(times) for path in paths]
    frames, boxes = film(looking, shapes, angles, fov)
    seen = (Source(name, azimuth, box) for name, (azimuth, _), box in zip(names, angles, boxes, strict=True))
    return Scene(np.round(binaural * 32768).astype(np.float32) / 32768, frames, tuple(seen))
