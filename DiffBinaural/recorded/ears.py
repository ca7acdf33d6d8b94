"""The two ears of a recording, refused where they teach nothing."""

import math
from pathlib import Path

import numpy as np
import torch

from DiffBinaural.dataset.dataset_real_binaural import RATE
from DiffBinaural.inference.audio_source import AudioSource
from DiffBinaural.inference.channel_pairs import one_sound
from DiffBinaural.inference.ear_checks import pair_blocks
from DiffBinaural.utils.audio import is_sound_file
from DiffBinaural.utils.downmix import CANCELLED
from DiffBinaural.utils.media import sound_delay


def read_ears(path: Path, track: int | None = None) -> tuple[np.ndarray, float]:
    """The two channels of a sound file, or of a media file's sound track.

    -> (2, N) float32 at our rate, which begin with the film; seconds of silence at their beginning, where the
       film's sound begins later than its picture
    Raises ValueError for a file without exactly two channels, or with values that are not finite.
    """
    blocks = list(pair_blocks(path, RATE, track))
    if len(blocks[0]) != 2:
        raise ValueError(f"{path}: has one channel; expected 2, the left and the right ear")
    return torch.cat(blocks, dim=1).numpy(), 0.0 if is_sound_file(path) else sound_delay(path, track)


def read_mono(path: Path) -> tuple[np.ndarray, list[str]]:
    """The mono sound of a file, (1, N) float32 at our rate, and what was done with its channels, in lines."""
    source, parts, last = AudioSource(path, 0.0, math.inf, RATE), [], False
    while not last:
        samples, last = source.read()
        parts.append(samples)
    return (torch.cat(parts, dim=1) / source.gain).numpy(), source.notices


def check_pair(path: Path, pair: np.ndarray) -> None:
    """Raise ValueError where two channels (2, N) are not two ears: nothing is to be learnt from them."""
    if why := one_sound(pair, RATE):
        raise ValueError(f"{path}: {why}; expected the sound of two ears")
    left, right = pair.astype(np.float64) - pair.mean(axis=1, keepdims=True)
    if ((left + right) ** 2).mean() < CANCELLED * ((left**2).mean() + (right**2).mean()):
        raise ValueError(f"{path}: its channels cancel each other, one is inverted; expected two ears")
