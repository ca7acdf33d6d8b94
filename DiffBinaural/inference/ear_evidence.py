"""How well two channels fit sources in known directions, ears as they are against ears exchanged.

The sound is divided into cells, a mel band by STEP mel frames, each with its covariance C: the powers of
both channels, the real and the imaginary part of L R*.  A cell of a source in direction a, with a fraction
1 - q of diffuse sound, has the expected covariance S(a, q), from the listener's head; of complex Gaussian
samples with unknown power the likelihood is det(S)^-n tr(S^-1 C)^-2n.  Averaged over q and a few degrees
around a, against the average of all directions, that is how much the cell speaks for a.  Each cell belongs to
one of the sources seen, or to none of them; how much each of them has of the whole is estimated by EM
(Dempster et al. 1977).
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import diffuse, in_bands, mirrored_statistics, statistics
from DiffBinaural.heads.head import Head, relative_difference
from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.mel import frame_spectra

STEP = 4  # mel frames of a cell: 46 ms
PIECE = 256  # mel frames that are transformed at once
AZIMUTHS = np.arange(-90.0, 91.0, 5.0)  # degrees: directions that are compared
DIRECT = (0.0, 0.3, 0.6, 0.85, 0.97)  # fractions q of a cell's power that may come straight from its source
PANNED = 0.25  # weight of sound that is panned by level alone, as mixing desks do, beside sound at a head
NOISE_FLOOR = 0.01  # of a cell's power in each channel alone: what no model of a head explains
SAMPLES = 2.0  # n: independent samples that a cell is worth
BLUR = 6.0  # degrees by which a head, a camera or a box may be wrong
GATE = 1e-5  # of the strongest cell's power: weaker cells do not count
ELSEWHERE = 0.3  # of the sound that comes from none of the sources seen, beforehand
HEARD = 0.5  # that one of the sources seen sounds: enough to give them the rest of it
LEAST = 0.05  # of the cells, that the estimate of a source's share begins with
ROUNDS = 8  # of the estimate
LONGEST = 12_000  # cells of a band, 9 minutes; of a longer sound every second or third one is taken


class PairCells:
    """Covariances of two channels in cells, of a sound that comes in blocks.

    cfg  of the mel; the sound has its sample rate
    """

    def __init__(self, cfg: MelConfig):
        self.cfg, self.reach = cfg, (cfg.n_fft - cfg.hop) // 2
        self.pieces = Pieces(PIECE * cfg.hop, self.reach)
        self.rows: list[Tensor] = []

    def push(self, block: Tensor, *, last: bool = False) -> None:
        """The next samples (2, n), the last of the sound or not."""
        for piece, before, behind in self.pieces.push(block, last=last):
            around = F.pad(piece, (self.reach - before, self.reach - behind))
            if around.shape[-1] < self.cfg.n_fft:
                continue  # what remains of the sound is less than a frame
            left, right = frame_spectra(around, self.cfg)
            cross = left * right.conj()
            rows = torch.stack((left.abs() ** 2, right.abs() ** 2, cross.real, cross.imag))
            rows = in_bands(rows, self.cfg)
            whole = rows.shape[-1] // STEP * STEP
            self.rows.append(rows[..., :whole].unflatten(-1, (-1, STEP)).mean(-1))

    def covariances(self) -> tuple[Tensor, np.ndarray]:
        """Covariances (4, M, T) of all that was pushed; the middle of the cells, (T,) in seconds."""
        rows = torch.cat(self.rows, -1)
        times = (np.arange(rows.shape[-1]) + 0.5) * STEP * self.cfg.hop / self.cfg.sample_rate
        stride = -(-rows.shape[-1] // LONGEST)
        return rows[..., ::stride], times[::stride]


@lru_cache(maxsize=8)
def expected(head: Head, cfg: MelConfig) -> tuple[Tensor, Tensor]:
    """What tells how likely a covariance C is: with rows x of C, det(S)^-n (w x)^-2n over K models S.

    ->  w (2, M, A K, 4), with w x = tr(S^-1 C); det(S)^-n (2, M, A K).  The first axis: ears as they are,
        exchanged.  K: the fractions DIRECT of a source at the head, then of one that is panned
    """
    ears = head.responses(AZIMUTHS, np.zeros_like(AZIMUTHS), cfg.sample_rate, cfg.n_fft)
    panned = torch.from_numpy(-np.sin(np.radians(AZIMUTHS)))[:, None].expand(ears.shape[1:])
    kinds = torch.stack((relative_difference(ears), panned.to(ears)), 1)  # (A, 2, bins)
    direct = in_bands(statistics(kinds[..., None]), cfg)  # (A, 2, 4, M, 1)
    direct, rest = (_of_unit_power(rows) for rows in (direct, diffuse(cfg, direct.device, bands=True)))
    part = torch.tensor(DIRECT)[:, None, None, None]
    rows = (part * direct[:, :, None] + (1 - part) * rest).flatten(1, 2)  # (A, K, 4, M, 1)
    left, right, real, imaginary = torch.stack((rows, mirrored_statistics(rows)))[..., 0].unbind(-2)
    left, right = left + NOISE_FLOOR, right + NOISE_FLOOR
    determinant = left * right - real**2 - imaginary**2
    inverse = torch.stack((right, left, -2 * real, -2 * imaginary), -1) / determinant[..., None]
    kinds_weight = torch.tensor([1 - PANNED, PANNED]).repeat_interleave(len(DIRECT)) / len(DIRECT)
    scale = kinds_weight[:, None] * determinant**-SAMPLES
    return inverse.flatten(1, 2).transpose(1, 2), scale.flatten(1, 2).transpose(1, 2)


def _of_unit_power(rows: Tensor) -> Tensor:
    return rows / rows[..., :2, :, :].sum(-3, keepdim=True)


def speaks_for(rows: Tensor, head: Head, cfg: MelConfig, *, exchanged: bool) -> Tensor:
    """How much cells speak for each of AZIMUTHS, as a likelihood over the mean of all directions.

    rows       (4, M, T) covariances
    exchanged  the first channel is taken for the right ear
    ->         (M, A, T)
    """
    inverse, scale = (table[int(exchanged)] for table in expected(head, cfg))
    unit = rows / (rows[0] + rows[1]).clamp(min=1e-20)
    traces = (inverse @ unit.permute(1, 0, 2)).clamp_(min=1e-6)  # (M, A K, T), large: memory is used again
    likely = torch.div(scale[..., None], traces.square_().square_(), out=traces)  # SAMPLES is 2
    likely = likely.unflatten(1, (len(AZIMUTHS), -1)).sum(2)
    near = np.exp(-0.5 * ((AZIMUTHS[:, None] - AZIMUTHS) / BLUR) ** 2)
    likely = torch.from_numpy(near / near.sum(1, keepdims=True)).float() @ likely
    return likely / likely.mean(1, keepdim=True)


def lateral_angle(directions: np.ndarray) -> np.ndarray:
    """Degrees from the middle plane, which the ears tell apart, of azimuths, elevations (2, …)."""
    azimuth, elevation = np.radians(directions)
    return np.degrees(np.arcsin(np.sin(azimuth) * np.cos(elevation)))


def fit_of(spoken: Tensor, lateral: np.ndarray, sounding: np.ndarray, counted: Tensor) -> float:
    """Mean log likelihood ratio of the cells that count: from sources seen, against from anywhere.

    spoken    (M, A, T) of :func:`speaks_for`
    lateral   (S, T) degrees of the sources;  sounding: (S, T) probability that they sound
    counted   (M, T) bool
    ->        nats, above 0 where the sources seen explain the sound
    """
    place = torch.from_numpy((lateral - AZIMUTHS[0]) / (AZIMUTHS[1] - AZIMUTHS[0])).float()
    below = place.floor().clamp(max=len(AZIMUTHS) - 2).long()
    between = [
        torch.lerp(_picked(spoken, k), _picked(spoken, k + 1), at - k)
        for k, at in zip(below, place, strict=True)
    ]
    likely = torch.stack(between)  # (S, M, T)
    chances = torch.from_numpy(sounding).float()[:, None]  # (S, 1, T)
    seen = (1 - ELSEWHERE) * (chances.sum(0) / HEARD).clamp(max=1)

    def parts(shares: Tensor) -> tuple[Tensor, Tensor]:
        """Likelihood of the cells that each source makes, (S, M, T), and of all, (M, T)."""
        prior = shares * chances
        prior = prior * seen / prior.sum(0).clamp(min=1e-6)
        made = prior * likely
        return made, made.sum(0) + 1 - prior.sum(0)

    shares, cells = torch.ones(len(likely), 1, 1), counted.sum()
    for _ in range(ROUNDS):
        made, every = parts(shares)
        owned = (made / every * counted).sum((1, 2), keepdim=True) + LEAST * cells
        shares = owned / owned.sum()
    return float((parts(shares)[1].log() * counted).sum() / cells)


def _picked(spoken: Tensor, azimuth: Tensor) -> Tensor:
    """What cells (M, A, T) say of one azimuth (T,) each, by number: (M, T)."""
    return spoken.gather(1, azimuth.expand(len(spoken), 1, -1))[:, 0]
