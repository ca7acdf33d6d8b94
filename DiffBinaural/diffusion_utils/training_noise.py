"""Everything random in a training step of the diffusion model."""

import torch
from torch import Tensor

from DiffBinaural.diffusion_utils.diffusion_pytorch import Diffusion
from DiffBinaural.utils.helpers import generator_for


def draw_noise(
    names: list[str], shape: tuple[int, ...], diffusion: Diffusion, drop: float, seed: int
) -> dict[str, Tensor]:
    """Everything random in a training step, for each named window from a source of its own, on the CPU.

    shape  (rows, M, T)
    drop   chance that a window trains blind
    ->     t (B,) integer times; noise (B, rows, M, T); hidden (B,) bool, True = blind
    """
    drawn = []
    for name in names:
        random = generator_for(seed, name)
        drawn.append(
            (
                diffusion.training_times(1, random)[0],
                torch.randn(shape, generator=random),
                torch.rand((), generator=random) < drop,
            )
        )
    return dict(zip(("t", "noise", "hidden"), map(torch.stack, zip(*drawn)), strict=True))
