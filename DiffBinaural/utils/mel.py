"""The mel of both stages, with the interaural phasor."""

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig

FLOOR = 1e-5  # smallest magnitude of a log mel: ln 1e-5 = -11.513 nepers
NOISE = 1e-9  # power added to every bin, so that the phasor of silence is 0
DB_PER_NEPER = 20 / math.log(10)  # 8.686: a neper is a factor of e in magnitude


@lru_cache
@torch.inference_mode(False)  # the cached tensor is used in training, too
def mel_basis(cfg: MelConfig, device: torch.device) -> Tensor:
    """Slaney mel filters, (M, n_fft/2 + 1) float32."""
    import librosa

    filters = librosa.filters.mel(
        sr=cfg.sample_rate, n_fft=cfg.n_fft, n_mels=cfg.n_mels, fmin=cfg.fmin, fmax=cfg.fmax
    )
    return torch.from_numpy(filters).to(device)


def band_centres(cfg: MelConfig) -> np.ndarray:
    """Centre frequency of each mel band, (M,) in Hz."""
    import librosa

    fmax = cfg.fmax or cfg.sample_rate / 2
    return librosa.mel_frequencies(cfg.n_mels + 2, fmin=cfg.fmin, fmax=fmax)[1:-1]


@lru_cache
@torch.inference_mode(False)
def hann(size: int, device: torch.device) -> Tensor:
    """Periodic Hann window, (size,)."""
    return torch.hann_window(size, device=device)


def mel_spectrogram(wav: Tensor, cfg: MelConfig) -> Tensor:
    """Log mel of HiFi-GAN and BigVGAN; equals NVIDIA's to 1e-5 (2e-4 near the floor: float32 rounds).

    wav  (..., N)     samples in [-1, 1]
    ->   (..., M, T)  natural-log magnitude in nepers, T = N // hop, silence -11.513
    Raises ValueError for a sound too short to be reflected at its ends.
    """
    spectrum = frame_spectra(reflected(wav.reshape(-1, wav.shape[-1]), cfg), cfg)
    mel = mel_of(spectrum, cfg)
    return mel.reshape(*wav.shape[:-1], *mel.shape[-2:])


def mel_l1(estimate: Tensor, reference: Tensor, cfg: MelConfig) -> Tensor:
    """Mean absolute difference of the log mels of two sounds (…, N), in nepers."""
    return F.l1_loss(mel_spectrogram(estimate, cfg), mel_spectrogram(reference, cfg))


def mel_of(spectrum: Tensor, cfg: MelConfig) -> Tensor:
    """Log mel (…, M, T) of spectra (…, F, T): of :func:`frame_spectra`."""
    magnitude = (spectrum.real**2 + spectrum.imag**2 + NOISE).sqrt()
    return (mel_basis(cfg, spectrum.device) @ magnitude).clamp(min=FLOOR).log()


def reflected(wav: Tensor, cfg: MelConfig) -> Tensor:
    """Sounds (B, N) continued at both ends by their mirror images: frame k is centred at (k + 1/2) hops."""
    pad = (cfg.n_fft - cfg.hop) // 2
    if wav.shape[-1] <= pad:
        raise ValueError(f"a sound of {wav.shape[-1]} samples is too short for a mel; it needs {pad + 1}")
    return F.pad(wav[:, None], (pad, pad), mode="reflect").squeeze(1)


def frame_spectra(wav: Tensor, cfg: MelConfig) -> Tensor:
    """Spectra (B, n_fft/2 + 1, T) of all whole frames of sounds (B, N), the first at their first sample."""
    return torch.stft(
        wav, cfg.n_fft, cfg.hop, window=hann(cfg.n_fft, wav.device), center=False, return_complex=True
    )


def inverted(spectra: Tensor, samples: int, cfg: MelConfig) -> Tensor:
    """The sounds (C, samples) whose frames have these spectra (C, F, T): of :func:`reflected` ones."""
    window, pad = hann(cfg.n_fft, spectra.device)[:, None], (cfg.n_fft - cfg.hop) // 2
    inner = slice(pad, pad + samples)  # the weight of the outermost sample is 0
    total = overlap_add(torch.fft.irfft(spectra, dim=1) * window, cfg)[:, inner]
    return total / overlap_add((window**2).expand(1, -1, spectra.shape[-1]), cfg)[:, inner]


def overlap_add(frames: Tensor, cfg: MelConfig) -> Tensor:
    """Sum frames (C, n_fft, T) that start a hop apart: (C, (T - 1) hop + n_fft)."""
    blocks, count = -(-cfg.n_fft // cfg.hop), frames.shape[-1]  # of a hop each, in a frame
    parts = F.pad(frames.mT, (0, blocks * cfg.hop - cfg.n_fft)).unflatten(-1, (blocks, cfg.hop))
    total = frames.new_zeros(len(frames), count + blocks - 1, cfg.hop)
    for k in range(blocks):
        total[:, k : k + count] += parts[:, :, k]
    return total.flatten(1)[:, : (count - 1) * cfg.hop + cfg.n_fft]


def interaural_phasor(pair: Tensor, cfg: MelConfig) -> Tensor:
    """Phase and coherence between the ears in each mel band and frame, as a complex number of magnitude <= 1:

    P = Σ W L R* / sqrt(Σ W |L|² · Σ W |R|²), sums over the bins of a band with its mel weights W.

    pair  (2, N)     samples, left ear first
    ->    (2, M, T)  real and imaginary part, on the mel's frames; 0 in silence
    """
    return phasor_of(frame_spectra(reflected(pair, cfg), cfg), cfg)


def phasor_of(spectrum: Tensor, cfg: MelConfig) -> Tensor:
    """:func:`interaural_phasor` of the ears' spectra (2, F, T)."""
    cross, basis = spectrum[0] * spectrum[1].conj(), mel_basis(cfg, spectrum.device)
    left, right = basis @ (spectrum.real**2 + spectrum.imag**2 + NOISE)
    return (basis @ torch.stack((cross.real, cross.imag))) / (left * right).sqrt()


def frame_times(begin: float, first: int, count: int, cfg: MelConfig) -> np.ndarray:
    """Seconds (count,) at the middle of mel frames from `first` on, of a sound that begins at `begin`."""
    return begin + (first + np.arange(count) + 0.5) * cfg.hop / cfg.sample_rate


def pad_to_hop(wav: Tensor, hop: int) -> Tensor:
    """Append silence up to a whole number of frames, so that T = ceil(N / hop)."""
    return F.pad(wav, (0, -wav.shape[-1] % hop))
