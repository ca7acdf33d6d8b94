"""Shapes of simulated sources, one for each family of sounds, that move within their boxes."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Corners = Sequence[tuple[float, float]]


class Pose(NamedTuple):
    """How far a shape has moved; by default it stands as it does in a picture without motion."""

    level: float = 0.5  # 0 silent .. 1 loud
    swing: float = 0.0  # -1 left .. 1 right
    outer: float = 0.0  # outer keys, 0 at rest .. 1 pressed
    inner: float = 0.0  # inner keys, likewise


STILL, RESTING = Pose(), Pose(level=0.0)


def ellipse(x: float, y: float, across: float, down: float) -> Corners:
    """Corners of a 32-sided polygon around a centre; four of them lie on the axes."""
    return [(x + across * math.cos(a), y + down * math.sin(a)) for a in np.arange(32) * math.pi / 16]


def rectangle(x1: float, y1: float, x2: float, y2: float) -> Corners:
    """Corners of an upright rectangle."""
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def star(points: int, inner: float) -> Corners:
    """A star whose tips lie on the unit circle; `points` a multiple of four fills the square."""
    turns = np.arange(2 * points) * math.pi / points
    return [(r * math.cos(a), r * math.sin(a)) for a, r in zip(turns, (1.0, inner) * points, strict=True)]


def leaning(corners: Corners, amount: float) -> Corners:
    """A shape that stands on its lower edge, its upper edge moved to the side, within the square."""
    return [(max(-1.0, min(1.0, x + amount * (1 - y) / 2)), y) for x, y in corners]


def plucked_shape(pose: Pose) -> list[Corners]:
    """A stringed body: its string bends to and fro, its sound hole sways and breathes."""
    bend, sway, wide = 0.4 * pose.swing, 0.15 * pose.swing, 0.6 + 0.8 * pose.level
    right, left = bend + 0.04, bend - 0.04
    string = [(-0.04, -0.6), (0.04, -0.6), (right, 0.1), (0.04, 0.8), (-0.04, 0.8), (left, 0.1)]
    return [[(0, -1), (1, 1), (-1, 1)], ellipse(sway, 0.45, 0.25 * wide, 0.2 * wide), string]


def blown_shape(pose: Pose) -> list[Corners]:
    """A pipe whose pressed keys are longer and wider."""
    pressed = {-0.6: pose.outer, -0.2: pose.inner, 0.2: pose.inner, 0.6: pose.outer}
    keys = (
        rectangle(x - across, -down, x + across, down)
        for x, across, down in ((x, 0.08 + 0.07 * by, 0.4 + 0.45 * by) for x, by in pressed.items())
    )
    return [rectangle(-1, -1, 1, 1), *keys]


BELL = [(0.25, -1), (0.55, -0.6), (0.65, 0.3), (1, 0.75), (1, 1)]


def bell_shape(pose: Pose) -> list[Corners]:
    """A bell that swings: its crown moves to the side, its band slides the other way."""
    slide = -0.2 * pose.swing
    band = rectangle(slide - 0.8, 0.5, slide + 0.8, 0.65)
    return [leaning([*BELL, *((-x, y) for x, y in reversed(BELL))], 0.4 * pose.swing), band]


def vowel_shape(pose: Pose) -> list[Corners]:
    """A face whose mouth opens with the loudness."""
    mouth = 0.22 + 0.34 * (pose.level - 0.5)
    eyes = (ellipse(x, -0.3, 0.14, 0.14) for x in (-0.35, 0.35))
    return [ellipse(0, 0, 1, 1), *eyes, ellipse(0, 0.4, 0.4, mouth)]


def noise_shape(pose: Pose) -> list[Corners]:
    """A star that pulses: the louder, the fuller, but never thinner, as thin tips are lost in a video."""
    louder = pose.level - 0.5
    core = 0.2 + 0.3 * louder
    return [star(8, 0.5 + 0.4 * max(0.0, louder)), ellipse(0, 0, core, core)]


# family -> half-width and half-height in units of its size; its polygons in [-1, 1]², y downwards, from the
# back to the front. In every pose the first touches all four sides and the others stay inside, so that the
# box is tight; a shape that does not swing is its own mirror image, so that mirrored pictures have the same
# shapes.
SHAPES: dict[str, tuple[tuple[float, float], Callable[[Pose], list[Corners]]]] = {
    "plucked": ((0.85, 1.1), plucked_shape),
    "blown": ((1.25, 0.4), blown_shape),
    "bell": ((0.9, 0.9), bell_shape),
    "vowel": ((0.85, 1.0), vowel_shape),
    "noise": ((1.05, 1.05), noise_shape),
}
