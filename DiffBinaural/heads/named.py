"""Heads by name, as the flag --head gives them."""

from functools import lru_cache
from pathlib import Path

from DiffBinaural.heads.head import Head
from DiffBinaural.heads.measured import KEMAR, load_compact
from DiffBinaural.heads.sofa import read_sofa
from DiffBinaural.heads.sphere import HEAD_RADIUS, Sphere

HEAD_HELP = (
    "the listener's head: sphere, sphere:8.2 (radius in cm), kemar, or a SOFA file of impulse responses "
    "(SimpleFreeFieldHRIR)"
)
RADII = (5.0, 15.0)  # cm


def head_named(name: str) -> Head:
    """The head of a name: sphere, sphere:<radius in cm>, sphere:<radius>:<seed of ears>, kemar, a .sofa.

    The same name gives the same object, a file as long as it is not changed.  Raises ValueError for any other
    name and for a file that is refused, FileNotFoundError for one that is not there.
    """
    if not name.lower().endswith(".sofa"):
        return _head_without_file(name)
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"--head {name}: no such file")
    state = path.stat()
    return _head_of_file(name, str(path.resolve()), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _head_of_file(name: str, path: str, changed: int, size: int) -> Head:
    """The last two only tell states of the file apart."""
    return read_sofa(name)


@lru_cache(maxsize=256)
def _head_without_file(name: str) -> Head:
    kind, _, rest = name.partition(":")
    if kind == "sphere":
        return _sphere(name, rest)
    if name == "kemar":
        return load_compact(KEMAR, name)
    raise ValueError(f"--head {name}: expected sphere, sphere:<radius in cm>, kemar, or a file <name>.sofa")


def _sphere(name: str, rest: str) -> Sphere:
    radius, _, ears = rest.partition(":")
    try:
        centimetres, seed = float(radius or 100 * HEAD_RADIUS), int(ears) if ears else None
    except ValueError:
        raise ValueError(f"--head {name}: expected sphere:<radius in cm>, as in sphere:8.2") from None
    if not (RADII[0] <= centimetres <= RADII[1] and (seed is None or seed >= 0)):
        raise ValueError(f"--head {name}: expected a radius of {RADII[0]:g} to {RADII[1]:g} cm")
    return Sphere(centimetres / 100, seed)
