"""A non-linearity at twice the sample rate, so that its overtones do not alias."""

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from BigVGAN.activations import SnakeFunction
from BigVGAN.alias_free_activation.resample import DownSample1d, UpSample1d

RATIO = 2
TAPS = 12  # of each of the two filters


class Activation1d(nn.Module):
    """Up-sample, activate, down-sample (Lee et al. 2023).

    reach  samples on each side on which an output sample depends
    """

    def __init__(self, activation: SnakeFunction):
        super().__init__()
        self.act = activation
        self.upsample = UpSample1d(RATIO, TAPS)
        self.downsample = DownSample1d(RATIO, TAPS)
        self.reach = (TAPS - 1) // RATIO  # two filters of TAPS at the higher rate, half of each to a side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T) float32, or float64 as x is; on the CPU in one pass over memory."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            if (
                x.device.type == "cpu"
                and x.dtype == torch.float32
                and x.shape[-1]
                and (fused := fused_activation())
            ):
                up, down = self.upsample.filter.flatten(), self.downsample.lowpass.filter.flatten()
                return fused(x, *self.act.coefficients(), RATIO * up, down)
            return self.plain(x)

    def plain(self, x: Tensor) -> Tensor:
        """The plain form, one layer after the other."""
        return self.downsample(self.act(self.upsample(x)))


@cache
def fused_activation() -> Callable | None:
    """The compiled form for the CPU; None, with a warning, where numba is missing."""
    try:
        from BigVGAN.kernels.fused_activation import FusedActivation
    except ImportError as error:
        warnings.warn(
            f"numba is missing ({error}): the vocoder runs several times slower on the CPU", stacklevel=2
        )
        return None
    return FusedActivation.apply
