"""Pictures of simulated scenes: a shape for each family of sounds."""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from DiffBinaural.position_utils import FOV, azimuth_to_x, units_to_boxes

FRAME = (240, 120)  # width, height in pixels
SUPERSAMPLING = 4  # shapes are drawn so many times larger, then averaged, for smooth motion
MARGIN = 2  # pixels around a shape on its own canvas
DARK = 0.3  # brightness of details


def ellipse(x: float, y: float, across: float, down: float) -> list[tuple[float, float]]:
    """Corners of a 32-sided polygon around a centre; four of them lie on the axes."""
    return [(x + across * math.cos(a), y + down * math.sin(a)) for a in np.arange(32) * math.pi / 16]


def rectangle(x1: float, y1: float, x2: float, y2: float) -> list[tuple[float, float]]:
    """Corners of an upright rectangle."""
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def star(points: int, inner: float) -> list[tuple[float, float]]:
    """A star whose tips lie on the unit circle; `points` a multiple of four fills the square."""
    turns = np.arange(2 * points) * math.pi / points
    return [(r * math.cos(a), r * math.sin(a)) for a, r in zip(turns, (1.0, inner) * points, strict=True)]


BELL = [(0.25, -1), (0.55, -0.6), (0.65, 0.3), (1, 0.75), (1, 1)]
# shape -> half-width and half-height in units of its size, then polygons in [-1, 1]², y downwards, from the
# back to the front. The first touches all four sides, so that the box is tight; each is its own mirror
# image, so that mirrored pictures have the same shapes.
SHAPES = {
    "plucked": (
        (0.85, 1.1),
        [(0, -1), (1, 1), (-1, 1)],
        ellipse(0, 0.45, 0.25, 0.2),
        rectangle(-0.04, -0.6, 0.04, 0.8),
    ),
    "blown": (
        (1.25, 0.4),
        rectangle(-1, -1, 1, 1),
        *(rectangle(x - 0.08, -0.4, x + 0.08, 0.4) for x in (-0.6, -0.2, 0.2, 0.6)),
    ),
    "bell": ((0.9, 0.9), [*BELL, *((-x, y) for x, y in reversed(BELL))], rectangle(-0.8, 0.5, 0.8, 0.65)),
    "vowel": (
        (0.85, 1.0),
        ellipse(0, 0, 1, 1),
        ellipse(-0.35, -0.3, 0.14, 0.14),
        ellipse(0.35, -0.3, 0.14, 0.14),
        ellipse(0, 0.4, 0.4, 0.22),
    ),
    "noise": ((1.05, 1.05), star(8, 0.5), ellipse(0, 0, 0.2, 0.2)),
}


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


def stamp(picture: Image.Image, appearance: Appearance, centre: tuple[float, float]) -> None:
    """Draw a source into a picture.  centre: x, y in pixels from the upper left corner, fractional"""
    corner = [math.floor(c - h) - MARGIN for c, h in zip(centre, appearance.half, strict=True)]
    size = [2 * (math.ceil(h) + MARGIN) + 1 for h in appearance.half]
    canvas = Image.new("RGBA", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING), (*appearance.colour, 0))
    pen = ImageDraw.Draw(canvas)
    for number, polygon in enumerate(SHAPES[appearance.shape][1:]):
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


def draw_frames(
    rng: np.random.Generator, shapes: Sequence[str], angles: Sequence[tuple], fov: float = FOV
) -> tuple[np.ndarray, list]:
    """Draw sources at the projections of their directions.

    shapes  one for each source
    angles  for each source azimuth (K,) and elevation (K,) in degrees
    fov     degrees from edge to edge
    ->      (K, H, W, 3) uint8, and for each source its boxes (K, 4) in pixels
    """
    wall, hue = backdrop(rng), rng.uniform()
    appearances = [draw_appearance(rng, shape, hue + k / len(shapes)) for k, shape in enumerate(shapes)]
    boxes = [box_of(kind, *pair, fov) for kind, pair in zip(appearances, angles, strict=True)]
    frames = []
    for visible in zip(*boxes, strict=True):
        picture = wall.copy()
        for appearance, box in zip(appearances, visible, strict=True):
            stamp(picture, appearance, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
        frames.append(np.asarray(picture))
    return np.stack(frames), boxes
