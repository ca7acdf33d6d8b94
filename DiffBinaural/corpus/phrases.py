"""Random phrases for sampled instruments: notes in time."""

from typing import NamedTuple

import numpy as np

Rng = np.random.Generator
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 2, 3, 5, 7, 9, 10))
BEATS = (0.25, 0.5, 0.5, 0.5, 1.0, 1.0, 1.5, 2.0)  # lengths of notes; the usual ones are there more often
# General MIDI's keys of a drum kit
KICK, SNARE, HATS, TOMS, CRASH = 36, (38, 40, 37), (42, 44, 46), (41, 45, 47, 48, 50), (49, 51, 57)


class Note(NamedTuple):
    """A note of a phrase."""

    start: float  # seconds
    end: float
    key: int  # of MIDI: 60 is the middle C, 261.6 Hz
    velocity: int  # 1 to 127


def melody_of(rng: Rng, seconds: float, low: int, high: int, *, chords: bool, legato: float) -> list[Note]:
    """A tune between two keys: a walk along a scale, now and then with a leap or a rest.

    chords  add thirds and fifths below some notes
    legato  how long a note sounds, in parts of its time; above 1 it rings into the next
    """
    scale = SCALES[rng.integers(len(SCALES))]
    home = int(rng.integers(12))
    keys = [key for key in range(low, high + 1) if (key - home) % 12 in scale]
    beat, at, force, time = 60 / rng.uniform(66, 150), int(rng.integers(len(keys))), rng.uniform(60, 100), 0.0
    notes = []
    while time < seconds:
        length = beat * rng.choice(BEATS)
        step = rng.choice([-2, -1, -1, 0, 1, 1, 2]) if rng.random() < 0.85 else rng.integers(-7, 8)
        at = int(np.clip(at + step, 0, len(keys) - 1))
        force = float(np.clip(force + rng.normal(0, 8), 40, 120))
        if rng.random() > 0.1:
            below = [2, 4] if chords and rng.random() < 0.4 else []
            for key in [keys[at], *(keys[at - k] for k in below if at >= k)]:
                notes.append(Note(time, time + length * legato, key, round(force)))
        time += length
    return notes


def drumming(rng: Rng, seconds: float) -> list[Note]:
    """A rhythm for a drum kit: a bar of eighths that is repeated with changes, fills on the toms."""
    step, hat = 30 / rng.uniform(70, 150), HATS[rng.integers(3)]
    kick, snare = rng.random(8) < 0.3, rng.random(8) < 0.1
    kick[0], snare[[2, 6]] = True, True
    notes, count = [], 0
    while count * step < seconds:
        place, fill = count % 8, count % 32 >= 28
        hits = [TOMS[rng.integers(5)]] if fill else [hat] * (rng.random() < 0.9)
        hits += [KICK] * bool(kick[place] ^ (rng.random() < 0.1))
        hits += [SNARE[rng.integers(3)]] * bool(snare[place] ^ (rng.random() < 0.05))
        hits += [CRASH[rng.integers(3)]] * (count % 32 == 0)
        notes += [Note(count * step, (count + 1) * step, key, int(rng.integers(60, 120))) for key in hits]
        count += 1
    return notes


def calls(rng: Rng, seconds: float, every: tuple[float, float]) -> list[Note]:
    """Notes near the middle C, at which a soundfont's effects sound as they were recorded.

    every  seconds from one to the next, at least and at most
    """
    notes, time = [], 0.0
    while time < seconds:
        end = time + rng.uniform(*every)
        notes.append(Note(time, end, int(rng.integers(57, 64)), int(rng.integers(70, 120))))
        time = end
    return notes
