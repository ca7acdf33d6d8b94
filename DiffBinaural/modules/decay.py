"""What the mono's decays tell of the room.

A reverberant sound cannot fall faster than its reverberation: how steep the falls of a window are bounds the
direct part of it, and what exceeds the decay of all that went before is direct sound.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig

LAGS = (2, 4, 8)  # frames over which falls are measured
STEEPEST = 3  # falls of a band whose mean counts
LOUD = 4.0  # nepers below a band's maximum: falls begin above that
REVERBERATION_TIMES = (0.3, 0.8)  # seconds
GAP = 4  # frames: those between overlap
DEEP = 6.0  # nepers: features lie within ±DEEP, in units of it
DECAY_FEATURES = len(LAGS) + len(REVERBERATION_TIMES)


def decay_features(mel: Tensor, cfg: MelConfig) -> Tensor:
    """Depth of each band's steepest falls; level of each cell over decays of what went before.

    mel  (B, 1, M, T) nepers
    ->   (B, DECAY_FEATURES, M, T)
    """
    falls = [steepest_falls(mel, lag).expand_as(mel) for lag in LAGS]
    per_frame = 3 * torch.log(torch.tensor(10.0)).item() * cfg.hop / cfg.sample_rate  # nepers at 1 s: 60 dB
    rises = [excess(mel, per_frame / seconds) for seconds in REVERBERATION_TIMES]
    return torch.cat((*falls, *rises), dim=1).clamp(-DEEP, DEEP) / DEEP


def steepest_falls(mel: Tensor, lag: int) -> Tensor:
    """Mean (B, 1, M, 1) of each band's steepest changes of level over `lag` frames; at most 0.

    A window that is too short for the lag is measured from its first frame to its last.
    """
    lag = min(lag, mel.shape[-1] - 1)
    before = mel[..., : mel.shape[-1] - lag]
    loud = before > mel.amax(-1, keepdim=True) - LOUD
    change = (mel[..., lag:] - before) * loud
    return change.topk(min(STEEPEST, change.shape[-1]), dim=-1, largest=False).values.mean(-1, keepdim=True)


def excess(mel: Tensor, decay: float) -> Tensor:
    """Level of each cell over what GAP and more frames before it have decayed to, nepers a frame."""
    frames = torch.arange(mel.shape[-1], device=mel.device) * decay
    tail = (mel + frames).cummax(dim=-1).values - frames
    tail = F.pad(tail, (GAP, 0), value=-float("inf"))[..., : mel.shape[-1]] - GAP * decay
    return mel - tail.clamp(min=mel.amin(-1, keepdim=True))
