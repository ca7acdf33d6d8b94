"""A non-linearity at a higher sample rate, so that the overtones it makes do not fold back."""

from torch import Tensor, nn

from BigVGAN.alias_free_activation.resample import DownSample1d, UpSample1d

RATIO = 2
TAPS = 12                                     # of each of the two filters


class Activation1d(nn.Module):
    """Up-sample, activate, down-sample (Lee et al. 2023).

    reach  samples on each side on which an output sample depends
    """

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.act = activation
        self.upsample = UpSample1d(RATIO, TAPS)
        self.downsample = DownSample1d(RATIO, TAPS)
        self.reach = (TAPS - 1) // RATIO      # two filters of TAPS at the higher rate, half of each to a side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        return self.downsample(self.act(self.upsample(x)))
