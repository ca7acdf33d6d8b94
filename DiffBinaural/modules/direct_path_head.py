"""What the UNet makes of the detected sources' direct paths."""

from typing import NamedTuple

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import (
    FEATURES,
    diffuse,
    features,
    in_bands,
    levels,
    mirrored_statistics,
    mixture,
    statistics,
)
from DiffBinaural.modules.decay import DECAY_FEATURES, decay_features


class DirectPaths(NamedTuple):
    """The direct paths of windows' slots in the mel's bands."""

    rows: Tensor  # (B, S, 4, M, T), of heads.direct_path.statistics
    sounding: Tensor  # (B, S, T) probability that the slot sounds; 0 = it is empty

    @classmethod
    def of(cls, direct: Tensor, sounding: Tensor, cfg: MelConfig) -> "DirectPaths":
        """From d = (L - R)/(L + R) (B, S, F, T)."""
        return cls(in_bands(statistics(direct), cfg), sounding)

    def mirrored(self) -> "DirectPaths":
        """Those of the mirror image."""
        return DirectPaths(mirrored_statistics(self.rows), self.sounding)

    def hidden(self, which: Tensor) -> "DirectPaths":
        """With all slots empty in some windows (B,) bool."""
        return DirectPaths(self.rows, self.sounding * ~which[:, None, None])


def channels_in(slots: int) -> int:
    """Channels that the UNet is shown of so many slots for detected sources, with those of the room."""
    return slots * FEATURES + DECAY_FEATURES if slots else 0


def channels_out(slots: int) -> int:
    """Channels that it makes beside mels and phasor: one for each slot, for what is diffuse, for the gate."""
    return slots + 2 if slots else 0


def shown(paths: DirectPaths, mono_mel: Tensor, cfg: MelConfig) -> Tensor:
    """What the UNet is shown: (B, channels_in, M, T).  mono_mel: (B, 1, M, T) nepers"""
    return torch.cat((features(paths.rows, paths.sounding), decay_features(mono_mel, cfg)), dim=1)


def combined(output: Tensor, paths: DirectPaths, cfg: MelConfig, neper: float) -> Tensor:
    """The residual to the mono, and the slots' shares of its power, from the UNet's output.

    The shares are a softmax over the slots and what is diffuse, in which a slot counts as far as it may
    sound.  Levels and phasor follow from them by the head's physics; the gate lets the UNet's own residual
    add to that.

    output  (B, 4 + channels_out, M, T)
    neper   units of the diffusion
    ->      (B, 4 + S, M, T)
    """
    slots = paths.sounding.shape[1]
    own, gate, logits = output.split((4, 1, slots + 1), dim=1)
    allowed = paths.sounding.clamp(min=1e-30).log()[:, :, None].expand_as(logits[:, 1:])
    allowed = torch.cat((torch.zeros_like(logits[:, :1]), allowed), dim=1)
    shares = (logits + allowed).softmax(dim=1)[:, 1:] * (paths.sounding > 0)[:, :, None]
    known = levels(mixture(shares, paths.rows, diffuse(cfg, output.device, bands=True)))
    known = torch.cat((known[:, :2] * neper, known[:, 2:]), dim=1)
    return torch.cat((known + own * gate.sigmoid(), shares), dim=1)
