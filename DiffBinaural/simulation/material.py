"""The material of scenes: cut-outs that look like what sounds, photographs to film before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.simulation.cutouts import (
    animated_cutout,
    checked_cutout,
    opened,
    picture_files,
    still_cutout,
)
from DiffBinaural.simulation.objects import SceneObject
from DiffBinaural.simulation.signals import recordings
from DiffBinaural.simulation.sprites import Clock, Gesture, Sprite, draw_gesture, sprite

HEIGHTS = (0.15, 0.4)  # of a cut-out: its half-height in heights of the frame
WIDEST = 0.2  # its half-width in widths of the frame, at most


def class_of(path: Path, root: str | Path) -> str:
    """Class of a file: the folder in the root that holds it; "" where it lies in the root itself."""
    folders = path.relative_to(root).parts[:-1]
    return folders[0] if folders else ""


@dataclass(frozen=True)
class Material:
    """Picture files that scenes are made of; none by default."""

    audio_dir: str = ""  # folder of dry recordings
    cutouts: str = ""  # folder of cut-outs
    stills: tuple[Path, ...] = ()
    animated: tuple[Path, ...] = ()
    backgrounds: tuple[Path, ...] = ()

    def class_of_sound(self, sound: Path | None) -> str:
        """Class of a recording; "" of a built-in sound, and of one in no sub-folder."""
        return class_of(sound, self.audio_dir) if sound and self.audio_dir else ""

    def alike(self, files: Sequence[Path], sound: Path | None) -> list[Path]:
        """Those of the cut-outs that look like what a recording is of."""
        kind = self.class_of_sound(sound)
        return [path for path in files if kind and class_of(path, self.cutouts) == kind]

    def filmed_with(self, sound: Path | None) -> Path | None:
        """The animation that was filmed with a recording: it has the same name in the same class."""
        return next((p for p in self.alike(self.animated, sound) if sound and p.stem == sound.stem), None)


@lru_cache(maxsize=1)
def material_of(cfg: SimulateConfig) -> Material:
    """The files that a config names, checked by their headers.

    Raises ValueError where a folder is empty, a file is no picture, or no sound has a class with pictures.
    """
    found = Material(cfg.audio_dir or "")
    if cfg.backgrounds:
        photographs = picture_files(cfg.backgrounds, "--backgrounds")
        for path in photographs:
            with opened(path):
                pass
        found = replace(found, backgrounds=tuple(photographs))
    if not cfg.cutouts:
        return found
    files = picture_files(cfg.cutouts, "--cutouts")
    counts = {path: checked_cutout(path) for path in files}
    if loose := next((path for path in files if not class_of(path, cfg.cutouts)), None):
        raise ValueError(f"{loose}: has no class; put it into a sub-folder that is named after what it shows")
    shown = {class_of(path, cfg.cutouts) for path in files}
    heard = {class_of(path, found.audio_dir) for path in recordings(found.audio_dir)}
    if not shown & heard:
        raise ValueError(
            f"--cutouts has pictures of {', '.join(sorted(shown))[:200]}; {cfg.audio_dir} has sounds of "
            f"{', '.join(sorted(heard - {''}))[:200] or 'no class'}; give sub-folders the same names in both"
        )
    stills, animated = ([p for p in files if (counts[p] > 1) == moving] for moving in (False, True))
    return replace(found, cutouts=cfg.cutouts, stills=tuple(stills), animated=tuple(animated))


def draw_sprite(
    rng: np.random.Generator,
    path: Path,
    frame: tuple[int, int],
    material: Material,
    clock: Clock | None,
) -> Sprite:
    """A cut-out at a random size, perhaps mirrored.

    clock  of its sound, for an animation that was filmed with it; others start anywhere
    """
    widest, tallest = WIDEST * frame[0], HEIGHTS[1] * frame[1]
    half = frame[1] * np.exp(rng.uniform(*np.log(HEIGHTS)))
    # twice: what is visible is less than the picture
    size, ends = (round(4 * widest), round(4 * tallest)), None
    if path in material.animated:
        pictures, ends = animated_cutout(path, size)
        gesture, clock = Gesture(), clock or Clock(rng.uniform(0, ends[-1]), float(ends[-1]))
    else:
        pictures, gesture, clock = still_cutout(path, size), draw_gesture(rng), Clock()
    source = path.relative_to(material.cutouts).as_posix()
    facing = pictures[:, :, :: int(rng.choice((-1, 1)))]
    return sprite(facing, half, widest, ends, gesture=gesture, clock=clock, source=source)


def dressed(
    rng: np.random.Generator, objects: Sequence[SceneObject], material: Material, frame: tuple[int, int]
) -> list[SceneObject]:
    """The objects, with cut-outs of their classes in place of drawn shapes where there are any.

    A source has the animation that was filmed with its sound, else a still picture; a bystander has either.
    None is seen twice as long as there are others.
    """
    own = [
        material.filmed_with(each.origin.path) if each.sounds and each.origin else None for each in objects
    ]
    used, result = set(own), list(objects)
    for k in sorted(range(len(objects)), key=lambda k: not objects[k].sounds):  # sources choose first
        each, path = objects[k], own[k]
        if path is None:
            files = material.stills if each.sounds else (*material.stills, *material.animated)
            likely = material.alike(files, each.origin.path if each.origin else None)
            fresh = [p for p in likely if p not in used] or likely
            path = fresh[rng.integers(len(fresh))] if fresh else None
        if path is None:
            continue
        used.add(path)
        clock = Clock(*each.origin[1:]) if each.sounds and each.origin else None
        look = draw_sprite(rng, path, frame, material, clock)
        result[k] = replace(each, appearance=look, moves=each.moves or path in material.animated)
    return result
