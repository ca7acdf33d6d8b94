"""From pictures and their detections to the slots that the visual encoder takes."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig
from DiffBinaural.position_utils import FOV, boxes_to_units, mirror_positions, zoom
from DiffBinaural.utils.lists import Detection

PICTURE_CACHE = 1 << 30  # bytes of cut-up pictures that a dataset keeps
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def slots(
    picture: Image.Image, detections: list[Detection], view: ViewConfig, fov: float = FOV
) -> dict[str, Tensor]:
    """Cut a picture into slots: the whole, then the detected sources by falling score.

    fov  degrees from the picture's left edge to its right one
    -> objects  (S, 3, H, W) uint8 RGB
       box      (S, 4)       centre and half-sizes, y up; ±1 are the edges of a picture of FOV degrees
       mask     (S,) bool    True = padding
    """
    width, height = picture.size
    best = sorted(detections, key=lambda d: -d.score)[: view.slots - 1]
    corners = [(0, 0, width, height), *(_inside(d.box, width, height) for d in best)]
    size = (view.image_size, view.image_size)
    objects = torch.zeros(view.slots, 3, *size, dtype=torch.uint8)
    box, mask = torch.zeros(view.slots, 4), torch.ones(view.slots, dtype=torch.bool)
    for slot, corner in enumerate(corners):
        crop = picture.resize(size, Image.Resampling.BILINEAR, box=corner, reducing_gap=2.0)
        objects[slot] = torch.from_numpy(np.array(crop)).permute(2, 0, 1)
    units = boxes_to_units(np.array(corners, dtype=np.float64), width, height)
    box[: len(corners)] = torch.as_tensor(units * zoom(fov)).float()
    mask[: len(corners)] = False
    return {"objects": objects, "box": box, "mask": mask}


def _inside(box: tuple, width: int, height: int) -> tuple:
    """A box's part inside the picture, at least one pixel wide and high."""
    x1, x2 = np.clip((box[0], box[2]), 0, width)
    y1, y2 = np.clip((box[1], box[3]), 0, height)
    x1, y1 = min(x1, width - 1), min(y1, height - 1)
    return (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))


