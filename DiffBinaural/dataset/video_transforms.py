"""From a picture with its detections to the slots that the visual encoder takes."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig
from DiffBinaural.position_utils import FOV, boxes_to_units, mirror_positions, zoom
from DiffBinaural.utils.lists import Detection

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def slots(
    picture: Image.Image, detections: Sequence[Detection | None], view: ViewConfig, fov: float = FOV
) -> dict[str, Tensor]:
    """Divide a picture into slots: the whole, then the detected sources.

    detections  of each further slot; None = empty
    fov         degrees from the picture's left edge to its right one
    -> objects  (S, 3, H, W) uint8 RGB
       box      (S, 4)       centre and half-sizes, y up; ±1 are the edges of a picture of FOV degrees
       mask     (S,) bool    True = padding
    """
    width, height = picture.size
    corners = {0: (0, 0, width, height)}
    corners |= {s: _inside(d.box, width, height) for s, d in enumerate(detections[: view.slots - 1], 1) if d}
    size = (view.image_size, view.image_size)
    objects = torch.zeros(view.slots, 3, *size, dtype=torch.uint8)
    box, mask = torch.zeros(view.slots, 4), torch.ones(view.slots, dtype=torch.bool)
    for slot, corner in corners.items():
        crop = picture.resize(size, Image.Resampling.BILINEAR, box=corner, reducing_gap=2.0)
        objects[slot] = torch.from_numpy(np.array(crop)).permute(2, 0, 1)
        units = boxes_to_units(np.array(corner, dtype=np.float64), width, height)
        box[slot], mask[slot] = torch.as_tensor(units * zoom(fov)).float(), False
    return {"objects": objects, "box": box, "mask": mask}


def _inside(box: tuple, width: int, height: int) -> tuple:
    """A box's part inside the picture, at least one pixel wide and high."""
    x1, x2 = np.clip((box[0], box[2]), 0, width)
    y1, y2 = np.clip((box[1], box[3]), 0, height)
    x1, y1 = min(x1, width - 1), min(y1, height - 1)
    return (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))


def normalised(objects: Tensor) -> Tensor:
    """(…, 3, H, W) uint8 -> float32 with ImageNet's mean and standard deviation taken out."""
    mean, std = imagenet_levels(objects.device)
    return (objects.float() / 255 - mean) / std


@lru_cache
@torch.inference_mode(False)
def imagenet_levels(device: torch.device) -> tuple[Tensor, Tensor]:
    """ImageNet's mean and standard deviation (3, 1, 1), kept on the device: sending them takes a wait."""
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return mean, std


def mirrored(sample: dict) -> dict:
    """The mirror image of a sample: pictures flipped, x negated, ears swapped; a new dict.

    So L R* becomes its conjugate, and (L - R)/(L + R) changes its sign.
    """
    flips = {
        "objects": lambda x: x.flip(-1),
        "maps": lambda x: x.flip(-4),
        "box": mirror_positions,
        "binaural_mel": lambda x: x.flip(-3),
        "phasor": lambda x: x * x.new_tensor([[[1]], [[-1]]]),
        "spectra": lambda x: x[[0, 2, 1]],
        "direct": lambda x: -x,
        "directions": lambda x: x * x.new_tensor([[-1], [1], [1]]),
    }
    return {name: flips[name](value) if name in flips else value for name, value in sample.items()}


def whole_only(mask: Tensor) -> Tensor:
    """A mask (…, S) that leaves only slot 0, the whole picture."""
    return mask | (torch.arange(mask.shape[-1], device=mask.device) > 0)


def without_detections(sample: dict) -> dict:
    """A sample of which only the whole picture is left; a new dict."""
    blank = {name: torch.zeros_like(sample[name]) for name in ("direct", "sounding") if name in sample}
    return {**sample, **blank, "mask": whole_only(sample["mask"])}


def without_sounding(sample: dict) -> dict:
    """A sample each of whose detections sounds for certain, as where a list does not say; a new dict."""
    known = {"sounding": (sample["sounding"] > 0).float()} if "sounding" in sample else {}
    return {**sample, **known}


def on_device(batch: dict, device: torch.device) -> dict:
    """A batch's tensors on a device, in float32; what travels as bytes or halves is widened there."""
    moved = {k: v.to(device, non_blocking=True) for k, v in batch.items() if isinstance(v, Tensor)}
    widen = {"objects": normalised, "maps": Tensor.float}
    return {name: widen[name](value) if name in widen else value for name, value in moved.items()}


def first_maps(sample: dict) -> dict:
    """A sample that keeps the trunk's maps (…, 2, C, h, w) of the pictures, without their mirror images."""
    return {name: value.select(-4, 0) if name == "maps" else value for name, value in sample.items()}
