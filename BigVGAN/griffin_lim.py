"""Griffin-Lim iterations: from a sound's phases to a sound with the magnitudes that a mel stands for."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.mel import FLOOR, NOISE, frame_spectra, inverted, mel_basis, reflected

MOMENTUM = 0.99  # of the fast algorithm (Perraudin et al. 2013)
UPDATES = 12  # of the bins' magnitudes
LEAST = 0.5  # of a band's mean, where these begin
# A bin grows by no more than this factor an iteration: a phase that is read from next to nothing counts for
# little, and gradients through several iterations do not explode.
LARGEST_GAIN = 30.0


def griffin_lim(wav: Tensor, mel: Tensor, cfg: MelConfig, iterations: int) -> Tensor:
    """Bring a sound's magnitudes to those of a mel; its phases follow, as overlapping frames have to agree.

    wav         (B, N)     samples, N = T · hop; up to (n_fft - hop) / 2 of them are returned as they are
    mel         (B, M, T)  nepers
    iterations  the first brings the mel most of the way, the next ones make the phases agree
    ->          (B, N)

    Differentiable in the sound.  Where that has next to nothing, phases are arbitrary: small differences of
    the input, rounding included, grow by up to 30 dB there in an iteration: samples change, the mel hardly.
    Griffin & Lim 1984, with the momentum of Perraudin, Balazs & Søndergaard 2013.
    """
    samples, previous = wav.shape[-1], None
    if samples <= (cfg.n_fft - cfg.hop) // 2:
        return wav  # too short to be mirrored at its ends
    wanted = bin_magnitudes(mel, cfg).mT.contiguous().mT  # in memory as spectra are
    for _ in range(iterations):
        spectrum = frame_spectra(reflected(wav, cfg), cfg)
        accelerated = spectrum if previous is None else spectrum + MOMENTUM * (spectrum - previous)
        previous = spectrum
        power = accelerated.real.square() + accelerated.imag.square() + (wanted / LARGEST_GAIN).square()
        wav = inverted(accelerated * (wanted / (power + NOISE**2).sqrt()), samples, cfg)
    return wav


def frames_reached(iterations: int, cfg: MelConfig) -> int:
    """Mel frames to each side on which a frame's samples depend through :func:`griffin_lim`."""
    if not iterations:
        return 0
    pad = (cfg.n_fft - cfg.hop) // 2  # a frame begins so many samples before its hop
    first = math.ceil((cfg.n_fft - pad) / cfg.hop) - 1
    return first + (iterations - 1) * (math.ceil(cfg.n_fft / cfg.hop) - 1) + math.ceil(pad / cfg.hop)


@torch.no_grad()
def bin_magnitudes(mel: Tensor, cfg: MelConfig) -> Tensor:
    """Magnitudes >= 0 of the bins whose bands are, nearly, those of a log mel: (B, M, T) -> (B, F, T).

    There are more bins than bands.  The start is the solution of least norm, which may be negative, kept
    above a part of the band's mean; multiplicative updates (Lee & Seung 2001) then bring the bands back.
    """
    basis, bands = mel_basis(cfg, mel.device), mel.exp()
    mean = _band_means(cfg, mel.device) @ bands
    bins = torch.maximum(_pseudo_inverse(cfg, mel.device) @ bands, LEAST * mean)
    target = basis.T @ bands
    for _ in range(UPDATES):
        bins *= target / (basis.T @ (basis @ bins)).clamp_(min=FLOOR**2)
    return bins


@lru_cache
@torch.inference_mode(False)
def _pseudo_inverse(cfg: MelConfig, device: torch.device) -> Tensor:
    """Pseudo-inverse of the mel filters, (F, M)."""
    return torch.linalg.pinv(mel_basis(cfg, torch.device("cpu")).double()).float().to(device)


@lru_cache
@torch.inference_mode(False)
def _band_means(cfg: MelConfig, device: torch.device) -> Tensor:
    """From bands to the magnitude that their bins would share: (F, M)."""
    basis = mel_basis(cfg, device)
    of_band = basis / basis.sum(1, keepdim=True).clamp(min=FLOOR)  # a narrow band may have no bin at all
    return (of_band / basis.sum(0).clamp(min=FLOOR)).T
