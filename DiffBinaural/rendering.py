"""Two ears from a mono sound, their mels and the phasor between them, on the phase that the mono has."""

import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.helpers import FLOOR, NOISE, frame_spectra, hann, mel_basis, reflected

CHUNK = 512                                            # frames that are rendered at once
CANCELLED = 0.1                                        # of the ears' power is the least the mono may hold
MOST = 3.0                                             # nepers (26 dB) between an ear and the mono, at most


# --- from bands to bins -------------------------------------------------------------------------------------

def to_bins(bands: Tensor, cfg: MelConfig) -> Tensor:
    """Values of mel bands (…, M, T) at the STFT's bins (…, F, T): means, weighted as the mel weighs the bin.

    The outermost bins, which no band hears, get what the nearest one gets.
    """
    basis = mel_basis(cfg, bands.device)
    heard = torch.nonzero(basis.sum(0))[:, 0]
    nearest = torch.arange(basis.shape[1], device=bands.device).clamp(int(heard[0]), int(heard[-1]))
    weights = basis[:, nearest].T
    return (weights / weights.sum(1, keepdim=True)) @ bands


def gains(mono: Tensor, mel: Tensor, cfg: MelConfig) -> Tensor:
    """How much stronger than the mono's spectra (F, T) the ears are, (2, F, T), by their mels (2, M, T)."""
    magnitude = (mono.real**2 + mono.imag**2 + NOISE).sqrt()
    mono_mel = (mel_basis(cfg, mono.device) @ magnitude).clamp(min=FLOOR).log()
    return to_bins((mel - mono_mel).clamp(-MOST, MOST).exp(), cfg)


# --- two ears' spectra, from a mono ∝ L + R -----------------------------------------------------------------

def closed_form(mono: Tensor, gain: Tensor, phasor: Tensor) -> Tensor:
    """Both ears as loud as their mels say, and the phasor's angle Δ between them, however short it is.

    |L| = gain |M|, and likewise R; arg L = arg M - arg(|L| + |R| e^{-iΔ}), arg R = arg L - Δ.

    mono  (F, T) complex;  gain: (2, F, T) relative to it;  phasor: (F, T) complex
    ->    (2, F, T)
    """
    turn = torch.polar(torch.ones_like(gain[0]), -phasor.angle())
    total = gain[0] + gain[1] * turn
    left = mono * total.conj() / total.abs().clamp(min=1e-6)
    return torch.stack((gain[0] * left, gain[1] * left * turn))


def wiener(mono: Tensor, gain: Tensor, phasor: Tensor) -> Tensor:
    """The least-squares estimate of L and R from M = (L + R)/2; gain and phasor say E|L|², E|R|² and E L R*:

    H_L = E L M* / E|M|² = 2 (|L|² + L R*) / (|L|² + |R|² + 2 Re L R*), H_R likewise with R L*.

    Where the phasor is short, because sources overlap or because a model is unsure, it keeps closer to
    the mono than :func:`closed_form`; and L + R = 2 M.  Shapes as there.
    """
    cross, power = gain[0] * gain[1] * phasor, (gain**2).sum(0)
    common = torch.maximum(power + 2 * cross.real, CANCELLED * power)
    response = 2 * torch.stack((gain[0] ** 2 + cross, gain[1] ** 2 + cross.conj())) / common
    return downmixed(response * mono, mono)


def downmixed(ears: Tensor, mono: Tensor) -> Tensor:
    """Two ears whose mean is the mono: what it lacks goes to both alike."""
    return ears + (mono - ears.mean(0))


RENDERERS = {"mono": closed_form, "wiener": wiener}


# --- the renderer -------------------------------------------------------------------------------------------

@torch.no_grad()
def render(mono: Tensor, mel: Tensor, cfg: MelConfig, renderer: str = "wiener", *,
           exact_downmix: bool = False, chunk: int = CHUNK) -> Tensor:
    """The two ears of a mono sound, whose STFT lies on the mel's frames and is inverted without loss.

    mono   (N,)       samples, N <= T · hop; silence is put behind them
    mel    (4, M, T)  log mels of left and right in nepers, real and imaginary part of the phasor
    renderer       of RENDERERS
    exact_downmix  the mean of the ears is the mono; that of `wiener` always is
    chunk          frames at once; changes memory, not the result
    ->     (2, T · hop)
    """
    frames, size = mel.shape[-1], mel.shape[-1] * cfg.hop
    sound = reflected(F.pad(mono, (0, size - len(mono)))[None], cfg)
    window = hann(cfg.n_fft, mono.device)
    total, weight = mono.new_zeros(2, sound.shape[1]), mono.new_zeros(sound.shape[1])
    for first in range(0, frames, chunk):
        last = min(first + chunk, frames)
        here = slice(first * cfg.hop, (last - 1) * cfg.hop + cfg.n_fft)
        spectra = frame_spectra(sound[:, here], cfg)[0]
        part = mel[..., first:last]
        phasor = torch.complex(*to_bins(part[2:], cfg))
        ears = RENDERERS[renderer](spectra, gains(spectra, part[:2], cfg), phasor)
        ears = downmixed(ears, spectra) if exact_downmix else ears
        pieces = torch.fft.irfft(ears, dim=1) * window[:, None]
        total[:, here] += overlap_add(pieces, cfg)
        weight[here] += overlap_add((window**2)[None, :, None].expand(1, -1, last - first), cfg)[0]
    pad = (cfg.n_fft - cfg.hop) // 2
    return total[:, pad : pad + size] / weight[pad : pad + size]


def overlap_add(pieces: Tensor, cfg: MelConfig) -> Tensor:
    """Sum pieces (C, n_fft, T) that start a hop apart: (C, (T - 1) hop + n_fft)."""
    size = (pieces.shape[-1] - 1) * cfg.hop + cfg.n_fft
    return F.fold(pieces, (1, size), (1, cfg.n_fft), stride=(1, cfg.hop))[:, 0, 0]

