"""Renderers of binaural mels on the mono's phase."""

import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.mel import FLOOR, NOISE, frame_spectra, hann, mel_basis, reflected

CHUNK = 512  # frames that are rendered at once
CANCELLED = 0.1  # of the ears' power is the least the mono may hold
MAX_GAIN = 3.0  # nepers (26 dB) between an ear and the mono, at most


def to_bins(bands: Tensor, cfg: MelConfig) -> Tensor:
    """Values of mel bands (…, M, T) at the STFT's bins (…, F, T): means, weighted as the mel weighs the bin.

    The outermost bins, which no band covers, get what the nearest one gets.
    """
    basis = mel_basis(cfg, bands.device)
    covered = torch.nonzero(basis.sum(0))[:, 0]
    nearest = torch.arange(basis.shape[1], device=bands.device).clamp(int(covered[0]), int(covered[-1]))
    weights = basis[:, nearest].T
    return (weights / weights.sum(1, keepdim=True)) @ bands


def gains(mono: Tensor, mel: Tensor, cfg: MelConfig) -> Tensor:
    """How much stronger than the mono's spectra (F, T) the ears are, (2, F, T), by their mels (2, M, T)."""
    magnitude = (mono.real**2 + mono.imag**2 + NOISE).sqrt()
    mono_mel = (mel_basis(cfg, mono.device) @ magnitude).clamp(min=FLOOR).log()
    return to_bins((mel - mono_mel).clamp(-MAX_GAIN, MAX_GAIN).exp(), cfg)


def closed_form(mono: Tensor, gain: Tensor, phasor: Tensor) -> Tensor:
    """Both ears at the level of their mels, with the phasor's angle Δ between them, however short it is.

    |L| = gain |M|, and likewise R; arg L = arg M - arg(|L| + |R| e^{-iΔ}), arg R = arg L - Δ.

    mono  (F, T) complex;  gain: (2, F, T) relative to it;  phasor: (F, T) complex
    ->    (2, F, T)
    """
    turn = torch.polar(torch.ones_like(gain[0]), -phasor.angle())
    total = gain[0] + gain[1] * turn
    left = mono * total.conj() / total.abs().clamp(min=1e-6)
    return torch.stack((gain[0] * left, gain[1] * left * turn))


def wiener(mono: Tensor, gain: Tensor, phasor: Tensor) -> Tensor:
    """The least-squares estimate of L and R from M = (L + R)/2; gain and phasor give E|L|², E|R|² and E L R*:

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


# name -> function (mono spectra (F, T), gains (2, F, T), phasor (F, T)) -> spectra of the ears (2, F, T).
# To add a renderer, write such a function and enter it here: its name becomes a choice of --renderer.
RENDERERS = {"mono_phase": closed_form, "wiener": wiener}


class MonoPhaseRenderer:
    """Renders two ears from a mono sound, their mels and the phasor between them, block by block.

    The mono's STFT lies on the mel's frames and is inverted without loss.

    renderer       of RENDERERS
    exact_downmix  the mean of the ears is the mono; that of `wiener` always is
    chunk          frames at once; changes memory, not the result
    """

    def __init__(
        self,
        cfg: MelConfig,
        renderer: str = "wiener",
        *,
        exact_downmix: bool = False,
        chunk: int = CHUNK,
    ):
        self.cfg, self.renderer, self.exact_downmix = cfg, renderer, exact_downmix
        reach = -(-cfg.n_fft // cfg.hop)  # frames beside a piece that its samples depend on
        self.pieces = Pieces(chunk, reach)

    @torch.no_grad()
    def push(self, mono: Tensor, mel: Tensor, *, last: bool = False) -> Tensor:
        """Append whole frames, the last of the clip or not.  -> the samples (2, n) that are now known

        mono  (T · hop,)  samples
        mel   (4, M, T)   log mels of left and right in nepers, real and imaginary part of the phasor
        """
        hop, wavs = self.cfg.hop, [mono.new_empty(2, 0)]
        joined = torch.cat([mono.view(-1, hop).T, mel.flatten(0, 1)])
        for piece, before, behind in self.pieces.push(joined, last=last):
            mono, mel = piece[:hop].T.flatten(), piece[hop:].unflatten(0, (4, -1))
            wav = render_piece(mono, mel, self.cfg, self.renderer, exact_downmix=self.exact_downmix)
            wavs.append(wav[:, before * hop : len(mono) - behind * hop])
        return torch.cat(wavs, dim=-1)


def render(mono: Tensor, mel: Tensor, cfg: MelConfig, renderer: str = "wiener", **options) -> Tensor:
    """A whole clip by a :class:`MonoPhaseRenderer`: (2, T · hop).

    mono  (N,), N <= T · hop: silence is appended;  mel: (4, M, T)
    """
    whole = F.pad(mono, (0, mel.shape[-1] * cfg.hop - len(mono)))
    return MonoPhaseRenderer(cfg, renderer, **options).push(whole, mel, last=True)


def render_piece(mono: Tensor, mel: Tensor, cfg: MelConfig, renderer: str, *, exact_downmix: bool) -> Tensor:
    """Render T frames at once; mono (T · hop,), mel (4, M, T) -> (2, T · hop)."""
    spectra = frame_spectra(reflected(mono[None], cfg), cfg)[0]
    phasor = torch.complex(*to_bins(mel[2:], cfg))
    ears = RENDERERS[renderer](spectra, gains(spectra, mel[:2], cfg), phasor)
    ears = downmixed(ears, spectra) if exact_downmix else ears
    window, pad = hann(cfg.n_fft, mono.device)[:, None], (cfg.n_fft - cfg.hop) // 2
    total = overlap_add(torch.fft.irfft(ears, dim=1) * window, cfg)
    weight = overlap_add((window**2).expand(1, -1, mel.shape[-1]), cfg)
    return (total / weight)[:, pad : pad + len(mono)]


def overlap_add(frames: Tensor, cfg: MelConfig) -> Tensor:
    """Sum frames (C, n_fft, T) that start a hop apart: (C, (T - 1) hop + n_fft)."""
    size = (frames.shape[-1] - 1) * cfg.hop + cfg.n_fft
    return F.fold(frames, (1, size), (1, cfg.n_fft), stride=(1, cfg.hop))[:, 0, 0]
