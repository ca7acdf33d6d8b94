"""Cut-outs drawn by the contributors of openclipart: people, animals, instruments, vehicles."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial
from html import unescape
from pathlib import Path, PurePosixPath

from DiffBinaural.corpus.archives import members
from DiffBinaural.corpus.items import Item
from DiffBinaural.corpus.pictures import cut_out_of

ROOT = "usr/share/openclipart/svg/"
# class -> patterns of paths below ROOT; many names are Italian
CLASSES = {
    "bear": "animals/mammals/bears/*",
    "bee": "animals/bugs/*bee* animals/bugs/abeille* animals/bugs/flying_wasp*",
    "bird": "animals/birds/*",
    "cat": "animals/mammals/housecats/* animals/mammals/cartoon_cat*",
    "cow": "animals/mammals/bull_* animals/mammals/vacca* animals/mammals/mhooo* animals/bison*",
    "deer": "animals/mammals/deer* animals/mammals/fawn* animals/mammals/antilope*",
    "dog": "animals/mammals/dogs/* animals/mammals/dog_0*",
    "elephant": "animals/mammals/*elephant* animals/mammals/elefante*",
    "frog": "animals/rana* animals/red-eye_frog*",
    "goat": "animals/mammals/goat* animals/mammals/stambecco*",
    "horse": "animals/mammals/horses/*",
    "lion": "animals/mammals/big_cats/leone*",
    "monkey": "animals/*monkey*",
    "mosquito": "animals/bugs/moschito* animals/bugs/zanzara* animals/mosquito*",
    "pig": "animals/mammals/*pig* animals/mammals/porcinet*",
    "sheep": "animals/mammals/pecora* animals/mammals/sheep* animals/mammals/dall_sheep*",
    "tiger": "animals/mammals/big_cats/*tig*",
    "whale": "animals/mammals/bluewhale* animals/mammals/orca* animals/mammals/dolphin*",
    "bass_guitar": "recreation/music/bass_guitar*",
    "cello": "recreation/music/cello*",
    "drum": "recreation/music/*drum* recreation/music/derbouk*",
    "dulcimer": "recreation/music/mountain_dulcimer*",
    "electric_guitar": "recreation/music/electric_guitar*",
    "flute": "recreation/music/flute*",
    "french_horn": "recreation/music/french_horn*",
    "guitar": "recreation/music/guitar*",
    "harp": "recreation/music/harp*",
    "maracas": "recreation/music/maracas*",
    "oboe": "recreation/music/oboe*",
    "piano": "recreation/music/piano_geraint* recreation/music/piano_keys*",
    "saxophone": "recreation/music/saxophone*",
    "trombone": "recreation/music/tenor_trombone*",
    "trumpet": "recreation/music/trumpet* recreation/music/tpt_*",
    "violin": "recreation/music/violin*",
    "xylophone": "recreation/music/xylophone*",
    "airplane": "transportation/vehicles/*plane* transportation/vehicles/aircraft*",
    "bicycle": "transportation/vehicles/bicycle* transportation/vehicles/bicicletta* "
    "transportation/vehicles/vtt*",
    "boat": "transportation/boating/sailboat_illustration.svg transportation/boating/boat_* "
    "transportation/vehicles/trawler* transportation/vehicles/the_mad_little_ship*",
    "bus": "transportation/vehicles/bus*",
    "car": "transportation/vehicles/*car* transportation/vehicles/hummer* transportation/vehicles/4wd* "
    "transportation/vehicles/*chevrolet* transportation/vehicles/blazer* transportation/vehicles/autos*",
    "tractor": "transportation/vehicles/trattore*",
    "truck": "transportation/vehicles/*truck* transportation/vehicles/ambulans* people/fire_engine*",
    "person": "people/*man* people/*woman* people/people_juliane* people/head* people/*girl* people/*boy* "
    "people/ppl? people/card_figure* people/*dancer* people/baller* people/baby_anthony* people/bride* "
    "people/groom* people/grandpa* people/*baby_enrique* people/bach* people/beethov* "
    "people/handel* people/sailor* people/kid_* people/adult* people/donna* people/signor* "
    "people/hikinh* people/backpacker* people/saxo* people/busy_mom* "
    "people/silvia* people/a_youngster* people/buddy* people/blacksmith* people/angry_punk* people/yoga* "
    "people/fitness* people/breakdance* people/future_beckham* people/self_portrait*",
}
# symbols, parts, groups, dead or sleeping animals, and what a name happens to contain
LEFT_OUT = re.compile(
    r".*(symbol|simbolo|_head|bodypart|clothing|smilies|stickmen|silhou|icon|egizio|platter|wing_|blueprint|"
    r"bluepr_|flag|lane|route|sleeping|stormo|penguin/plush|contour_bat|_eye|paper_plane|fingerprint|hand|"
    r"tatoo|strai_|van_gogh|skull|gender|dead_frogs|military|cartoon_vgcats|scrathing|outline|wedding|bottle|"
    r"romus_01|ralf_ark|manager_mimooh|stripper|sexy|_mute_|tpt_cubf|tux).*"
)
NOT_FREE = re.compile(rb"creativecommons\.org/licenses/", re.IGNORECASE)
CREATOR = re.compile(r"<dc:creator>.*?<dc:title>(.*?)</dc:title>", re.DOTALL)


def clipart(package: Path) -> Iterator[Item]:
    """Drawings of what can make a sound; those that name another licence than the public domain are not."""
    found = set()  # many drawings are in several folders
    for path, content in members(package, f"{ROOT}*.svg"):
        name = PurePosixPath(path).name
        category = class_of_drawing(path.removeprefix(ROOT))
        if category and name not in found and not NOT_FREE.search(content):
            found.add(name)
            make = partial(cut_out_of, content, ".svg")
            yield Item(category, f"drawn_{name[:-4]}", make, path, credit=_creator(content))


def class_of_drawing(path: str) -> str:
    """Class of a drawing by its path below ROOT; "" where it is none that is looked for.

    >>> class_of_drawing("animals/mammals/dogs/bored_dog_01.svg"), class_of_drawing("logos/dog.svg")
    ('dog', '')
    """
    if LEFT_OUT.fullmatch(path):
        return ""
    for category, patterns in CLASSES.items():
        if any(fnmatchcase(path, pattern) for pattern in patterns.split()):
            return category
    return ""


def _creator(svg: bytes) -> str:
    found = CREATOR.search(svg.decode("utf-8", "replace"))
    return unescape(" ".join(found[1].split()))[:100] if found else ""
