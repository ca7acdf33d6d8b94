"""Examples of voices, of other sounds; the regression that tells them apart (detection/voice.py)."""

from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.signal import fftconvolve

from DiffBinaural.detection.loudness import Loudness
from DiffBinaural.detection.voice import voice_features, voice_windows
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.progress import Progress

RATE, LONGEST = 22_050, 12.0  # Hz; seconds of a sound that are used
VOICES = "person"  # the class of sounds that are voices
PENALTY = 0.01  # of squared weights
REVERBERATION = (0.1, 0.8), (0.0, 15.0)  # RT60 in s, direct above reverberant sound in dB: of half the copies
NOISE = (5.0, 40.0)  # dB above white noise: of half the copies


def as_recorded(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sound (N,) as it may be recorded: in a room, with noise."""
    if rng.random() < 0.5:
        rt60, direct = (rng.uniform(*bounds) for bounds in REVERBERATION)
        length = int(RATE * rt60)
        tail = rng.normal(size=length) * 10 ** (-3 * np.arange(length) / length)
        tail *= 10 ** (-direct / 20) / np.linalg.norm(tail)
        sound = sound + fftconvolve(sound, tail)[: len(sound)]
    if rng.random() < 0.5:
        level = np.sqrt(np.mean(sound**2)) * 10 ** (-rng.uniform(*NOISE) / 20)
        sound = sound + level * rng.normal(size=len(sound))
    return sound


def heard_windows(corpus: str, rng: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, 39) of a corpus' sounds in windows, and which are voices (N,); rng: as recorded, too."""
    files = sorted((Path(corpus) / "sounds").glob("*/*.*"))
    if not files:
        raise FileNotFoundError(f"{corpus}: no sounds/<class>/ in it; make corpus CORPUS={corpus} makes them")
    seen, voices = [], []
    for path in Progress(files, desc="listening", unit="sound"):
        sound = read_wav(path, RATE)[0].mean(0)[: int(LONGEST * RATE)]
        for version in (sound, as_recorded(sound, rng)) if rng else (sound,):
            loudness = Loudness(RATE)
            loudness.push(version)
            seen += [voice_features(each) for each in voice_windows(loudness.bands())]
        voices += [path.parent.name == VOICES] * (len(seen) - len(voices))
    return np.array(seen), np.array(voices)


def regression(seen: np.ndarray, voices: np.ndarray) -> dict[str, np.ndarray]:
    """Logistic regression, both kinds counting alike: mean and scale of the features, weights, bias."""
    mean, scale = seen.mean(0), seen.std(0) + 1e-6
    even = (seen - mean) / scale
    sign = np.where(voices, 1.0, -1.0)
    share = np.where(voices, 0.5 / voices.mean(), 0.5 / (1 - voices.mean())) / len(voices)

    def loss(parameters):
        margin = sign * (even @ parameters[:-1] + parameters[-1])
        slope = -share * sign / (1 + np.exp(margin))
        value = share @ np.logaddexp(0, -margin) + PENALTY * (parameters[:-1] ** 2).sum()
        return value, np.append(slope @ even + 2 * PENALTY * parameters[:-1], slope.sum())

    found = minimize(loss, np.zeros(even.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return {"mean": mean, "scale": scale, "weights": found[:-1], "bias": found[-1]}
