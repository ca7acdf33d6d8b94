"""Noise schedules: signal power ᾱ at each diffusion time."""

import math

import torch
from torch import Tensor


def cosine_schedule(steps: int) -> Tensor:
    """ᾱ of Nichol & Dhariwal 2021, Eq. 17, with their offset 0.008 and their bound β <= 0.999."""
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    return _from_betas(1 - f[1:] / f[:-1])


def linear_schedule(steps: int) -> Tensor:
    """ᾱ of Ho et al. 2020, Sec. 4: β from 1e-4 to 0.02 at T = 1000, scaled to other T."""
    scale = 1000 / steps
    return _from_betas(torch.linspace(1e-4 * scale, 0.02 * scale, steps, dtype=torch.float64))


def sigmoid_schedule(steps: int, edge: float = 3.0) -> Tensor:
    """ᾱ of Jabri et al. 2022, Algorithm 5, start -edge, end edge."""
    u = torch.arange(steps + 1, dtype=torch.float64) / steps
    s = torch.sigmoid(torch.tensor(edge, dtype=torch.float64))
    f = (s - torch.sigmoid(u * 2 * edge - edge)) / (2 * s - 1)
    return _from_betas(1 - f[1:] / f[:-1])


def _from_betas(betas: Tensor) -> Tensor:
    return torch.cumprod(1 - betas.clamp(0, 0.999), dim=0)


SCHEDULES = {"cosine": cosine_schedule, "linear": linear_schedule, "sigmoid": sigmoid_schedule}
