"""Geometry of pictures, directions, the sphere that models a head."""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.polynomial.legendre import legvander
from scipy.special import spherical_jn, spherical_yn
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import FOV

HEAD_RADIUS = 0.0875  # metres
SPEED_OF_SOUND = 343.0  # metres a second
ORDERS = 44  # terms of the sphere's series; at 11 kHz the last is below 1e-11


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


def low_frequency_itd(azimuth):
    """t_left - t_right in seconds of a rigid sphere well below 500 Hz: 3a/c sin(azimuth) (Kuhn 1977).

    azimuth  degrees, positive right, where the right ear leads and the ITD is positive
    """
    return 3 * HEAD_RADIUS / SPEED_OF_SOUND * np.sin(np.radians(azimuth))


def high_frequency_itd(azimuth):
    """t_left - t_right in seconds above 3 kHz: a/c (azimuth + sin(azimuth)) (Woodworth 1938).

    azimuth  degrees in ±90, positive right
    """
    angle = np.radians(azimuth)
    return HEAD_RADIUS / SPEED_OF_SOUND * (angle + np.sin(angle))


@lru_cache
def sphere_modes(rate: int, n_fft: int, radius: float) -> tuple[Tensor, Tensor]:
    """Even and odd coefficients of the series, (ORDERS/2, 2 (n_fft/2 + 1)) each: real, imaginary alternating.

    Time runs as e^{+i w t}, so h_m is j_m - i y_m, and 0 Hz passes unchanged.
    """
    mu = 2 * np.pi * np.fft.rfftfreq(n_fft, 1 / rate)[1:] * radius / SPEED_OF_SOUND
    m = np.arange(ORDERS)[:, None]
    slope = spherical_jn(m, mu, derivative=True) - 1j * spherical_yn(m, mu, derivative=True)
    modes = np.hstack([m == 0, 1j ** (m - 1) * (2 * m + 1) / (mu**2 * slope)])
    real = torch.view_as_real(torch.from_numpy(modes.astype(np.complex64))).flatten(1)
    return real[0::2].contiguous(), real[1::2].contiguous()


def sphere_response(
    sine: np.ndarray, rate: int, n_fft: int, radius: float = HEAD_RADIUS
) -> tuple[Tensor, Tensor]:
    """Response of a rigid sphere with ears at ±90° to a plane wave (Duda & Martens 1998, infinite distance).

    sine    (T,)  cosine of the angle between the source and the right ear's axis; at ear height sin(azimuth)
    radius  of the sphere, metres
    ->      two (T, n_fft/2 + 1) complex64: common and differing part of the ears, relative to the wave at
            the centre without a head; left = common - differing, right = common + differing
    """
    legendre = torch.from_numpy(legvander(sine, ORDERS - 1).astype(np.float32))
    # P_m(-x) = (-1)^m P_m(x), and the left ear is opposite: even orders are common, odd orders differ
    both = sphere_modes(rate, n_fft, radius)
    common, differing = (legendre[:, k::2] @ modes for k, modes in enumerate(both))
    return tuple(torch.view_as_complex(part.unflatten(1, (-1, 2))) for part in (common, differing))
