"""Photographs of GCompris with the sounds of what they show; the licence of each is in a README beside it."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.config import Purpose
from DiffBinaural.corpus.items import Item
from DiffBinaural.corpus.pictures import background, cut_out_of
from DiffBinaural.corpus.rcc import resources
from DiffBinaural.corpus.sounds import dry_sound

RCC = "usr/share/gcompris-qt/rcc/"
ANIMALS = ("erase", "explore_farm_animals", "explore_world_animals")
PLACES = ("explore_monuments", "categorization")
SOUNDS = ("explore_farm_animals", "explore_world_music", "instruments", "memory-sound", "railroad", "traffic")
CLASSES = {
    "bear": "polar_bear panda",
    "bird": "chicken chickens duck gosling heron kingfisher northern_harrier owl penguin scarlet_macaw "
    "spoonbills swans toucan",
    "camel": "alpaca camels",
    "car": "LRStartAndStopCarEngine1LACut car",
    "cat": "cat kitten",
    "cow": "bison calf cow",
    "dog": "LRBark_1_LA_cut LRBark_3_LA_cut dog",
    "drum": "africa bongo drum_kit japan snare_drum timpani",
    "flute": "flute_traversiere",
    "french_horn": "horn",
    "goat": "goat nubian_ibex",
    "guitar": "guitar",
    "monkey": "gibbon long_nosed_monkey macaque",
    "train": "LRTrain_slowing_down_01_LA_cut train",
}
CLASS_OF_PHOTOGRAPH = {name: category for category, names in CLASSES.items() for name in names.split()}
# sounds that nothing seen makes, or several things at once
NO_SOURCE = re.compile(
    r"LR(?!Bark|Start|Train).*|guitar_(son|melody).*|eraser.*|america|australia|beethoven|ireland|italy|mexico|middleeast"
)
FREE = re.compile(r"public domain|CC0", re.IGNORECASE)


class Licence(NamedTuple):
    """What a README says of a file."""

    name: str
    credit: str


def photographs(package: Path, purpose: Purpose) -> Iterator[Item]:
    """Animals, monuments, sounds of animals, instruments, vehicles.

    For a training, those that are in the public domain or under CC0, by the README; for tests, the others.
    """
    wanted = dict.fromkeys((*ANIMALS, *PLACES, *SOUNDS))
    for archive, content in members(package, *(f"{RCC}{name}.rcc" for name in wanted)):
        files, activity = dict(resources(content)), PurePosixPath(archive).stem
        licences = {
            PurePosixPath(path).parent: licences_of(text.decode("utf-8", "replace"))
            for path, text in files.items()
            if path.endswith("/README")
        }
        for path, held in files.items():
            licence = stated(licences, PurePosixPath(path))
            if bool(FREE.search(licence.name)) == (purpose == "training"):
                yield from _items(activity, PurePosixPath(path), held, licence)


def _items(activity: str, path: PurePosixPath, content: bytes, licence: Licence) -> Iterator[Item]:
    where = dict(path=f"{RCC}{activity}.rcc/{path}", licence=licence.name, credit=licence.credit)
    category = CLASS_OF_PHOTOGRAPH.get(path.stem, path.stem)
    if path.suffix == ".webp" and activity in ANIMALS:
        yield Item(category, f"photo_{path.stem}", partial(cut_out_of, content, path.suffix), **where)
    elif path.suffix == ".webp" and (activity == "explore_monuments" or path.parent.name == "renewable"):
        yield Item("", f"{path.parent.name}_{path.stem}", partial(background, content), **where)
    elif path.suffix in (".ogg", ".wav") and activity in SOUNDS and not NO_SOURCE.fullmatch(path.stem):
        yield Item(category, path.stem, partial(dry_sound, content), **where)


def licences_of(readme: str) -> dict[str, Licence]:
    """What a README says, by file: paragraphs of Copyright, License, Source and a list of files."""
    found: dict[str, Licence] = {}
    for paragraph in re.split(r"\n\s*\n", readme.replace("\r", "")):
        fields: dict[str, str] = {}
        last = ""
        for line in paragraph.splitlines():
            key, colon, value = line.partition(":")
            if colon and key in ("Copyright", "License", "Source", "Files", "Comment", "Comments"):
                last, fields[key] = key, value.strip()
            elif last:
                fields[last] += f" {line.strip()}"
        if "License" in fields:
            credit = " ".join(filter(None, (fields.get("Copyright"), fields.get("Source"))))
            licence = Licence(fields["License"].strip(), credit)
            found |= dict.fromkeys(fields.get("Files", "").replace(",", " ").split(), licence)
    return found


def stated(licences: dict, path: PurePosixPath) -> Licence:
    """A file's licence by the README in its folder or in the one above; else that of the package."""
    for folder in path.parents[:2]:
        name = str(path.relative_to(folder))
        if name in licences.get(folder, {}):
            return licences[folder][name]
    return Licence("", "")
