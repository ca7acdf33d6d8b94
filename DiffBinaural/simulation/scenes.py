"""Simulated scenes: sources on paths, recorded by two ears, filmed by a camera."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from DiffBinaural.heads.named import head_named
from DiffBinaural.position_utils import FOV
from DiffBinaural.simulation.appearance import draw_frames
from DiffBinaural.simulation.binaural import mix_at_ears, positions_at
from DiffBinaural.simulation.config import RATE, SimulateConfig
from DiffBinaural.simulation.room import DISTANCE, Room, draw_room
from DiffBinaural.simulation.signals import FAMILIES, Rng, excerpt, melody

MAX_AZIMUTH = 55.0  # degrees to either side; less in a narrow picture
MAX_ELEVATION = 15.0  # degrees up or down; likewise


@dataclass(frozen=True)
class Source:
    """A sounding object of a scene."""

    family: str  # a family of built-in sounds, or the name of a recording
    azimuth: np.ndarray  # (K,) degrees in each picture
    boxes: np.ndarray  # (K, 4) x1, y1, x2, y2 in pixels
    distance: float  # metres
    drr: float | None  # dB, direct over reflected sound; None without a room


def ground_truth(sources: Sequence[Source]) -> list[dict]:
    """Family, azimuth in each picture (degrees), distance (m), drr (dB) of a scene's sources, for JSON."""
    return [
        {
            "family": s.family,
            "azimuth": np.round(s.azimuth, 3).tolist(),
            "distance": round(s.distance, 3),
            "drr": s.drr and round(s.drr, 2),
        }
        for s in sources
    ]


@dataclass(frozen=True)
class Scene:
    """A recording of a simulated camera with two ears."""

    binaural: np.ndarray  # (2, N) float32 at RATE, whole multiples of 2^-15
    frames: np.ndarray  # (K, H, W, 3) uint8; picture k, from 0, shows time k / fps
    sources: tuple[Source, ...]
    rt60: float | None = None  # seconds; None without a room


def scene_seeds(cfg: SimulateConfig) -> list[int]:
    """A seed for every clip: no two splits or datasets contain the same scene."""
    return [cfg.seed * 100_000 + number for number in range(cfg.clips)]


def draw_setting(seed: int, cfg: SimulateConfig) -> dict:
    """Draw the setting of a scene: whether it has a room, name of the head, fov (degrees)."""
    rng = np.random.default_rng([seed, 1])
    dry, radius, fov = rng.random(), rng.uniform(*cfg.head_radius), rng.uniform(*cfg.fov)
    head = cfg.head or f"sphere:{radius:.3f}"
    if rng.random() < cfg.eared_fraction:
        head += f":{rng.integers(1 << 31)}"
    return {"room": cfg.room and dry >= cfg.dry_fraction, "head": head, "fov": round(fov, 2)}


