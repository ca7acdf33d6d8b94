"""Whether a recording's binaural sound can be that of its mono."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from scipy.fft import irfft, next_fast_len, rfft

SILENT_DB = -80.0  # of full scale
LEVEL_DB = 6.0  # by which (L+R)/2 and the mono may differ
SAME_SOUND = 0.3  # correlation from which on two sounds are of one recording
LATE_SECONDS = 0.005  # by which one may be late
FARTHEST_SECONDS = 1.0  # delays that are looked for
AS_GOOD = 0.98  # of the highest correlation: of several delays the least is taken


def middle_part(path: Path, seconds: float) -> tuple[np.ndarray, int, float]:
    """At most so many seconds of the middle of a sound file.

    -> (C, N) float32; its rate in Hz; seconds before it
    """
    try:
        with soundfile.SoundFile(path) as file:
            wanted = min(round(seconds * file.samplerate), file.frames)
            file.seek(first := (file.frames - wanted) // 2)
            wave = file.read(wanted, dtype="float32", always_2d=True).T
            return wave, file.samplerate, first / file.samplerate
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path}: cannot be read as a sound file ({error.error_string})") from None


def sound_remarks(mono: np.ndarray, pair: np.ndarray, rate: int) -> Iterator[tuple[str, str]]:
    """What is wrong with the same part of a recording's sounds: kind, reason.

    mono  (1, N);  pair: (2, N), both at `rate` Hz
    """
    one, two = (decibels(sound) for sound in (mono, pair))
    if max(one, two) < SILENT_DB or min(one, two) < SILENT_DB:
        which = "both are" if max(one, two) < SILENT_DB else "its mono is" if one < two else "its ears are"
        yield "silent", f"{which} silent"
        return
    middle = pair.mean(axis=0, keepdims=True)
    if (half := decibels(middle)) < SILENT_DB:
        yield "inverted", "its channels cancel each other"
        return
    match, delay = best_match(mono[0], middle[0], rate)
    if abs(match) < SAME_SOUND:
        yield "another sound", f"(L+R)/2 and mono correlate by {abs(match):.2f} at most"
        return
    if abs(delay) > LATE_SECONDS:
        which = "binaural" if delay > 0 else "mono"
        yield "late", f"its {which} sound is {1000 * abs(delay):.0f} ms late"
    if match < 0:
        yield "inverted", f"(L+R)/2 is the mono inverted, by a correlation of {match:.2f}"
    if abs(half - one) > LEVEL_DB:
        more = "louder" if half > one else "softer"
        yield "level", f"(L+R)/2 is {abs(half - one):.1f} dB {more} than the mono"


def decibels(sound: np.ndarray) -> float:
    """Level of a sound in dB of full scale, without its mean."""
    wave = sound.astype(np.float64) - sound.mean(axis=1, keepdims=True, dtype=np.float64)
    return 10 * math.log10(max(float((wave**2).mean()), 1e-20))


def best_match(one: np.ndarray, other: np.ndarray, rate: int) -> tuple[float, float]:
    """The correlation of two sounds (N,) at the delay where it is greatest, and that delay.

    -> -1 to 1; seconds that `other` is later
    """
    reach = min(round(FARTHEST_SECONDS * rate), len(one) - 1)
    size = next_fast_len(len(one) + reach, real=True)
    waves = [wave - wave.mean() for wave in (one.astype(np.float64), other.astype(np.float64))]
    first, second = (rfft(wave, size) for wave in waves)
    around = irfft(first.conj() * second, size)
    near = np.concatenate([around[-reach:], around[: reach + 1]])
    near /= math.sqrt((waves[0] ** 2).sum() * (waves[1] ** 2).sum()) + 1e-20
    good = np.flatnonzero(np.abs(near) >= AS_GOOD * np.abs(near).max()) - reach
    lag = int(good[np.abs(good).argmin()])
    return float(near[lag + reach]), lag / rate
