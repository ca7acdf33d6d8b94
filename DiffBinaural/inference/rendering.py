"""Renderers of binaural mels on the mono's phase."""

import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import direct_path, mixed_path
from DiffBinaural.heads.head import Head
from DiffBinaural.heads.sphere import Sphere
from DiffBinaural.spatial_filters import (
    as_loud,
    at_bins,
    band_gains,
    closed_form,
    downmixed,
    in_direct_phase,
    to_bins,
    widened,
    wiener,
    wiener_at_levels,
)
from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.mel import frame_spectra, inverted, reflected

CHUNK = 512  # frames that are rendered at once
UNLIMITED = 1e-3  # of the ears' power a downmix holds, at least: hardly a limit to (L - R)/(L + R)
GEOMETRY = "geometry"  # needs no prediction
DEFAULT_RENDERER = "levelled"


# name -> function (mono spectra (F, T), gains (2, F, T), phasor (F, T)) -> spectra of the ears (2, F, T).
# To add a renderer, write such a function and enter it here: its name becomes a choice of --renderer.
RENDERERS = {"mono_phase": closed_form, "wiener": wiener, "levelled": wiener_at_levels}


class MonoPhaseRenderer:
    """Renders two ears from a mono sound, their mels and the phasor between them, block by block.

    The mono's STFT lies on the mel's frames and is inverted without loss.

    renderer       of RENDERERS
    head           the listener's, where the directions of sources are given
    exact_downmix  the mean of the ears is the mono, as that of `wiener` and `geometry` is
    microphone     the mono is not a downmix of two ears but one microphone's: the ears get its power, and
                   their mean is another one
    strength       from the mono in both ears, 0, over the ears as made, 1, to :func:`widened` ones, 2
    chunk          frames at once; changes memory, not the result
    """

    def __init__(
        self,
        cfg: MelConfig,
        renderer: str = DEFAULT_RENDERER,
        *,
        head: Head | None = None,
        exact_downmix: bool = False,
        microphone: bool = False,
        strength: float = 1.0,
        chunk: int = CHUNK,
    ):
        self.cfg, self.renderer, self.exact_downmix = cfg, renderer, exact_downmix
        self.microphone, self.strength = microphone, strength
        self.head = head or Sphere()
        reach = -(-cfg.n_fft // cfg.hop)  # frames beside a piece that its samples depend on
        self.pieces = Pieces(chunk, reach)

    @torch.no_grad()
    def push(
        self, mono: Tensor, mel: Tensor, directions: Tensor | None = None, *, last: bool = False
    ) -> Tensor:
        """Append whole frames, the last of the clip or not.  -> the samples (2, n) that are now known

        mono        (T · hop,)     samples
        mel         (4 + S, M, T)  log mels of left and right in nepers, real and imaginary part of the
                    phasor, and of each slot for a source its share of the mono's power; S may be 0
        directions  (S, 3, T)      of these sources, as of SourcePaths
        """
        hop, wavs = self.cfg.hop, [mono.new_empty(2, 0)]
        directions = mel.new_zeros(0, 3, mel.shape[-1]) if directions is None else directions.to(mel)
        joined = torch.cat([mono.view(-1, hop).T, directions.flatten(0, 1), mel.flatten(0, 1)])
        for piece, before, behind in self.pieces.push(joined, last=last):
            mono, places, mel = piece.split(
                (hop, 3 * len(directions), len(piece) - hop - 3 * len(directions))
            )
            mono, mel = mono.T.flatten(), mel.unflatten(0, (-1, self.cfg.n_mels))
            wav = self._render(mono, mel, places.unflatten(0, (-1, 3)))
            wavs.append(wav[:, before * hop : len(mono) - behind * hop])
        return torch.cat(wavs, dim=-1)

    def _render(self, mono: Tensor, mel: Tensor, directions: Tensor) -> Tensor:
        """T frames at once; mono (T · hop,) -> (2, T · hop)."""
        if not self.strength:
            return mono.expand(2, -1)
        cfg = self.cfg
        spectra = frame_spectra(reflected(mono[None], cfg), cfg)[0]
        direct = heard = None
        if len(directions):
            direct = direct_path(self.head, directions.cpu(), cfg).to(mono.device)
        if len(directions) and self.microphone:
            heard = direct_path(self.head, directions.cpu(), cfg, UNLIMITED).to(mono.device)
        exact = direct if heard is None else heard
        if self.renderer == GEOMETRY:
            lean = mixed_path(exact, directions) if exact is not None else torch.zeros_like(spectra)
            ears = torch.stack(((1 + lean) * spectra, (1 - lean) * spectra))
        else:
            shares = mel[4:] / mel[4:].sum(0).clamp(min=1) if len(mel) > 4 else None  # guidance exaggerates
            gain = band_gains(spectra, mel[:2], cfg)
            ears = RENDERERS[self.renderer](spectra, *at_bins(gain, mel[2:4], cfg, shares, direct, heard))
            if shares is not None and exact is not None and self.renderer == DEFAULT_RENDERER:
                ears = in_direct_phase(ears, spectra, to_bins(shares, cfg), exact)
        ears = downmixed(ears, spectra) if self.exact_downmix else ears
        if self.strength > 1:
            wide = widened(ears, spectra, cfg, exact=keeps_mono(self.renderer, self.exact_downmix))
            ears = ears + (self.strength - 1) * (wide - ears)
        if self.strength < 1:
            ears = spectra + self.strength * (ears - spectra)
        ears = as_loud(ears, spectra) if self.microphone else ears
        return inverted(ears, len(mono), cfg)


def render(
    mono: Tensor,
    mel: Tensor,
    cfg: MelConfig,
    renderer: str = DEFAULT_RENDERER,
    directions: Tensor | None = None,
    **options,
) -> Tensor:
    """A whole clip by a :class:`MonoPhaseRenderer`: (2, T · hop).

    mono  (N,), N <= T · hop: silence is appended;  mel: (4 + S, M, T);  directions: (S, 3, T)
    """
    whole = F.pad(mono, (0, mel.shape[-1] * cfg.hop - len(mono)))
    return MonoPhaseRenderer(cfg, renderer, **options).push(whole, mel, directions, last=True)


def keeps_mono(renderer: str, exact_downmix: bool = False) -> bool:
    """Whether the mean of a renderer's ears is the mono, unless they get a microphone's power."""
    return exact_downmix or renderer in ("wiener", GEOMETRY)
