"""Simulated scenes: sources on paths, recorded by two ears, filmed by a camera."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL.Image import Image

from DiffBinaural.heads.named import head_named
from DiffBinaural.position_utils import FOV
from DiffBinaural.simulation.appearance import backdrop, draw_appearance, film
from DiffBinaural.simulation.binaural import mix_at_ears
from DiffBinaural.simulation.camera import Camera, draw_camera
from DiffBinaural.simulation.config import FRAME, RATE, SimulateConfig
from DiffBinaural.simulation.cutouts import random_crop_of
from DiffBinaural.simulation.detected import Detected, detected_exactly, detected_poorly
from DiffBinaural.simulation.material import Material, dressed
from DiffBinaural.simulation.objects import (
    SceneObject,
    among,
    draw_bystanders,
    draw_path,
    draw_side,
    draw_sources,
    placed_in,
)
from DiffBinaural.simulation.room import Room, draw_room
from DiffBinaural.simulation.signals import Rng
from DiffBinaural.simulation.sprites import Sprite
from DiffBinaural.simulation.varied import cluttered, disguised, draw_wall

DRAWN = Material()  # no files: all is drawn


@dataclass(frozen=True)
class Source:
    """An object of a scene: what sounds, or a silent bystander."""

    family: str  # a family of built-in sounds, or the name of a recording
    azimuth: np.ndarray  # (K,) degrees in each picture
    boxes: np.ndarray  # (K, 4) x1, y1, x2, y2 in pixels
    distance: float  # metres
    drr: float | None  # dB, direct over reflected sound; None without a room, and of a bystander
    track: int = 0  # number among all objects of the scene, from the farthest back to the front
    sounds: bool = True
    moves: bool = False  # with its sound; a bystander with one that is not heard
    cutout: str = ""  # file of its picture, in a folder named after its class: dog/rex.png; "": drawn

    @property
    def label(self) -> str:
        """What a detector calls it: the class of its picture; a drawn shape has the name of its sound."""
        return self.cutout.partition("/")[0] or self.family


def ground_truth(sources: Sequence[Source]) -> list[dict]:
    """What is known of a scene's sources or bystanders, for JSON: the fields of Source without boxes."""
    return [
        {
            "family": s.family,
            "azimuth": np.round(s.azimuth, 3).tolist(),
            "distance": round(s.distance, 3),
            "drr": s.drr and round(s.drr, 2),
            "track": s.track,
            "sounds": s.sounds,
            "moves": s.moves,
            **({"cutout": s.cutout} if s.cutout else {}),
        }
        for s in sources
    ]


@dataclass(frozen=True)
class Scene:
    """A recording of a simulated camera with two ears."""

    binaural: np.ndarray  # (2, N) float32 at RATE, whole multiples of 2^-15
    frames: np.ndarray  # (K, H, W, 3) uint8; picture k, from 0, shows time k / fps
    video: np.ndarray  # (V, H, W, 3) uint8; the same at video_fps
    sources: tuple[Source, ...]  # those that sound
    bystanders: tuple[Source, ...] = ()
    rt60: float | None = None  # seconds; None without a room
    detected: tuple[Detected, ...] = ()  # its tracks; the first are the objects, in their order
    sounding: np.ndarray | None = None  # (tracks, K) probability that each sounds; None where not estimated

    @property
    def objects(self) -> list[Source]:
        """Sources and bystanders by track."""
        return sorted((*self.sources, *self.bystanders), key=lambda source: source.track)


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
    setting = {"room": cfg.room and dry >= cfg.dry_fraction, "head": head, "fov": round(fov, 2)}
    if cfg.varied_fraction:
        setting["varied"] = bool(np.random.default_rng([seed, 2]).random() < cfg.varied_fraction)
    return setting


def picture_times(seconds: float, fps: int) -> np.ndarray:
    """Times (K,) in seconds of the pictures of a scene."""
    return np.arange(math.ceil(seconds * fps - 1e-6)) / fps


def filmed(objects: Sequence[SceneObject], wall: Image, times: np.ndarray, camera: Camera) -> np.ndarray:
    """Pictures (K, H, W, 3) uint8 of objects at times (K,) in seconds."""
    seen = [each.filmed(times, camera) for each in objects]
    return camera.developed(film(wall, seen, camera.offsets(times)), times)


def described(each: SceneObject, track: int, times: np.ndarray, camera: Camera, room: Room | None) -> Source:
    """What is known of an object at times (K,) in seconds."""
    (azimuth, _), distance = each.path.angles(times), each.path.distance
    boxes = each.filmed(times, camera).boxes
    drr = room.drr_at(distance) if room and each.sounds else None
    cutout = each.appearance.source if isinstance(each.appearance, Sprite) else ""
    return Source(each.name, azimuth, boxes, distance, drr, track, each.sounds, each.moves, cutout)


