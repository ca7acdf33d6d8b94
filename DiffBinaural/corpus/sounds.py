"""Dry sounds for a corpus: decoded, trimmed, at one level."""

import io
from collections.abc import Iterable, Iterator

import av
import numpy as np
import soundfile

from DiffBinaural.corpus.items import Sound

LEVEL = 0.1  # RMS of a sound's loud parts: -20 dBFS
PEAK = 0.9  # at most
QUIET = -45.0  # dB below the loudest 10 ms: silence, where a sound begins and ends
LOUD = -25.0  # dB below the loudest 10 ms: what counts for the level
REACH = 30  # blocks of 10 ms: what is left of a silence, so that pauses in a sound are short
SHORTEST = 0.15  # seconds
FADE = 0.005  # seconds, where a sound is cut
PIECE, LONGEST_PHRASE = 8.0, 12.0  # seconds: joined phrases last 8 to 20 s
GAPS = (0.1, 0.25)  # seconds between phrases


def decoded_sound(content: bytes, kind: str = "") -> Sound:
    """A sound file's content as mono.

    kind  g722 or gsm for a raw stream of that codec, which has no header
    Raises ValueError where it cannot be decoded, is not finite or is empty.
    """
    try:
        if kind == "g722":
            with av.open(io.BytesIO(content), format="g722") as box:
                blocks = [frame.to_ndarray().reshape(-1) for frame in box.decode(audio=0)]
            samples, rate = np.concatenate(blocks) / np.float32(32768), 16_000
        else:
            raw = dict(samplerate=8000, channels=1, format="RAW", subtype="GSM610") if kind == "gsm" else {}
            samples, rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True, **raw)
            samples = samples.mean(1)
    except (av.FFmpegError, soundfile.LibsndfileError, ValueError) as error:
        raise ValueError(f"cannot be decoded ({error})") from None
    if not samples.size or not np.isfinite(samples).all():
        raise ValueError("is empty or has non-finite samples")
    return Sound(samples, rate)


def dry_sound(content: bytes) -> Sound | None:
    """A sound file's content, decoded and :func:`prepared`."""
    return prepared(decoded_sound(content))


def relative_levels(sound: Sound) -> np.ndarray:
    """RMS of each 10 ms in dB below the loudest, (N // hop,); a sound shorter than that has none."""
    hop = sound.rate // 100
    power = np.square(sound.samples[: len(sound.samples) // hop * hop].reshape(-1, hop)).mean(1)
    return 10 * np.log10(np.maximum(power, 1e-12) / max(power.max(initial=0), 1e-12))


def prepared(sound: Sound, *, trim: bool = True) -> Sound | None:
    """A sound without silences but short ones, its loud parts at LEVEL; None where it is too short or silent.

    trim  False keeps its times, as a picture that moves with it needs
    """
    samples = sound.samples - sound.samples.mean()
    loudness, hop = relative_levels(Sound(samples, sound.rate)), sound.rate // 100
    if len(loudness) < 100 * SHORTEST or np.abs(samples).max() < 1e-3:
        return None
    power = np.square(samples[: len(loudness) * hop].reshape(-1, hop)).mean(1)
    gain = min(LEVEL / np.sqrt(power[loudness > LOUD].mean()), PEAK / np.abs(samples).max())
    if trim:
        end = np.flatnonzero(loudness > QUIET)[-1] + 3
        blocks = samples[: len(loudness) * hop].reshape(-1, hop)[:end]
        samples = blocks[near_sound(loudness[:end] > QUIET)].reshape(-1)
    if len(samples) < SHORTEST * sound.rate:
        return None
    return Sound(faded(samples * gain, sound.rate), sound.rate)


def near_sound(audible: np.ndarray) -> np.ndarray:
    """Which of the blocks (n,) are audible, or no more than REACH blocks after one that is, 1 before one."""
    blocks = np.arange(len(audible))
    since = blocks - np.maximum.accumulate(np.where(audible, blocks, -len(blocks)))
    return (since <= REACH) | np.append(audible[1:], False)


def faded(samples: np.ndarray, rate: int) -> np.ndarray:
    """Samples (N,) with a short fade at both ends."""
    ramp = np.linspace(0, 1, round(FADE * rate), endpoint=False, dtype=np.float32)
    edge = np.ones(len(samples), np.float32)
    edge[: len(ramp)] *= ramp
    edge[len(edge) - len(ramp) :] *= ramp[::-1]
    return samples * edge


def joined_phrases(phrases: Iterable[Sound], rng: np.random.Generator) -> Iterator[Sound]:
    """Phrases of one rate, with short gaps between them, as pieces of about 8 to 20 s.

    A phrase of more than 12 s loses its end; a remainder of less than 8 s is left out, unless it is all.
    """
    parts, total, complete = [], 0.0, False
    for phrase in phrases:
        samples = phrase.samples[: round(LONGEST_PHRASE * phrase.rate)]
        gap = np.zeros(round(rng.uniform(*GAPS) * phrase.rate), np.float32)
        parts += [faded(samples, phrase.rate), gap]
        total += (len(samples) + len(gap)) / phrase.rate
        if total >= PIECE:
            yield Sound(np.concatenate(parts[:-1]), phrase.rate)
            parts, total, complete = [], 0.0, True
    if parts and not complete:
        yield Sound(np.concatenate(parts[:-1]), phrase.rate)
