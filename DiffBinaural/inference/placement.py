"""Clips whose sources stand where a person puts them."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.dataset.frame_sources import FrameSource
from DiffBinaural.dataset.trajectories import TrajectoryPaths, Waypoint
from DiffBinaural.position_utils import FOV, angles_of, projected

UNDETECTED = 0.25  # half-size of a whole picture that stands for a source
SHAPE = (2, 1)  # width and height of a picture whose y runs from -1 to 1
NEARLY = 1e-6  # degrees, positions: what rounding makes of an edge is still the edge

Box = tuple[float, float, float, float]  # centre and half-sizes, x from -1 to 1 to the right, y upwards


class PlacedSources(FrameSource):
    """The pictures of a recording with sources on trajectories instead of its own, in FOV degrees.

    source  the recording's pictures as objects
    points  of the trajectories, in seconds of the recording

    Each track has a slot, the likeliest to sound the first.  It looks like the source that was detected in
    that slot, in its size; like the whole picture, shrunk to a quarter, where none was.  It is pasted on a
    plain ground in the picture's mean colour; the recording's own sources vanish.  A source outside of the
    picture is not seen: its slot is empty, only its direction is known.
    """

    def __init__(self, source: FrameSource, points: Sequence[Waypoint]):
        super().__init__(source.count, source.fps, source.view)
        self.source = source
        self.paths = TrajectoryPaths(points, SHAPE, FOV, max(self.view.slots - 1, 1))

    def picture(self, k: int) -> dict[str, Tensor]:
        """Picture k with the sources where they are then."""
        shown, slots = self.source.picture(k), self.view.slots
        placed = {
            "objects": torch.zeros_like(shown["objects"]),
            "box": torch.zeros_like(shown["box"]),
            "mask": torch.ones_like(shown["mask"]),
        }
        seen = []
        for slot, (azimuth, elevation) in enumerate(self._angles(k / self.fps), start=1):
            if (centre := position_of(azimuth, elevation)) is None:
                continue
            detected = slot if slot < slots and not shown["mask"][slot] else 0
            half = shown["box"][slot, 2:].tolist() if detected else (UNDETECTED, UNDETECTED)
            crop, box = shown["objects"][detected], (*centre, *half)
            seen.append((crop, box))
            if slot < slots:
                into_slot(placed, slot, crop, box)
        into_slot(placed, 0, pasted(shown["objects"][0], seen[::-1]), (0, 0, 1, 1))  # the likeliest in front
        return placed

    def directions(self, times: np.ndarray) -> Tensor:
        """Of the trajectories, as of :class:`FrameSource`."""
        return self.paths.directions(times)[: self.view.slots - 1]

    def mean_azimuth(self, times: np.ndarray) -> float:
        """Degrees, the mean over these times (s) of the track that is likeliest to sound in them."""
        likeliest = max(self.paths.at(times), key=lambda track: track[3].sum())
        turns = np.exp(1j * np.radians(likeliest[0]))  # behind the head, 179 and -179 are neighbours
        return float(np.degrees(np.angle(turns.mean())))

    def _angles(self, time: float) -> list[tuple[float, float]]:
        """Azimuth, elevation in degrees of each track at a time (s)."""
        here = self.paths.at(np.array([time]))[: len(self.paths.tracks), :2, 0]
        return [(float(azimuth), float(elevation)) for azimuth, elevation in here]


def into_slot(slots: dict[str, Tensor], slot: int, crop: Tensor, box: Box) -> None:
    """Put a crop (3, H, W) with its box into a slot of a picture."""
    slots["objects"][slot], slots["box"][slot], slots["mask"][slot] = crop, torch.tensor(box), False


def waypoint_at(x: float, y: float) -> Waypoint:
    """A source that stands still at (x, y) in a picture of FOV degrees, from -1 to 1, right, up."""
    half = math.tan(math.radians(FOV / 2))
    azimuth, elevation = angles_of(np.array([half * x, 1.0, half * y * SHAPE[1] / SHAPE[0]]))
    return Waypoint(0.0, "source", float(azimuth), float(elevation))


def position_of(azimuth: float, elevation: float) -> tuple[float, float] | None:
    """Inverse of :func:`waypoint_at`; None where the direction (degrees) is outside of the picture."""
    if abs(azimuth) > FOV / 2 + NEARLY:
        return None
    x, up = projected(azimuth, elevation, FOV)
    y = up * SHAPE[0] / SHAPE[1]
    return (round(x, 9), round(y, 9)) if abs(y) <= 1 + NEARLY else None


def pasted(picture: Tensor, crops: Sequence[tuple[Tensor, Box]]) -> Tensor:
    """A plain ground in a picture's mean colour with crops in boxes on it, as far as they are inside.

    picture, crops  (3, H, W) uint8; later crops hide earlier ones
    """
    size, ground = picture.shape[-1], picture.float().mean((1, 2), keepdim=True)
    canvas = ground.round().to(torch.uint8).expand_as(picture).clone()
    for crop, (x, y, wide, high) in crops:
        width, height = max(round(wide * size), 1), max(round(high * size), 1)
        shrunk = F.interpolate(crop[None].float(), (height, width), mode="area")[0].round().to(torch.uint8)
        left, top = round((x + 1) / 2 * size - width / 2), round((1 - y) / 2 * size - height / 2)
        inside = shrunk[:, max(-top, 0) : max(size - top, 0), max(-left, 0) : max(size - left, 0)]
        top, left = max(top, 0), max(left, 0)
        canvas[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    return canvas
