"""Normalisation layers."""

import math

from torch import nn


def group_norm(channels: int, groups: int = 8) -> nn.GroupNorm:
    """Group normalisation for any number of channels: as many groups as divide it, at most `groups`."""
    return nn.GroupNorm(math.gcd(channels, groups), channels)


def freeze_batch_norm(module: nn.Module) -> None:
    """Keep every BatchNorm at its stored statistics: small batches of correlated crops would ruin them."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()
