"""The mono sound of a file, read block by block."""

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.inference.windows import BLOCK
from DiffBinaural.utils.audio import Resampler, checked_rate, is_sound_file, sound_info, wav_blocks
from DiffBinaural.utils.media import sound_blocks, sound_rate

RESAMPLED_SECONDS = BLOCK / 86  # that are resampled at once


class AudioSource:
    """The sound of a sound or video file, or of a part of it, mixed to mono at a given rate.

    start, end  seconds of the file
    rate        Hz to convert to
    samples     at that rate, as far as the sound has been read; expected: an estimate of all, 0 = unknown
    """

    def __init__(self, path: str | Path, start: float, end: float, rate: int):
        self.path, self.rate, self.samples, sound_alone = path, rate, 0, is_sound_file(path)
        own, seconds = (sound_info if sound_alone else sound_rate)(path)
        self.file_rate = checked_rate(path, own, rate)
        self.first, self.stop = (t if t == math.inf else round(t * self.file_rate) for t in (start, end))
        self.expected = round(max(min(seconds, end) - start, 0) * rate)
        self.position = 0  # samples of the file that have been read
        self.blocks = wav_blocks(path) if sound_alone else sound_blocks(path)
        self.resampler = Resampler(self.file_rate, rate, RESAMPLED_SECONDS)

    def read(self) -> tuple[Tensor, bool]:
        """The next samples (1, n) float32, n >= 0, and whether they are the last.

        Raises ValueError naming a file that is empty, too short or not finite.
        """
        block = None if self.position >= self.stop else next(self.blocks, None)
        mono = torch.zeros(1, 0)
        if block is not None:
            begin, end = self.first - self.position, min(self.stop - self.position, block.shape[1])
            part = block[:, max(begin, 0) : max(end, 0)]
            if not np.isfinite(part).all():
                raise ValueError(f"{self.path}: has non-finite values; expected sound")
            self.position += block.shape[1]
            mono = torch.from_numpy(np.ascontiguousarray(part).mean(axis=0, keepdims=True))
        elif self.position <= self.first:
            raise ValueError(self._why_nothing())
        samples = self.resampler.push(mono, last=block is None)
        self.samples += samples.shape[1]
        return samples, block is None

    def _why_nothing(self) -> str:
        if not self.position:
            return f"{self.path}: is empty; expected sound"
        start, seconds = self.first / self.file_rate, self.position / self.file_rate
        return f"{self.path}: lasts {seconds:.2f} s; --start is {start:g} s, give less"
