"""Tracks out of what a detector finds: one identity over time, without gaps, jitter, wild boxes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from DiffBinaural.detection.found import Found

GAP = 1.5  # seconds that a source may go undetected and still be the same
LEAP = 0.75  # sizes of its box, and as many again each second, that a source moves between two detections
FAST = 0.25  # of the picture's longer side that it moves each second besides: small ones move, too
GROWTH = 2.0  # a box does not become so many times larger or smaller from one detection to the next
LABEL_COST = 0.5  # of another label: an animal may look like two kinds
SIZE_COST = 1.0  # of a box e times as large or small: of two that cross, the nearer looks larger
COLOUR_COST = 4.0  # of a box with none of its colours
SMOOTH = 0.4  # seconds to either side over which boxes are averaged
AHEAD = GAP + SMOOTH  # seconds of pictures that are needed to settle a moment
HOLD = 0.5  # seconds that a source is there before its first detection, after its last
EDGE = 0.25  # seconds in which its presence rises at the beginning of that time, and falls at its end
LEAST_HITS = 2  # detections of a track, where its time has so many pictures, and
LEAST_PART = 0.3  # of the pictures of its time in which it is found: else it is wild
LARGEST = 0.6  # of the picture: a larger box is the scene, not a source in it
IMPOSSIBLE = 1e3  # a cost that no possible pairing reaches


@dataclass
class Hits:
    """The detections of one source so far: those that a later moment still depends on."""

    track: str
    label: str
    times: list[float] = field(default_factory=list)  # seconds
    boxes: list[tuple] = field(default_factory=list)  # x1, y1, x2, y2 in pixels
    scores: list[float] = field(default_factory=list)
    looks: int = 0  # pictures since its first detection in which all kinds were looked for
    hits: int = 0  # of these
    colours: np.ndarray | None = None  # of its detections, the last counting most: see colours_of

    def add(self, time: float, found: Found) -> None:
        """One more detection."""
        self.times.append(time)
        self.boxes.append(found.box)
        self.scores.append(found.score)
        if found.colours is not None:
            before = found.colours if self.colours is None else self.colours
            self.colours = np.sqrt((before**2 + found.colours**2) / 2)

    @property
    def real(self) -> bool:
        """Whether it was detected often enough; a wild box appears once."""
        return self.hits >= max(min(LEAST_HITS, self.looks), LEAST_PART * self.looks)

    def ahead(self, time: float) -> np.ndarray:
        """Where its middle (2,) would be at a time (s) after its last detection, if it went on as before."""
        middles, times = _middle(np.array(self.boxes[-2:])), self.times[-2:]
        if len(times) < 2 or times[1] <= times[0]:
            return middles[-1]
        return middles[1] + (middles[1] - middles[0]) * (time - times[1]) / (times[1] - times[0])

    def forget(self, before: float) -> None:
        """Leave out detections before a time, but for two that later moments lie between."""
        first = max(int(np.searchsorted(self.times, before)) - 2, 0)
        del self.times[:first], self.boxes[:first], self.scores[:first]


@dataclass(frozen=True)
class TrackPoint:
    """A track at a moment."""

    track: str
    label: str
    time: float  # seconds
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels
    score: float
    presence: float  # 1; near its beginning and its end it rises from 0, and falls


class Tracker:
    """Links detections as they come, picture by picture; gives tracks AHEAD seconds behind them.

    size  width, height of the pictures in pixels
    """

    def __init__(self, size: tuple[int, int]):
        self.area, self.side = size[0] * size[1], max(size)
        self.open: list[Hits] = []
        self.count = 0  # tracks that were ever begun
        self.begin: float | None = None  # time of the first picture

    def push(self, time: float, found: Sequence[Found], *, whole: bool = True) -> None:
        """The detections of the picture at a time (s); times rise.

        whole  all kinds of sources were looked for, not faces alone
        """
        self.begin = time if self.begin is None else self.begin
        found = [f for f in found if _area(f.box) <= LARGEST * self.area]
        going = [hits for hits in self.open if time - hits.times[-1] <= GAP + 1e-6]
        cost = _costs(going, time, found, self.side)
        rows, columns = linear_sum_assignment(np.minimum(cost, IMPOSSIBLE))
        taken = {r: going[c] for r, c in zip(rows, columns, strict=True) if np.isfinite(cost[r, c])}
        for hits in going:
            hits.looks += whole
        for r, one in enumerate(found):
            if r not in taken:
                self.count += 1
                taken[r] = Hits(f"{one.label} {self.count}", one.label, looks=int(whole))
                self.open.append(taken[r])
            taken[r].add(time, one)
            taken[r].hits += whole

    def points(self, times: Sequence[float], last_look: float | None = None) -> list[TrackPoint]:
        """All tracks at these times (s), which rise, and from call to call.

        Detections up to AHEAD seconds after the last of them, or to the video's end, must have come.

        last_look  of a video that ends with these times: what is detected from then on is there to its end
        """
        made = []
        for hits in self.open:
            first, last = hits.times[0] - HOLD - 1e-6, hits.times[-1] + HOLD + 1e-6
            if self.begin is not None and first <= self.begin:
                first = -math.inf  # it was there before
            if last_look is not None and hits.times[-1] >= last_look - 1e-6:
                last = math.inf
            here = np.array([t for t in times if first <= t <= last] if hits.real else [])
            if len(here):
                at, boxes = np.array(hits.times), np.array(hits.boxes, dtype=np.float64)
                smooth, scores = _smoothed(at, boxes, here), np.interp(here, at, hits.scores)
                presence = (np.minimum(here - first, last - here) / EDGE).clip(0, 1)
                made += [
                    TrackPoint(hits.track, hits.label, t, tuple(box), *rest)
                    for t, box, *rest in zip(
                        here, smooth.tolist(), scores.tolist(), presence.tolist(), strict=True
                    )
                ]
        if len(times):
            oldest = times[-1] - SMOOTH
            self.open = [hits for hits in self.open if hits.times[-1] >= oldest - GAP]
            for hits in self.open:
                hits.forget(oldest)
        return made


def _area(box: tuple) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _costs(tracks: Sequence[Hits], time: float, found: Sequence[Found], side: float) -> np.ndarray:
    """How unlike found boxes are to what tracks would be by now, (N, K); infinite where it is another source.

    That is so farther than 1 from where a track was and from where it would be: lengths are relative to its
    reach.  Among what is possible place, kind, size and colours decide.

    side  of the picture, the longer, in pixels
    """
    if not found or not tracks:
        return np.zeros((len(found), len(tracks)))
    boxes, last = np.array([f.box for f in found]), np.array([hits.boxes[-1] for hits in tracks])
    past = np.array([time - hits.times[-1] for hits in tracks])
    sizes, others = (_sides(each).mean(-1) for each in (last, boxes))
    reach = LEAP * (sizes + others[:, None]) / 2 * (1 + past) + FAST * side * past
    known = _middle(last), np.array([hits.ahead(time) for hits in tracks])
    rested, moved = (np.linalg.norm(_middle(boxes)[:, None] - each, axis=-1) / reach for each in known)
    other_kind = LABEL_COST * np.array([[hits.label != f.label for hits in tracks] for f in found])
    growth = np.abs(np.log(sizes / others[:, None]))
    possible = (growth <= math.log(GROWTH)) & (np.minimum(rested, moved) + other_kind <= 1)
    changed = SIZE_COST * growth + COLOUR_COST * np.array(
        [[_recoloured(hits, f) for hits in tracks] for f in found]
    )
    return np.where(possible, moved + other_kind + changed, np.inf)


def _recoloured(hits: Hits, found: Found) -> float:
    """How far a box has other colours than a track: 0 the same, or not known, to 1."""
    if hits.colours is None or found.colours is None:
        return 0.0
    return 1 - min(float(hits.colours @ found.colours), 1.0)


def _middle(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _sides(boxes: np.ndarray) -> np.ndarray:
    return boxes[..., 2:] - boxes[..., :2]


def _smoothed(at: np.ndarray, boxes: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Boxes (K, 4) at times `at` (K,), as seen at other times (T,): (T, 4).

    A straight line is fitted to the detections within SMOOTH, those near by counting most: it neither lags
    behind a steady motion nor flattens it at a track's ends.  The sums run in order: what is forgotten would
    add zeros, and changes no bit.
    """
    even = np.stack([np.interp(times, at, side) for side in boxes.T], -1)
    off = (at[:, None] - times)[..., None]
    weight = np.clip(1 - np.abs(off) / SMOOTH, 0, None)
    total, first, second, level, lean = (
        np.cumsum(weight * part, 0)[-1]
        for part in (off**0, off, off**2, boxes[:, None], off * boxes[:, None])
    )
    spread = total * second - first**2
    enough = (weight > 0).sum(0) >= 3
    safe = np.where(enough & (spread > 1e-9), spread, 1.0)
    fitted = (second * level - first * lean) / safe
    return np.where(enough & (spread > 1e-9), fitted, even)
