"""Mels of both ears from geometry alone, without a network."""

import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import direct_path, in_bands, levels, mixed_path, statistics
from DiffBinaural.heads.head import Head
from DiffBinaural.inference.windows import WindowBatch

FADE = 16  # mel frames, 0.2 s


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


def in_the_middle(made: Tensor, mono_mel: Tensor, present: Tensor) -> Tensor:
    """What a model makes, but the mono copy in frames that show no source: there it could only guess.

    made      (rows, M, T)  mels of left and right in nepers, and the phasor and shares where it makes them
    mono_mel  (1, M, T) nepers
    present   (T + FADE,) bool: a source is there, from FADE / 2 frames before to as many behind
    ->        (rows, M, T); the way from one to the other takes FADE frames
    """
    there = F.avg_pool1d(present.float()[None], FADE + 1, 1)[0]
    level, phasor, shares = made.tensor_split((2, 4))
    forward = torch.zeros_like(phasor)
    forward[:1] = 1
    parts = (torch.lerp(mono_mel.expand_as(level), level, there), torch.lerp(forward, phasor, there))
    return torch.cat((*parts, shares * there))
