"""Speech: the spoken prompts of the Asterisk telephone system, joined to pieces of some seconds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.items import Item, at_hand
from DiffBinaural.corpus.sounds import decoded_sound, joined_phrases, prepared

ROOT = "usr/share/asterisk/sounds/"
# no speech, or none by the same speaker
OTHERS = ("silence/", "beep", "tt-monkeys", "ascending-2tone", "descending-2tone", "confbridge-")


def speech(package: Path, name: str) -> Iterator[Item]:
    """The speech of a package, its phrases in random order.

    name  of the speaker's language, for the files
    """
    found = members(package, f"{ROOT}*.g722", f"{ROOT}*.gsm")
    phrases = {path: content for path, content in found if content}  # an empty file is in the Russian ones
    rng = np.random.default_rng(len(phrases))
    names = [name for name in sorted(phrases) if not any(f"/{other}" in name for other in OTHERS)]
    order = [names[k] for k in rng.permutation(len(names))]
    sounds = (prepared(decoded_sound(phrases[path], path.rpartition(".")[2])) for path in order)
    for number, piece in enumerate(joined_phrases((sound for sound in sounds if sound), rng)):
        yield Item("person", f"speech_{name}_{number:03d}", at_hand(piece), ROOT)
