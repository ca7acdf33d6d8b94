"""Sprites: pictures with alpha that move with a sound, drawn at fractional places."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from DiffBinaural.simulation.shapes import STILL, Pose

VISIBLE = 64  # alpha, of 255: what is fainter (a shadow, a soft edge) does not count for the box
HINGE = 0.3  # of the height from above: what is below is moved as a jaw


class Gesture(NamedTuple):
    """How much of a sprite's sound is seen in it; the defaults are none."""

    jaw: float = 0.0  # of its height by which its lower half falls from silent to loud
    stretch: float = 0.0  # of its height by which it grows; its width shrinks by half of that
    tilt: float = 0.0  # degrees to either side


def draw_gesture(rng: np.random.Generator) -> Gesture:
    """Draw what moves, and how far: the jaw always does."""
    return Gesture(rng.uniform(0.03, 0.09), rng.uniform(0, 0.1), rng.uniform(0, 6))


class Clock(NamedTuple):
    """When an animation shows what: it starts within itself, ends, begins again."""

    start: float = 0.0  # seconds
    period: float = math.inf  # seconds, also those in which it stands still after its last picture
    speed: float = 1.0

    def at(self, time: float) -> float:
        """Its own time at a time of the scene, both in seconds."""
        return (self.start + self.speed * time) % self.period


@dataclass(frozen=True, eq=False)
class Sprite:
    """A picture or an animation at the size in which it is seen."""

    pictures: np.ndarray  # (P, h, w, 4) uint8: red, green, blue, times alpha; alpha
    ends: np.ndarray  # (P,) seconds at which each picture gives way to the next
    middle: tuple[float, float]  # x, y in pixels: of the box around what is visible
    hull: np.ndarray  # (C, 2) corners of its convex hull, from there
    gesture: Gesture = Gesture()
    clock: Clock = Clock()
    source: str = ""  # file, in its folder of cut-outs: dog/rex.png

    @property
    def half(self) -> tuple[float, float]:
        """Half-width, half-height in pixels where it stands still."""
        return tuple(np.ptp(self.hull, axis=0) / 2)

    def placed(self, poses: Sequence[Pose]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where it is in poses: matrices (K, 2, 2); middles of the turned hull, its half-sizes (K, 2)."""
        levels, swings = (np.array([getattr(pose, name) for pose in poses]) for name in ("level", "swing"))
        grown = self.gesture.stretch * (levels - STILL.level)
        angle = np.radians(self.gesture.tilt * swings)
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
        matrices = turn * np.stack([1 - grown / 2, 1 + grown], -1)[:, None]
        corners = self.hull @ matrices.transpose(0, 2, 1)
        low, high = corners.min(1), corners.max(1)
        return matrices, (low + high) / 2, (high - low) / 2

    def fitted(self, boxes: np.ndarray, poses: Sequence[Pose]) -> np.ndarray:
        """Boxes (K, 4) around the same middles, tight in these poses."""
        _, _, half = self.placed(poses)
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        return np.concatenate([middles - half, middles + half], 1)

    def picture_at(self, time: float) -> np.ndarray:
        """The picture (h, w, 4) that is on at a time of the scene (s)."""
        shown = np.searchsorted(self.ends, self.clock.at(time), "right")
        return self.pictures[min(int(shown), len(self.ends) - 1)]

    def draw(self, picture: Image.Image, centre: tuple[float, float], pose: Pose, time: float) -> None:
        """Draw it into a picture.  centre: x, y in pixels of the middle of its box; time in seconds"""
        shown = self.picture_at(time)
        height, width = shown.shape[:2]
        (matrix,), (off,), _ = self.placed([pose])
        edges = np.array([(0, 0), (width, 0), (0, height), (width, height)]) - self.middle
        reach = edges @ matrix.T - off + centre
        low = np.maximum(np.floor(reach.min(0) - 1), 0).astype(int)
        high = np.minimum(np.ceil(reach.max(0) + 1), picture.size).astype(int)
        if (low >= high).any():
            return
        patch = self.warped(shown, low - np.array(centre) + off, high - low, np.linalg.inv(matrix), pose)
        behind = np.asarray(picture.crop((*low, *high)))
        clear = cv2.cvtColor(255 - patch[..., 3], cv2.COLOR_GRAY2RGB)
        blended = cv2.add(cv2.multiply(behind, clear, scale=1 / 255), cv2.cvtColor(patch, cv2.COLOR_RGBA2RGB))
        picture.paste(Image.fromarray(blended), tuple(low.tolist()))

    def warped(
        self, shown: np.ndarray, start: np.ndarray, size: np.ndarray, inverse: np.ndarray, pose: Pose
    ) -> np.ndarray:
        """What covers `size` pixels from `start` on, from the middle of the hull: (h, w, 4) uint8.

        inverse  (2, 2) from there to the picture
        """
        x = (np.arange(size[0], dtype=np.float32) + np.float32(start[0] + 0.5))[None]
        y = (np.arange(size[1], dtype=np.float32) + np.float32(start[1] + 0.5))[:, None]
        across, down = (np.float32(row[0]) * x + np.float32(row[1]) * y for row in inverse)
        top, tall = (float(side) for side in (self.hull[:, 1].min(), np.ptp(self.hull[:, 1])))
        fallen = self.gesture.jaw * (pose.level - STILL.level) * tall
        if fallen:
            # a smooth hump below the hinge, nothing at the chin: the box stays what it is
            below = np.clip(((down - top) / tall - HINGE) / (1 - HINGE), 0, 1)
            down = down - fallen * np.sin(math.pi * below) ** 2
        across, down = across + np.float32(self.middle[0] - 0.5), down + np.float32(self.middle[1] - 0.5)
        return cv2.remap(shown, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT)


def outline(alpha: np.ndarray) -> np.ndarray:
    """Corners (C, 2) x, y in pixels of the convex hull of what is visible of a picture (h, w); C may be 0."""
    rows = np.flatnonzero((alpha >= VISIBLE).any(1))
    seen = alpha[rows] >= VISIBLE
    first, last = seen.argmax(1), alpha.shape[1] - seen[:, ::-1].argmax(1)
    points = [np.stack([x, rows + y], 1) for x in (first, last) for y in (0, 1)]
    corners = np.concatenate(points).astype(np.float32)
    return cv2.convexHull(corners)[:, 0].astype(float) if len(corners) else corners.reshape(0, 2)


def sprite(
    pictures: np.ndarray, half_height: float, widest: float, ends: np.ndarray | None = None, **more
) -> Sprite:
    """A sprite of pictures (P, h, w, 4), scaled.

    half_height  pixels that the visible part shall have
    widest       pixels of its half-width, at most; then it is less high
    ends, more   as of :class:`Sprite`
    """
    corners = outline(pictures[..., 3].max(0))
    across, down = np.ptp(corners, axis=0) / 2
    scale = min(half_height / down, widest / across)
    size = [max(1, round(side * scale)) for side in pictures.shape[2:0:-1]]
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.stack([cv2.resize(one, size, interpolation=kind) for one in pictures])
    hull = outline(small[..., 3].max(0))
    if not len(hull):  # a line so fine that nothing is left of it
        hull = np.array([(0, 0), (size[0], 0), (0, size[1]), size], float)
    middle = (hull.min(0) + hull.max(0)) / 2
    shown = np.full(len(small), math.inf) if ends is None else ends
    return Sprite(small, shown, tuple(middle), hull - middle, **more)
