"""The spectrograms that Mono2Binaural works on: complex, of the sum of the ears, of their difference."""

import torch
import torch.nn.functional as F
from torch import Tensor

RATE = 16_000  # Hz
WINDOW = 10_080  # samples, 0.63 s: 64 frames
N_FFT, HOP, LENGTH = 512, 160, 400  # samples; of the STFT's window: LENGTH
LEVEL, QUIETEST = 0.1, 1e-4  # RMS of a normalised window; of the quietest one that becomes as loud


def to_spectrogram(wav: Tensor) -> Tensor:
    """(B, N) -> (B, 2, 256, N/160 + 1): real, imaginary part, without the uppermost bin."""
    s = torch.stft(wav, N_FFT, HOP, LENGTH, _hann(wav), pad_mode="constant", return_complex=True)
    return torch.view_as_real(s[:, :-1]).movedim(-1, 1)


def to_waveform(spectrogram: Tensor, samples: int) -> Tensor:
    """(B, 2, 256, T) -> (B, samples), the uppermost bin being 0."""
    s = F.pad(torch.view_as_complex(spectrogram.movedim(1, -1).contiguous()), (0, 0, 0, 1))
    return torch.istft(s, N_FFT, HOP, LENGTH, _hann(spectrogram), length=samples)


def _hann(like: Tensor) -> Tensor:
    return torch.hann_window(LENGTH, device=like.device)


def window_level(mono: Tensor) -> Tensor:
    """What windows (…, N) of mono sound are divided by, so that their RMS is LEVEL: (…, 1)."""
    return mono.square().mean(-1, keepdim=True).sqrt().clamp_min(QUIETEST) / LEVEL
