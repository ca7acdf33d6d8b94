"""Simulated scenes: sources on paths, heard by two ears, filmed by a camera."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from DiffBinaural.position_utils import FOV, HEAD_RADIUS
from DiffBinaural.simulation.appearance import draw_frames
from DiffBinaural.simulation.binaural import mix_at_ears, positions_at
from DiffBinaural.simulation.config import RATE, SimulateConfig
from DiffBinaural.simulation.room import draw_room
from DiffBinaural.simulation.signals import FAMILIES, Rng, excerpt, melody

FAR = 55.0  # degrees; no source goes farther to the side; less in a narrow picture
HIGH = 15.0  # degrees; nor farther up or down


@dataclass(frozen=True)
class Source:
    """One sounding object of a scene."""

    family: str  # what it is: a family of sounds, or a recording's name
    azimuth: np.ndarray  # (K,) degrees in each picture
    boxes: np.ndarray  # (K, 4) x1, y1, x2, y2 in pixels


def truth_of(draw_sources: Sequence[Source]) -> list[dict]:
    """What is known about a scene: what sounds in it, and where (degrees, in each picture)."""
    return [{"family": s.family, "azimuth": np.round(s.azimuth, 3).tolist()} for s in draw_sources]


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
        return positions_at(*self.angles(times), self.distance)


def random_path(rng: Rng, seconds: float, limit: float, still: bool) -> Callable:
    """A smooth function of time (s) within ±limit: to a new value about every two seconds, or constant."""
    knots = np.linspace(0, seconds, 2 + int(seconds / 2))
    values = rng.uniform(-limit, limit, len(knots))
    return PchipInterpolator(knots, values[:1].repeat(len(knots)) if still else values)


def draw_path(rng: Rng, seconds: float, fov: float = FOV) -> Path3D:
    """A path ahead of the listener, in a picture of `fov` degrees; every fourth source stands still."""
    still, part = rng.random() < 0.25, fov / FOV
    across, up = (random_path(rng, seconds, limit * part, still) for limit in (FAR, HIGH))
    return Path3D(across, up, rng.uniform(0.8, 1.6))


def shape_of(name: str, k: int) -> str:
    """What the k-th recording looks like: the family with which its name begins, else one in turn."""
    shapes = list(FAMILIES)
    return next((shape for shape in shapes if name.startswith(shape)), shapes[k % len(shapes)])


def draw_sources(
    rng: Rng, count: int, n: int, files: tuple[Path, ...], recorded: float
) -> list[tuple[str, str, np.ndarray]]:
    """Who sounds in a scene: (name, shape, dry sound (n,)) each, all different as far as there are enough.

    recorded  of the sources that are recordings; below 1, a scene's shapes are drawn before its sounds
    """
    shapes, only = list(FAMILIES), bool(files) and recorded == 1
    looks = [shape_of(path.stem, k) for k, path in enumerate(files)]
    chosen = np.resize(rng.permutation(len(files if only else shapes)), count)
    levels = 10 ** (rng.uniform(-3, 3, count) / 20)  # so no source is more than 6 dB below another
    sounds = []
    for k in chosen:
        alike = [k] if only else [i for i, look in enumerate(looks) if look == shapes[k]]
        if alike and (only or rng.random() < recorded):
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
    recorded: float = 1.0,
    radius: float = HEAD_RADIUS,
    fov: float = FOV,
) -> Scene:
    """Draw a scene; the same arguments give the same arrays, and room changes nothing but the room.

    sources  fewest, most
    files    dry recordings instead of built-in sounds, for this fraction of the sources
    radius   of the head, metres
    fov      degrees from the picture's left edge to its right one; sources stay in the picture
    """
    streams = np.random.SeedSequence(seed).spawn(4)
    sounding, moving, echoing, looking = (np.random.default_rng(stream) for stream in streams)
    n, count = round(seconds * RATE), sounding.integers(sources[0], sources[1] + 1)
    names, shapes, sounds = zip(*draw_sources(sounding, count, n, files, recorded), strict=True)
    paths = [draw_path(moving, seconds, fov) for _ in names]
    binaural = mix_at_ears(sounds, paths, draw_room(echoing, radius) if room else None, radius)
    binaural *= sounding.uniform(0.5, 0.9) / np.abs(binaural).max()

    times = np.arange(math.ceil(n / RATE * fps - 1e-6)) / fps
    angles = [path.angles(times) for path in paths]
    frames, boxes = draw_frames(looking, shapes, angles, fov)
    seen = (Source(name, azimuth, box) for name, (azimuth, _), box in zip(names, angles, boxes, strict=True))
    return Scene(np.round(binaural * 32768).astype(np.float32) / 32768, frames, tuple(seen))
