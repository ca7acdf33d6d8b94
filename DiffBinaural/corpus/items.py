"""What a corpus is made of, as files with a row each in the table of sources."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from DiffBinaural.utils.audio import write_wav

HEADER = "file,class,package,version,path,licence,credit,purposes"


class Sound(NamedTuple):
    """A mono sound."""

    samples: np.ndarray  # (N,) float in [-1, 1]
    rate: int  # Hz


class PictureSequence(NamedTuple):
    """Pictures that follow each other."""

    pictures: list[Image.Image]
    times: list[float]  # seconds at which each begins, then the end


Content = Sound | PictureSequence | Image.Image


@dataclass(frozen=True)
class Item:
    """A sound, a cut-out or a background.

    category  class of the sound or of what the cut-out shows; "" for a background
    content   makes it; None where there is too little of it.  Raises ValueError where it cannot be read
    path      where it comes from, in its package
    licence, credit  where they differ from those of the package
    """

    category: str
    stem: str
    content: Callable[[], Content | None]
    path: str
    licence: str = ""
    credit: str = ""


def at_hand(content: Content) -> Callable[[], Content]:
    """Content that is there already, for an item."""
    return lambda: content


def plain_name(text: str) -> str:
    """Text from a package as a name for files.

    >>> plain_name("../Großer Hund (2)")
    'gro_er_hund_2'
    """
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60] or "unnamed"


def path_for(item: Item, content: Content, taken: set[str]) -> str:
    """Path of an item in the corpus, unlike those taken, to which it is added."""
    category, stem = plain_name(item.category), plain_name(item.stem)
    if isinstance(content, Sound):
        folder, suffix = f"sounds/{category}", ".wav"
    elif not item.category:
        folder, suffix = "backgrounds", ".jpg"
    else:
        folder, suffix = f"cutouts/{category}", ".webp" if isinstance(content, PictureSequence) else ".png"
    number, found = 1, f"{folder}/{stem}{suffix}"
    while found in taken:
        number += 1
        found = f"{folder}/{stem}_{number}{suffix}"
    taken.add(found)
    return found


def write_content(content: Content, path: Path) -> None:
    """Write an item's file: 16-bit wav, png, jpg, or webp for a film."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, Sound):
        write_wav(path, content.samples[None], content.rate)
    elif isinstance(content, PictureSequence):
        shown = np.diff(np.round(np.multiply(content.times, 1000)).astype(int)).tolist()  # ms each
        first, *rest = content.pictures
        first.save(path, save_all=True, append_images=rest, duration=shown, loop=0, quality=90, method=3)
    elif path.suffix == ".jpg":
        content.convert("RGB").save(path, quality=90)
    else:
        content.save(path)