@dataclass(frozen=True)
class Path3D:
    """Path of a source: two smooth functions of time in seconds, and a constant distance."""

    azimuth: Callable  # degrees, positive right
    elevation: Callable  # degrees, positive up
    distance: float  # metres

    def angles(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Azimuth and elevation (T,) in degrees."""
        return self.azimuth(times), self.elevation(times)

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """Positions (T, 3) in metres: x right, y ahead, z up."""
        return positions_at(*self.angles(times), self.distance)


def random_path(rng: Rng, seconds: float, limit: float, still: bool) -> Callable:
    """Draw a smooth function of time (s) within ±limit: constant, or a new value about every two seconds."""
    knots = np.linspace(0, seconds, 2 + int(seconds / 2))
    values = rng.uniform(-limit, limit, len(knots))
    return PchipInterpolator(knots, values[:1].repeat(len(knots)) if still else values)


def draw_path(rng: Rng, seconds: float, fov: float = FOV) -> Path3D:
    """Draw a path ahead of the listener, in a picture of `fov` degrees; one source in four does not move."""
    still, narrowing = rng.random() < 0.25, fov / FOV
    across, up = (
        random_path(rng, seconds, limit * narrowing, still) for limit in (MAX_AZIMUTH, MAX_ELEVATION)
    )
    return Path3D(across, up, math.exp(rng.uniform(*np.log(DISTANCE))))


def placed_in(path: Path3D, room: Room, seconds: float) -> Path3D:
    """The path at the distance that a room has space for."""
    rays = positions_at(*path.angles(np.linspace(0, seconds, 2 + round(10 * seconds))), 1.0)
    return replace(path, distance=room.placed(path.distance, rays))


def shape_of(name: str, k: int) -> str:
    """Shape of the k-th recording: the family with which its name begins, else one in turn."""
    shapes = list(FAMILIES)
    return next((shape for shape in shapes if name.startswith(shape)), shapes[k % len(shapes)])


def draw_sources(
    rng: Rng, count: int, n: int, files: tuple[Path, ...], recorded_fraction: float
) -> list[tuple[str, str, np.ndarray]]:
    """Draw the sources of a scene, all different as far as there are enough.

    n                  samples
    recorded_fraction  of the sources that are recordings; below 1, shapes are drawn before sounds
    ->                 (name, shape, dry sound (n,)) each
    """
    shapes, only = list(FAMILIES), bool(files) and recorded_fraction == 1
    file_shapes = [shape_of(path.stem, k) for k, path in enumerate(files)]
    chosen = np.resize(rng.permutation(len(files if only else shapes)), count)
    levels = 10 ** (rng.uniform(-3, 3, count) / 20)  # so no source is more than 6 dB below another
    sounds = []
    for k in chosen:
        alike = [k] if only else [i for i, shape in enumerate(file_shapes) if shape == shapes[k]]
        if alike and (only or rng.random() < recorded_fraction):
            i = alike[0] if only else alike[rng.integers(len(alike))]
            sounds.append((files[i].stem, file_shapes[i], excerpt(files[i], rng, n, RATE)))
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
    recorded_fraction: float = 1.0,
    head: str = "sphere",
    fov: float = FOV,
) -> Scene:
    """Simulate a scene; the same arguments give the same arrays, and `room` changes the reverberation alone.

    sources            lowest and highest number of sources
    files              dry recordings to use instead of built-in sounds
    recorded_fraction  of the sources that are recordings, where there are files
    head               name, as of heads.named
    fov                degrees from the left edge of the picture to the right; sources stay within it
    """
    streams = np.random.SeedSequence(seed).spawn(4)
    sound_rng, path_rng, room_rng, picture_rng = (np.random.default_rng(stream) for stream in streams)
    n, count = round(seconds * RATE), sound_rng.integers(sources[0], sources[1] + 1)
    names, shapes, sounds = zip(*draw_sources(sound_rng, count, n, files, recorded_fraction), strict=True)
    paths = [draw_path(path_rng, seconds, fov) for _ in names]
    ears = head_named(head)
    space = draw_room(room_rng) if room else None
    if space:
        paths = [placed_in(path, space, seconds) for path in paths]
    binaural = mix_at_ears(sounds, paths, ears, space)
    binaural *= sound_rng.uniform(0.5, 0.9) / np.abs(binaural).max()

    times = np.arange(math.ceil(n / RATE * fps - 1e-6)) / fps
    angles = [path.angles(times) for path in paths]
    frames, boxes = draw_frames(picture_rng, shapes, angles, fov)
    distances = [path.distance for path in paths]
    ratios = [space and space.drr_at(distance) for distance in distances]
    known = zip(names, (azimuth for azimuth, _ in angles), boxes, distances, ratios, strict=True)
    described = tuple(Source(*each) for each in known)
    exact = np.round(binaural * 32768).astype(np.float32) / 32768
    return Scene(exact, frames, described, space and space.rt60)
