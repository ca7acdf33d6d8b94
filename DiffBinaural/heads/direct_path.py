"""The direct path from detected sources to the ears, as second-order statistics of what the ears hear.

Statistics are four rows: the powers of the left and the right ear, the real and the imaginary part of L R*,
all relative to the power of M = (L + R)/2.  Those of uncorrelated sources add up, weighted by their shares of
that power.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.head import LEAST_COMMON, Head, relative_difference
from DiffBinaural.heads.sphere import HEAD_RADIUS, SPEED_OF_SOUND
from DiffBinaural.utils.mel import mel_basis

STEP = 0.25  # degrees to which a direction is rounded: 2 µs
CLIP = 2.0  # nepers: levels in the features lie within ±CLIP
FEATURES = 5  # of a slot
LIKELY = 0.5  # that one of the sources sounds: enough to give them all of it


def direct_path(head: Head, directions: Tensor, cfg: MelConfig, least: float = LEAST_COMMON) -> Tensor:
    """What the head makes of the sound of each slot: d = (L - R) / (L + R).

    directions  (S, 3, T)  azimuth, elevation in degrees, probability that it sounds: of SourcePaths
    least       of relative_difference
    ->          (S, F, T)  complex64; 0 where the probability is 0
    """
    azimuth, elevation, sounding = directions.double().numpy().transpose(1, 0, 2)
    out = torch.zeros(*sounding.shape, cfg.n_fft // 2 + 1, dtype=torch.complex64)
    if (here := sounding > 0).any():
        rounded = np.round(np.stack([azimuth[here], elevation[here]]) / STEP) * STEP
        known, which = np.unique(rounded, axis=1, return_inverse=True)
        ears = head.responses(known[0], known[1], cfg.sample_rate, cfg.n_fft)
        found = relative_difference(ears, least)
        out[torch.from_numpy(here)] = found[torch.from_numpy(which.reshape(-1))]
    return out.transpose(1, 2)


def decided(chances: Tensor) -> Tensor:
    """What is made of the probabilities (…, S, T) that slots sound, where one has to choose: 0 to 1.

    The likeliest is taken to sound, another by the square of how likely it is beside it: half-way between two
    that may sound there is neither.  All are less sure where together they are less likely than LIKELY.
    """
    most = chances.amax(-2, keepdim=True).clamp(min=1e-12)
    return (chances / most).square() * (chances.sum(-2, keepdim=True) / LIKELY).clamp(max=1)


def mixed_path(direct: Tensor, directions: Tensor) -> Tensor:
    """d = (L - R)/(L + R) (F, T) of sources that divide the mono as they are :func:`decided` to sound.

    What no source is likely to make stays in the middle.

    direct  (S, F, T), of :func:`direct_path`;  directions: (S, 3, T), of SourcePaths
    """
    parts = decided(directions[:, 2])
    return (parts[:, None].to(direct) * direct).sum(0) / parts.sum(0).clamp(min=1)


def statistics(direct: Tensor) -> Tensor:
    """Statistics (…, 4, F, T) of sources with d = (L - R)/(L + R) (…, F, T): L = (1 + d) M, R = (1 - d) M."""
    real, square = direct.real, direct.real**2 + direct.imag**2
    return torch.stack((1 + 2 * real + square, 1 - 2 * real + square, 1 - square, 2 * direct.imag), dim=-3)


def in_bands(rows: Tensor, cfg: MelConfig) -> Tensor:
    """Statistics (…, F, T) averaged over the bins of mel bands: (…, M, T)."""
    basis = mel_basis(cfg, rows.device)
    return (basis / basis.sum(1, keepdim=True)) @ rows


@lru_cache
@torch.inference_mode(False)
def diffuse(cfg: MelConfig, device: torch.device, *, bands: bool) -> Tensor:
    """Statistics (4, F or M, 1) of a diffuse field around a sphere: its ears agree in the bass only."""
    hz = torch.linspace(0, cfg.sample_rate / 2, cfg.n_fft // 2 + 1, device=device)
    coherence = torch.sinc(2 * hz * (np.pi * HEAD_RADIUS / SPEED_OF_SOUND))  # along the surface
    rows = torch.stack((torch.ones_like(hz), torch.ones_like(hz), coherence, torch.zeros_like(hz)))
    rows = (2 / (1 + coherence) * rows)[..., None]
    return in_bands(rows, cfg) if bands else rows


def mixture(shares: Tensor, rows: Tensor, rest: Tensor) -> Tensor:
    """Statistics of sources that sound together.

    shares  (…, S, K, T)     of the mono's power; what they leave is diffuse
    rows    (…, S, 4, K, T)  of each source
    rest    (4, K, 1)        of :func:`diffuse`
    ->      (…, 4, K, T)
    """
    left = (1 - shares.sum(-3)).clamp(min=0)
    return (shares[..., None, :, :] * rows).sum(-4) + left[..., None, :, :] * rest


def levels(rows: Tensor) -> Tensor:
    """Statistics (…, 4, K, T) as gains of left and right over the mono in nepers, and the phasor."""
    power, cross = rows.clamp(min=1e-4).split(2, dim=-3)[0], rows[..., 2:, :, :]
    return torch.cat((power.log() / 2, cross / power.prod(-3, keepdim=True).sqrt()), dim=-3)


def features(rows: Tensor, sounding: Tensor) -> Tensor:
    """What the UNet is told of the slots, (…, S·FEATURES, M, T).

    rows      (…, S, 4, M, T)  statistics
    sounding  (…, S, T)        probability that the slot sounds; 0 = it is empty, and so are its features
    """
    found = levels(rows)
    found = torch.cat((found[..., :2, :, :].clamp(-CLIP, CLIP), found[..., 2:, :, :]), dim=-3)
    there = sounding[..., None, None, :].expand_as(found[..., :1, :, :])
    return torch.cat((found * there, there), dim=-3).flatten(-4, -3)


def mirrored_statistics(rows: Tensor) -> Tensor:
    """Statistics (…, 4, K, T) of the mirror image: the ears exchanged."""
    left, right, real, imaginary = rows.unbind(-3)
    return torch.stack((right, left, real, -imaginary), dim=-3)
