"""The command line of a script, derived from its config dataclass."""

import argparse
import difflib
import errno
import os
import re
import signal
import sys
import threading
import types
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Literal, NoReturn, get_args, get_origin, get_type_hints

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a quota, a file-size limit


def parse(cls, presets: dict | None = None, argv: list[str] | None = None, *, about: str | None = None):
    """Fill a config dataclass from the command line: flag beats preset beats default.

    cls      dataclass whose fields carry metadata["help"]; a nested dataclass comes from the preset as a
             whole, and those of its fields that have a help text are flags too
    presets  name -> {field: value}; chosen by the flag --preset
    argv     words to parse; default: those of this process
    about    description for --help; default: the docstring of cls
    ->       cls
    """
    kinds, nested = get_type_hints(cls), {}
    chosen = _chosen_preset(cls, presets, argv)
    about = (about or cls.__doc__).replace("\\\n", "")
    parser = _Parser(description=about, allow_abbrev=False)
    for f in fields(cls):
        default = chosen.get(f.name, f.default)
        if is_dataclass(kinds[f.name]):
            nested[f.name] = default
        else:
            _add_flag(parser, f, kinds[f.name], default)
    flags = {name: [f.name for f in fields(part) if "help" in f.metadata] for name, part in nested.items()}
    for name, part in nested.items():
        for f in fields(part):
            if f.name in flags[name]:
                _add_flag(parser, f, get_type_hints(type(part))[f.name], getattr(part, f.name))
    given = vars(parser.parse_args(_joined(sys.argv[1:] if argv is None else argv)))
    parts = {
        name: replace(part, **{flag: given.pop(flag) for flag in flags[name]})
        for name, part in nested.items()
    }
    return cls(**given, **parts)


def _add_flag(parser: argparse.ArgumentParser, f, hint, default) -> None:
    words = {**({} if "type" in f.metadata else kind(hint)), **f.metadata}
    aliases, renamed = words.pop("aliases", ()), words.pop("renamed", {})
    if renamed:
        words["type"] = lambda word: renamed.get(word, word)
    for alias in aliases:
        old = {"dest": f.name, "default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
        parser.add_argument(alias, **{**words, **old})
    words["help"] = words["help"].replace("%", "%%")
    if default is MISSING:
        words["required"] = True
    else:
        words["default"] = default
        words["help"] += "" if default is None else " [%(default)s]"
    parser.add_argument(f"--{f.name}", **words)


def kind(hint) -> dict:
    """Arguments of add_argument for a field of this type.

    >>> kind(int | None)
    {'type': <class 'int'>}
    """
    if isinstance(hint, types.UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
    if get_origin(hint) is Literal:
        return {"choices": get_args(hint)}
    if get_origin(hint) is tuple:
        return {"nargs": "+", "type": get_args(hint)[0], "action": _Tuple}
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    return {"type": hint}


def _joined(words: list[str]) -> list[str]:
    """Join values such as -0.5,0 to their flags; argparse takes a word with a leading minus for a flag.

    >>> _joined(["--at", "-0.5,0", "--n", "3"])
    ['--at=-0.5,0', '--n', '3']
    """
    joined: list[str] = []
    for word in words:
        if re.match(r"-[\d.]+,", word) and joined:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line in one line, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        flags = [flag for action in self._actions for flag in action.option_strings]
        wrong = re.search(r"unrecognized arguments: (--\w+)", message)
        near = difflib.get_close_matches(wrong[1], flags, n=1, cutoff=0.7) if wrong else []
        hint = f"is {near[0]} meant?" if near else "--help lists all options"
        print(f"error: {message}; {hint}", file=sys.stderr)
        sys.exit(2)


class _Tuple(argparse.Action):
    """Stores several words as a tuple, so that a config stays hashable."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, tuple(values))


def _chosen_preset(cls, presets, argv) -> dict:
    if not presets:
        return {}
    default = next(f.default for f in fields(cls) if f.name == "preset")
    early = _Parser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset", choices=tuple(presets), default=default)
    return presets[early.parse_known_args(argv)[0].preset]


def run(main, presets: dict | None = None) -> None:
    """Call a script's ``main(cfg)`` with its command line.

    A user's mistake ends as one line and exit status 2.  SIGTERM and Ctrl-C end as one line too: half-written
    files are deleted, finished files are kept.
    main  its module's docstring is the description for --help
    """
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    threading.excepthook = hide_disk_full
    try:
        main(parse(get_type_hints(main)["cfg"], presets, about=sys.modules[main.__module__].__doc__))
    except (ValueError, OSError) as error:
        print(f"error: {message_of(error)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        number, kept = (*stop.args, "every file that was finished is kept")[:2]
        if os.environ.get("RANK", "0") == "0":  # one line for all processes of torchrun
            name = signal.Signals(number).name
            print(f"stopped by {name}: {kept}; run the same command again to go on", file=sys.stderr)
        sys.exit(128 + number)


def message_of(error: Exception) -> str:
    """What a user is told of an error: the file first, and no error number."""
    if full := disk_full_message(error):
        return full
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return str(error)


def disk_full_message(error: Exception) -> str:
    """The message for an error that is due to a full disk; "" for any other error."""
    if getattr(error, "errno", None) not in DISK_FULL:
        return ""
    return (
        f"{error.filename or 'a file'}: cannot be written ({error.strerror}); "
        "make room, and run the same command again"
    )


def hide_disk_full(thread: threading.ExceptHookArgs) -> None:
    """Exception hook of threads: on a full disk TensorBoard's thread passes its error to the main thread."""
    if not disk_full_message(thread.exc_value):
        threading.__excepthook__(thread)


def interrupt(number: int, frame: types.FrameType | None) -> None:
    """Signal handler that raises KeyboardInterrupt with the signal's number."""
    raise KeyboardInterrupt(number)
