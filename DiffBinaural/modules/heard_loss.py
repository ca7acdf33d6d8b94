"""The training loss where it is heard: on the rendered spectra of both ears, on the level between them."""

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.spatial_filters import at_bins, band_gains, shared_at_bins, wiener

STRIDE = 4  # every fourth frame: they just do not overlap, and windows begin at any frame
COMPRESSED = 0.3  # exponent of the power by which a cell counts in the compressed error
QUIET = 1e-4  # mean power of a window's spectra, relative to which quieter ones count less
SILENT = 1e-6  # power of a cell, below which it counts less
ALONE = 0.5  # of the error is that of the shares without what is added to them


def heard_losses(made: Tensor, shares: Tensor, batch: dict, cfg: MelConfig) -> dict[str, Tensor]:
    """Errors of what `wiener` renders from a prediction, and of its level between the ears.

    made    (B, 4, M, T)  mels of left and right in nepers, phasor
    shares  (B, S, M, T)
    batch   spectra (B, 3, F, T), binaural_mel, mono_mel, direct (B, S, F, T)
    ->      heard: see :func:`heard_error`, part of it that of the shares alone: what they can say, they
            must, since only they know the bins; cue: mean error in nepers of the level difference,
            weighted by the compressed power
    """
    some = slice(None, None, STRIDE)
    mono, truth = batch["spectra"][:, 0, :, some], batch["spectra"][:, 1:, :, some]
    shares, direct = shares[..., some], batch["direct"][..., some]
    gain = band_gains(mono, made[:, :2, :, some], cfg)
    whole = heard_error(at_bins(gain, made[:, 2:, :, some], cfg, shares, direct), mono, truth)
    alone = heard_error(shared_at_bins(shares, direct, cfg), mono, truth)
    bands = (2 * COMPRESSED * batch["mono_mel"]).exp()
    cue = (made[:, 0] - made[:, 1]) - (batch["binaural_mel"][:, 0] - batch["binaural_mel"][:, 1])
    cue = (cue.abs() * bands[:, 0]).mean((1, 2)) / bands.mean((1, 2, 3)).clamp(min=1e-4)
    return {"heard": torch.lerp(whole, alone, ALONE).mean(), "cue": cue.mean()}


def heard_error(filters: tuple[Tensor, Tensor], mono: Tensor, truth: Tensor) -> Tensor:
    """Squared error (B,) of what `wiener` renders by gains and phasor, relative to the ears' power.

    Half of it is the plain error, half of it that of cells which count as their power compressed.

    filters  gains (B, 2, F, T) and phasor (B, F, T);  mono: (B, F, T);  truth: (B, 2, F, T)
    """
    wrong = torch.view_as_real(wiener(mono, *filters) - truth).square().sum(-1).sum(1)
    power = (truth.real**2 + truth.imag**2).sum(1)
    plain = wrong.mean((1, 2)) / (power.mean((1, 2)) + QUIET)
    weight = (power + SILENT) ** COMPRESSED
    compressed = (wrong / (power + SILENT) * weight).mean((1, 2)) / weight.mean((1, 2))
    return (plain + compressed) / 2
