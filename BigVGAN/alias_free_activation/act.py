"""A non-linearity at a higher sample rate, so that the overtones it makes do not fold back."""

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from BigVGAN.activations import Ripple
from BigVGAN.alias_free_activation.resample import DownSample1d, UpSample1d

RATIO = 2
TAPS = 12  # of each of the two filters


class Activation1d(nn.Module):
    """Up-sample, activate, down-sample (Lee et al. 2023).

    reach  samples on each side on which an output sample depends
    """

    def __init__(self, activation: Ripple):
        super().__init__()
        self.act = activation
        self.upsample = UpSample1d(RATIO, TAPS)
        self.downsample = DownSample1d(RATIO, TAPS)
        self.reach = (TAPS - 1) // RATIO  # two filters of TAPS at the higher rate, half of each to a side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T) float32, or float64 as x is; in one pass over memory where that is known."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            if x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[-1] and (fused := one_pass()):
                up, down = self.upsample.filter.flatten(), self.downsample.lowpass.filter.flatten()
                return fused(x, *self.act.ripple(), RATIO * up, down)
            return self.plain(x)

    def plain(self, x: Tensor) -> Tensor:
        """The same, a layer after the other."""
        return self.downsample(self.act(self.upsample(x)))


@cache
def one_pass() -> Callable | None:
    """The compiled form for the CPU; None, and one line that says so, where numba is not to be had."""
    try:
        from BigVGAN.kernels.fused_activation import FusedActivation
    except ImportError as error:
        warnings.warn(
            f"no numba here ({error}): the vocoder runs several times slower on the CPU", stacklevel=2
        )
        return None
    return FusedActivation.apply
