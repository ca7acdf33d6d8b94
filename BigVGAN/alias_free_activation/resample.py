"""Band-limited resampling by a whole ratio."""

import torch.nn.functional as F
from torch import Tensor, nn

from BigVGAN.alias_free_activation.filter import LowPassFilter1d, kaiser_sinc_filter1d


def cutoff_for(ratio: int) -> tuple[float, float]:
    """(cutoff, half_width) of the filter between two rates, in units of the higher one."""
    return 0.5 / ratio, 0.6 / ratio


class UpSample1d(nn.Module):
    """Raise the sample rate by a ratio."""

    def __init__(self, ratio: int, taps: int):
        super().__init__()
        self.ratio = ratio
        self.pad = taps // ratio - 1
        left = self.pad * ratio + (taps - ratio) // 2
        self.crop = slice(left, -(left + (taps - ratio) % 2))
        self.register_buffer("filter", kaiser_sinc_filter1d(*cutoff_for(ratio), taps))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, ratio T); the ends are replicated"""
        channels = x.shape[1]
        x = F.pad(x, (self.pad, self.pad), mode="replicate")
        # The zeros between samples lower the level to 1 / ratio: the filter's gain restores it.
        taps = (self.ratio * self.filter).expand(channels, -1, -1)
        return F.conv_transpose1d(x, taps, stride=self.ratio, groups=channels)[..., self.crop]


class DownSample1d(nn.Module):
    """Lower the sample rate by a ratio, after removing what the lower rate cannot represent."""

    def __init__(self, ratio: int, taps: int):
        super().__init__()
        self.lowpass = LowPassFilter1d(*cutoff_for(ratio), taps, stride=ratio)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, ceil(T / ratio))"""
        return self.lowpass(x)
