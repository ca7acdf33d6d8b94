"""Sampled instruments of a soundfont playing random phrases, alone."""

import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.items import Item, Sound
from DiffBinaural.corpus.phrases import Note, calls, drumming, melody_of
from DiffBinaural.corpus.sounds import prepared

RATE = 44_100  # Hz
DRUMS = 128  # bank of the drum kits
TAIL = 1.0  # seconds after the last note
SECONDS = (8.0, 14.0)  # of a phrase


class Part(NamedTuple):
    """What an instrument plays.

    presets  (bank, number) of the soundfont, one after the other
    low, high  its range in keys of MIDI; none for drum kits and effects
    every  seconds from one call of an effect to the next
    """

    presets: tuple[tuple[int, int], ...]
    low: int = 0
    high: int = 0
    chords: bool = False
    legato: float = 0.9
    phrases: int = 10
    every: tuple[float, float] = (3.0, 6.0)


def presets(*numbers: int, bank: int = 0) -> tuple[tuple[int, int], ...]:
    """Presets of one bank."""
    return tuple((bank, number) for number in numbers)


ORCHESTRA = {
    "accordion": Part(presets(21, 23), 53, 84, chords=True),
    "banjo": Part(presets(105), 48, 76, legato=1.5),
    "bass_guitar": Part(presets(33, 34, 35), 28, 52),
    "bassoon": Part(presets(70), 34, 65),
    "bell": Part(presets(9, 14), 60, 84, legato=2.0),
    "cello": Part(presets(42), 36, 67),
    "clarinet": Part(presets(71), 50, 86),
    "double_bass": Part(presets(43, 32), 28, 55),
    "drum": Part(presets(0, 8, 16, 24, 32, 40, 48, bank=DRUMS), phrases=24),
    "electric_guitar": Part(presets(27, 29, 30), 40, 76, chords=True),
    "flute": Part(presets(73, 72, 74), 60, 91, phrases=14),
    "french_horn": Part(presets(60), 41, 74),
    "guitar": Part(presets(24, 25, 26), 40, 76, chords=True, legato=1.6, phrases=20),
    "harmonica": Part(presets(22), 60, 86),
    "harp": Part(presets(46), 40, 88, chords=True, legato=2.0),
    "oboe": Part(presets(68, 69), 58, 86),
    "organ": Part(presets(16, 19), 40, 80, chords=True),
    "piano": Part(presets(0, 1, 3), 36, 88, chords=True, legato=1.2, phrases=24),
    "saxophone": Part(presets(64, 65, 66, 67), 49, 78, phrases=14),
    "steel_drum": Part(presets(114), 55, 79, legato=1.5),
    "timpani": Part(presets(47), 36, 57, legato=1.5),
    "trombone": Part(presets(57), 40, 70),
    "trumpet": Part(presets(56, 59), 55, 82, phrases=14),
    "tuba": Part(presets(58), 29, 58),
    "viola": Part(presets(41), 48, 79),
    "violin": Part(presets(40, 110), 55, 91, phrases=20),
    "xylophone": Part(presets(13, 12, 11), 60, 96),
    "bird": Part(presets(123), phrases=6, every=(0.8, 2.0)),
    "helicopter": Part(presets(125), phrases=6),
}
EFFECTS = {
    "airplane": Part(((7, 125),), phrases=6),
    "bird": Part(((3, 123),), phrases=6, every=(0.4, 1.5)),
    "car": Part(((1, 125), (2, 125), (3, 125)), phrases=12, every=(1.5, 4.0)),
    "dog": Part(((1, 123),), phrases=8, every=(0.35, 1.2)),
    "horse": Part(((2, 123),), phrases=6),
    "person": Part(((1, 126), (2, 126)), phrases=8, every=(1.2, 2.5)),
    "train": Part(((6, 125),), phrases=6),
}


def instruments(package: Path, parts: Mapping[str, Part]) -> Iterator[Item]:
    """Phrases of every part, by the first soundfont of the package."""
    path, content = next(members(package, "*.sf2", "*.sf3"), (None, b""))
    if path is None:
        raise ValueError("has no soundfont")
    synth, font = _synthesiser(content)
    for category, part in parts.items():
        for number in range(part.phrases):
            make = partial(_played, synth, font, category, part, number)
            yield Item(category, f"{category}_phrase_{number:02d}", make, path)


def _played(synth, font: int, category: str, part: Part, number: int) -> Sound | None:
    rng = np.random.default_rng([zlib.crc32(category.encode()), number])
    seconds, (bank, preset) = rng.uniform(*SECONDS), part.presets[number % len(part.presets)]
    if bank == DRUMS:
        notes = drumming(rng, seconds)
    elif part.high:
        notes = melody_of(rng, seconds, part.low, part.high, chords=part.chords, legato=part.legato)
    else:
        notes = calls(rng, seconds, part.every)
    if not synth.sfpreset_name(font, bank, preset):
        raise ValueError(f"has no preset {bank}:{preset}")
    synth.program_select(0, font, bank, preset, bank == DRUMS)
    return prepared(Sound(played(synth, notes), RATE))


def played(synth, notes: list[Note]) -> np.ndarray:
    """Notes played by a synthesiser of tinysoundfont, without room: (N,) float32 mono."""
    events = [(note.start, note.key, note.velocity) for note in notes]
    events += [(note.end - 1e-6, note.key, 0) for note in notes]
    parts, done = [], 0
    for time, key, velocity in sorted([*events, (max(note.end for note in notes) + TAIL, 0, 0)]):
        if count := round(time * RATE) - done:
            parts.append(np.frombuffer(synth.generate(count), np.float32).reshape(-1, 2).mean(1))
            done += count
        if velocity:
            synth.noteon(0, key, velocity)
        else:
            synth.noteoff(0, key)
    synth.sounds_off()
    return np.concatenate(parts)


def _synthesiser(soundfont: bytes):
    try:
        import tinysoundfont
    except ImportError:
        hint = "pip install --no-deps tinysoundfont"
        raise ValueError(f"soundfonts need tinysoundfont; {hint} (what it depends on plays live)") from None
    synth = tinysoundfont.Synth(gain=-6, samplerate=RATE)
    try:
        return synth, synth.sfload(soundfont)
    except RuntimeError as error:
        raise ValueError(f"its soundfont cannot be read ({error})") from None
