"""Things that can be heard with their pictures: Tux Paint's stamps, of which many have a sound."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.items import Item
from DiffBinaural.corpus.pictures import cut_out_of
from DiffBinaural.corpus.sounds import dry_sound

ROOT = "usr/share/tuxpaint/stamps/"
# class -> stamps, where it is not the stamp's own name; the classes of COCO as COCO names them
CLASSES = {
    "airplane": "747 plane",
    "bear": "bear european-bear",
    "bicycle": "bluebike",
    "boat": "chineseJunk sail_boat1 sail_boat2 tugboat walnutBoat",
    "bus": "double_decker_bus green_korean_bus iso_bus schoolbus",
    "camel": "camel dromedary",
    "car": "beetle f1_car indycar sedan sedan_police sportscar sportscar2 sportscar3",
    "cat": "blackcat cat kitten",
    "cow": "bull cow cow_white zebu",
    "deer": "caribou deer doe wapiti",
    "dog": "dingo dog",
    "donkey": "donkey donkey_eating",
    "goat": "goat mountaingoat",
    "electric_guitar": "guitar_electric",
    "bass_guitar": "guitar_electric_bass guitar_electric_bass2",
    "guitar": "guitar2 guitar_classical",
    "helicopter": "eddieCopter",
    "horse": "horse",
    "lion": "lion lion-2",
    "motorcycle": "motorbike",
    "person": "fireman200b fireman240a girl_in_wheelchair grannysmith man_in_suit woman_chemist "
    "woman_dancing woman_doctor woman_nurse woman_police_officer_1 woman_police_officer_2",
    "pig": "pig pig_golden pig_golden2",
    "rabbit": "rabbit rabbit-2 rabbit_little",
    "drum": "drum_tomtom_floor drumkit",
    "cymbal": "cymbal_crash",
    "sheep": "ram sheep sheep_lamb",
    "tiger": "tiger tiger_sumatran",
    "tractor": "tractor tux_tractor",
    "train": "toy_train white_train tender carriage caboose boxcar tanker",
    "violin": "violin violin2",
    "truck": "blue_truck cementMixer dumper firetruck fire_engine garbagetruck terex toy_truck "
    "iso_fireengine iso_lorry1 iso_lorry2 iso_lorry3 iso_lorry4 towTruck truck",
    "zebra": "zebra zebra2",
}
CLASS_OF = {stamp: category for category, stamps in CLASSES.items() for stamp in stamps.split()}
FOLDERS = ("animals", "hobbies/music", "people", "vehicles", "seasonal/halloween/blackcat")
# parts of things, drawings of none, and pictures under the name of another
LEFT_OUT = {"7spoke256", "bikewheel", "tyre_with_rim", "scarecrow", "snowman", "trainSign", "spider_computer"}
LEFT_OUT |= {
    "spider_football",
    "wings",
    "wheel_tractor",
    "mermaid",
    "dinosaurSings",
    "edward_bear",
    "teddy_bear",
}
LEFT_OUT |= {"penguin_with_spider", "pengwin", "tux", "spider_fly"}
# a recording of less than 4 kB is a moment of silence that stands for an animal without a voice
LEAST_SOUND = 4096  # bytes


def stamps(package: Path) -> Iterator[Item]:
    """Cut-outs of people, animals, vehicles, instruments; the sounds of those that have one."""
    for path, content in members(package, *(f"{ROOT}{folder}*" for folder in FOLDERS)):
        part = PurePosixPath(path)
        if part.stem in LEFT_OUT or "body_parts" in part.parts:
            continue
        thing = part.stem.removesuffix("_mirror")
        named = CLASS_OF.get(thing, thing.split("-")[0].rstrip("0123456789"))
        category = "bird" if "birds" in part.parts else named
        if part.suffix in (".png", ".svg"):
            yield Item(category, part.stem, partial(cut_out_of, content, part.suffix), path)
        elif part.suffix in (".ogg", ".wav") and "_desc" not in part.stem and len(content) > LEAST_SOUND:
            yield Item(category, part.stem, partial(dry_sound, content), path)
