"""Rigid spheres as heads, bare or with modelled ears."""

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.polynomial.legendre import legvander
from scipy.interpolate import CubicSpline
from scipy.special import spherical_jn, spherical_yn
from torch import Tensor

from DiffBinaural.heads.head import Head

HEAD_RADIUS = 0.0875  # metres
SPEED_OF_SOUND = 343.0  # metres a second
ORDERS = 52  # terms of the sphere's series; at 11 kHz and 10.5 cm the last is below 1e-10
NOTCHES = 4  # of a modelled ear
KNOTS = np.linspace(0, 11_025, 64)  # Hz at which a modelled ear is computed; linear between, held above


class Sphere(Head):
    """A rigid sphere with ears at ±90°.

    radius  metres
    ears    seed of modelled ears: a few notches and peaks above 2 kHz, smooth in frequency, that move with
            the direction as those of a pinna do; each ear has its own, and shades what comes from behind or
            from the other side.  None: a bare sphere
    """

    def __init__(self, radius: float = HEAD_RADIUS, ears: int | None = None):
        self.radius, self.ears = radius, ears
        self.name = f"sphere:{100 * radius:g}" + (f":{ears}" if ears is not None else "")

    def responses(self, azimuth: np.ndarray, elevation: np.ndarray, rate: int, n_fft: int) -> Tensor:
        """As of :class:`Head`."""
        lateral = np.sin(np.radians(azimuth)) * np.cos(np.radians(elevation))
        common, differing = sphere_response(lateral, rate, n_fft, self.radius)
        pair = torch.stack([common - differing, common + differing])
        return pair if self.ears is None else pair * self._ears(azimuth, elevation, rate, n_fft)

    def _ears(self, azimuth: np.ndarray, elevation: np.ndarray, rate: int, n_fft: int) -> Tensor:
        """Magnitudes (2, T, n_fft/2 + 1) of the modelled ears."""
        random = np.random.default_rng([self.ears, 7])
        ahead = np.cos(np.radians(azimuth)) * np.cos(np.radians(elevation))
        above = np.sin(np.radians(elevation))
        beside = np.sin(np.radians(azimuth)) * np.cos(np.radians(elevation))
        both = draw_ear(random)
        shapes = []
        for side in (-1, 1):  # the ears of a person resemble each other
            own = draw_ear(random)
            ear = {name: 0.8 * both[name] + 0.2 * own[name] for name in both}
            place = np.stack([ahead, above, side * beside])  # (3, T), the ear's own side positive
            centre = ear["octave"][:, None] + ear["moves"] @ place  # (NOTCHES, T) octaves above 1 kHz
            depth = ear["depth"][:, None] * (1 + ear["varies"] @ place)  # nepers
            octave = np.log2(np.maximum(KNOTS, 50) / 1000)
            bumps = np.exp(-0.5 * ((octave - centre[..., None]) / ear["width"][:, None, None]) ** 2)
            shade = (ear["shade"] @ (1 - place))[:, None] / (1 + (ear["above"] / np.maximum(KNOTS, 1)) ** 2)
            shapes.append(np.exp((depth[..., None] * bumps).sum(0) - shade))
        knots = torch.from_numpy(np.stack(shapes).astype(np.float32))
        at = np.interp(np.fft.rfftfreq(n_fft, 1 / rate), KNOTS, np.arange(len(KNOTS)))
        below = np.minimum(at.astype(int), len(KNOTS) - 2)
        part = torch.from_numpy((at - below).astype(np.float32))
        return torch.lerp(knots[..., below], knots[..., below + 1], part)


def draw_ear(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the shape of a modelled ear; `place` is (ahead, above, on its own side), each in [-1, 1]."""
    return {
        "octave": random.uniform([1.2, 2.0, 2.5, 3.0], [2.0, 2.7, 3.2, 3.5]),  # centres, octaves above 1 kHz
        "moves": random.uniform(-0.35, 0.35, (NOTCHES, 3)),
        "depth": random.uniform(
            [0.1, -0.9, -0.9, -0.6], [0.9, 0.3, 0.4, 0.6]
        ),  # nepers; the first, the concha
        "varies": random.uniform(-0.5, 0.5, (NOTCHES, 3)),
        "width": random.uniform(0.12, 0.45, NOTCHES),  # octaves
        "shade": random.uniform(
            0, [0.25, 0.08, 0.25]
        ),  # nepers at high frequencies, of (behind, below, far side)
        "above": random.uniform(1500, 5000, 1),  # Hz
    }


@lru_cache
def modes_over_size(most: int) -> CubicSpline:
    """Coefficients of the series over w a / c, the head's radius in wavelengths times 2π, up to `most`.

    The spline is exact to 1e-8, and a hundred times as fast as the Bessel functions.
    """
    size = np.linspace(0, most, 50 * most + 1)[1:, None]
    m = np.arange(ORDERS)
    slope = spherical_jn(m, size, derivative=True) - 1j * spherical_yn(m, size, derivative=True)
    modes = 1j ** (m - 1) * (2 * m + 1) / (size**2 * slope)
    return CubicSpline(np.append(0, size), np.vstack([m == 0, modes]))


@lru_cache
def sphere_modes(rate: int, n_fft: int, radius: float) -> tuple[Tensor, Tensor]:
    """Even and odd coefficients of the series, (ORDERS/2, 2 (n_fft/2 + 1)) each: real, imaginary alternating.

    Time runs as e^{+i w t}, so h_m is j_m - i y_m, and 0 Hz passes unchanged.
    """
    size = 2 * np.pi * np.fft.rfftfreq(n_fft, 1 / rate) * radius / SPEED_OF_SOUND
    modes = modes_over_size(math.ceil(size[-1]))(size).T
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


def low_frequency_itd(azimuth, radius: float = HEAD_RADIUS):
    """t_left - t_right in seconds of a rigid sphere well below 500 Hz: 3a/c sin(azimuth) (Kuhn 1977).

    azimuth  degrees, positive right, where the right ear leads and the ITD is positive
    """
    return 3 * radius / SPEED_OF_SOUND * np.sin(np.radians(azimuth))


def high_frequency_itd(azimuth, radius: float = HEAD_RADIUS):
    """t_left - t_right in seconds above 3 kHz: a/c (azimuth + sin(azimuth)) (Woodworth 1938).

    azimuth  degrees in ±90, positive right
    """
    angle = np.radians(azimuth)
    return radius / SPEED_OF_SOUND * (angle + np.sin(angle))
