"""Whether a sound is a voice, from how its energy goes in eight bands; which sources it speaks for.

Speech has syllables: 3 to 7 times a second the energy rises and falls, in low bands (vowels) at other moments
than in high ones (s, t).  A logistic regression on the levels, their spread, how fast they change and how
alike neighbouring bands are tells 3 s of speech from 3 s of anything else.  experiments/fit_voice.py makes
voice.npz and prints how often it is right.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from DiffBinaural.detection.found import ANIMALS, PERSON, VEHICLES

FITTED = Path(__file__).with_name("voice.npz")
RATE = 100  # samples of energy a second
# of a window; from window to window; of a sound that is shorter, at least
LENGTH, STEP, LEAST = 3 * RATE, 3 * RATE // 2, RATE
SYLLABLES = ((1, 3), (3, 7), (7, 15), (15, 40))  # Hz, of what changes
GROUPS = (slice(0, 3), slice(3, 6), slice(6, 8))  # low, middle, high bands
FAINT = 1e-4  # of the loud parts' energy: less is silence
SOUNDING = 0.3  # of a window's samples, at least, are louder
MOST = 4.0  # log odds of one window, at most
# Of what people make heard, how much is voice (the rest: instruments, steps); of what animals and vehicles do
OF_PEOPLE, OF_THINGS, OF_ANYTHING = 0.7, 0.05, 0.5


def voice_features(bands: np.ndarray) -> np.ndarray:
    """What the regression sees (39,) of energies (N, 8) in bands, RATE a second; the same at any gain."""
    energy = bands.sum(1)
    faint = np.percentile(energy, 95) * FAINT + 1e-30
    levels = np.log(bands + faint / bands.shape[1])
    mean = levels.mean(0)
    changes = levels - mean
    power = np.abs(np.fft.rfft(changes * np.hanning(len(changes))[:, None], axis=0)) ** 2
    speed = np.fft.rfftfreq(len(changes), 1 / RATE)
    total = power[speed > 0.5].sum(0) + 1e-3
    parts = [power[(speed >= low) & (speed < high)].sum(0) / total for low, high in SYLLABLES]
    spread = changes.std(0)
    alike = (changes.T @ changes) / len(changes) / (np.outer(spread, spread) + 1e-6)
    soft, middle, loud = np.percentile(np.log(energy + faint), (10, 50, 90))
    return np.concatenate(
        [
            mean - mean.mean(),
            spread,
            [part[group].mean() for group in GROUPS for part in parts],
            np.diagonal(alike, 1),
            [alike[0, 7], alike[1, 6], middle - soft, loud - middle],
        ]
    )


def voice_windows(bands: np.ndarray) -> list[np.ndarray]:
    """Energies (N, 8) in windows of LENGTH samples, those with sound; a shorter sound as one."""
    if len(bands) < LEAST:
        return []
    starts = range(0, max(len(bands) - LENGTH, 0) + 1, STEP)
    audible = np.percentile(bands.sum(1), 95) * FAINT
    cut = [bands[start : start + LENGTH] for start in starts]
    return [each for each in cut if np.mean(each.sum(1) > audible) > SOUNDING]


@lru_cache(maxsize=1)
def _fitted() -> dict[str, np.ndarray]:
    """Mean and scale of the features (39,), weights (39,), bias ()."""
    with np.load(FITTED, allow_pickle=False) as file:
        return dict(file)


def voice_probability(bands: np.ndarray) -> float:
    """Probability that a sound is a voice, by energies (N, 8) in bands, RATE a second; 0.5 of too little."""
    cut = voice_windows(bands)
    if not cut:
        return 0.5
    of = _fitted()
    odds = (np.stack([voice_features(each) for each in cut]) - of["mean"]) / of["scale"] @ of["weights"] + of[
        "bias"
    ]
    return float(1 / (1 + np.exp(-np.clip(odds, -MOST, MOST).mean())))


def odds_of_kinds(labels: Sequence[str], voice: float) -> np.ndarray:
    """Factors (K,) of the odds that tracks with these labels sound against that none does.

    voice  probability that the sound is a voice.  1 for devices: a television plays anything, and music in a
           kitchen is none of the refrigerator's
    """
    share = {PERSON: OF_PEOPLE, **dict.fromkeys(ANIMALS | VEHICLES, OF_THINGS)}
    of = np.array([share.get(label, OF_ANYTHING) for label in labels])
    return (of * voice + (1 - of) * (1 - voice)) / OF_ANYTHING
