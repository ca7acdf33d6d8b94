"""The mono sound of a file, read block by block."""

import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.inference.windows import Queue
from DiffBinaural.utils.audio import Resampler, checked_rate, is_sound_file, sound_info, wav_blocks
from DiffBinaural.utils.downmix import ChannelLevels
from DiffBinaural.utils.media import silent_blocks, sound_blocks, sound_delay, sound_rate
from DiffBinaural.utils.mel_stream import BLOCK
from DiffBinaural.utils.streams import tracks_line

RESAMPLED_SECONDS = BLOCK / 86  # that are resampled at once
NOTICED = 0.03  # seconds: a later beginning of the sound is said


class AudioSource:
    """The sound of a sound or video file, or of a part of it, mixed to mono at a given rate.

    start, end  seconds of the file; of a film, from its beginning: silence precedes a sound that begins later
    rate        Hz to convert to
    track       number of the sound track of a film, from 0; None: its default one
    output_rate Hz at which it is kept besides, in `whole`; default: not

    samples     at the output's rate, as far as the sound has been read; expected: all
    gain        that keeps the mono sound within [-1, 1]: 1 but for floats above full scale
    notices     what was done with the file, in lines

    Raises ValueError naming a file that is empty, too short or not finite.
    """

    def __init__(
        self,
        path: str | Path,
        start: float,
        end: float,
        rate: int,
        track: int | None = None,
        output_rate: int | None = None,
    ):
        self.path, self.rate, self.track, self.samples = path, rate, track, 0
        self.output_rate = output_rate or rate
        self.alone, own = is_sound_file(path), own_rate(path, track)
        if self.alone and track:
            raise ValueError(f"{path}: --audio_track is {track}; a sound file has one track, number 0")
        self.file_rate = checked_rate(path, checked_rate(path, own, rate), self.output_rate)
        self.first, self.stop = (t if t == math.inf else round(t * self.file_rate) for t in (start, end))
        delay = 0.0 if self.alone else sound_delay(path, track)
        self.lead = round(delay * self.file_rate)  # samples of silence
        self._measure()
        self.notices = [] if self.alone else [line for line in [tracks_line(path, track)] if line]
        if delay > NOTICED:
            self.notices.append(
                f"{path}: its sound begins {delay:.2f} s after its picture; silence until then"
            )
        if self.mix.reason:
            self.notices.append(f"{path}: {self.mix.reason}")
        self.position = 0  # samples of the file that have been read
        self.blocks = chain(silent_blocks(self.lead), map(self.mix, self._sound()))
        self.resampler, self.keeper = (
            Resampler(self.file_rate, hz, RESAMPLED_SECONDS) for hz in (rate, self.output_rate)
        )
        self.whole = Queue()

    def _sound(self, samples: int = 1 << 18) -> Iterator[np.ndarray]:
        return wav_blocks(self.path) if self.alone else sound_blocks(self.path, samples, track=self.track)

    def _measure(self) -> None:
        """Read the part once, to choose a downmix and a gain for all of it."""
        levels, position = ChannelLevels(self.file_rate), self.lead
        for block in self._sound(self.file_rate):
            part = self._part(block, position)
            if not np.isfinite(part).all():
                raise ValueError(f"{self.path}: has non-finite values; expected sound")
            levels.push(part)
            position += block.shape[1]
            if position >= self.stop:
                break
        if position <= self.first:
            raise ValueError(self._why_nothing(position))
        self.mix = levels.downmix()
        self.gain = 1 / max(self.mix.peak, 1.0)
        samples = max(min(position, self.stop) - self.first, 0)
        self.expected = round(samples * self.output_rate / self.file_rate)

    def _part(self, block: np.ndarray, position: int) -> np.ndarray:
        """The samples of a block between start and end; `position`: that of its first one."""
        begin, end = self.first - position, min(self.stop - position, block.shape[1])
        return block[:, max(begin, 0) : max(end, 0)]

    def read(self) -> tuple[Tensor, bool]:
        """The next samples (1, n) float32, n >= 0, and whether they are the last; all times `gain`."""
        block = None if self.position >= self.stop else next(self.blocks, None)
        mono = torch.zeros(1, 0)
        if block is not None:
            part = np.ascontiguousarray(self._part(block, self.position))
            self.position += block.shape[1]
            mono = torch.from_numpy(part if self.gain == 1 else part * np.float32(self.gain))
        samples = kept = self.resampler.push(mono, last=block is None)
        if self.output_rate != self.rate:
            kept = self.keeper.push(mono, last=block is None)
            self.whole.put(kept[0])
        self.samples += kept.shape[1]
        return samples, block is None

    @property
    def seconds(self) -> float:
        """Length of the sound, as far as it has been read."""
        return self.samples / self.output_rate

    def _why_nothing(self, samples: int) -> str:
        if not samples:
            return f"{self.path}: is empty; expected sound"
        start, seconds = self.first / self.file_rate, samples / self.file_rate
        return f"{self.path}: lasts {seconds:.2f} s; --start is {start:g} s, give less"


def own_rate(path: str | Path, track: int | None = None) -> int:
    """Samples a second of a sound file, or of a sound track of a film."""
    return (sound_info(path) if is_sound_file(path) else sound_rate(path, track))[0]
