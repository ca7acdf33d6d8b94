"""A clip whose source is moved to a given position."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.position_utils import FOV, angles_of

UNDETECTED = 0.25  # half-size of a whole picture that stands for a source


def move_source(clip: dict, x: float, y: float) -> dict:
    """A clip whose source stands at (x, y) in every picture of FOV degrees, x from -1 to 1, right, y upwards.

    The best detected source of each picture (the whole picture, shrunk to a quarter, where none was detected)
    is pasted on a plain ground in the picture's mean colour; all other sources vanish.

    clip  item of a WholeClips dataset, with objects
    """
    objects, box, slots = torch.zeros_like(clip["objects"]), clip["box"].clone(), clip["mask"].shape[1]
    box[:, 0] = torch.tensor([0.0, 0.0, 1.0, 1.0])
    for p, picture in enumerate(clip["objects"]):
        detected = int(slots > 1 and not clip["mask"][p, 1])
        half = clip["box"][p, 1, 2:].tolist() if detected else [UNDETECTED, UNDETECTED]
        objects[p, 0] = pasted(picture[0], picture[detected], (x, y, *half))
        objects[p, 1:2] = picture[detected]
        box[p, 1:2] = torch.tensor([x, y, *half])
    mask = torch.arange(slots).expand_as(clip["mask"]) > 1
    directions = torch.zeros_like(clip["directions"])
    across, up = (
        math.tan(math.radians(FOV / 2)) * value for value in (x, y / 2)
    )  # a picture twice as wide as high
    azimuth, elevation = angles_of(np.array([across, 1.0, up]))
    if slots > 1:
        directions[:, 0] = torch.tensor([azimuth, elevation, 1.0])[:, None]
    return {**clip, "objects": objects, "box": box, "mask": mask, "directions": directions}


def pasted(picture: Tensor, crop: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """A plain ground in a picture's mean colour with a crop in a box on it, as far as that is inside.

    picture, crop  (3, H, W) uint8.  box: centre and half-sizes in [-1, 1], y upwards
    """
    size, ground = picture.shape[-1], picture.float().mean((1, 2), keepdim=True)
    canvas = ground.round().to(torch.uint8).expand_as(picture).clone()
    x, y, wide, high = box
    width, height = max(round(wide * size), 1), max(round(high * size), 1)
    crop = F.interpolate(crop[None].float(), (height, width), mode="area")[0].round().to(torch.uint8)
    left, top = round((x + 1) / 2 * size - width / 2), round((1 - y) / 2 * size - height / 2)
    inside = crop[:, max(-top, 0) : max(size - top, 0), max(-left, 0) : max(size - left, 0)]
    top, left = max(top, 0), max(left, 0)
    canvas[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    return canvas
