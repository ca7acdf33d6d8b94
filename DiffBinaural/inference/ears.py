"""Whose ears two channels are: as the picture has it, exchanged, or one sound."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.head import Head
from DiffBinaural.inference.channel_pairs import ChannelPair
from DiffBinaural.inference.ear_evidence import GATE, PairCells, fit_of, lateral_angle, speaks_for

Verdict = Literal["agrees", "swapped", "mono", "cannot tell"]

SLOTS = 8  # sources at a time that are taken into account
SURE = 0.7  # probability from which on it is said that the channels agree or are swapped
WIDER = (0.35, 0.5, 0.7, 1.0, 1.4)  # times as far from the middle as the field of view says: it may be wrong
WIDER_WEIGHTS = (0.1, 0.15, 0.15, 0.5, 0.1)  # how likely each of these is beforehand
NEITHER = 0.1  # probability beforehand that the sound is not that of the picture
STRENGTH = 40.0  # nats that a fit of 1 nat a cell is worth: cells tell the same again and again
CHANCE = 0.05  # nats a cell that sources in wrong places fit by chance
COINCIDENCE = 0.3  # of the scenes whose sources are not seen, that fit what is seen one way all the same
HALF_SURE = 0.5  # seconds of sound whose cells are worth half as much as those of a long one


@dataclass(frozen=True)
class EarCheck:
    """What was found of two channels.

    verdict     the channels agree with the picture, are swapped, hold one sound (mono), or it cannot be told
    confidence  probability that the verdict is right; where it cannot be told, of the likelier of the two
    agrees      probability that they agree;  swapped: that they are swapped; both 0 of one sound
    reason      in words
    """

    verdict: Verdict
    confidence: float
    agrees: float
    swapped: float
    reason: str


def compare_with_picture(
    blocks: Iterable[Tensor],
    directions: Callable[[np.ndarray], Tensor],
    head: Head,
    cfg: MelConfig = MelConfig(),  # noqa: B008
) -> EarCheck:
    """Compare a sound of two channels with where its sources are seen.

    blocks      of the sound, (2, n) each, at the mel's sample rate; left ear first, if they agree
    directions  at times (T,) in seconds: (S, 3, T) as of SourcePaths.directions; not called for one sound
    head        that the sound was recorded with, or one like it
    Exchanged channels exchange `agrees` and `swapped`, exactly.
    """
    pair, cells = ChannelPair(cfg.sample_rate), PairCells(cfg)
    for block in blocks:
        pair.push(block)
        cells.push(block)
    if pair.samples < cfg.n_fft:
        return EarCheck("cannot tell", 0.0, 0.0, 0.0, f"{pair.samples} samples are too short a sound")
    for part in (pair, cells):
        part.push(torch.zeros(2, 0), last=True)
    if why := pair.one_sound():
        return EarCheck("mono", 1.0, 0.0, 0.0, why)
    rows, times = cells.covariances()
    azimuth, elevation, sounding = directions(times).double().numpy().transpose(1, 0, 2)
    power = rows[0] + rows[1]
    counted = power > GATE * power.max()
    heard = counted.any(0).numpy()
    if not (sounding[:, heard] > 0).any():
        return EarCheck("cannot tell", 0.0, 0.0, 0.0, "no source is seen while there is sound")
    fits = [
        [fit_of(spoken, angle, sounding, counted) for angle in _at_other_fovs(azimuth, elevation)]
        for spoken in (speaks_for(rows, head, cfg, exchanged=exchanged) for exchanged in (False, True))
    ]
    seconds = float(heard.sum()) * (times[1] - times[0] if len(times) > 1 else 0.0)
    seen = float(sounding.sum(0).clip(max=1)[heard].mean())
    return judged(*probabilities(np.array(fits), seconds, seen))


def _at_other_fovs(azimuth: np.ndarray, elevation: np.ndarray) -> list[np.ndarray]:
    """Lateral angles in degrees if the pictures were WIDER than stated; arrays of one shape."""
    across = np.tan(np.radians(np.clip(azimuth, -89, 89)))
    return [lateral_angle(np.stack((np.degrees(np.arctan(by * across)), elevation))) for by in WIDER]


def probabilities(fits: np.ndarray, seconds: float, seen: float) -> tuple[float, float, float]:
    """That the channels agree with the picture, are swapped, have nothing to do with it.

    fits     (2, WIDER) of :func:`fit_of`, channels as they are, exchanged
    seconds  of sound
    seen     probability that what sounds is among the sources seen
    """
    strength = STRENGTH * seconds / (seconds + HALF_SURE)
    weights = np.array(WIDER_WEIGHTS) * (1 - NEITHER) / 2
    logs = [float(np.logaddexp.reduce(strength * row + np.log(weights))) for row in fits]
    logs.append(math.log(NEITHER) + strength * CHANCE)
    known = seen / (seen + (1 - seen) * COINCIDENCE)
    agrees, swapped, _ = known * np.exp(np.array(logs) - np.logaddexp.reduce(logs))
    return float(agrees), float(swapped), float(1 - agrees - swapped)


def judged(agrees: float, swapped: float, neither: float) -> EarCheck:
    """The verdict by three probabilities, whose sum is 1."""
    if agrees >= SURE:
        return EarCheck("agrees", agrees, agrees, swapped, "it sounds from where sources are seen")
    if swapped >= SURE:
        why = "exchanged, it would sound from where sources are seen"
        return EarCheck("swapped", swapped, agrees, swapped, why)
    why = (
        "it sounds from elsewhere than where sources are seen"
        if neither > max(agrees, swapped)
        else "sources are near the middle, or on both sides alike"
    )
    return EarCheck("cannot tell", max(agrees, swapped), agrees, swapped, why)
