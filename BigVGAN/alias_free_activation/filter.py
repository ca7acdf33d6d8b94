"""Kaiser-windowed sinc low-pass filters."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def kaiser_beta(half_width: float, taps: int) -> float:
    """Shape parameter of the Kaiser window for a transition band (Kaiser 1974).

    half_width  half the transition band, in units of the sample rate
    """
    attenuation = 2.285 * (taps // 2 - 1) * math.pi * 4 * half_width + 7.95  # dB
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation >= 21:
        return 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    return 0.0


def kaiser_sinc_filter1d(cutoff: float, half_width: float, kernel_size: int) -> Tensor:
    """Low-pass filter with gain 1 at 0 Hz.

    cutoff       edge of the pass band, in units of the sample rate: 0 … 0.5
    half_width   half the transition band, in the same unit
    kernel_size  number of taps
    ->           (1, 1, kernel_size)
    """
    # On the CPU in float64 wherever the model itself is built, so that every model has the same taps.
    beta = kaiser_beta(half_width, kernel_size)
    window = torch.kaiser_window(kernel_size, periodic=False, beta=beta, dtype=torch.float64, device="cpu")
    times = torch.arange(kernel_size, dtype=torch.float64, device="cpu") - kernel_size // 2
    if kernel_size % 2 == 0:
        times += 0.5
    taps = 2 * cutoff * window * torch.sinc(2 * cutoff * times)
    taps = (taps / taps.sum()).to(torch.float32)
    return taps.to(torch.get_default_device()).view(1, 1, kernel_size)


class LowPassFilter1d(nn.Module):
    """Filter every channel and keep each stride-th sample."""

    def __init__(self, cutoff: float, half_width: float, kernel_size: int, stride: int):
        super().__init__()
        self.stride = stride
        right = kernel_size // 2
        self.padding = (right - (kernel_size % 2 == 0), right)
        self.register_buffer("filter", kaiser_sinc_filter1d(cutoff, half_width, kernel_size))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, ceil(T / stride)); the ends are replicated"""
        channels = x.shape[1]
        x = F.pad(x, self.padding, mode="replicate")
        return F.conv1d(x, self.filter.expand(channels, -1, -1), stride=self.stride, groups=channels)
