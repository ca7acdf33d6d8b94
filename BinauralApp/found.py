"""What was found in a video, kept so that its sources can be moved without looking for them again."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from BinauralApp.wanted import Move, Wanted
from DiffBinaural.dataset.trajectories import Waypoint, waypoints_of
from DiffBinaural.utils.lens import AUTO_FOV
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.source_plots import FilmStrip

STILL = 320  # pixels: width of the stills, which stand in for a film that a browser cannot play
STEP = 0.1  # seconds between two pictures; a source is silent that long before it comes, after it has gone
TURN = 0.5  # seconds in which a source goes where it was dragged to from a moment on
AROUND = 2.0  # seconds to either side of a moment that a move reaches, at most


@dataclass
class Found:
    """All that was found in a video's pictures, ten a second."""

    size: tuple[int, int] = (1, 1)  # of the pictures that the boxes refer to, pixels
    fov: float = 90.0  # degrees that were assumed
    seconds: float = 0.0  # of the sound
    sentence: str = ""
    detections: list[Detection] = field(default_factory=list)

    def tracks(self) -> dict[str, list[Detection]]:
        """The detections of each source, by time."""
        tracks = defaultdict(list)
        for d in self.detections:
            tracks[d.track].append(d)
        return dict(tracks)


class KeepingStrip(FilmStrip):
    """Keeps what was found in every picture, and one picture a second, as a JPEG.

    found   filled picture by picture
    folder  for the stills
    """

    def __init__(self, found: Found, folder: Path):
        super().__init__()
        self.found, self.folder, self.second = found, folder, -1

    def takes(self, number: int) -> bool:
        """Whether a picture of the video is new."""
        return number > self.latest

    def add(self, number: int, time: float, picture: Image.Image, found: Sequence[Detection]) -> None:
        """Keep what was found in a picture."""
        self.latest, self.found.size = number, picture.size
        self.found.detections += found
        if int(time) > self.second:
            self.second = int(time)
            small = picture.copy()
            small.thumbnail((STILL, STILL))
            small.save(self.folder / f"still-{self.second}.jpg", quality=80)


def trajectory(found: Found, wanted: Wanted) -> list[Waypoint]:
    """Where the sources are, with what the visitor changed.

    Ways in a trajectory are held at both ends; so that a source is silent while it is not in the picture,
    rows that say so are put before its first and behind its last detection.
    """
    fov = found.fov if wanted.fov == AUTO_FOV else wanted.fov
    ways = {
        name: _array(waypoints_of(track, found.size, fov), found.seconds)
        for name, track in found.tracks().items()
    }
    for move in wanted.moves:
        way = ways.get(move.track)
        if way is None:  # a source that was put there by hand
            way = np.array([[t, move.azimuth, 0, 10, 1] for t in (0.0, found.seconds)]).T
        ways[move.track] = moved(way, move)
    if wanted.sounding in ways:
        for name, way in ways.items():
            way[4] = (way[4] > 0) * float(name == wanted.sounding)
    points = [Waypoint(row[0], name, *row[1:]) for name, way in ways.items() for row in way.T.tolist()]
    return sorted(points, key=lambda point: point.time)


def _array(points: Sequence[Waypoint], seconds: float) -> np.ndarray:
    """Rows time, azimuth, elevation, width, sounding of a track: silent before it comes, after it goes."""
    first, last = points[0], points[-1]
    before = [replace(first, time=max(first.time - STEP, 0), sounding=0.0)] if first.time > STEP else []
    behind = [replace(last, time=last.time + STEP, sounding=0.0)] if last.time < seconds - 2 * STEP else []
    return np.array(
        [[p.time, p.azimuth, p.elevation, p.width, p.sounding] for p in (*before, *points, *behind)]
    ).T


def moved(way: np.ndarray, move: Move) -> np.ndarray:
    """A way (5, K) on which the source is, at the moment of a move, where it was put.

    Before and behind, as far as the move reaches, it turns by as much as at that moment.
    """
    reach = {
        "all": [],
        "onwards": [max(move.time - TURN, 0), move.time],
        "around": [max(move.time - AROUND, 0), move.time, move.time + AROUND],
    }[move.reach]
    if reach and reach[-1] > way[0, -1]:
        way = np.concatenate([way, [[reach[-1]], *way[1:, -1:]]], axis=1)
    times = np.union1d(way[0], reach)
    azimuth = np.degrees(np.unwrap(np.radians(way[1])))
    new = np.stack([times, *(np.interp(times, way[0], row) for row in (azimuth, *way[2:]))])
    weight = {"all": [1.0], "onwards": [0.0, 1.0], "around": [0.0, 1.0, 0.0]}[move.reach]
    if move.reach == "around" and move.time == 0:
        reach, weight = reach[1:], weight[1:]
    turn = _wrapped(move.azimuth - np.interp(move.time, way[0], azimuth))
    share = np.interp(times, reach, weight) if len(set(reach)) > 1 else np.ones(len(times))
    new[1] = _wrapped(new[1] + turn * share)
    return new


def _wrapped(degrees):
    """Degrees from -180 up to 180."""
    return (np.asarray(degrees) + 180) % 360 - 180
