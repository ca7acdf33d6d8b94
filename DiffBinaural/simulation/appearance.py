"""Pictures of simulated scenes: shapes before a background."""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from DiffBinaural.position_utils import FOV, azimuth_to_x, units_to_boxes
from DiffBinaural.simulation.shapes import SHAPES, STILL, Pose

FRAME = (240, 120)  # width, height in pixels
SUPERSAMPLING = 4  # shapes are drawn so many times larger, then averaged, for smooth motion
MARGIN = 2  # pixels around a shape on its own canvas
DARK = 0.3  # brightness of details


@dataclass(frozen=True)
class Appearance:
    """Shape, colour, size of a source."""

    shape: str
    colour: tuple[int, int, int]  # RGB
    half: tuple[float, float]  # half-width, half-height in pixels


def draw_appearance(rng: np.random.Generator, shape: str, hue: float) -> Appearance:
    """Draw a saturated colour of this hue, and a size."""
    colour = colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.75, 1), rng.uniform(0.8, 1))
    size = rng.uniform(9, 16)
    across, down = SHAPES[shape][0]
    return Appearance(shape, tuple(round(255 * c) for c in colour), (size * across, size * down))


def backdrop(rng: np.random.Generator) -> Image.Image:
    """Draw a background without saturated colours: a gradient with a coarse texture."""
    width, height = FRAME
    ends = rng.uniform(60, 150, (2, 1)) + rng.uniform(-12, 12, (2, 3))
    down, across = rng.uniform(-1, 1, 2)
    ramp = np.add.outer(np.linspace(-down, down, height), np.linspace(-across, across, width))
    ramp = (ramp / np.abs(ramp).max() + 1)[..., None] / 2
    cells = rng.uniform(-1, 1, (rng.integers(4, 13), rng.integers(8, 25)))
    coarse = Image.fromarray(cells.astype(np.float32))
    texture = rng.uniform(5, 15) * np.asarray(coarse.resize(FRAME, Image.Resampling.BICUBIC))[..., None]
    return Image.fromarray(np.clip(ends[0] * (1 - ramp) + ends[1] * ramp + texture, 0, 255).astype(np.uint8))


def stamp(
    picture: Image.Image, appearance: Appearance, centre: tuple[float, float], pose: Pose = STILL
) -> None:
    """Draw a source into a picture.  centre: x, y in pixels from the upper left corner, fractional"""
    corner = [math.floor(c - h) - MARGIN for c, h in zip(centre, appearance.half, strict=True)]
    size = [2 * (math.ceil(h) + MARGIN) + 1 for h in appearance.half]
    canvas = Image.new("RGBA", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), (*appearance.colour, 0))
    pen = ImageDraw.Draw(canvas)
    for number, polygon in enumerate(SHAPES[appearance.shape][1](pose)):
        shade = DARK if number else 1
        # in PIL whole numbers are the centres of pixels, not their corners: hence the half
        points = np.multiply(polygon, appearance.half) + np.subtract(centre, corner)
        fill = (*(round(c * shade) for c in appearance.colour), 255)
        pen.polygon((points * SUPERSAMPLING - 0.5).ravel().tolist(), fill)
    small = canvas.reduce(SUPERSAMPLING)
    picture.paste(small, tuple(corner), small)


def box_of(
    appearance: Appearance, azimuth: np.ndarray, elevation: np.ndarray, fov: float = FOV
) -> np.ndarray:
    """Boxes (K, 4) in pixels of a source in directions (K,) in degrees."""
    width, height = FRAME
    x, y = azimuth_to_x(azimuth, fov), azimuth_to_x(elevation, fov) * width / height
    half = (np.full_like(x, 2 * h / n) for h, n in zip(appearance.half, FRAME, strict=True))
    return units_to_boxes(np.stack([x, y, *half], -1), width, height)


@dataclass(frozen=True)
class Filmed:
    """What the camera sees of a source or bystander, picture by picture."""

    appearance: Appearance
    boxes: np.ndarray  # (K, 4) x1, y1, x2, y2 in pixels
    poses: Sequence[Pose]  # K


def film(wall: Image.Image, objects: Sequence[Filmed], count: int) -> np.ndarray:
    """Pictures (count, H, W, 3) uint8 of objects before a background, the first the farthest back."""
    frames = np.empty((count, *np.asarray(wall).shape), np.uint8)
    for k in range(count):
        picture = wall.copy()
        for each in objects:
            x1, y1, x2, y2 = each.boxes[k]
            stamp(picture, each.appearance, ((x1 + x2) / 2, (y1 + y2) / 2), each.poses[k])
        frames[k] = picture
    return frames
