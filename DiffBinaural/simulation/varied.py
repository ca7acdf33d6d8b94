"""Looks drawn at random (Tobin et al. 2017): they say nothing of the sound but where it is, how it moves."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from PIL import Image

from DiffBinaural.simulation.appearance import Appearance
from DiffBinaural.simulation.objects import SceneObject
from DiffBinaural.simulation.shapes import SHAPES, STILL, ellipse, rectangle
from DiffBinaural.simulation.signals import Rng
from DiffBinaural.simulation.sprites import Sprite, draw_gesture, sprite

HALVES = (0.08, 0.35)  # of an object: its half-height in heights of the frame
WIDEST_HALF = 0.2  # its half-width in widths of the frame, at most
CLUTTER = 8  # things in the background, at most
PLAIN = 0.4  # of the objects: a shape of one colour, with its own way to move
SUBPIXEL = 4  # bits: polygons' corners are given to 1/16 pixel
RAW = 128  # pixels of an invented thing's longer side, before it is scaled


def colour(rng: Rng) -> np.ndarray:
    """Red, green, blue (3,), dark to light, grey to saturated."""
    return rng.uniform(0, 255) * (1 - rng.uniform() * rng.uniform(0, 1, 3))


def noise_field(rng: Rng, width: int, height: int) -> np.ndarray:
    """Smooth noise (H, W) from -1 to 1, of several sizes at once."""
    field = np.zeros((height, width), np.float32)
    cells = int(rng.integers(2, 6))
    for octave in range(int(rng.integers(1, 5))):
        grain = rng.uniform(-1, 1, (cells << octave, cells << octave)).astype(np.float32)
        field += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return field / max(float(np.abs(field).max()), 1e-6)


def pattern(rng: Rng, width: int, height: int) -> np.ndarray:
    """Stripes, checks, dots, noise or nothing: (H, W) from -1 to 1, turned at random."""
    kind, angle = rng.integers(5), rng.uniform(0, np.pi)
    if kind == 0:
        return np.zeros((height, width), np.float32)
    if kind == 1:
        return noise_field(rng, width, height)
    y, x = np.mgrid[:height, :width].astype(np.float32) * np.float32(2 * np.pi / rng.uniform(4, 40))
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    waves = {2: np.sin(u), 3: np.sin(u) * np.sin(v), 4: np.sin(u) + np.sin(v) - 1.0}[int(kind)]
    return np.tanh(rng.uniform(1, 8) * waves)


def textured(rng: Rng, width: int, height: int) -> np.ndarray:
    """A surface (H, W, 3) uint8: a gradient of two colours, a pattern in a third."""
    ramp = (np.linspace(0, 1, width) if rng.random() < 0.5 else np.linspace(0, 1, height)[:, None])[..., None]
    base = colour(rng) * (1 - ramp) + colour(rng) * ramp
    mark = rng.uniform(0, 0.8) * (pattern(rng, width, height)[..., None] + 1) / 2
    return np.clip(base * (1 - mark) + colour(rng) * mark, 0, 255).astype(np.uint8)


def random_outline(rng: Rng) -> np.ndarray:
    """Corners (C, 2) of a blob, an ellipse, a rectangle or one of the drawn shapes, within [-1, 1]^2."""
    kind = int(rng.integers(4))
    if kind == 0:
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        sizes, phases = rng.uniform(-0.2, 0.2, (4, 1)), rng.uniform(0, 2 * np.pi, (4, 1))
        waves = (sizes * np.cos(np.outer(np.arange(2, 6), angles) + phases)).sum(0)
        corners = ((0.6 + 0.4 * waves)[:, None]) * np.stack([np.cos(angles), np.sin(angles)], 1)
        return corners / np.abs(corners).max()
    if kind == 1:
        return np.array(ellipse(0, 0, 1, 1))
    if kind == 2:
        return np.array(rectangle(-1, -1, 1, 1))
    shapes = list(SHAPES)
    return np.array(SHAPES[shapes[rng.integers(len(shapes))]][1](STILL)[0])


def fill_outline(canvas: np.ndarray, corners: np.ndarray, value) -> None:
    """Fill a polygon with corners (C, 2) x, y in pixels, in place, with smooth edges."""
    cv2.fillPoly(canvas, [np.rint(corners * (1 << SUBPIXEL)).astype(np.int32)], value, cv2.LINE_AA, SUBPIXEL)


def invented(rng: Rng) -> np.ndarray:
    """A thing that does not exist, (1, h, w, 4) uint8, premultiplied: some parts, with details on them."""
    size = np.rint(RAW * np.exp(rng.uniform(-0.7, 0, 2))).astype(int)
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    for part in range(int(rng.integers(1, 4))):
        half = size / 2 * (1 if part == 0 else rng.uniform(0.3, 0.8)) - 1
        angle = 0.0 if part == 0 else rng.uniform(-1, 1)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        middle = size / 2 + (0 if part == 0 else rng.uniform(-0.4, 0.4, 2) * size)
        mask = np.zeros(pixels.shape[:2], np.uint8)
        fill_outline(mask, random_outline(rng) * half @ turn.T + middle, 255)
        surface = textured(rng, *size.tolist())
        for _ in range(int(rng.integers(0, 5))):
            spot = ellipse(*rng.uniform(-0.7, 0.7, 2), *rng.uniform(0.05, 0.3, 2))
            fill_outline(surface, np.array(spot) * half + middle, tuple(colour(rng).tolist()))
        cover = mask[..., None] / np.float32(255)
        top = np.concatenate([surface, np.full_like(surface[..., :1], 255)], -1)
        pixels = np.rint(pixels * (1 - cover) + top * cover).astype(np.uint8)
    return pixels[None]


def draw_invented(rng: Rng, halves: tuple[float, float], frame: tuple[int, int]) -> Sprite:
    """A thing that does not exist, of a size drawn between two half-heights, in heights of the frame."""
    half = frame[1] * np.exp(rng.uniform(*np.log(halves)))
    return sprite(invented(rng), half, WIDEST_HALF * frame[0], gesture=draw_gesture(rng))


def draw_any_shape(rng: Rng, frame: tuple[int, int]) -> Appearance:
    """Any of the drawn shapes, in any one colour."""
    shape = list(SHAPES)[rng.integers(len(SHAPES))]
    half = frame[1] * np.exp(rng.uniform(*np.log(HALVES))) / 1.1
    across, down = SHAPES[shape][0]
    red, green, blue = np.rint(colour(rng)).astype(int).tolist()
    return Appearance(shape, (red, green, blue), (half * across, half * down))


def disguised(rng: Rng, objects: Sequence[SceneObject], frame: tuple[int, int]) -> list[SceneObject]:
    """The objects, each with a look that has nothing to do with its sound."""
    looks = [
        draw_any_shape(rng, frame) if rng.random() < PLAIN else draw_invented(rng, HALVES, frame)
        for _ in objects
    ]
    return [replace(each, appearance=look) for each, look in zip(objects, looks, strict=True)]


def draw_wall(rng: Rng, frame: tuple[int, int]) -> Image.Image:
    """A background: a surface, as a rule with others before it, as a floor or furniture have them."""
    wall = textured(rng, *frame)
    for _ in range(int(rng.integers(0, 4))):
        mask = np.zeros(wall.shape[:2], np.uint8)
        corners = random_outline(rng) * rng.uniform(0.1, 0.8, 2) + rng.uniform(-1, 1, 2)
        fill_outline(mask, (corners + 1) / 2 * frame, 255)
        wall = np.where(mask[..., None] > 127, textured(rng, *frame), wall)
    return Image.fromarray(wall)


def cluttered(rng: Rng, wall: Image.Image) -> Image.Image:
    """A background with things before it that do not sound, and that no detector knows."""
    wall = wall.copy()
    for _ in range(int(rng.integers(0, CLUTTER + 1))):
        place = rng.uniform(0, 1, 2) * wall.size
        draw_invented(rng, (0.03, 0.2), wall.size).draw(wall, tuple(place), STILL, 0.0)
    return wall
