"""Windows out of a clip, joined again."""

import math

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.frame_sources import FrameSource
from DiffBinaural.utils.mel import FLOOR

SILENCE = math.log(FLOOR)  # nepers
QUIET = {"mono_mel": SILENCE, "binaural_mel": SILENCE, "phasor": 0.0}  # what silence is in each
MARGIN = 2  # frames beside a window on which its outer frames depend
WINDOW_HOP = 60  # frames from window to window; the rest overlaps


def covering(n: int, size: int, hop: int) -> list[int]:
    """Starts of windows of `size` that cover [0, n); the last is pulled back to end exactly at n."""
    last = max(n - size, 0)
    return [*range(0, last, hop), last]


def extract_windows(x: Tensor, starts: list[int], size: int) -> Tensor:
    """Windows (W, …, size) of x (…, n); n >= size."""
    return torch.stack([x[..., s : s + size] for s in starts])


def stitch(windows: Tensor, starts: list[int], n: int) -> Tensor:
    """Merge windows (W, …, size) into (…, n): a weighted mean where they overlap, smooth at all borders.

    The weights are a raised cosine that never reaches 0, so every frame is covered, the first and last too.
    ``stitch(extract_windows(x)) == x`` for every covering.
    """
    total, weight = windows.new_zeros(*windows.shape[1:-1], n), windows.new_zeros(n)
    add_windows(total, weight, windows, starts)
    return total / weight


def add_windows(total: Tensor, weight: Tensor, windows: Tensor, starts: list[int]) -> None:
    """What :func:`stitch` divides: add windows to total (…, n), and to weight (n) what they count."""
    size = windows.shape[-1]
    phase = (torch.arange(size, device=windows.device) + 0.5) * (math.pi / size)
    fade = (torch.sin(phase) ** 2 + 1e-3).to(windows.dtype)
    for window, start in zip(windows, starts, strict=True):
        total[..., start : start + size] += window * fade
        weight[start : start + size] += fade


def padded(mel: Tensor, size: int, silence: float = SILENCE) -> Tensor:
    """Append silence to a log mel (…, T) shorter than `size`."""
    return torch.nn.functional.pad(mel, (0, max(size - mel.shape[-1], 0)), value=silence)


def whole_clip(
    stem: str,
    mels: dict[str, Tensor],
    source: FrameSource,
    begin: float,
    cfg: MelConfig,
    head: str = "sphere",
) -> dict:
    """All windows of a clip, in order, and each picture that they show once.

    mels   mono_mel (1, M, T), and binaural_mel (2, M, T) and phasor (2, M, T) where known
    begin  seconds of the recording at which the clip begins
    head   name of the head that it was made with
    ->     stem, head, starts (W numbers), the mels, objects (P, S, 3, H, W) or maps (P, S, C, h, w), box
           (P, S, 4), mask (P, S), which (W, F): the pictures of each window, directions (W, S - 1, 3, size)
    """
    clip = clip_with_source(stem, mels, source, begin, cfg, head)
    pictures = clip.pop("source").scene(clip.pop("times"), clip.pop("seconds"))
    return {**clip, **pictures}


def clip_with_source(
    stem: str,
    mels: dict[str, Tensor],
    source: FrameSource,
    begin: float,
    cfg: MelConfig,
    head: str = "sphere",
) -> dict:
    """:func:`whole_clip` before any picture is read.

    -> stem, head, starts, the mels, and what :meth:`FrameSource.scene` needs: source, times (W), seconds
    """
    size, hop = source.view.window, cfg.hop / cfg.sample_rate
    starts = covering(max(mels["mono_mel"].shape[-1], size), size, WINDOW_HOP)
    clip = {"stem": stem, "head": head, "starts": starts, **mels, "source": source}
    return {**clip, "times": [begin + start * hop for start in starts], "seconds": size * hop}
