"""The fused alias-free activation as an autograd function."""

import numpy as np
import torch
from torch import Tensor

from BigVGAN.convolutions import channels_last_1d
from BigVGAN.kernels.activation_loops import LANES, backward, forward, tiles_of
from DiffBinaural.modules.kernels.compiled import flat_array, use_torch_threads


class FusedActivation(torch.autograd.Function):
    """x (B, C, T), alpha and height (C,), the filters (12,): all float32 on the CPU -> (B, C, T)."""

    @staticmethod
    def forward(ctx, x: Tensor, alpha: Tensor, height: Tensor, up: Tensor, down: Tensor) -> Tensor:
        """x + height sin²(alpha x), between up- and down-sampling."""
        x = channels_last_1d(x)
        ctx.save_for_backward(x, alpha, height, up, down)
        y = torch.empty_like(x)
        forward(
            time_major(x),
            repeated_channels(alpha),
            repeated_channels(height),
            up.numpy(),
            down.numpy(),
            use_torch_threads(),
            time_major(y),
        )
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        """Gradients by x, alpha and height."""
        x, alpha, height, up, down = ctx.saved_tensors
        by_x, repeated = torch.empty_like(x), [repeated_channels(v) for v in (alpha, alpha * height)]
        jobs = len(x) * tiles_of.py_func(x.shape[2], x.shape[1])[1]
        sums = [np.zeros((jobs, len(repeated[0])), np.float32) for _ in repeated]
        backward(
            time_major(x),
            time_major(channels_last_1d(grad)),
            *repeated,
            up.numpy(),
            down.numpy(),
            use_torch_threads(),
            time_major(by_x),
            *sums,
        )
        by_alpha, by_height = (
            torch.from_numpy(s).view(jobs, -1, len(alpha)).double().sum((0, 1)).float() for s in sums
        )
        return by_x, height * by_alpha, by_height, None, None


def time_major(x: Tensor) -> np.ndarray:
    """x (B, C, T), channels contiguous, as an array (B, T, C)."""
    return flat_array(x.transpose(1, 2), len(x), x.shape[2], x.shape[1])


def repeated_channels(values: Tensor) -> np.ndarray:
    """(C,) repeated to at least LANES numbers."""
    return values.detach().repeat(-(-LANES // len(values))).numpy()
