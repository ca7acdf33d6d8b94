"""What a visitor asks for: the controls of the page, the sources that were dragged."""

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from BigVGAN.request import AUTO, MONOS
from DiffBinaural.utils.lens import AUTO_FOV, check_fov

Reach = Literal["all", "onwards", "around"]
MOST = 200  # moves of one visitor
LETTERS = 80  # of a track's name


@dataclass(frozen=True)
class Move:
    """A source that was dragged."""

    track: str
    time: float  # seconds of the video at which it was dragged
    azimuth: float  # degrees, where it was put; positive right
    reach: Reach = "all"  # its whole way turns with it; what comes later; some seconds around

    def __post_init__(self):
        name = isinstance(self.track, str) and 0 < len(self.track) <= LETTERS and self.track.isprintable()
        numbers = _is_number(self.time) and _is_number(self.azimuth)
        if not (name and numbers and self.time >= 0 and abs(self.azimuth) <= 180):
            raise ValueError(f"move {self}: expected a track, seconds from 0 on, -180 to 180 degrees")
        if self.reach not in get_args(Reach):
            raise ValueError(f"reach is {self.reach!r}; expected one of {', '.join(get_args(Reach))}")


@dataclass(frozen=True)
class Wanted:
    """How a video is to be made; the defaults are those of the command line."""

    fov: float | str = AUTO_FOV
    strength: float = 1.0
    room: bool = True  # False: directions alone, --renderer geometry
    mono: str = AUTO  # what the sound is, a choice of --mono
    head: str = "sphere"  # or kemar, or the name of a .sofa that was uploaded
    sounding: str = ""  # the track that makes the sound, where the finder was wrong
    moves: tuple[Move, ...] = ()

    def __post_init__(self):
        check_fov(self.fov)
        if not (_is_number(self.strength) and isinstance(self.room, bool)):
            raise ValueError(f"strength is {self.strength!r}, room {self.room!r}; expected a number, a bool")
        if self.mono not in MONOS:
            raise ValueError(f"mono is {self.mono!r}; expected one of {', '.join(MONOS)}")
        if not (isinstance(self.head, str) and isinstance(self.sounding, str)):
            raise ValueError("head and sounding: expected names")
        if len(self.moves) > MOST:
            raise ValueError(f"{len(self.moves)} moves; at most {MOST} are taken: undo some")


def wanted_of(content) -> Wanted:
    """A request of the page, from its JSON.  Raises ValueError for what is none."""
    known = {f.name for f in fields(Wanted)}
    given = content if isinstance(content, dict) else {"": None}
    if set(given) - known or not isinstance(given.get("moves", []), list):
        raise ValueError(f"expected {{{', '.join(sorted(known))}}}")
    try:
        moves = tuple(Move(**move) for move in given.get("moves", []))
    except TypeError:
        raise ValueError(f"a move has {', '.join(f.name for f in fields(Move))}") from None
    return Wanted(**{**given, "moves": moves})


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
