"""Objects of simulated scenes: sources, which sound, among bystanders, which do not."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from DiffBinaural.position_utils import FOV
from DiffBinaural.simulation.appearance import Filmed, Visible, box_of, draw_appearance
from DiffBinaural.simulation.binaural import positions_at
from DiffBinaural.simulation.camera import Camera
from DiffBinaural.simulation.config import RATE
from DiffBinaural.simulation.motion import poses_of
from DiffBinaural.simulation.room import DISTANCE, Room
from DiffBinaural.simulation.shapes import RESTING, STILL, Pose
from DiffBinaural.simulation.signals import FAMILIES, Origin, Rng, excerpt, melody

MAX_AZIMUTH = 55.0  # degrees to either side; less in a narrow picture
MAX_ELEVATION = 15.0  # degrees up or down; likewise
RESTING_FRACTION = 0.5  # of the bystanders that do not move as if they sounded


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


class DrySound(NamedTuple):
    """What a source sounds like."""

    name: str  # a family of built-in sounds, or the name of a recording
    shape: str
    sound: np.ndarray  # (n,) dry
    origin: Origin | None = None  # of a recording


def draw_sources(
    rng: Rng,
    count: int,
    n: int,
    files: tuple[Path, ...],
    recorded_fraction: float,
    speeds: tuple[float, float] = (1.0, 1.0),
) -> list[DrySound]:
    """Draw the sources of a scene, all different as far as there are enough.

    n                  samples
    recorded_fraction  of the sources that are recordings; below 1, shapes are drawn before sounds
    speeds             lowest and highest at which recordings are played
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
            sounds.append(DrySound(files[i].stem, file_shapes[i], *excerpt(files[i], rng, n, RATE, speeds)))
        else:
            sounds.append(DrySound(shapes[k], shapes[k], melody(shapes[k], rng, n, RATE)))
    return [one._replace(sound=one.sound * level) for one, level in zip(sounds, levels, strict=True)]


@dataclass(frozen=True)
class SceneObject:
    """A source or a bystander: its sound, its path, its look."""

    name: str  # a family of built-in sounds, or the name of a recording
    sound: np.ndarray  # (n,) dry; that of a bystander is not heard
    path: Path3D
    appearance: Visible
    side: int  # 1 or -1: to which side its first note pushes it
    origin: Origin | None = None  # of its sound, where that is a recording
    sounds: bool = True
    moves: bool = True  # as its sound makes it move
    rest: Pose = STILL  # how it stands where it does not move

    def filmed(self, times: np.ndarray, camera: Camera) -> Filmed:
        """What a camera sees of it at times (K,) in seconds."""
        still = box_of(self.appearance, *self.path.angles(times), camera.fov, camera.frame)
        poses = poses_of(self.sound, RATE, times, self.side) if self.moves else [self.rest] * len(times)
        boxes = self.appearance.fitted(still, poses) + np.tile(camera.offsets(times), 2)
        return Filmed(self.appearance, boxes, poses, times if self.moves else np.zeros_like(times))

    def without_motion(self) -> "SceneObject":
        """The object as it looks where nothing moves with its sound."""
        return replace(self, moves=False, rest=STILL)


def draw_side(rng: Rng) -> int:
    """Left or right, as -1 or 1: motion is as likely as its mirror image."""
    return int(rng.choice((-1, 1)))


def among(rng: Rng, sources: Sequence[SceneObject], bystanders: Sequence[SceneObject]) -> list[SceneObject]:
    """Sources in their order, and bystanders put among them at random: neither is always in front."""
    objects = list(sources)
    for bystander in bystanders:
        objects.insert(rng.integers(len(objects) + 1), bystander)
    return objects


def draw_bystanders(
    rng: Rng,
    sources: Sequence[SceneObject],
    numbers: tuple[int, int],
    *,
    hue: float,
    seconds: float,
    camera: Camera,
    room: Room | None,
    **sounds,
) -> list[SceneObject]:
    """Draw objects that look and move like sources; half of them rest, the others have an unheard sound.

    numbers  lowest and highest number
    hue      of the first source; bystanders have hues between those of the sources
    sounds   n, files, recorded_fraction, speeds as of :func:`draw_sources`
    """
    count = int(rng.integers(numbers[0], numbers[1] + 1))
    apart, bystanders = max(len(sources), count), []
    for k, (name, shape, sound, origin) in enumerate(draw_sources(rng, count, **sounds)):
        path = draw_path(rng, seconds, camera.fov)
        look = draw_appearance(rng, shape, hue + (k + 0.5) / apart, camera.frame)
        path = placed_in(path, room, seconds) if room else path
        side, moves = draw_side(rng), bool(rng.random() >= RESTING_FRACTION)
        bystanders.append(SceneObject(name, sound, path, look, side, origin, False, moves, RESTING))
    return bystanders
