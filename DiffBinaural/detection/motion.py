"""How much things move inside boxes of a video, with the camera's own motion taken out.

A camera that shakes or pans moves every box alike, and says nothing about who makes a sound.  Each picture
is compared with the one before, moved to where the camera now sees it; what then still differs, divided by
how steep the picture is there, is a speed in pixels (normal flow, Horn & Schunck 1981).  Speeds are kept as
coarse maps, a byte a cell, so that boxes which are found later can still be read off.
"""

import math

import cv2
import numpy as np

# Pixels of the pictures compared, 160 x 120 or another shape of that area.  On a real talking video
# (320 x 240) the mouth's correlation with log energy is .41 at widths of 120 and 160, .37 at 240, .36 at 320:
# fine detail adds noise of the compression, and 160 takes a third of the time of 320.
AREA = 160 * 120
SIDES_ALLOWED = (16, 640)  # pixels: thin pictures are stretched, the boxes with them
CELL = 4  # pixels of a cell of the map; a mouth in a face of 40 of 320 pixels covers about 2 x 2
PICTURES_PER_SECOND = 16.0  # at most: a mouth opens 2 to 7 times a second; the rest is skipped
TEXTURE = 15  # pixels: light that varies over more than this is taken out; a mouth is smaller
STEEP = 0.02  # squared slope (standard deviations of the texture a pixel) below which there is only noise
HELD = 0.3  # seconds: a picture repeated for this long is not a repetition but a thing at rest
SAME = 0.1  # grey levels of mean difference: less is the same picture, coded again
CUT = 0.3  # correlation of two pictures' texture: less is another shot
GAP = 1.0  # seconds without pictures after which two pictures are not compared
SEEN = 0.5  # seconds that a track goes on before its first detection, after its last
# Speeds in bytes: byte b is SLOW (exp(STEP b) - 1) pixels a second, so 0 to 6700 in steps of 4 %.
SLOW, STEP = 0.25, 0.04
SPEEDS = (SLOW * np.expm1(STEP * np.arange(256))).astype(np.float32)


class Motion:
    """Speeds in a video, taken in picture by picture; memory: 1.2 kB a picture, 70 MB an hour.

    width, height   of the video, in pixels: boxes are given in these
    """

    def __init__(self, width: int, height: int) -> None:
        if width < 1 or height < 1:
            raise ValueError(f"the video is {width} x {height} pixels; expected at least 1 x 1")
        self.width, self.height = width, height
        scale = math.sqrt(AREA / (width * height))
        self.small = tuple(
            round(min(max(side * scale, SIDES_ALLOWED[0]), SIDES_ALLOWED[1])) for side in (width, height)
        )
        self.cells = tuple(max(1, round(side / CELL)) for side in self.small)  # columns, rows
        self._last: tuple[float, np.ndarray] | None = None
        self._times: list[float] = []
        self._maps: list[np.ndarray] = []
        self._cuts: list[bool] = []

    def push(self, time: float, grey: np.ndarray) -> None:
        """Take the next picture, of any size.  time in seconds; grey (H, W) uint8 luminance.

        A picture that repeats the last one (a film of 12 a second in a file of 24) is passed over, so motion
        is always that between two different pictures, a second.
        """
        if self._last is not None and time - self._last[0] < 1 / PICTURES_PER_SECOND - 0.002:
            return
        grey = cv2.resize(grey, self.small, interpolation=cv2.INTER_AREA)
        if self._last is not None and time - self._last[0] < GAP:
            before, old = self._last
            same = cv2.norm(grey, old, cv2.NORM_L1) / grey.size < SAME
            if same and time - before < HELD:
                return
            speed, cut = motion_between(old, grey, self.cells)
            speed /= np.float32(time - before)
            self._maps.append(np.minimum(np.rint(np.log1p(speed / SLOW) / STEP), 255).astype(np.uint8))
            self._times.append((before + time) / 2)
            self._cuts.append(cut)
        self._last = time, grey

    def motion_in(
        self,
        times: np.ndarray,
        boxes: np.ndarray,
        part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
    ) -> tuple[np.ndarray, np.ndarray]:
        """Speed inside a box that moves: (T,) seconds, the same for every track, and (T,) boxes a second.

        The speed is divided by the box's size; it is NaN more than half a second before the first detection
        and after the last.  At a cut between shots it is interpolated.

        times  (D,) seconds of the detections, ascending, at least one
        boxes  (D, 4) x1, y1, x2, y2 in pixels of the video; interpolated between detections
        part   x1, y1, x2, y2 as fractions of the box: (0, 0.55, 1, 1) is a face's mouth
        """
        at = np.array(self._times)
        times, boxes = np.asarray(times, float), np.asarray(boxes, float)
        if times.ndim != 1 or not len(times) or boxes.shape != (len(times), 4):
            raise ValueError(
                f"times {times.shape}, boxes {boxes.shape}; expected (D,) and (D, 4) with D >= 1"
            )
        values = np.full(len(at), np.nan)
        first, last = np.searchsorted(at, [times[0] - SEEN, times[-1] + SEEN])
        for start in range(first, last, 1024):
            span = slice(start, min(start + 1024, last))
            values[span] = self._read(at[span], span, times, boxes, part)
        good = np.isfinite(values) & ~np.array(self._cuts, bool)
        cuts = np.isfinite(values) & ~good
        if good.any():
            values[cuts] = np.interp(at[cuts], at[good], values[good])
        return at, values

    def _read(
        self, at: np.ndarray, span: slice, times: np.ndarray, boxes: np.ndarray, part: tuple
    ) -> np.ndarray:
        """Speeds (T,) at some pictures: means over the part of the box, in boxes a second."""
        x1, y1, x2, y2 = (np.interp(at, times, column) for column in boxes.T)
        wide, high = x2 - x1, y2 - y1
        columns, rows = self.cells
        across = covered((x1 + part[0] * wide) / self.width, (x1 + part[2] * wide) / self.width, columns)
        down = covered((y1 + part[1] * high) / self.height, (y1 + part[3] * high) / self.height, rows)
        speeds = SPEEDS[np.stack(self._maps[span])]
        total = np.einsum("tr,trc,tc->t", down, speeds, across, optimize=True)
        mean = total / np.maximum(down.sum(1) * across.sum(1), 1e-9)
        sides = wide / self.width * self.small[0] * high / self.height * self.small[1]
        return mean / np.sqrt(np.maximum(sides, 1.0))


