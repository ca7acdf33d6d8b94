"""Random numbers of the diffusion model's training step."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

from DiffBinaural.diffusion_utils.diffusion_pytorch import Diffusion
from DiffBinaural.utils.helpers import generator_for


def draw_noise(
    names: list[str], shape: tuple[int, ...], diffusion: Diffusion, drop: float, seed: int
) -> dict[str, Tensor]:
    """Times, noise and dropped vision for a batch of windows, each from a generator of its own, on the CPU.

    names  of the windows, which seed them
    shape  (rows, M, T)
    drop   probability that a window is trained without vision
    ->     t (B,) integer times; noise (B, rows, M, T); hidden (B,) bool, True = without vision
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


class WithNoise(Dataset):
    """Samples with the noise that belongs to their numbers, drawn where they are made: by the loader.

    dataset  of samples with "n" and mono_mel (1, M, T)
    rows     channels that are denoised;  the rest as of :func:`draw_noise`
    """

    def __init__(self, dataset: Dataset, rows: int, diffusion: Diffusion, drop: float, seed: int):
        self.dataset, self.rows, self.drawn_by = dataset, rows, (diffusion, drop, seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        sample = self.dataset[n]
        shape = (self.rows, *sample["mono_mel"].shape[1:])
        noise = draw_noise([f"sample {n}"], shape, *self.drawn_by)
        return {**sample, **{name: value[0] for name, value in noise.items()}}
