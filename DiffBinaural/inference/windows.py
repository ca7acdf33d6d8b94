"""The windows of a clip, as the sampler takes them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, SamplingConfig
from DiffBinaural.dataset.cutting import WINDOW_HOP, extract_windows, padded
from DiffBinaural.utils.mel_stream import MelStream


@dataclass(frozen=True)
class WindowBatch:
    """Successive windows of a clip; every batch continues the one before it."""

    starts: list[int]  # mel frames
    until: int  # no later window begins before this frame; at the clip's end, its length
    frames: int  # of the clip, or any number from mel_stream.BLOCK on
    mono: Tensor  # (W, 1, M, size) nepers
    times: list[float]  # seconds of the video at which the windows begin

    @property
    def last(self) -> bool:
        """Whether the clip ends with this batch."""
        return self.until == self.frames and self.starts[-1] + self.mono.shape[-1] == self.frames


class Queue:
    """Tensors joined along their last axis, taken out in other portions than they were put in."""

    def __init__(self):
        self.held = torch.empty(0)

    def __len__(self) -> int:
        return self.held.shape[-1]

    def put(self, more: Tensor) -> None:
        """Append a tensor (…, n)."""
        self.held = torch.cat([self.held, more], dim=-1) if self.held.numel() else more

    def take(self, count: int | None = None) -> Tensor:
        """The next `count`, or as many as there are; by default all."""
        count = len(self) if count is None else count
        taken, self.held = self.held[..., :count], self.held[..., count:].clone()
        return taken


class WindowCutter:
    """Mono samples in, windows of their mel out; keeps samples and mel until they are rendered.

    size   mel frames of a window
    begin  seconds of the video at which the sound begins
    """

    def __init__(self, cfg: MelConfig, size: int, begin: float):
        self.cfg, self.size, self.begin = cfg, size, begin
        self.stream = MelStream(cfg)
        self.mono, self.mono_mel = Queue(), Queue()
        self.held: Tensor | None = None  # mel (1, M, t) from frame `at` on
        self.coming: Tensor | None = None  # mel that follows it
        self.at = self.next_start = 0

    def push(self, samples: Tensor, *, last: bool = False) -> list[WindowBatch]:
        """Append samples (1, n), the last of the clip or not.  -> the batches that are now complete"""
        following = []
        for mono, mel in self.stream.push(samples, last=last):
            self.mono.put(mono)
            self.mono_mel.put(mel)
            following.append(mel)
        batches = [self._advance(mel) for mel in [*following, *[None] * last]]
        return [batch for batch in batches if batch]

    def take(self, frames: int) -> tuple[Tensor, Tensor]:
        """The next frames' samples (frames · hop,) and mel (1, M, frames), or as many as there are."""
        return self.mono.take(frames * self.cfg.hop)[0], self.mono_mel.take(frames)

    def _advance(self, following: Tensor | None) -> WindowBatch | None:
        """The windows that end within the mel before `following`; None = nothing follows."""
        mel, self.coming, size = self.coming, following, self.size
        if mel is None:
            return None
        held = mel if self.held is None else torch.cat([self.held, mel], dim=-1)
        end = self.at + held.shape[-1]
        if following is None:
            until = frames = end = self.at + max(held.shape[-1], size)  # too short a clip is padded
            # a block of less than a hop may leave only the last window, which begins before `next_start`
            starts = [*range(self.next_start, end - size, WINDOW_HOP), end - size]
        else:
            frames = end + following.shape[-1]
            starts = [*range(self.next_start, end - size, WINDOW_HOP)]
            self.next_start += len(starts) * WINDOW_HOP
            # not even a last window, pulled back to end with the clip, begins before `until`
            until = min(self.next_start, frames - size)
        batch = self._batch(held, starts, until, frames) if starts else None
        keep = min(held.shape[-1], size)
        self.held, self.at = held[..., held.shape[-1] - keep :].clone(), end - keep
        return batch

    def _batch(self, held: Tensor, starts: list[int], until: int, frames: int) -> WindowBatch:
        mono = extract_windows(padded(held, self.size), [start - self.at for start in starts], self.size)
        return WindowBatch(starts, until, frames, mono, window_times(starts, self.begin, self.cfg))


def windows_at_once(cfg: SamplingConfig, device: torch.device) -> int:
    """Windows of a network call: on a GPU by default enough to keep it busy."""
    return cfg.batch_windows or (16 if device.type == "cpu" else 64)


def window_times(starts: list[int], begin: float, cfg: MelConfig) -> list[float]:
    """Seconds of the video at which windows begin that start at these mel frames of a clip."""
    return [begin + start * cfg.hop / cfg.sample_rate for start in starts]
