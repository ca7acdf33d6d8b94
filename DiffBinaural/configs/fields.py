"""Fields of config dataclasses."""

import difflib
from dataclasses import field, is_dataclass
from types import UnionType
from typing import Literal, get_args, get_origin, get_type_hints

DEVICE_HELP = "cpu, cuda, cuda:1 …; auto: a GPU if there is one"
SEED_HELP = "random seed; the same seed gives the same result"


def option(default, help: str, **extra):
    """A field with a default and a help text.

    extra  arguments of argparse's add_argument, and two of our own for spellings of earlier versions:
           aliases, a tuple of further option strings of the flag, hidden from --help;
           renamed, {old: new} for choices, where the old word is accepted and becomes the new one
    """
    return field(default=default, metadata={"help": help, **extra})


def required(help: str, **extra):
    """A field without a default: the command line must give it."""
    return field(metadata={"help": help, **extra})


def positive(cfg, *names: str) -> None:
    """Raise ValueError for the first of the named fields that is not above zero."""
    for name in names:
        if getattr(cfg, name) is not None and getattr(cfg, name) <= 0:
            raise ValueError(f"--{name} is {getattr(cfg, name)}; it must be above 0")


def from_dict(cls, values: dict, source: str):
    """Rebuild a config dataclass, nested ones included, from its JSON.

    source  name of the file, for error messages
    ->      cls
    Raises ValueError naming the source for an unknown or missing key, or a value of the wrong type or out of
    range.
    """
    kinds = get_type_hints(cls)
    if not isinstance(values, dict):
        raise ValueError(f"{source}: not a {cls.__name__}; expected {{name: value, …}}")
    if unknown := sorted(set(values) - set(kinds)):
        like = difflib.get_close_matches(unknown[0], kinds)
        raise ValueError(
            f"{source}: unknown {', '.join(unknown)[:200]}; "
            + (f"perhaps {like[0]}" if like else "delete it, or update this project if the file is newer")
        )
    built = {}
    for name, value in values.items():
        nested = is_dataclass(kinds[name])
        plain = tuple(value) if isinstance(value, list) else value
        if not nested and not fits(plain, kinds[name]):
            raise ValueError(f"{source}: {name} is {str(value)[:80]!r}; expected {kinds[name]}")
        built[name] = from_dict(kinds[name], value, source) if nested else plain
    try:
        return cls(**built)
    except (TypeError, ValueError) as error:  # a missing key; a value out of range
        raise ValueError(f"{source}: {error}") from None


def fits(value, hint) -> bool:
    """Whether a value read from JSON is of a type; an integer is accepted as a float, NaN is not.

    >>> fits((1, 2), tuple[int, ...]), fits(True, int), fits(3, float), fits(None, str | None)
    (True, False, True, True)
    """
    if isinstance(hint, UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if get_origin(hint) is tuple:
        return isinstance(value, tuple) and all(fits(part, get_args(hint)[0]) for part in value)
    if hint in (int, float):
        return isinstance(value, (int, hint)) and not isinstance(value, bool) and value == value
    return isinstance(value, hint)
