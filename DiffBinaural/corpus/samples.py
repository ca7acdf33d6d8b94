"""Sonic Pi's samples: percussion, guitar, effects."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.items import Item, Sound, at_hand
from DiffBinaural.corpus.sounds import dry_sound, joined_phrases

CLASSES = {
    "bell": "perc_bell*",
    "bird": "misc_crow",
    "cymbal": "drum_cymbal* drum_splash*",
    "drum": "bd_* drum_* sn_* tabla_* loop_amen* loop_breakbeat loop_tabla loop_perc*",
    "guitar": "guit_*",
    "piano": "ambi_piano",
    "effect": "*",  # no one thing makes them
}
SHORT = 3.0  # seconds; shorter ones are joined, as the strokes of a drum


def samples(package: Path) -> Iterator[Item]:
    """Sounds by class; short ones of a class one after the other."""
    strokes: dict[tuple[str, int], dict[str, Sound]] = {}
    for path, content in members(package, "*/samples/*.flac"):
        name = PurePosixPath(path).stem
        category = next(c for c, names in CLASSES.items() if any(fnmatchcase(name, n) for n in names.split()))
        sound = dry_sound(content)
        if sound is None:
            continue
        if len(sound.samples) < SHORT * sound.rate:
            strokes.setdefault((category, sound.rate), {})[name] = sound
        else:
            yield Item(category, name, at_hand(sound), path)
    folder = str(PurePosixPath(path).parent) if strokes else ""
    for (category, _), sounds in strokes.items():
        rng = np.random.default_rng(len(sounds))
        order = [sounds[name] for _ in range(3) for name in rng.permutation(sorted(sounds))]
        for number, piece in enumerate(joined_phrases(order, rng)):
            yield Item(category, f"{category}_strokes_{number:02d}", at_hand(piece), folder)
