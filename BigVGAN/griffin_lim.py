"""Griffin-Lim iterations: a sound's phases with the magnitudes that a mel stands for."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.mel import FLOOR, NOISE, frame_spectra, inverted, mel_basis, reflected

MOMENTUM = 0.99  # of the fast algorithm (Perraudin et al. 2013)
UPDATES = 6  # of the bins' magnitudes
# A bin grows by no more than this factor an iteration: a phase that is read from next to nothing counts for
# little, and gradients through several iterations stay finite.
LARGEST_GAIN = 30.0


def griffin_lim(wav: Tensor, mel: Tensor, cfg: MelConfig, iterations: int) -> Tensor:
    """Bring a sound's magnitudes to those of a mel; its phases follow, as overlapping frames have to agree.

    wav         (B, N)     samples, N = T · hop; of one frame, it is returned as it is
    mel         (B, M, T)  nepers
    iterations  the first moves the mel nearly all the way, the next ones make the phases agree
    ->          (B, N)

    Differentiable in both.  Griffin & Lim 1984, with the momentum of Perraudin, Balazs & Søndergaard 2013.
    """
    samples, before = wav.shape[-1], None
    if samples <= (cfg.n_fft - cfg.hop) // 2:
        return wav  # too short to be mirrored at its ends
    wanted = bin_magnitudes(mel, cfg)
    for _ in range(iterations):
        spectrum = frame_spectra(reflected(wav, cfg), cfg)
        ahead = spectrum if before is None else spectrum + MOMENTUM * (spectrum - before)
        before = spectrum
        power = ahead.real.square() + ahead.imag.square() + (wanted / LARGEST_GAIN).square()
        wav = inverted(ahead * (wanted / (power + NOISE**2).sqrt()), samples, cfg)
    return wav


def frames_reached(iterations: int, cfg: MelConfig) -> int:
    """Mel frames to each side on which a frame's samples depend through :func:`griffin_lim`."""
    if not iterations:
        return 0
    pad = (cfg.n_fft - cfg.hop) // 2  # a frame begins so many samples before its hop
    first = math.ceil((cfg.n_fft - pad) / cfg.hop) - 1
    return first + (iterations - 1) * (math.ceil(cfg.n_fft / cfg.hop) - 1) + math.ceil(pad / cfg.hop)


def bin_magnitudes(mel: Tensor, cfg: MelConfig) -> Tensor:
    """Magnitudes >= 0 of the bins whose bands are those of a log mel: (B, M, T) -> (B, F, T).

    There are more bins than bands.  The start is the smallest solution, which may be negative, cut off at a
    tenth of the band's mean; multiplicative updates (Lee & Seung 2001) then bring the bands back.
    """
    basis, bands = mel_basis(cfg, mel.device), mel.exp()
    mean = _spread(cfg, mel.device) @ bands
    bins = torch.maximum(_smallest(cfg, mel.device) @ bands, 0.1 * mean)
    target = basis.T @ bands
    for _ in range(UPDATES):
        bins = bins * target / (basis.T @ (basis @ bins)).clamp(min=FLOOR**2)
    return bins


@lru_cache
@torch.inference_mode(False)
def _smallest(cfg: MelConfig, device: torch.device) -> Tensor:
    """Pseudo-inverse of the mel filters, (F, M)."""
    return torch.linalg.pinv(mel_basis(cfg, torch.device("cpu")).double()).float().to(device)


@lru_cache
@torch.inference_mode(False)
def _spread(cfg: MelConfig, device: torch.device) -> Tensor:
    """A band's value to its bins, whose mean in the band it is where they are equal: (F, M)."""
    basis = mel_basis(cfg, device)
    per_band = basis / basis.sum(1, keepdim=True)
    return (per_band / basis.sum(0).clamp(min=FLOOR)).T
