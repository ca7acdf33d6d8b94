"""From a picture and its detections to the slots that the visual encoder takes."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig
from DiffBinaural.position_utils import boxes_to_units, mirror_positions
from DiffBinaural.utils.lists import Detection

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def slots(picture: Image.Image, detections: list[Detection],
          view: ViewConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Cut a picture into slots: the whole, then the detected sources by falling score.

    -> objects  (S, 3, H, W) uint8 RGB
       box      (S, 4)       centre and half-sizes in [-1, 1], y up
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
    box[: len(corners)] = torch.as_tensor(units).float()
    mask[: len(corners)] = False
    return objects, box, mask


def _inside(box: tuple, width: int, height: int) -> tuple:
    """A box's part inside the picture, at least one pixel wide and high."""
    x1, x2 = np.clip((box[0], box[2]), 0, width)
    y1, y2 = np.clip((box[1], box[3]), 0, height)
    x1, y1 = min(x1, width - 1), min(y1, height - 1)
    return (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))


def normalised(objects: Tensor) -> Tensor:
    """(…, 3, H, W) uint8 -> float32 with ImageNet's mean and standard deviation taken out."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
    return (objects.float() / 255 - mean) / std


def mirrored(sample: dict) -> dict:
    """The mirror image of a sample: pictures flipped, x negated, ears swapped; a new dict."""
    return {**sample, "objects": sample["objects"].flip(-1), "box": mirror_positions(sample["box"]),
            "binaural_mel": sample["binaural_mel"].flip(-3)}
