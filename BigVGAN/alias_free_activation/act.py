"""A non-linearity at twice the sample rate, so that its overtones do not alias."""

import warnings
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from BigVGAN.activations import SnakeFunction
from BigVGAN.alias_free_activation.resample import DownSample1d, UpSample1d
from BigVGAN.convolutions import at_least_float32
from BigVGAN.kernels.gpu_activation import DTYPES, alias_free, runs_on

RATIO = 2
TAPS = 12  # of each of the two filters
GPUS = ("cuda",)  # devices whose kernel is Triton's


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
        """(B, C, T) -> (B, C, T), in one pass over memory where there is a kernel for x's device.

        Computed in float32, or float64 as x is, and returned so; by the GPU's kernel under autocast in its
        precision, to which the next convolution would round it.
        """
        kind = x.device.type
        rounded = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
        with torch.autocast(kind, enabled=False):
            if kind in GPUS and x.dtype in DTYPES and x.shape[-1] and runs_on(x.device):
                return alias_free(x, *self.act.coefficients(), *self.filters(), rounded)
            x = at_least_float32(x)
            if kind == "cpu" and x.dtype == torch.float32 and x.shape[-1] and (fused := fused_activation()):
                up, down = self.filters()
                return fused(x, *self.act.coefficients(), RATIO * up, down)
            return self.plain(x)

    def filters(self) -> tuple[Tensor, Tensor]:
        """The taps up and down, (TAPS,) each, of gain 1."""
        return self.upsample.filter.flatten(), self.downsample.lowpass.filter.flatten()

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
