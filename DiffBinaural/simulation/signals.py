"""Dry mono sounds for simulated scenes: five built-in families, or a folder of recordings."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from DiffBinaural.utils.audio import read_wav

Rng = np.random.Generator
BELL_RATIOS = np.array([0.5, 1, 1.19, 1.5, 2, 2.67, 3.5, 4.9, 6.4, 8.2, 10.1, 12.3])
SPEED_STEP = 150  # Hz: between rates that usual ones are converted to in a few hundred phases
TYPES = {".wav", ".flac", ".ogg", ".mp3"}


def harmonics(phase: np.ndarray, slope: float) -> np.ndarray:
    """The sum over k >= 1 of slope^k cos(k phase), in closed form (Moorer 1976).  phase (N,) radians."""
    return (1 - slope * np.cos(phase)) / (1 - 2 * slope * np.cos(phase) + slope**2) - 1


def glide(rng: Rng, pitch: float, n: int, rate: int) -> np.ndarray:
    """Phase (n,) in radians of a tone with vibrato and a small slur into its pitch (Hz)."""
    t = np.arange(n) / rate
    vibrato = 0.006 * np.sin(2 * np.pi * rng.uniform(4, 6.5) * t + rng.uniform(0, 6))
    slur = rng.uniform(-0.06, 0.06) * np.exp(-t / 0.04)
    return 2 * np.pi * np.cumsum(pitch * (1 + vibrato + slur)) / rate


def swell(rng: Rng, n: int, rate: int) -> np.ndarray:
    """Envelope (n,) of a sustained note: soft attack and release, slow variation between."""
    ramp = min(int(rng.uniform(0.02, 0.07) * rate), n // 2)
    edge = np.sin(np.linspace(0, np.pi / 2, ramp)) ** 2
    body = 1 + 0.15 * np.sin(np.linspace(0, rng.uniform(2, 12), n))
    return body * np.concatenate([edge, np.ones(n - 2 * ramp), edge[::-1]])


def plucked(rng: Rng, pitch: float, n: int, rate: int) -> np.ndarray:
    """A string after Karplus & Strong (1983): a burst of noise in a lossy loop."""
    period = round(rate / pitch)
    burst = np.zeros(n)
    burst[:period] = rng.standard_normal(period)[:n]
    decay, bright = 10 ** (-3 * period / rate / rng.uniform(0.8, 2.0)), rng.uniform(0.85, 0.98)
    loop = np.zeros(period + 2)
    loop[[0, period, period + 1]] = 1, -decay * bright, -decay * (1 - bright)
    return lfilter([1.0], loop, burst)


def blown(rng: Rng, pitch: float, n: int, rate: int) -> np.ndarray:
    """A pipe: harmonics and broadband breath noise."""
    breath = rng.uniform(0.05, 0.15) * rng.standard_normal(n)
    return swell(rng, n, rate) * (harmonics(glide(rng, pitch, n, rate), rng.uniform(0.6, 0.8)) + breath)


def bell(rng: Rng, pitch: float, n: int, rate: int) -> np.ndarray:
    """Inharmonic partials that decay, the high ones first, after a noisy stroke."""
    ratios = BELL_RATIOS * rng.uniform(0.99, 1.01, len(BELL_RATIOS))
    ratios = ratios[ratios * pitch < 0.45 * rate]
    t = np.arange(n) / rate
    rates = (1.5 + 0.8 * ratios) / rng.uniform(0.4, 1.0)  # nepers a second
    start = rng.uniform(0, 6, (len(rates), 1))
    tones = np.exp(np.outer(-rates, t)) * np.sin(np.outer(2 * np.pi * pitch * ratios, t) + start)
    stroke = np.exp(-t / 0.02) + 0.01 * np.exp(-t / 0.4)
    return (rng.uniform(0.4, 1, len(rates)) * ratios**-0.4) @ tones + 0.8 * stroke * rng.standard_normal(n)


def vowel(rng: Rng, pitch: float, n: int, rate: int) -> np.ndarray:
    """A voice: a glottal tone and aspiration through four formants."""
    source = harmonics(glide(rng, pitch, n, rate), 0.93) + 0.3 * rng.standard_normal(n)
    centres = rng.uniform([300, 900, 2300, 3300], [850, 2100, 3000, 4200])
    voice = 0.1 * source
    for centre, width, gain in zip(centres, (80, 120, 200, 300), (1.0, 0.7, 0.5, 0.35), strict=True):
        radius, angle = np.exp(-np.pi * width / rate), 2 * np.pi * centre / rate
        voice += gain * (1 - radius) * lfilter([1.0], [1, -2 * radius * np.cos(angle), radius**2], source)
    return swell(rng, n, rate) * voice


def noise(rng: Rng, pitch: float, n: int, rate: int) -> np.ndarray:
    """A burst of noise: sharp onset, random colour, `pitch` rattles a second."""
    t = np.arange(n) / rate
    colour = rng.uniform(-0.7, 0.7)
    rattle = np.exp(-((t * pitch) % 1) * rng.uniform(1, 4))
    return rattle * np.exp(-t / rng.uniform(0.1, 0.5)) * lfilter([1.0, colour], [1.0], rng.standard_normal(n))


# family -> its note, pitch range (Hz), length of a note (s), time from onset to onset in lengths
FAMILIES = {
    "plucked": (plucked, (110, 440), (0.6, 1.2), (0.25, 0.6)),
    "blown": (blown, (220, 880), (0.3, 0.9), (1.0, 1.2)),
    "bell": (bell, (350, 900), (0.8, 1.6), (0.3, 0.6)),
    "vowel": (vowel, (100, 320), (0.3, 0.8), (1.0, 1.25)),
    "noise": (noise, (4, 30), (0.2, 0.5), (0.7, 1.3)),
}


def melody(family: str, rng: Rng, n: int, rate: int) -> np.ndarray:
    """Notes of a family over the whole clip, (n,) at RMS 1, within five semitones of a random pitch."""
    note, pitches, lengths, steps = FAMILIES[family]
    home = np.exp(rng.uniform(*np.log(pitches)))
    out, start = np.zeros(n), int(rng.uniform(0, 0.1) * rate)
    while start < n:
        size = int(rng.uniform(*lengths) * rate)
        sound = note(rng, home * 2 ** (rng.integers(-5, 6) / 12), size, rate) * rng.uniform(0.6, 1)
        fade = min(rate // 50, size)
        sound[size - fade :] *= np.linspace(1, 0, fade)
        out[start : start + size] += sound[: n - start]
        start += int(size * rng.uniform(*steps))
    return at_unit_level(out)


def at_unit_level(sound: np.ndarray) -> np.ndarray:
    """The sound without its mean, at RMS 1."""
    sound = sound - sound.mean()
    return sound / np.sqrt(np.mean(sound**2))


def recordings(folder: str | Path) -> tuple[Path, ...]:
    """Sound files below a folder, in order of their names.  Raises ValueError when there are none."""
    found = tuple(sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in TYPES))
    if not found:
        kinds = ", ".join(sorted(TYPES))
        raise ValueError(f"{folder}: no {kinds} files; --audio_dir takes a folder of dry recordings")
    return found


class Origin(NamedTuple):
    """Where an excerpt of a recording comes from."""

    path: Path
    start: float  # seconds into the recording
    seconds: float  # length of the recording, after which it is repeated
    speed: float = 1.0  # at which it is played; pitch and formants go with it


def draw_speed(rng: Rng, speeds: tuple[float, float], rate: int) -> float:
    """A speed between the ends, uniform in pitch: the nearest that is `rate` by a multiple of SPEED_STEP."""
    low, high = speeds
    if low == high == 1:  # without a draw: scenes at the recordings' own speed are those of before
        return 1.0
    return rate / (SPEED_STEP * round(rate / SPEED_STEP / np.exp(rng.uniform(*np.log((low, high))))))


def excerpt(
    path: Path, rng: Rng, n: int, rate: int, speeds: tuple[float, float] = (1.0, 1.0)
) -> tuple[np.ndarray, Origin]:
    """An excerpt of a recording, (n,) at RMS 1: mono, looped when too short, the loudest of eight.

    speeds  lowest and highest speed at which it may be played
    """
    speed = draw_speed(rng, speeds, rate)
    sound = read_wav(path, round(rate / speed))[0].mean(0, dtype=np.float64)
    if np.ptp(sound) < 1e-4:
        raise ValueError(f"{path}: is silent; take it out of --audio_dir")
    length = len(sound)
    sound = np.tile(sound, -(-n // length))
    starts = rng.integers(0, len(sound) - n + 1, 8)
    start = int(max(starts, key=lambda start: np.var(sound[start : start + n])))
    own = rate / speed  # samples of a second of the recording
    return at_unit_level(sound[start : start + n]), Origin(path, start / own, length / own, speed)
