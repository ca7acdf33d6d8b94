"""Normalisation layers."""

import math
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def group_norm(channels: int, groups: int = 8) -> nn.GroupNorm:
    """Group normalisation for any number of channels: as many groups as divide it, at most `groups`."""
    return nn.GroupNorm(math.gcd(channels, groups), channels)


class NormSiLU(nn.GroupNorm):
    """Group normalisation, a scale and shift where they are given (FiLM), and SiLU.

    inplace  what goes in is not needed any more: without gradients the result may take its memory
    """

    def __init__(self, groups: int, channels: int, *, inplace: bool = False):
        super().__init__(groups, channels)
        self.inplace = inplace

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """silu(norm(x) (1 + scale) + shift): x (B, C, H, W), scale and shift (B, C) -> (B, C, H, W)."""
        quick = (
            x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_grad_enabled()
            and x.is_contiguous(memory_format=torch.channels_last)
        )
        if quick and (fused := two_passes()):
            nothing = x.new_zeros(x.shape[:2]) if scale is None else None
            film = (nothing, nothing) if scale is None else (scale, shift)
            return fused(
                x,
                self.num_groups,
                self.weight,
                self.bias,
                self.eps,
                *film,
                x if self.inplace else torch.empty_like(x),
            )
        return self.plain(x, scale, shift)

    def plain(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        """The same, an operation after the other."""
        x = super().forward(x)
        return F.silu(x if scale is None else x * (1 + scale[..., None, None]) + shift[..., None, None])


def group_norm_silu(channels: int, groups: int = 8, *, inplace: bool = False) -> NormSiLU:
    """:func:`group_norm` with SiLU behind it."""
    return NormSiLU(math.gcd(channels, groups), channels, inplace=inplace)


@cache
def two_passes() -> Callable | None:
    """The compiled form for the CPU; None where numba is not to be had."""
    try:
        from DiffBinaural.modules.kernels.fused_norm import fused_norm_silu
    except ImportError:
        return None
    return fused_norm_silu


def freeze_batch_norm(module: nn.Module) -> None:
    """Keep every BatchNorm at its stored statistics: small batches of correlated crops would ruin them."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
