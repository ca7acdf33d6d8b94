"""Mels of both ears from geometry alone, without a network."""

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import direct_path, in_bands, levels, mixed_path, statistics
from DiffBinaural.heads.head import Head
from DiffBinaural.inference.windows import WindowBatch


class GeometrySampler:
    """Gives for each batch of windows what a Sampler gives, with levels from the directions of the sources.

    head  of the listener
    """

    def __init__(self, cfg: MelConfig, head: Head):
        self.cfg, self.head, self.known = cfg, head, 0

    def push(self, batch: WindowBatch, visual: dict[str, Tensor]) -> Tensor:
        """The next frames of the clip: log mels of left and right in nepers, (2, M, n).

        visual  of the windows, from :meth:`FrameSource.scene`
        """
        size, first = batch.mono.shape[-1], self.known
        self.known = batch.starts[-1] + size
        mono = torch.empty(batch.mono.shape[2], self.known - first)
        places = torch.zeros(*visual["directions"].shape[1:3], self.known - first)
        for start, window, directions in zip(batch.starts, batch.mono, visual["directions"], strict=True):
            new = max(first - start, 0)
            mono[:, start + new - first : start + size - first] = window[0, :, new:]
            places[..., start + new - first : start + size - first] = directions[..., new:]
        lean = mixed_path(direct_path(self.head, places, self.cfg), places)
        return mono + levels(in_bands(statistics(lean), self.cfg))[:2]
