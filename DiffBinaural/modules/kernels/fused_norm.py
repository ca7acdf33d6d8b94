"""Fused group normalisation, scale, shift, SiLU on the CPU, compiled by numba: two passes over memory."""

import math

import numpy as np
from numba import prange
from torch import Tensor

from DiffBinaural.modules.kernels.compiled import compiled, flat_array, parallel, use_torch_threads

ROWS = 256  # positions that a thread takes at once
LOG2_E = np.float32(1 / math.log(2))
LN2_HIGH = np.float32(0.693359375)  # 355/512: its products with small integers are exact
LN2_LOW = np.float32(math.log(2) - 0.693359375)
EXP = tuple(np.float32(1 / math.factorial(k)) for k in range(8))  # Taylor's, good to 1e-8 on ± ln 2 / 2
EXP_LIMIT = np.float32(87)  # e^88 is beyond float32


@compiled
def silu(v):
    """v / (1 + e^-v)."""
    x = min(max(-v, -EXP_LIMIT), EXP_LIMIT)
    n = np.rint(x * LOG2_E)
    r = x - n * LN2_HIGH - n * LN2_LOW
    power = EXP[0] + r * (
        EXP[1] + r * (EXP[2] + r * (EXP[3] + r * (EXP[4] + r * (EXP[5] + r * (EXP[6] + r * EXP[7])))))
    )
    two = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n
    return v / (np.float32(1) + power * two)


@parallel
def norm_silu(x, groups, weight, bias, eps, scale, shift, y):
    """silu(group_norm(x) (1 + scale) + shift): x, y (B, N, C); weight, bias (C,); scale, shift (B, C)."""
    batch, count, channels = x.shape
    jobs, size = -(-count // ROWS), channels // groups
    sums = np.empty((batch * jobs, 2, channels), np.float32)
    for job in prange(batch * jobs):
        b, first = job // jobs, job % jobs * ROWS
        total, squares = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
        for i in range(first, min(first + ROWS, count)):
            for c in range(channels):
                total[c] += x[b, i, c]
                squares[c] += x[b, i, c] * x[b, i, c]
        sums[job, 0], sums[job, 1] = total, squares
    gain, offset = np.empty((batch, channels), np.float32), np.empty((batch, channels), np.float32)
    for b in range(batch):
        for g in range(groups):
            mean, power = 0.0, 0.0
            for job in range(b * jobs, (b + 1) * jobs):
                for c in range(g * size, (g + 1) * size):
                    mean += sums[job, 0, c] / (count * size)
                    power += sums[job, 1, c] / (count * size)
            inverse = 1 / math.sqrt(max(power - mean * mean, 0.0) + eps)
            for c in range(g * size, (g + 1) * size):
                gain[b, c] = weight[c] * inverse * (1 + scale[b, c])
                offset[b, c] = (bias[c] - weight[c] * inverse * mean) * (1 + scale[b, c]) + shift[b, c]
    for job in prange(batch * jobs):
        b, first = job // jobs, job % jobs * ROWS
        for i in range(first, min(first + ROWS, count)):
            for c in range(channels):
                y[b, i, c] = silu(gain[b, c] * x[b, i, c] + offset[b, c])


def fused_norm_silu(
    x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, scale: Tensor, shift: Tensor, y: Tensor
) -> Tensor:
    """:func:`norm_silu` of x (B, C, H, W) in channels-last memory, float32 on the CPU, without gradients.

    y  receives the result; may be x itself
    """
    shape = (len(x), x.shape[2] * x.shape[3], x.shape[1])
    use_torch_threads()
    norm_silu(
        flat_array(x.permute(0, 2, 3, 1), *shape),
        groups,
        flat_array(weight, -1),
        flat_array(bias, -1),
        eps,
        flat_array(scale, *shape[::2]),
        flat_array(shift, *shape[::2]),
        flat_array(y.permute(0, 2, 3, 1), *shape),
    )
    return y
