"""Frame sources: the pictures of a recording, as a model takes them."""

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig
from DiffBinaural.dataset.tracks import SourcePaths
from DiffBinaural.dataset.video_transforms import first_maps, slots, whole_only
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.lists import Detection

PICTURE_CACHE = 1 << 30  # bytes of pictures in slots that a dataset keeps


class FrameSource:
    """The pictures of a recording in slots, as a model takes them.

    count, fps  number of its pictures; pictures a second, the first at time 0
    """

    def __init__(self, count: int, fps: float, view: ViewConfig):
        self.count, self.fps, self.view = count, fps, view

    def picture(self, k: int) -> dict[str, Tensor]:
        """Picture k, slot by slot (S, …)."""
        raise NotImplementedError

    def directions(self, times: np.ndarray) -> Tensor:
        """Where the detected sources are at times (T,) in seconds: as of SourcePaths, (S - 1, 3, T)."""
        raise NotImplementedError

    def chosen(self, start: float, seconds: float) -> list[int]:
        """Numbers of the F pictures that lie evenly in a window that begins at `start`, both in seconds.

        Before the first and after the last picture, that one is held.
        """
        times = start + (np.arange(self.view.frames) + 0.5) / self.view.frames * seconds
        return np.clip(np.round(times * self.fps), 0, self.count - 1).astype(int).tolist()

    def stack(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        """Several pictures (P, S, …)."""
        return stacked([self.picture(k) for k in numbers])

    def window(self, start: float, seconds: float) -> dict[str, Tensor]:
        """The pictures of a window (F, S, …) that begins at `start`, both in seconds of the recording.

        With directions (S - 1, 3, T) of the detected sources in its mel frames.
        """
        return {
            **self.stack(self.chosen(start, seconds)),
            "directions": self.frame_directions(start, seconds),
        }

    def frame_directions(self, start: float, seconds: float) -> Tensor:
        """:meth:`directions` at the middle of a window's mel frames."""
        return self.directions(start + (np.arange(self.view.window) + 0.5) / self.view.window * seconds)

    def scene(self, times: list[float], seconds: float) -> dict[str, Tensor]:
        """The pictures of windows that begin at these times, each picture once, and which (W, F) shows which.

        With directions (W, S - 1, 3, T) as of :meth:`window`.

        seconds  length of a window
        """
        numbers, which = np.unique([self.chosen(time, seconds) for time in times], return_inverse=True)
        pictures = first_maps(self.stack(numbers.tolist()))
        directions = torch.stack([self.frame_directions(time, seconds) for time in times])
        return {**pictures, "which": torch.from_numpy(which).view(len(times), -1), "directions": directions}


class RecordedFrames(FrameSource):
    """The pictures of a recording with their detections, divided into slots on demand.

    pictures    any sequence of RGB images
    detections  at any rate: a picture takes a source's nearest one, up to half a picture away
    recordings  how many there are: they divide the memory for pictures in slots
    fov         degrees from a picture's left edge to its right one

    A picture is what :func:`slots` makes of it.
    """

    def __init__(
        self,
        pictures: Sequence[Image.Image],
        fps: float,
        detections: list[Detection],
        view: ViewConfig,
        recordings: int = 1,
        fov: float = FOV,
    ):
        super().__init__(len(pictures), fps, view)
        self.pictures, self.fov, self.detections = pictures, fov, detections
        keep = PICTURE_CACHE // (recordings * view.slots * 3 * view.image_size**2)
        self.picture = lru_cache(maxsize=keep)(self._picture)

    @cached_property
    def paths(self) -> SourcePaths:
        """The detected sources, slot by slot."""
        size = self.picture_size() if self.detections else (1, 1)
        return SourcePaths(self.detections, self.fps, size, self.fov, self.view.slots - 1)

    def picture_size(self) -> tuple[int, int]:
        """(width, height) of the first picture in pixels; packed pictures know it without being read."""
        return getattr(self.pictures, "size", None) or self.pictures[0].size

    def directions(self, times: np.ndarray) -> Tensor:
        """As of :class:`FrameSource`."""
        return self.paths.directions(times, (self.count - 1) / self.fps)

    def once(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        """:meth:`stack` of pictures that are not asked for again: none of them is kept."""
        return stacked([self._picture(k) for k in numbers])

    def _picture(self, k: int) -> dict[str, Tensor]:
        return slots(self.pictures[k], self.paths.detected(k / self.fps), self.view, self.fov)


class WithoutDetections(FrameSource):
    """A frame source without its detections: only slot 0, the whole picture, is left."""

    def __init__(self, source: FrameSource):
        super().__init__(source.count, source.fps, source.view)
        self.source = source

    def picture(self, k: int) -> dict[str, Tensor]:
        """Picture k, the other slots masked."""
        picture = self.source.picture(k)
        return {**picture, "mask": whole_only(picture["mask"])}

    def directions(self, times: np.ndarray) -> Tensor:
        """None: all slots are empty."""
        return torch.zeros(self.view.slots - 1, 3, len(times))


class EncodedFrames(FrameSource):
    """The visual features of a recording's pictures, as a frozen trunk computes them.

    content  maps (n, 2, C, h, w) float16 of each of the n slots that hold something, picture by picture, and
             of its mirror image; box (P, S, 4), mask (P, S)
    paths    the detected sources

    A picture is maps (S, 2, C, h, w), 0 in padded slots, box and mask.
    """

    def __init__(self, content: dict[str, Tensor], fps: float, view: ViewConfig, paths: SourcePaths):
        super().__init__(len(content["mask"]), fps, view)
        self.paths = paths
        self.maps, self.box, self.mask = (content[name] for name in ("maps", "box", "mask"))
        self.ends = (~self.mask).sum(1).cumsum(0).tolist()

    def picture(self, k: int) -> dict[str, Tensor]:
        """The features of picture k, in its slots."""
        maps = self.maps.new_zeros(len(self.mask[k]), *self.maps.shape[1:])
        maps[~self.mask[k]] = self.maps[self.ends[k - 1] if k else 0 : self.ends[k]]
        return {"maps": maps, "box": self.box[k], "mask": self.mask[k]}

    def directions(self, times: np.ndarray) -> Tensor:
        """As of :class:`FrameSource`."""
        return self.paths.directions(times, (self.count - 1) / self.fps)


def stacked(pictures: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Pictures (S, …) as one dict (P, S, …)."""
    return {name: torch.stack([one[name] for one in pictures]) for name in pictures[0]}
