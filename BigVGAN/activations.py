"""Snake activations: periodic, with a learned frequency for every channel."""

import torch
from torch import Tensor, nn

TINY = 1e-9                      # keeps the division finite when a linear-scale parameter reaches 0


def snake(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """x + sin²(alpha x) / beta  (Ziyin et al. 2020; beta: Lee et al. 2023).

    x            (B, C, T)
    alpha, beta  (C,)  frequency in radians per unit of x, and inverse height of the ripple
    ->           (B, C, T)
    """
    alpha, beta = alpha[:, None], beta[:, None]
    return x + torch.sin(alpha * x).square() / (beta + TINY)


class SnakeBeta(nn.Module):
    """Snake whose ripple height is learned apart from its frequency; in log scale, logarithms are stored."""

    def __init__(self, channels: int, *, logscale: bool):
        super().__init__()
        self.logscale = logscale
        start = torch.zeros if logscale else torch.ones      # either way alpha = beta = 1
        self.alpha = nn.Parameter(start(channels))
        self.beta = nn.Parameter(start(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        if self.logscale:
            return snake(x, self.alpha.exp(), self.beta.exp())
        return snake(x, self.alpha, self.beta)


class Snake(nn.Module):
    """Snake with one parameter a channel: the ripple is as high as its frequency is low."""

    def __init__(self, channels: int, *, logscale: bool):
        super().__init__()
        self.logscale = logscale
        self.alpha = nn.Parameter((torch.zeros if logscale else torch.ones)(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        alpha = self.alpha.exp() if self.logscale else self.alpha
        return snake(x, alpha, alpha)


ACTIVATIONS = {"snake": Snake, "snakebeta": SnakeBeta}        # by their names in config.json