def restyled(
    rng: Rng, objects: list[SceneObject], wall: Image, material: Material, varied: bool, camera: Camera
) -> tuple[list[SceneObject], Image, Camera]:
    """Objects, background and camera as the material shows them, or with looks drawn at random."""
    if varied:
        objects, wall = disguised(rng, objects, camera.frame), draw_wall(rng, camera.frame)
        camera = draw_camera(rng, camera.fov, camera.frame)
    if material.cutouts:
        objects = dressed(rng, objects, material, camera.frame)
    if material.backgrounds:
        path = material.backgrounds[rng.integers(len(material.backgrounds))]
        wall = random_crop_of(rng, path, camera.frame)
    return objects, cluttered(rng, wall) if varied else wall, camera


def simulate(
    seed: int,
    *,
    seconds: float = 6.0,
    sources: tuple[int, int] = (1, 3),
    bystanders: tuple[int, int] = (0, 0),
    room: bool = True,
    motion: bool = True,
    fps: int = 10,
    video_fps: int | None = None,
    files: tuple[Path, ...] = (),
    recorded_fraction: float = 1.0,
    speeds: tuple[float, float] = (1.0, 1.0),
    head: str = "sphere",
    fov: float = FOV,
    frame: tuple[int, int] = FRAME,
    material: Material = DRAWN,
    varied: bool = False,
    box_noise: float = 0.0,
) -> Scene:
    """Simulate a scene; the same arguments give the same arrays.

    `room` changes the reverberation alone; `motion`, `bystanders`, `frame`, `material`, `varied` change the
    pictures alone; `box_noise` changes the detections alone.

    sources            lowest and highest number of sources
    bystanders         lowest and highest number of objects that do not sound
    motion             shapes move with their sounds
    fps, video_fps     pictures a second of the frames and of the video; None: the same
    files              dry recordings to use instead of built-in sounds
    recorded_fraction  of the sources that are recordings, where there are files
    speeds             lowest and highest at which recordings are played
    head               name, as of heads.named
    fov                degrees from the left edge of the picture to the right; sources stay within it
    frame              width, height of the pictures in pixels
    material           cut-outs and photographs to use instead of drawn shapes and backgrounds
    varied             looks and the camera are drawn at random
    box_noise          0: detections are exact .. 1: those of a poor detector
    """
    streams = [np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(8)]
    sound_rng, path_rng, room_rng, picture_rng, bystander_rng, motion_rng, look_rng, box_rng = streams
    n = round(seconds * RATE)
    recorded: dict = dict(n=n, files=files, recorded_fraction=recorded_fraction, speeds=speeds)
    count = int(sound_rng.integers(sources[0], sources[1] + 1))
    dry = draw_sources(sound_rng, count, **recorded)
    names, shapes, sounds, origins = zip(*dry, strict=True)
    paths = [draw_path(path_rng, seconds, fov) for _ in names]
    space = draw_room(room_rng) if room else None
    if space:
        paths = [placed_in(path, space, seconds) for path in paths]
    binaural = mix_at_ears(sounds, paths, head_named(head), space)
    binaural *= sound_rng.uniform(0.5, 0.9) / np.abs(binaural).max()
    exact = np.round(binaural * 32768).astype(np.float32) / 32768

    camera = Camera(fov, frame)
    wall, hue = backdrop(picture_rng, frame), picture_rng.uniform()
    looks = [draw_appearance(picture_rng, shape, hue + k / count, frame) for k, shape in enumerate(shapes)]
    sides = [draw_side(motion_rng) for _ in names]
    parts = zip(names, sounds, paths, looks, sides, origins, strict=True)
    objects = [SceneObject(*each) for each in parts]
    shared: dict = {"seconds": seconds, "camera": camera, "room": space}
    silent = draw_bystanders(bystander_rng, objects, bystanders, hue=hue, **shared, **recorded)
    objects = among(bystander_rng, objects, silent)
    objects, wall, camera = restyled(look_rng, objects, wall, material, varied, camera)
    if not motion:
        objects = [each.without_motion() for each in objects]

    times, video_times = (picture_times(n / RATE, each) for each in (fps, video_fps or fps))
    frames = video = filmed(objects, wall, times, camera)
    if video_fps not in (None, fps):
        video = filmed(objects, wall, video_times, camera)
    known = [described(each, track, times, camera, space) for track, each in enumerate(objects)]
    boxes = [each.boxes for each in known]
    found = detected_poorly(box_rng, boxes, fps, box_noise) if box_noise else detected_exactly(boxes)
    heard, unheard = (tuple(s for s in known if s.sounds == sounding) for sounding in (True, False))
    rt60 = space.rt60 if space else None
    return Scene(exact, frames, video, heard, unheard, rt60, tuple(found))
