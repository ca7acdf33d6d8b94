"""What changes inside boxes of a video, in each box's own frame of reference.

A thing that travels, and a camera that shakes, change every pixel of a box and say nothing about who makes
a sound.  So each picture's patch is first laid onto the patches before it (shift, size, contrast: Lucas &
Kanade 1981), which also takes out the jitter of detected boxes.  What then still changes is motion inside the
thing.  Whether it makes the sound: sounding.py.
"""

import math
from collections import deque
from typing import NamedTuple

import cv2
import numpy as np

AREA = 240 * 180  # pixels of the pictures kept, at most: 43 kB each
SIDES_ALLOWED = (16, 640)  # pixels: thin pictures are stretched, the boxes with them
PICTURES_PER_SECOND = 16.0  # at most: a mouth opens 2 to 7 times a second; the rest is skipped
KEPT = 60.0  # seconds of pictures, at most: 41 MB
HELD = 0.3  # seconds: a picture repeated for this long is not a repetition but a thing at rest
SAME = 0.1  # grey levels of mean difference: less is the same picture, coded again
GAP = 1.0  # seconds without pictures after which a track is looked at anew
SIDE = 24  # pixels of a patch
REACH = 1.2  # half-sizes of the box from its middle to the edge of the patch
LOOK = 12  # pixels of a look: the patch's inner part, as it is kept
ROUNDS = 4  # of alignment, at most
CLOSE = 0.004  # half-sizes: a smaller step ends the alignment
FARTHEST = 0.5  # half-sizes that a patch may lie off its box
KEEPING = 0.8  # of the last picture's way off the box: boxes jitter about the right place
STIFF = 0.002  # added to the mean squared slope, so that even patches stay where they are
LESS_SIZE = 20  # times as stiff
LEARNING = 1 / 8  # of the newest patch, in what the next are laid onto
STEADY = 0.1  # of the newest box's size, in the size that is used: sizes jitter more than they change
STRANGE = 0.3  # correlation with it: less is a cut, or another thing in front
FAINT = 1.0  # grey levels: less contrast is noise


class Look(NamedTuple):
    """What a track looked like, over time; contrast 1, mean 0."""

    times: np.ndarray  # (T,) seconds, ascending
    values: np.ndarray  # (T, LOOK²) float32
    fresh: np.ndarray  # (T,) bool: not to be compared with the one before


class Motion:
    """The last pictures of a video, and what its tracks looked like; memory: see KEPT, 0.3 kB a look.

    width, height   of the video, in pixels: boxes are given in these
    """

    def __init__(self, width: int, height: int) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"the video is {width} x {height} pixels; expected at least 1 x 1")
        scale = min(1.0, math.sqrt(AREA / (width * height)))
        low, high = SIDES_ALLOWED
        self.small = tuple(round(min(max(side * scale, low), high)) for side in (width, height))
        self.scale = np.array(self.small * 2) / (width, height, width, height)
        self._pictures: deque[tuple[float, np.ndarray]] = deque()
        self._last = -math.inf
        self._tracks: dict[str, Follower] = {}

    def push(self, time: float, grey: np.ndarray) -> None:
        """Take the next picture, of any size.  time in seconds; grey (H, W) uint8 luminance.

        A picture that repeats the last one (a film of 12 a second in a file of 24) is passed over, so motion
        is always that between two different pictures.
        """
        if time - self._last < 1 / PICTURES_PER_SECOND - 0.002:
            return
        grey = cv2.resize(grey, self.small, interpolation=cv2.INTER_AREA)
        last = self._pictures[-1][1] if self._pictures and time - self._last < HELD else None
        if last is not None and cv2.norm(grey, last, cv2.NORM_L1) / grey.size < SAME:
            return
        self._pictures.append((time, grey))
        self._last = time
        while self._pictures[0][0] < time - KEPT:
            self._pictures.popleft()

    def follow(
        self,
        track: str,
        times: np.ndarray,
        boxes: np.ndarray,
        part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    ) -> Look:
        """What a track has looked like up to its last detection; pictures are read once for each track.

        times  (D,) seconds of the detections, ascending, at least one
        boxes  (D, 4) x1, y1, x2, y2 in pixels of the video; interpolated between detections
        part   x1, y1, x2, y2 as fractions of the box: (0, 0.5, 1, 1) is a face's mouth
        """
        times, boxes = np.asarray(times, float), np.asarray(boxes, float)
        if times.ndim != 1 or not len(times) or boxes.shape != (len(times), 4):
            raise ValueError(
                f"times {times.shape}, boxes {boxes.shape}; expected (D,) and (D, 4) with D >= 1"
            )
        follower = self._tracks.setdefault(track, Follower(part))
        first = max(times[0], np.nextafter(follower.until, math.inf))
        new = [one for one in self._pictures if first <= one[0] <= times[-1]]
        at = np.array([time for time, _ in new])
        scaled = boxes * self.scale
        places = np.stack([np.interp(at, times, side) for side in scaled.T], -1)
        for (time, picture), place in zip(new, places, strict=True):
            follower.push(time, picture, place)
        return follower.look()

    def forget(self, read: float, looks: float) -> None:
        """Drop the pictures before a time (s) up to which all tracks have been followed, older looks too.

        looks  seconds: the oldest look that is kept
        """
        while self._pictures and self._pictures[0][0] < min(read, self._last):
            self._pictures.popleft()
        for follower in self._tracks.values():
            follower.forget(looks)
        self._tracks = {name: one for name, one in self._tracks.items() if one.looks}