def normalised(objects: Tensor) -> Tensor:
    """(…, 3, H, W) uint8 -> float32 with ImageNet's mean and standard deviation taken out."""
    mean, std = (torch.tensor(v, device=objects.device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (objects.float() / 255 - mean) / std


def mirrored(sample: dict) -> dict:
    """The mirror image of a sample: pictures flipped, x negated, ears swapped, L·R* conjugate; a new dict."""
    flips = {
        "objects": lambda x: x.flip(-1),
        "maps": lambda x: x.flip(-4),
        "box": mirror_positions,
        "binaural_mel": lambda x: x.flip(-3),
        "phasor": lambda x: x * x.new_tensor([[[1]], [[-1]]]),
    }
    return {name: flips[name](value) if name in flips else value for name, value in sample.items()}


def whole_only(mask: Tensor) -> Tensor:
    """A mask (…, S) that leaves only slot 0, the whole picture."""
    return mask | (torch.arange(mask.shape[-1], device=mask.device) > 0)


def on_device(batch: dict, device: torch.device) -> dict:
    """A batch's tensors on a device, in float32; what travels as bytes or halves is widened there."""
    moved = {k: v.to(device, non_blocking=True) for k, v in batch.items() if isinstance(v, Tensor)}
    widen = {"objects": normalised, "maps": Tensor.float}
    return {name: widen[name](value) if name in widen else value for name, value in moved.items()}


class FrameSource:
    """What is seen of a recording, picture by picture.

    count, fps  number of its pictures; pictures a second, the first at time 0
    """

    def __init__(self, count: int, fps: float, view: ViewConfig):
        self.count, self.fps, self.view = count, fps, view

    def picture(self, k: int) -> dict[str, Tensor]:
        """What is seen in picture k, slot by slot (S, …)."""
        raise NotImplementedError

    def chosen(self, start: float, seconds: float) -> list[int]:
        """Numbers of the F pictures that stand evenly in a window that begins at `start`, both in seconds.

        Before the first and after the last picture, that one is held.
        """
        times = start + (np.arange(self.view.frames) + 0.5) / self.view.frames * seconds
        return np.clip(np.round(times * self.fps), 0, self.count - 1).astype(int).tolist()

    def stack(self, numbers: list[int]) -> dict[str, Tensor]:
        """What is seen in several pictures, with an axis for them first."""
        seen = [self.picture(k) for k in numbers]
        return {name: torch.stack([one[name] for one in seen]) for name in seen[0]}

    def window(self, start: float, seconds: float) -> dict[str, Tensor]:
        """What is seen from `start` on, both in seconds of the recording: (F, S, …)."""
        return self.stack(self.chosen(start, seconds))


class RecordedFrames(FrameSource):
    """The pictures of a recording with their detections, cut into slots on demand.

    pictures    any sequence of RGB images
    detections  at any rate: a picture takes those of the nearest moment, up to half a picture away
    recordings  how many there are: they divide the memory for cut-up pictures
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
        self.pictures, self.fov = pictures, fov
        self.at_time: dict[float, list[Detection]] = {}
        for d in detections:
            self.at_time.setdefault(d.time, []).append(d)
        self.times = np.array(list(self.at_time))
        keep = PICTURE_CACHE // (recordings * view.slots * 3 * view.image_size**2)
        self.picture = lru_cache(maxsize=keep)(self._picture)

    def _picture(self, k: int) -> dict[str, Tensor]:
        return slots(self.pictures[k], self.detected(k / self.fps), self.view, self.fov)

    def detected(self, time: float) -> list[Detection]:
        """The detections of the moment nearest to a time (s); none where that is over half a picture off."""
        if not len(self.times):
            return []
        nearest = self.times[np.abs(self.times - time).argmin()]
        return self.at_time[nearest] if abs(nearest - time) <= 0.5 / self.fps + 1e-6 else []


class StreamedFrames(RecordedFrames):
    """The pictures of a video that passes by: none is held once the windows have gone on.

    pictures  RGB images in order; read as far as windows ask for, which they do in order of time
    first     the number of the first of them
    """

    def __init__(
        self,
        pictures: Iterator[Image.Image],
        fps: float,
        detections: list[Detection],
        view: ViewConfig,
        first: int = 0,
        fov: float = FOV,
    ):
        super().__init__([], fps, detections, view, fov=fov)
        self.pictures, self.picture = {}, self._picture  # by number; and none is cut up twice
        self.coming, self.ended, self.count, self.oldest = pictures, False, first, first

    def chosen(self, start: float, seconds: float) -> list[int]:
        """:meth:`FrameSource.chosen`, with the video read far enough to know."""
        while not self.ended and self.count <= (start + seconds) * self.fps + 1:
            picture = next(self.coming, None)
            if picture is None:
                self.ended = True
            else:
                self.pictures[self.count] = picture
                self.count += 1
        numbers = super().chosen(start, seconds)
        self.oldest = numbers[0]
        return numbers

    def stack(self, numbers: list[int]) -> dict[str, Tensor]:
        """:meth:`FrameSource.stack`; pictures before those of the window asked for last are let go."""
        seen = super().stack(numbers)
        for k in [k for k in self.pictures if k < self.oldest]:
            del self.pictures[k]
        return seen


class WithoutDetections(FrameSource):
    """What is seen without any detection: slot 0, the whole picture."""

    def __init__(self, eyes: FrameSource):
        super().__init__(eyes.count, eyes.fps, eyes.view)
        self.frame_source = eyes

    def picture(self, k: int) -> dict[str, Tensor]:
        """Picture k, the other slots masked."""
        seen = self.frame_source.picture(k)
        return {**seen, "mask": whole_only(seen["mask"])}


class EncodedFrames(FrameSource):
    """A recording's pictures as a frozen trunk saw them.

    content  maps (n, 2, C, h, w) float16 of each of the n slots that hold something, picture by picture, and
             of its mirror image; box (P, S, 4), mask (P, S)

    A picture is maps (S, 2, C, h, w), 0 in padded slots, box and mask.
    """

    def __init__(self, content: dict[str, Tensor], fps: float, view: ViewConfig):
        super().__init__(len(content["mask"]), fps, view)
        self.maps, self.box, self.mask = (content[name] for name in ("maps", "box", "mask"))
        self.ends = (~self.mask).sum(1).cumsum(0).tolist()

    def picture(self, k: int) -> dict[str, Tensor]:
        """Picture k, its slots spread out again."""
        maps = self.maps.new_zeros(len(self.mask[k]), *self.maps.shape[1:])
        maps[~self.mask[k]] = self.maps[self.ends[k - 1] if k else 0 : self.ends[k]]
        return {"maps": maps, "box": self.box[k], "mask": self.mask[k]}
