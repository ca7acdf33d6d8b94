"""Snake activations: periodic, with a learned frequency for every channel."""

import torch
from torch import Tensor, nn

TINY = 1e-9  # keeps the division finite when a linear-scale parameter reaches 0


class SnakeFunction(nn.Module):
    """x + height sin²(alpha x)  (Ziyin et al. 2020)."""

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """alpha, radians per unit of x, and height, in units of x: (C,) each."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)"""
        alpha, height = (value[:, None] for value in self.coefficients())
        return x + height * torch.sin(alpha * x).square()


class SnakeBeta(SnakeFunction):
    """Snake whose height is learned apart from its frequency (Lee et al. 2023): as beta, its inverse.

    logscale  the parameters hold logarithms
    """

    def __init__(self, channels: int, *, logscale: bool):
        super().__init__()
        self.logscale = logscale
        start = torch.zeros if logscale else torch.ones  # either way alpha = beta = 1
        self.alpha = nn.Parameter(start(channels))
        self.beta = nn.Parameter(start(channels))

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """alpha and 1 / beta."""
        alpha, beta = (self.alpha.exp(), self.beta.exp()) if self.logscale else (self.alpha, self.beta)
        return alpha, 1 / (beta + TINY)


class Snake(SnakeFunction):
    """Snake with one parameter a channel: the height is the inverse of the frequency."""

    def __init__(self, channels: int, *, logscale: bool):
        super().__init__()
        self.logscale = logscale
        self.alpha = nn.Parameter((torch.zeros if logscale else torch.ones)(channels))

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """alpha and 1 / alpha."""
        alpha = self.alpha.exp() if self.logscale else self.alpha
        return alpha, 1 / (alpha + TINY)


ACTIVATIONS = {"snake": Snake, "snakebeta": SnakeBeta}  # by their names in config.json
