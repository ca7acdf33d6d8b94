"""Trajectories: where sources are over time, in a CSV that people can edit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.dataset.tracks import directions_of
from DiffBinaural.position_utils import azimuth_to_x, projected
from DiffBinaural.utils.files import write_rows
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.tables import number, read_rows, seconds

COLUMNS = ("time", "track", "azimuth", "elevation", "width", "sounding")
RANGES = {"azimuth": 180.0, "elevation": 90.0}  # degrees to either side
WIDTH = 10.0  # degrees, where a row has none


@dataclass(frozen=True)
class Waypoint:
    """Where a source is at a moment: a row of a trajectory."""

    time: float  # seconds
    track: str
    azimuth: float  # degrees, positive right
    elevation: float = 0.0  # degrees, positive up
    width: float = WIDTH  # degrees
    sounding: float = 1.0  # probability that it makes the sound


def read_trajectory(path: str | Path) -> list[Waypoint]:
    """The rows of a trajectory, by time; elevation, width, sounding may be missing. Without rows: no sources.

    Raises ValueError naming file and line of what is no number, or outside its range.
    """
    made = []
    for line, row in enumerate(read_rows(path, COLUMNS[:3], COLUMNS), start=2):
        where = f"{path}, line {line}"
        given = [name for name in COLUMNS if name != "track" and row.get(name)]
        values = {name: number(row, name, where) for name in ("azimuth", *given) if name != "time"}
        values["time"] = seconds(row, "time", where)
        for name, limit in RANGES.items():
            if abs(values.get(name, 0.0)) > limit:
                raise ValueError(
                    f"{where}: {name} is {values[name]:g}; expected -{limit:g} to {limit:g} degrees"
                )
        if not 0 <= values["time"] < math.inf:
            raise ValueError(f"{where}: time is {values['time']:g}; expected seconds from 0 on")
        if not 0 <= values.get("sounding", 1.0) <= 1:
            raise ValueError(f"{where}: sounding is {values['sounding']:g}; expected a probability, 0 to 1")
        if not 0 < values.get("width", WIDTH) <= 360:
            raise ValueError(
                f"{where}: width is {values['width']:g}; expected more than 0 degrees, at most 360"
            )
        made.append(Waypoint(track=row["track"] or "", **values))
    return sorted(made, key=lambda point: point.time)


def write_trajectory(path: str | Path, points: Sequence[Waypoint]) -> None:
    """Write a trajectory that :func:`read_trajectory` reads back, to a hundredth of a degree."""
    rows = [
        (
            round(p.time, 3),
            p.track,
            *(round(v, 2) for v in (p.azimuth, p.elevation, p.width)),
            round(p.sounding, 4),
        )
        for p in points
    ]
    write_rows(path, ",".join(COLUMNS), rows)


def waypoints_of(detections: Sequence[Detection], size: tuple[int, int], fov: float) -> list[Waypoint]:
    """Detections in pictures of a size and field of view, as waypoints."""
    boxes = [d.box for d in detections]
    azimuth, elevation = directions_of(boxes, size, fov)
    edges = (directions_of([(b[k], b[1], b[k], b[3]) for b in boxes], size, fov)[0] for k in (0, 2))
    width = np.abs(np.subtract(*edges))
    return [
        Waypoint(d.time, d.track, float(a), float(e), max(float(w), 0.01), d.sounding)
        for d, a, e, w in zip(detections, azimuth, elevation, width, strict=True)
    ]


class TrajectoryPaths:
    """Sources on trajectories, each in a slot of its own: linear between rows, held at both ends.

    size, fov  of the pictures, as of SourcePaths
    count      slots; of more tracks, those likeliest to be heard are taken
    """

    def __init__(self, points: Sequence[Waypoint], size: tuple[int, int], fov: float, count: int):
        self.size, self.fov, self.count = size, fov, count
        tracks: dict[str, list[Waypoint]] = {}
        for point in points:
            tracks.setdefault(point.track, []).append(point)
        loudest = sorted(tracks.values(), key=lambda t: -sum(p.sounding for p in t) / len(t))[:count]
        self.tracks = [np.array([_numbers(p) for p in track]).T for track in loudest]  # (5, K) each
        self.labels = [track[0].track for track in loudest]

    def at(self, times: np.ndarray) -> np.ndarray:
        """Azimuth, elevation, width in degrees and the probability that it sounds, (count, 4, T)."""
        out = np.zeros((self.count, 4, len(times)))
        for slot, (knots, *values) in enumerate(self.tracks):
            azimuth = np.degrees(np.unwrap(np.radians(values[0])))  # the shorter way round behind the head
            turned = np.interp(times, knots, azimuth)
            out[slot] = [
                (turned + 180) % 360 - 180,
                *(np.interp(times, knots, value) for value in values[1:]),
            ]
        return out

    def directions(self, times: np.ndarray, end: float = math.inf) -> Tensor:
        """As of SourcePaths: (count, 3, T) azimuth, elevation, sounding."""
        return torch.from_numpy(self.at(times)[:, [0, 1, 3]]).float()

    def detected(self, time: float) -> list[Detection | None]:
        """Each slot's box in the picture at a time (s); None where the source is outside of it."""
        here = self.at(np.array([time]))[..., 0]
        found = [self._box(time, label, *values) for label, values in zip(self.labels, here, strict=False)]
        return found + [None] * (self.count - len(found))

    def _box(
        self, time: float, label: str, azimuth: float, elevation: float, width: float, sounding: float
    ) -> Detection | None:
        (wide, high), half = self.size, min(width, 170.0) / 2
        if abs(azimuth) >= min(self.fov / 2 + half, 89.0):
            return None
        left, right = (
            (azimuth_to_x(min(max(a, -89.0), 89.0), self.fov) + 1) * wide / 2
            for a in (azimuth - half, azimuth + half)
        )
        across, up = projected(azimuth, elevation, self.fov)
        side, middle = (right - left) / 2, high / 2 - up * wide / 2
        if not (
            right > 0 and left < wide and middle + side > 0 and middle - side < high and abs(across) < 10
        ):
            return None
        return Detection(time, (left, middle - side, right, middle + side), 1.0, label, label, sounding)


def _numbers(point: Waypoint) -> tuple[float, ...]:
    return point.time, point.azimuth, point.elevation, point.width, point.sounding
