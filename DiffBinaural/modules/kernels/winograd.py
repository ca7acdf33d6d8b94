"""3x3 convolutions on the CPU with a quarter of the multiplications: F(4x4, 3x3) of Lavin & Gray 2016.

A tile of 6 x 6 positions becomes 36 values, in which a convolution is a product value by value; the results
are transformed back into 4 x 4 positions.  That is 36 matrix products over channels in place of 16 · 9.
"""

import math

import numpy as np
import torch
from numba import prange
from torch import Tensor, nn

from DiffBinaural.modules.kernels.compiled import compiled, parallel, use_torch_threads

OUTPUT = 4  # positions along an edge of a tile's output
TILE = OUTPUT + 2  # of its input
TILES_AT_ONCE = 200  # large products that fit into caches
MIN_CHANNELS = 48  # below, the direct form is as fast


def toom_cook(points: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices of a convolution by products of polynomials at points and at infinity (Winograd 1980).

    points  five
    ->      of an edge (6, 6), a kernel (6, 3), and back (4, 6): back · ((kernel · k) (edge · x)) is k over x
    """
    into, kernel, back = np.zeros((TILE, TILE)), np.zeros((TILE, 3)), np.zeros((OUTPUT, TILE))
    for i, point in enumerate(points):
        others = np.delete(points, i)
        into[i, :-1] = np.poly(others)[::-1]
        kernel[i] = point ** np.arange(3) / np.prod(point - others)
        back[:, i] = point ** np.arange(OUTPUT)
    into[-1], kernel[-1, -1], back[-1, -1] = np.poly(points)[::-1], 1, 1
    return into, kernel, back


# With these points rounding errors are less than twice those of the direct form; with the usual 0, ±1, ±2
# they are up to four times as large
INTO, KERNEL, BACK = toom_cook([0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2)])
INTO, BACK = INTO.astype(np.float32), BACK.astype(np.float32)


@compiled
def line(x, b, row, nothing):
    """A row of picture b in x (B, H, W, C) as (W · C,); `nothing` outside of it."""
    return x[b, row].reshape(-1) if 0 <= row < x.shape[1] else nothing


@compiled
def mixed(row, y, a, b, c, d, e, f):
    """y = row · (a, …, f), each (n,)."""
    for k in range(len(y)):
        y[k] = row[0] * a[k] + row[1] * b[k] + row[2] * c[k] + row[3] * d[k] + row[4] * e[k] + row[5] * f[k]


@compiled
def gathered(row, edge, y):
    """y (n, C): row over six neighbours in edge (4 n + 2, C), every fourth."""
    for t in range(y.shape[0]):
        at = OUTPUT * t
        for c in range(y.shape[1]):
            y[t, c] = (
                row[0] * edge[at, c]
                + row[1] * edge[at + 1, c]
                + row[2] * edge[at + 2, c]
                + row[3] * edge[at + 3, c]
                + row[4] * edge[at + 4, c]
                + row[5] * edge[at + 5, c]
            )


@compiled
def scatter(row, half, bias, add, first, y):
    """Every fourth of y (W, C), from `first` on: row over half (6, ⌈W/4⌉, C), bias, the old value (add)."""
    for t in range((len(y) - first + OUTPUT - 1) // OUTPUT):
        at = OUTPUT * t + first
        for c in range(y.shape[1]):
            made = bias[c] + (
                row[0] * half[0, t, c]
                + row[1] * half[1, t, c]
                + row[2] * half[2, t, c]
                + row[3] * half[3, t, c]
                + row[4] * half[4, t, c]
                + row[5] * half[5, t, c]
            )
            y[at, c] = y[at, c] + made if add else made


@parallel
def to_tiles(x, first, tiles):
    """x (B, H, W, C), zeros around it -> tiles (36, n, ⌈W/4⌉, C): n of B · ⌈H/4⌉ strips, from `first` on."""
    _, height, width, channels = x.shape
    down, across = -(-height // OUTPUT), tiles.shape[2]
    for strip in prange(tiles.shape[1]):
        b, top = (first + strip) // down, (first + strip) % down * OUTPUT - 1
        nothing = np.zeros(width * channels, np.float32)
        rows = (
            line(x, b, top, nothing),
            line(x, b, top + 1, nothing),
            line(x, b, top + 2, nothing),
            line(x, b, top + 3, nothing),
            line(x, b, top + 4, nothing),
            line(x, b, top + 5, nothing),
        )
        edge = np.zeros((OUTPUT * across + 2, channels), np.float32)
        inner = edge[1 : width + 1].reshape(-1)
        for i in range(TILE):
            mixed(INTO[i], inner, *rows)
            for j in range(TILE):
                gathered(INTO[j], edge, tiles[TILE * i + j, strip])


@parallel
def from_tiles(tiles, first, bias, add, y):
    """Results (36, n, ⌈W/4⌉ · C) of strips -> y (B, H, W, C), plus bias (C,), and the value before (add)."""
    _, height, width, channels = y.shape
    down = -(-height // OUTPUT)
    for strip in prange(tiles.shape[1]):
        b, top = (first + strip) // down, (first + strip) % down * OUTPUT
        half = np.empty((TILE, tiles.shape[2]), np.float32)
        for i in range(min(OUTPUT, height - top)):
            for j in range(TILE):
                mixed(
                    BACK[i],
                    half[j],
                    tiles[j, strip],
                    tiles[TILE + j, strip],
                    tiles[2 * TILE + j, strip],
                    tiles[3 * TILE + j, strip],
                    tiles[4 * TILE + j, strip],
                    tiles[5 * TILE + j, strip],
                )
            for j in range(min(OUTPUT, width)):
                scatter(BACK[j], half.reshape(TILE, -1, channels), bias, add, j, y[b, top + i])


class WinogradConv2d(nn.Module):
    """A convolution with a 3x3 kernel for inference on the CPU, float32, without gradients.

    Its weights take four times the memory of the direct form's.
    """

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.inplace = getattr(conv, "inplace", False)
        kernel = conv.weight.detach().double().permute(2, 3, 1, 0)  # (3, 3, inputs, outputs)
        weight = torch.from_numpy(np.kron(KERNEL, KERNEL)) @ kernel.reshape(9, -1)
        self.register_buffer("weight", weight.float().view(-1, *kernel.shape[2:]))  # (36, inputs, outputs)
        self.register_buffer("bias", conv.bias.detach())

    @staticmethod
    def suits(conv: nn.Conv2d) -> bool:
        """Whether this form supports a convolution, and is the faster one."""
        options = (conv.kernel_size, conv.padding, conv.stride, conv.dilation, conv.groups, conv.padding_mode)
        usual = options == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros") and conv.bias is not None
        return usual and conv.weight.dtype == torch.float32 and min(conv.weight.shape[:2]) >= MIN_CHANNELS

    def forward(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W), channels last; plus: as of :class:`Conv2dPlus`."""
        order = torch.channels_last
        if plus is None:
            y = torch.empty(len(x), self.weight.shape[2], *x.shape[2:], memory_format=order)
        else:
            y = plus.contiguous(memory_format=order) if self.inplace else plus.clone(memory_format=order)
        x = x.contiguous(memory_format=order)
        self.convolve(*(z.permute(0, 2, 3, 1).numpy() for z in (x, y)), add=plus is not None)
        return y

    def convolve(self, x: np.ndarray, y: np.ndarray, *, add: bool) -> None:
        """x (B, H, W, inputs) -> y (B, H, W, outputs), as many strips at once as caches hold."""
        batch, height, width, inputs = x.shape
        across, strips, bias = -(-width // OUTPUT), batch * -(-height // OUTPUT), self.bias.numpy()
        at_once = min(max(TILES_AT_ONCE // across, use_torch_threads()), strips)
        before, after = (torch.empty(TILE**2 * at_once * across * n) for n in (inputs, len(bias)))
        for first in range(0, strips, at_once):
            shape = TILE**2, min(at_once, strips - first), across
            count = math.prod(shape)
            tiles = before[: count * inputs].view(*shape, inputs)
            made = after[: count * len(bias)].view(shape[0], -1, len(bias))
            to_tiles(x, first, tiles.numpy())
            torch.bmm(tiles.flatten(1, 2), self.weight, out=made)
            from_tiles(made.view(*shape[:2], -1).numpy(), first, bias, add, y)