def covered(low: np.ndarray, high: np.ndarray, cells: int) -> np.ndarray:
    """Fractions (T, cells) of a row's cells that lie between low and high (T,), fractions of the row."""
    edges = np.arange(cells)
    inside = np.minimum(high[:, None] * cells, edges + 1) - np.maximum(low[:, None] * cells, edges)
    return np.clip(inside, 0, 1)


def motion_between(old: np.ndarray, new: np.ndarray, cells: tuple[int, ...]) -> tuple[np.ndarray, bool]:
    """Motion (rows, columns) in pixels from one picture to the next, the camera's taken out; is there a cut?

    old, new   (H, W) uint8
    cells      columns, rows of the result
    """
    a, b = texture(old), texture(new)
    if (camera := camera_motion(old, new)) is not None:
        a = cv2.warpAffine(a, camera, a.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    energy = cv2.norm(a, cv2.NORM_L2) * cv2.norm(b, cv2.NORM_L2)
    cut = energy > 0 and float(np.vdot(a, b)) < CUT * energy
    middle = cv2.addWeighted(a, 0.5, b, 0.5, 0)
    slopes = (cv2.Sobel(middle, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    steep = cv2.magnitude(*slopes)
    moved = cv2.resize(cv2.absdiff(a, b) * steep, cells, interpolation=cv2.INTER_AREA)
    return moved / (cv2.resize(steep * steep, cells, interpolation=cv2.INTER_AREA) + np.float32(STEEP)), cut


def texture(grey: np.ndarray) -> np.ndarray:
    """A picture (H, W) float32 without its large-scale light, in standard deviations; 0 where it is even."""
    fine = grey.astype(np.float32)
    fine -= cv2.blur(fine, (TEXTURE, TEXTURE), borderType=cv2.BORDER_REFLECT)
    return fine / np.float32(cv2.norm(fine, cv2.NORM_L2) / math.sqrt(fine.size) + 1e-3)


def camera_motion(old: np.ndarray, new: np.ndarray) -> np.ndarray | None:
    """The affine map (2, 3) of shift, turn and zoom that most corners follow; None where too few do."""
    corners = cv2.goodFeaturesToTrack(old, maxCorners=60, qualityLevel=0.02, minDistance=6)
    if corners is None or len(corners) < 8:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        old, new, corners, corners.copy(), winSize=(11, 11), maxLevel=2
    )
    found = found.ravel() == 1
    if found.sum() < 8:
        return None
    matrix, inside = cv2.estimateAffinePartial2D(corners[found], moved[found], ransacReprojThreshold=0.5)
    enough = matrix is not None and inside.sum() >= max(8, 0.3 * found.sum())
    return matrix if enough else None
