"""The training loss where it is heard: on the rendered spectra of both ears, on the level between them."""

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.spatial_filters import at_bins, band_gains, wiener

STRIDE = 4  # every fourth frame: they just do not overlap, and windows begin at any frame
COMPRESSED = 0.3  # exponent of the power by which a cell counts in the compressed error
QUIET = 1e-4  # mean power of a window's spectra, relative to which quieter ones count less
PART = 0.5  # of the error that is the compressed one


def heard_losses(made: Tensor, shares: Tensor, batch: dict, cfg: MelConfig) -> dict[str, Tensor]:
    """Errors of what `wiener` renders from a prediction, and of its level between the ears.

    made    (B, 4, M, T)  mels of left and right in nepers, phasor
    shares  (B, S, M, T)
    batch   spectra (B, 3, F, T), binaural_mel, mono_mel, direct (B, S, F, T)
    ->      heard: squared error of both ears' complex spectra over the mono's power, half of it with power
            compressed; cue: mean error in nepers of the level difference, weighted by the compressed power
    """
    some = slice(None, None, STRIDE)
    mono, truth = batch["spectra"][:, 0, :, some], batch["spectra"][:, 1:, :, some]
    gain = band_gains(mono, made[:, :2, :, some], cfg)
    gain, phasor = at_bins(gain, made[:, 2:, :, some], cfg, shares[..., some], batch["direct"][..., some])
    ears = wiener(mono, gain, phasor)
    power = mono.real**2 + mono.imag**2
    wrong = torch.view_as_real(ears - truth).square().sum(-1).sum(1)
    plain = wrong.mean((1, 2)) / (power.mean((1, 2)) + QUIET)
    weight = (power + 1e-6) ** COMPRESSED
    compressed = (wrong / (power + 1e-6) * weight).mean((1, 2)) / weight.mean((1, 2))
    bands = (2 * COMPRESSED * batch["mono_mel"]).exp()
    cue = (made[:, 0] - made[:, 1]) - (batch["binaural_mel"][:, 0] - batch["binaural_mel"][:, 1])
    cue = (cue.abs() * bands[:, 0]).mean((1, 2)) / bands.mean((1, 2, 3)).clamp(min=1e-4)
    return {"heard": ((1 - PART) * plain + PART * compressed).mean(), "cue": cue.mean()}
