"""Geometry of pictures, of directions."""

import math

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import FOV


def azimuth_to_x(azimuth, fov: float):
    """Project a direction into the picture of a pinhole camera.

    azimuth  degrees, 0 ahead, positive right; number or array
    fov      degrees between the left and the right edge
    ->       x, -1 left edge, 1 right edge
    """
    return np.tan(np.radians(azimuth)) / math.tan(math.radians(fov / 2))


def x_to_azimuth(x, fov: float):
    """Inverse of :func:`azimuth_to_x`: degrees, positive right."""
    return np.degrees(np.arctan(np.asarray(x) * math.tan(math.radians(fov / 2))))


def projected(azimuth: float, elevation: float, fov: float) -> tuple[float, float]:
    """Where a direction (degrees) lies in the picture: x as of :func:`azimuth_to_x`, up in the same unit."""
    return (
        float(azimuth_to_x(azimuth, fov)),
        float(azimuth_to_x(elevation, fov)) / math.cos(math.radians(azimuth)),
    )


def angles_of(rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth, elevation (…,) in degrees of rays (…, 3): x right, y ahead, z up, of any length."""
    across, ahead, up = (rays[..., k] for k in range(3))
    return np.degrees(np.arctan2(across, ahead)), np.degrees(np.arctan2(up, np.hypot(across, ahead)))


def zoom(fov: float) -> float:
    """Factor from a position in a picture of `fov` degrees to the position in one of FOV degrees.

    In a picture of FOV degrees, a position means the same direction for every camera.
    """
    return math.tan(math.radians(fov / 2)) / math.tan(math.radians(FOV / 2))


def _stack(parts):
    return (torch.stack if isinstance(parts[0], Tensor) else np.stack)(parts, -1)


def boxes_to_units(boxes, width: float, height: float):
    """Convert pixel boxes to units of the picture.

    boxes  (..., 4) array or tensor  x1, y1, x2, y2 in pixels, y downwards
    ->     (..., 4)  centre x, centre y, half-width, half-height; x in [-1, 1] from the left, y from below
    """
    x1, y1, x2, y2 = (boxes[..., k] for k in range(4))
    return _stack([(x1 + x2) / width - 1, 1 - (y1 + y2) / height, (x2 - x1) / width, (y2 - y1) / height])


def units_to_boxes(units, width: float, height: float):
    """Inverse of :func:`boxes_to_units`."""
    x, y, w, h = (units[..., k] for k in range(4))
    left, right, top, bottom = x - w + 1, x + w + 1, 1 - y - h, 1 - y + h
    return _stack([left * width / 2, top * height / 2, right * width / 2, bottom * height / 2])


def cell_positions(box: Tensor, rows: int, cols: int) -> Tensor:
    """Positions in the whole picture of the cells of a feature map that covers a box.

    box  (..., 4)             centre and half-size, as from boxes_to_units
    ->   (..., rows*cols, 2)  x, y of the cells' centres, row by row from the top (largest y)
    """
    across = (torch.arange(cols, dtype=box.dtype, device=box.device) * 2 + 1) / cols - 1
    up = 1 - (torch.arange(rows, dtype=box.dtype, device=box.device) * 2 + 1) / rows
    grid = torch.stack([across.repeat(rows), up.repeat_interleave(cols)], -1)
    return box[..., None, :2] + grid * box[..., None, 2:]


def fourier_features(values: Tensor, bands: int) -> Tensor:
    """Sines and cosines at octaves of each value (Tancik et al. 2020).

    values  (..., D)          in [-1, 1], half a period of the slowest: -1 and 1, left and right, must differ
    ->      (..., D*2*bands)  for each of the D values sin(pi/2 2^k v), then cos, k = 0 … bands - 1
    """
    octaves = math.pi / 2 * 2.0 ** torch.arange(bands, dtype=values.dtype, device=values.device)
    angles = values[..., None] * octaves
    return torch.cat([angles.sin(), angles.cos()], -1).flatten(-2)


def mirror_positions(positions: Tensor) -> Tensor:
    """Positions (..., 2) or boxes (..., 4) in the mirrored picture: x changes its sign."""
    return torch.cat([-positions[..., :1], positions[..., 1:]], -1)