class Follower:
    """Lays the patches of one track onto each other.

    part   x1, y1, x2, y2 as fractions of the box: what a look shows
    """

    def __init__(self, part: tuple[float, float, float, float]) -> None:
        edges = (np.array(part) * 2 - 1 + REACH) / (2 * REACH) * SIDE
        low = np.clip(np.floor(edges[:2] + 0.5), 0, SIDE - 1).astype(int)
        high = np.clip(np.floor(edges[2:] + 0.5), low + 1, SIDE).astype(int)
        self.part = slice(low[1], high[1]), slice(low[0], high[0])
        self.until = -math.inf
        self.mean = np.zeros((0, 0), np.float32)  # (SIDE, SIDE), or empty: what the next patch is laid onto
        self.off = np.zeros(3)  # of the patch from its box: right, down (half-sizes), log size
        self.size = np.zeros(2)  # width, height of the box, averaged
        self.looks: deque[tuple[float, np.ndarray, bool]] = deque()

    def push(self, time: float, picture: np.ndarray, box: np.ndarray) -> None:
        """Take the next picture (H, W) uint8, in which the track fills a box (4,)."""
        middle, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        if time - self.until > GAP:
            self.mean, self.size = np.zeros((0, 0), np.float32), size
        self.size = self.size + STEADY * (size - self.size)
        box = np.concatenate([middle - self.size / 2, middle + self.size / 2])
        patch, alike = self._laid(picture, box) if self.mean.size else (np.zeros(0), 0.0)
        fresh = alike < STRANGE
        if fresh:
            self.off[:] = 0
            self.mean = patch = even(patch_at(picture, box, self.off))
        else:
            self.mean = self.mean + np.float32(LEARNING) * (patch - self.mean)
        inner = np.ascontiguousarray(patch[self.part])
        look = cv2.resize(inner, (LOOK, LOOK), interpolation=cv2.INTER_AREA)
        self.looks.append((time, look.astype(np.float16).ravel(), fresh))
        self.until = time

    def _laid(self, picture: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
        """The patch (SIDE, SIDE) that lies on the mean best, and its correlation with it."""
        solve = solver(self.mean)
        self.off *= KEEPING
        for _ in range(ROUNDS):
            patch = even(patch_at(picture, box, self.off))
            *steps, contrast = solve @ patch.ravel()
            step = np.clip(np.array(steps) / max(contrast, 0.1), -0.3, 0.3)
            self.off = np.clip(self.off - step, -FARTHEST, FARTHEST)
            if np.abs(step).max() < CLOSE:
                break
        else:
            patch = even(patch_at(picture, box, self.off))
        norm = math.sqrt(float(np.vdot(WEIGHT * self.mean, self.mean)) / TOTAL)
        return patch, float(np.vdot(WEIGHT * patch, self.mean)) / TOTAL / max(norm, 1e-3)

    def look(self) -> Look:
        """All that it looked like."""
        if not self.looks:
            return Look(np.zeros(0), np.zeros((0, LOOK * LOOK), np.float32), np.zeros(0, bool))
        times, values, fresh = zip(*self.looks, strict=True)
        return Look(np.array(times), np.stack(values).astype(np.float32), np.array(fresh))

    def forget(self, before: float) -> None:
        """Drop looks before a time (s)."""
        while self.looks and self.looks[0][0] < before:
            self.looks.popleft()


def _grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places of a patch's pixels in half-sizes, and their weights, which fall off towards its edge."""
    line = (((np.arange(SIDE) + 0.5) / SIDE * 2 - 1) * REACH).astype(np.float32)
    fall = np.sqrt(np.cos(line / (REACH * 1.05) * np.pi / 2))
    across, down = np.meshgrid(line, line)
    return across, down, np.square(np.outer(fall, fall)).astype(np.float32)


ACROSS, DOWN, WEIGHT = _grid()
TOTAL = float(WEIGHT.sum())


def patch_at(picture: np.ndarray, box: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Patch (SIDE, SIDE) float32 of a picture around a box (4,), moved by off: right, down, log size.

    OpenCV's warps know places to 1/32 of a pixel only, which would be motion of its own.
    """
    x1, y1, x2, y2 = box
    sides = max(x2 - x1, 2.0), max(y2 - y1, 2.0)
    middle = (x1 + x2 + sides[0] * off[0]) / 2, (y1 + y2 + sides[1] * off[1]) / 2
    (columns, across), (rows, down) = (
        line_of(at, side * math.exp(off[2]), pixels)
        for at, side, pixels in zip(middle, sides, picture.shape[::-1], strict=True)
    )
    return down @ picture[rows, columns].astype(np.float32) @ across.T


def line_of(middle: float, side: float, pixels: int) -> tuple[slice, np.ndarray]:
    """Which of a line's pixels make a patch's, and by what weights (SIDE, n): triangles, as in bilinear."""
    step = side * REACH / SIDE
    places = np.clip(middle + (np.arange(SIDE) - (SIDE - 1) / 2) * step - 0.5, 0, pixels - 1)
    wide = max(step, 1.0)
    low = max(0, math.ceil(places[0] - wide))
    high = min(pixels, math.floor(places[-1] + wide) + 1)
    weights = np.maximum(1 - np.abs(places[:, None] - np.arange(low, high)) / wide, 0)
    return slice(low, high), (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def even(patch: np.ndarray) -> np.ndarray:
    """A patch (SIDE, SIDE) float32 of mean 0 and contrast 1, both weighted; fainter where it is noise."""
    patch = patch - np.float32(np.vdot(WEIGHT, patch) / TOTAL)
    return patch / np.float32(math.sqrt(float(np.vdot(WEIGHT * patch, patch)) / TOTAL + FAINT**2))


def solver(mean: np.ndarray) -> np.ndarray:
    """Matrix (4, SIDE²): of a patch, how far it lies off the mean: right, down, log size; its contrast."""
    slope = SIDE / 2 / REACH / 8
    right = cv2.Sobel(mean, cv2.CV_32F, 1, 0, scale=slope)
    down = cv2.Sobel(mean, cv2.CV_32F, 0, 1, scale=slope)
    rows = np.stack([right, down, ACROSS * right + DOWN * down, mean]).reshape(4, -1)
    weighted = rows * WEIGHT.ravel()
    square = weighted @ rows.T
    stiff = np.array([1, 1, LESS_SIZE, 1e-3])
    return np.linalg.solve(square + STIFF * TOTAL * np.diag(stiff), weighted)
