"""Detections linked over time: which source each slot holds, in which direction it is."""

import math
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from DiffBinaural.position_utils import angles_of
from DiffBinaural.utils.lists import Detection

GAP = 0.5  # seconds that a source may go undetected and still be the same
LEAP = 1.0  # sizes of its box that a source moves at most from one detection to the next

Track = list[Detection]  # of one source, by time


def linked(detections: Sequence[Detection], gap: float = GAP, leap: float = LEAP) -> list[Track]:
    """Tracks of a recording's detections, which are sorted by time.

    Detections that name their track belong to it.  Others continue the nearest track that ended at most `gap`
    seconds before within `leap` sizes of their box; the assignment of a moment is the one of least distance.
    """
    named: dict[str, Track] = {}
    loose: dict[float, list[Detection]] = {}
    for d in detections:
        if d.track:
            named.setdefault(d.track, []).append(d)
        else:
            loose.setdefault(d.time, []).append(d)
    tracks: list[Track] = []
    recent: list[Track] = []  # those that may go on: a long film has thousands
    for time, found in loose.items():
        recent = [track for track in recent if time - track[-1].time <= gap + 1e-6]
        cost = np.array([[_leap(track[-1], d) for track in recent] for d in found]).reshape(len(found), -1)
        rows, columns = linear_sum_assignment(np.minimum(cost, 2 * leap))
        taken = {r: recent[c] for r, c in zip(rows, columns, strict=True) if cost[r, c] <= leap}
        for r, d in enumerate(found):
            if r in taken:
                taken[r].append(d)
            else:
                tracks.append([d])
                recent.append(tracks[-1])
    return [*named.values(), *tracks]


def _leap(before: Detection, after: Detection) -> float:
    """Distance between two boxes' centres in units of their mean size; another label is no neighbour."""
    (a, b, c, d), (e, f, g, h) = before.box, after.box
    size = (c - a + d - b + g - e + h - f) / 4
    return math.hypot(a + c - e - g, b + d - f - h) / 2 / size + 1e6 * (before.label != after.label)


def in_slots(tracks: list[Track], slots: list[list[Track]]) -> None:
    """Put tracks into slots, by time, none overlapping; those that are likeliest to be heard choose first.

    Where no slot is free, a track is left out.
    """
    for track in sorted(tracks, key=lambda track: -sum(d.score * d.sounding for d in track)):
        free = (s for s in slots if all(t[-1].time < track[0].time or track[-1].time < t[0].time for t in s))
        if (slot := next(free, None)) is not None:
            slot.append(track)
            slot.sort(key=lambda track: track[0].time)


class SourcePaths:
    """The detected sources of a recording, each in a slot of its own for as long as it is there.

    fps         pictures a second: a detection holds for half a picture around its moment
    size        width and height of the pictures in pixels
    fov         degrees from a picture's left edge to its right one
    count       slots for detected sources
    """

    def __init__(
        self, detections: Sequence[Detection], fps: float, size: tuple[int, int], fov: float, count: int
    ):
        self.count, self.reach, self.size, self.fov = count, 0.5 / fps + 1e-6, size, fov
        self.slots: list[list[Track]] = [[] for _ in range(count)]
        self.last = 0.0
        self.add(detections)

    def add(self, detections: Sequence[Detection]) -> None:
        """Further detections, later than those before; a named track goes on in its slot."""
        going = {track[0].track: track for slot in self.slots for track in slot if track[0].track}
        new = []
        for track in linked(detections):
            if track[0].track in going:
                going[track[0].track].extend(track)
            else:
                new.append(track)
        in_slots(new, self.slots)
        self.moments = [[d for track in slot for d in track] for slot in self.slots]  # by time
        self.times = [[d.time for d in slot] for slot in self.moments]
        self.last = max((times[-1] for times in self.times if times), default=self.last)
        self.knots = [[_knots(track, self.size, self.fov) for track in slot] for slot in self.slots]

    def forget(self, before: float) -> None:
        """Leave out what was detected before a time (s), and will not be asked for."""
        kept = [[[d for d in track if d.time >= before] for track in slot] for slot in self.slots]
        self.slots = [[track for track in slot if track] for slot in kept]

    def detected(self, time: float) -> list[Detection | None]:
        """Each slot's detection nearest to a time (s); None where that is over half a picture off."""
        found: list[Detection | None] = []
        for times, slot in zip(self.times, self.moments, strict=True):
            at = bisect_left(times, time)
            near = min(slot[max(at - 1, 0) : at + 1], key=lambda d: abs(d.time - time), default=None)
            found.append(near if near and abs(near.time - time) <= self.reach else None)
        return found

    def directions(self, times: np.ndarray, end: float = math.inf) -> Tensor:
        """Where the sources are at times (T,) in seconds.

        end  when the last picture is shown: like it, the sources that it shows are held from then on
        ->   (count, 3, T) float32: azimuth, elevation in degrees, positive right, up; the probability that
             it sounds.  Linear between detections; 0 where a slot is empty
        """
        times = np.minimum(times, max(end, self.last))
        out = np.zeros((self.count, 3, len(times)))
        for reach in (self.reach, 1e-6):  # a track's own time goes before how long its neighbours are held
            for slot, tracks in enumerate(self.knots):
                for at, values in tracks:
                    here = (times >= at[0] - reach) & (times <= at[-1] + reach)
                    out[slot][:, here] = [np.interp(times[here], at, value) for value in values]
        return torch.from_numpy(out).float()


def _knots(track: Track, size: tuple[int, int], fov: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (K,) of a track; azimuth, elevation, sounding (3, K) there."""
    values = np.stack([*directions_of([d.box for d in track], size, fov), [d.sounding for d in track]])
    return np.array([d.time for d in track]), values


def directions_of(boxes: Sequence[tuple], size: tuple[int, int], fov: float) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth, elevation (K,) in degrees of the middles of boxes (x1, y1, x2, y2 in pixels).

    size, fov  of the pictures, as of :class:`SourcePaths`
    """
    (width, height), corners = size, np.array(boxes, dtype=np.float64).reshape(-1, 4)
    x, y = corners[:, 0::2].mean(1), corners[:, 1::2].mean(1)
    scale = 2 * math.tan(math.radians(fov / 2)) / width  # of a pixel, at a distance of 1
    return angles_of(np.stack([scale * (x - width / 2), np.ones_like(x), scale * (height / 2 - y)], -1))
