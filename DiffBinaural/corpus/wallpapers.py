"""Backgrounds: photographs that desktops bring as wallpapers."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.items import Item
from DiffBinaural.corpus.pictures import background


def wallpapers(package: Path, patterns: Sequence[str]) -> Iterator[Item]:
    """The pictures of a package whose paths match the patterns.

    The file's name, or where that is only a size, the name of the folder three levels up, names each.
    """
    for path, content in members(package, *patterns):
        parts = Path(path).parts
        stem = parts[-4] if parts[-3:-1] == ("contents", "images") else Path(path).stem
        yield Item("", stem, partial(background, content), path)
