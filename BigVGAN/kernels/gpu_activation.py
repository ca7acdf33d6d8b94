"""The alias-free activation on a GPU as torch operators: autograd, torch.compile, autocast see one step."""

import subprocess
import warnings

import torch
from torch import Tensor

from BigVGAN.convolutions import channels_last_1d

DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@torch.library.custom_op("bigvgan::alias_free", mutates_args=())
def alias_free(
    x: Tensor, alpha: Tensor, height: Tensor, up: Tensor, down: Tensor, dtype: torch.dtype
) -> Tensor:
    """x + height sin²(alpha x), between up- and down-sampling, computed in float32.

    x              (B, C, T)  of DTYPES, T > 0
    alpha, height  (C,)
    up, down       (12,)      the filters, of gain 1
    ->             (B, C, T)  of this dtype, the channels of a sample contiguous
    """
    from BigVGAN.kernels.activation_triton import BLOCK, SPAN, forward_lanes

    x, y = channels_last_1d(x), _like(x, dtype)
    spans, lanes = _lanes(x, SPAN)
    with _on(x):
        forward_lanes[(-(-lanes // BLOCK),)](
            x, alpha, height, up, down, y, lanes, spans, *x.shape[1:], BLOCK=BLOCK, SPAN=SPAN
        )
    return y


@torch.library.custom_op("bigvgan::alias_free_backward", mutates_args=())
def alias_free_backward(
    grad: Tensor, x: Tensor, alpha: Tensor, height: Tensor, up: Tensor, down: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients by x, alpha and height, from the gradient (B, C, T) by :func:`alias_free`'s result."""
    from BigVGAN.kernels.activation_triton import BLOCK, SPAN, backward_lanes

    x, grad, by_x = channels_last_1d(x), channels_last_1d(grad), _like(x, x.dtype)
    spans, lanes = _lanes(x, SPAN)
    parts = [torch.empty(len(x) * spans, x.shape[1], device=x.device) for _ in range(2)]
    with _on(x):
        backward_lanes[(-(-lanes // BLOCK),)](
            x, grad, alpha, height, up, down, by_x, *parts, lanes, spans, *x.shape[1:], BLOCK=BLOCK, SPAN=SPAN
        )
    by_alpha, by_height = (part.sum(0).to(alpha.dtype) for part in parts)
    return by_x, by_alpha, by_height


def _lanes(x: Tensor, span: int) -> tuple[int, int]:
    """Spans of a channel, lanes in all."""
    spans = -(-x.shape[2] // span)
    return spans, len(x) * spans * x.shape[1]


def _like(x: Tensor, dtype: torch.dtype) -> Tensor:
    """An empty (B, C, T), the channels of a sample contiguous."""
    return x.new_empty(len(x), x.shape[2], x.shape[1], dtype=dtype).transpose(1, 2)


def _on(x: Tensor) -> torch.cuda.device_of:
    """Triton launches on the current device, which need not be x's."""
    return torch.cuda.device_of(x)


@alias_free.register_fake
def _(x, alpha, height, up, down, dtype):
    return _like(x, dtype)


@alias_free_backward.register_fake
def _(grad, x, alpha, height, up, down):
    return _like(x, x.dtype), torch.empty_like(alpha), torch.empty_like(height)


def _save(ctx, inputs, output) -> None:
    ctx.save_for_backward(*inputs[:-1])


def _gradients(ctx, grad: Tensor) -> tuple:
    return *alias_free_backward(grad, *ctx.saved_tensors), None, None, None


alias_free.register_autograd(_gradients, setup_context=_save)


def runs_on(device: torch.device) -> bool:
    """Whether the kernels run there: on a GPU that Triton supports; tried once."""
    if torch.compiler.is_compiling():  # which cannot try
        return _RUNS.get(device, device.type == "cuda")
    if device not in _RUNS:
        _RUNS[device] = device.type == "cuda" and _try(device)
    return _RUNS[device]


_RUNS: dict[torch.device, bool] = {}


def _try(device: torch.device) -> bool:
    try:
        import triton
    except ImportError:  # there is none for Windows
        return False
    x, taps = torch.zeros(1, 1, 1, device=device), torch.zeros(12, device=device)
    try:
        alias_free(x, x[0, 0], x[0, 0], taps, taps, torch.float32)
    except (OSError, RuntimeError, subprocess.SubprocessError, triton.TritonError) as error:
        reason = str(error).strip().partition("\n")[0]
        warnings.warn(f"Triton does not run here ({reason}): the vocoder takes the slow form", stacklevel=3)
        return False
    return True
