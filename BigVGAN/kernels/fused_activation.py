"""The fused alias-free activation as a function that autograd knows."""

import numpy as np
import torch
from torch import Tensor

from BigVGAN.convolutions import side_by_side
from BigVGAN.kernels.activation_loops import LANES, backward, forward, tiles_of
from DiffBinaural.modules.kernels.compiled import as_many_threads, flat_array


class FusedActivation(torch.autograd.Function):
    """x (B, C, T), alpha and height (C,), the filters (12,): all float32 on the CPU -> (B, C, T)."""

    @staticmethod
    def forward(ctx, x: Tensor, alpha: Tensor, height: Tensor, up: Tensor, down: Tensor) -> Tensor:
        """x + height sin²(alpha x), between up- and down-sampling."""
        x = side_by_side(x)
        ctx.save_for_backward(x, alpha, height, up, down)
        y = torch.empty_like(x)
        forward(
            moments(x),
            over_and_over(alpha),
            over_and_over(height),
            up.numpy(),
            down.numpy(),
            as_many_threads(),
            moments(y),
        )
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        """Gradients by x, alpha and height."""
        x, alpha, height, up, down = ctx.saved_tensors
        by_x, repeated = torch.empty_like(x), [over_and_over(v) for v in (alpha, alpha * height)]
        jobs = len(x) * tiles_of.py_func(x.shape[2], x.shape[1])[1]
        sums = [np.zeros((jobs, len(repeated[0])), np.float32) for _ in repeated]
        backward(
            moments(x),
            moments(side_by_side(grad)),
            *repeated,
            up.numpy(),
            down.numpy(),
            as_many_threads(),
            moments(by_x),
            *sums,
        )
        by_alpha, by_height = (
            torch.from_numpy(s).view(jobs, -1, len(alpha)).double().sum((0, 1)).float() for s in sums
        )
        return by_x, height * by_alpha, by_height, None, None


def moments(x: Tensor) -> np.ndarray:
    """Such an x as (B, T, C)."""
    return flat_array(x.transpose(1, 2), len(x), x.shape[2], x.shape[1])


def over_and_over(values: Tensor) -> np.ndarray:
    """(C,) repeated up to LANES numbers or some more."""
    return values.detach().repeat(-(-LANES // len(values))).numpy()
