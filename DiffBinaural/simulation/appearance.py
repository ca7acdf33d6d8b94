"""Pictures of simulated scenes: shapes before a background."""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from PIL import Image, ImageDraw

from DiffBinaural.position_utils import FOV, azimuth_to_x, units_to_boxes
from DiffBinaural.simulation.config import FRAME
from DiffBinaural.simulation.shapes import SHAPES, STILL, Pose

SUPERSAMPLING = 4  # shapes are drawn so many times larger, then averaged, for smooth motion
MARGIN = 2  # pixels around a shape on its own canvas
DARK = 0.3  # brightness of details
SIZES = (9, 16)  # pixels in a picture of FRAME's height: size of a shape, see SHAPES


class Visible(Protocol):
    """What an object looks like."""

    @property
    def half(self) -> tuple[float, float]:
        """Half-width, half-height in pixels where it stands still."""

    def fitted(self, boxes: np.ndarray, poses: Sequence[Pose]) -> np.ndarray:
        """Boxes (K, 4) around the same middles, tight in these poses."""

    def draw(self, picture: Image.Image, centre: tuple[float, float], pose: Pose, time: float) -> None:
        """Draw it into a picture.  centre: x, y in pixels of the middle of its box; time in seconds"""


@dataclass(frozen=True)
class Appearance:
    """Shape, colour, size of a source."""

    shape: str
    colour: tuple[int, int, int]  # RGB
    half: tuple[float, float]  # half-width, half-height in pixels

    def fitted(self, boxes: np.ndarray, poses: Sequence[Pose]) -> np.ndarray:
        """The boxes themselves: a shape moves within its box."""
        return boxes

    def draw(self, picture: Image.Image, centre: tuple[float, float], pose: Pose, time: float) -> None:
        """Draw it into a picture; it looks the same at any time."""
        stamp(picture, self, centre, pose)


def draw_appearance(
    rng: np.random.Generator, shape: str, hue: float, frame: tuple[int, int] = FRAME
) -> Appearance:
    """Draw a saturated colour of this hue, and a size.  frame: width, height of the pictures"""
    colour = colorsys.hsv_to_rgb(hue % 1, rng.uniform(0.75, 1), rng.uniform(0.8, 1))
    size = rng.uniform(*SIZES) * (frame[1] / FRAME[1])
    across, down = SHAPES[shape][0]
    return Appearance(shape, tuple(round(255 * c) for c in colour), (size * across, size * down))


def backdrop(rng: np.random.Generator, frame: tuple[int, int] = FRAME) -> Image.Image:
    """Draw a background without saturated colours: a gradient with a coarse texture."""
    width, height = frame
    ends = rng.uniform(60, 150, (2, 1)) + rng.uniform(-12, 12, (2, 3))
    down, across = rng.uniform(-1, 1, 2)
    ramp = np.add.outer(np.linspace(-down, down, height), np.linspace(-across, across, width))
    ramp = (ramp / np.abs(ramp).max() + 1)[..., None] / 2
    cells = rng.uniform(-1, 1, (rng.integers(4, 13), rng.integers(8, 25)))
    coarse = Image.fromarray(cells.astype(np.float32))
    texture = rng.uniform(5, 15) * np.asarray(coarse.resize(frame, Image.Resampling.BICUBIC))[..., None]
    return Image.fromarray(np.clip(ends[0] * (1 - ramp) + ends[1] * ramp + texture, 0, 255).astype(np.uint8))


def stamp(
    picture: Image.Image, appearance: Appearance, centre: tuple[float, float], pose: Pose = STILL
) -> None:
    """Draw a shape into a picture.  centre: x, y in pixels from the upper left corner, fractional"""
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
    appearance: Visible,
    azimuth: np.ndarray,
    elevation: np.ndarray,
    fov: float = FOV,
    frame: tuple[int, int] = FRAME,
) -> np.ndarray:
    """Boxes (K, 4) in pixels of a source that stands still in directions (K,) in degrees."""
    width, height = frame
    x, y = azimuth_to_x(azimuth, fov), azimuth_to_x(elevation, fov) * width / height
    half = (np.full_like(x, 2 * h / n) for h, n in zip(appearance.half, frame, strict=True))
    return units_to_boxes(np.stack([x, y, *half], -1), width, height)


@dataclass(frozen=True)
class Filmed:
    """What the camera sees of a source or bystander, picture by picture."""

    appearance: Visible
    boxes: np.ndarray  # (K, 4) x1, y1, x2, y2 in pixels
    poses: Sequence[Pose]  # K
    times: np.ndarray  # (K,) seconds, of its own clock: all the same where nothing moves


def shifted(wall: Image.Image, offset: np.ndarray) -> Image.Image:
    """A background moved by x, y in pixels, mirrored at its edges."""
    matrix = np.float64([[1, 0, offset[0]], [0, 1, offset[1]]])
    moved = cv2.warpAffine(np.asarray(wall), matrix, wall.size, borderMode=cv2.BORDER_REFLECT_101)
    return Image.fromarray(moved)


def film(wall: Image.Image, objects: Sequence[Filmed], offsets: np.ndarray) -> np.ndarray:
    """Pictures (K, H, W, 3) uint8 of objects before a background, the first the farthest back.

    offsets  (K, 2) x, y in pixels by which the background lies off; the boxes do so already
    """
    frames = np.empty((len(offsets), *np.asarray(wall).shape), np.uint8)
    for k, offset in enumerate(offsets):
        picture = shifted(wall, offset) if offset.any() else wall.copy()
        for each in objects:
            x1, y1, x2, y2 = each.boxes[k]
            centre = (x1 + x2) / 2, (y1 + y2) / 2
            each.appearance.draw(picture, centre, each.poses[k], float(each.times[k]))
        frames[k] = picture
    return frames
