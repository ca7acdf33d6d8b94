"""Mels in bounded memory: of sounds in blocks, of files, as columns for plots."""

from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.audio import Resampler, sound_info, wav_blocks
from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.mel import mel_spectrogram

BLOCK = 5168  # mel frames that are processed at once: 60 s


class MelStream:
    """:func:`mel_spectrogram` of a sound that comes in blocks: the same frames.

    Silence fills the last frame, and a sound too short for a mel.
    """

    def __init__(self, cfg: MelConfig):
        self.cfg, self.samples = cfg, 0  # received
        reach = -(-(cfg.n_fft - cfg.hop) // 2 // cfg.hop) + 1  # frames that a piece's end disturbs
        self.pieces = Pieces(BLOCK * cfg.hop, reach * cfg.hop)

    def push(self, samples: Tensor, *, last: bool = False) -> list[tuple[Tensor, Tensor]]:
        """Append samples (C, n), the last of the sound or not.

        ->  pieces that are now known, each its samples (C, T · hop) and its mel (C, M, T)
        """
        self.samples += samples.shape[1]
        if last:
            hop, least = self.cfg.hop, (self.cfg.n_fft - self.cfg.hop) // 2 + 1
            missing = -(-max(self.samples, least) // hop) * hop - self.samples
            samples = torch.cat([samples, samples.new_zeros(len(samples), missing)], dim=-1)
        return [self._known(*piece) for piece in self.pieces.push(samples, last=last)]

    def _known(self, piece: Tensor, before: int, behind: int) -> tuple[Tensor, Tensor]:
        end, hop = piece.shape[1] - behind, self.cfg.hop
        mel = mel_spectrogram(piece, self.cfg)[..., before // hop : end // hop]
        return piece[:, before:end], mel


class Columns:
    """Mels (…, M, T) of any length at a bounded number of columns: neighbouring frames are averaged.

    limit   greatest number of columns
    stride  frames per column, to begin with
    """

    def __init__(self, limit: int = 8192, stride: int = 1):
        self.limit, self.stride, self.made, self.rest = limit, stride, None, None

    def add(self, mel: Tensor) -> None:
        """Append frames."""
        self.rest = mel if self.rest is None else torch.cat([self.rest, mel], dim=-1)
        whole = self.rest.shape[-1] // self.stride
        new = self.rest[..., : whole * self.stride].unflatten(-1, (whole, self.stride)).mean(-1)
        self.rest = self.rest[..., whole * self.stride :].clone()
        self.made = new if self.made is None else torch.cat([self.made, new], dim=-1)
        while self.made.shape[-1] > self.limit:
            if self.made.shape[-1] % 2:  # the last column waits for a neighbour
                odd = self.made[..., -1:].expand(*self.made.shape[:-1], self.stride)
                self.rest, self.made = torch.cat([odd, self.rest], dim=-1), self.made[..., :-1]
            self.made = self.made.unflatten(-1, (-1, 2)).mean(-1)
            self.stride *= 2


def mels_of_file(path: str | Path, cfg: MelConfig) -> Iterator[Tensor]:
    """Mels (C, M, T) of a sound file, piece by piece, at the mels' sample rate."""
    rate, _ = sound_info(path)
    resampler, stream = Resampler(rate, cfg.sample_rate, BLOCK * cfg.hop / cfg.sample_rate), MelStream(cfg)
    for block, following in pairwise(chain(wav_blocks(path), [None])):
        last = following is None
        samples = resampler.push(torch.from_numpy(block), last=last)
        yield from (mel for _, mel in stream.push(samples, last=last))
