"""Files that are whole or not there: JSON, CSV, tensors, and the settings of a folder."""

import csv
import glob
import json
import os
import pickle
import shutil
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from DiffBinaural.utils.arguments import NO_ROOM

# what damaged bytes make of the readers of zips and pickles
UNREADABLE = (
    RuntimeError,
    EOFError,
    LookupError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
    ArithmeticError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give out a temporary name beside `path`; if the block succeeds, put the finished file under `path`.

    A folder of files does as well, where `path` is not there yet: it appears with all of them or not at all.
    Raises OSError that names `path` when the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield partial
        for written in partial.iterdir() if partial.is_dir() else [partial]:
            with open(written, "rb") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except (OSError, RuntimeError):  # writers name the cause or not, torch and libsndfile do not
        if cause := growth_error(partial):
            raise OSError(cause.errno, cause.strerror, str(path)) from None
        raise
    finally:
        discard(partial)


def growth_error(path: Path) -> OSError | None:
    """Why a file, or one in this folder, cannot grow; None where it can."""
    try:
        with open(path / ".part" if path.is_dir() else path, "ab") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error if error.errno in NO_ROOM else None
    return None


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Put the name of what was read before what a ValueError within says of its content."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def leftovers(root: Path, *places: str) -> list[Path]:
    """What interrupted runs have left unfinished in a folder, and in those below it that patterns match."""
    return [part for place in ("", *places) for part in sorted(root.glob(f"{place}.*.part"))]


def abandoned(path: str | Path) -> list[Path]:
    """What processes of this machine that are gone have left half-written of a file."""
    parts = Path(path).parent.glob(f".{glob.escape(Path(path).name)}.*.part")
    pids = {part: part.name.split(".")[-2] for part in parts}
    return [part for part, pid in pids.items() if pid.isdigit() and not alive(int(pid))]


def alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def discard(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: str | Path):
    """Read JSON.  Raises ValueError naming the file when it is none."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8; nested without end
        raise ValueError(f"{path}: not valid JSON ({error})") from None


def claim(path: Path, wanted: dict, *parts: str) -> None:
    """Write a folder's settings first: whoever comes later sees how it is made, even a half-made one.

    path    the folder's JSON of settings
    parts   what else in the folder shows that there is a dataset, should the JSON be missing
    Raises ValueError when the folder is made otherwise.
    """
    theirs, wanted = read_json(path) if path.exists() else {}, json.loads(json.dumps(wanted))
    differ = differences(theirs, wanted)
    if differ and (theirs or any((path.parent / part).exists() for part in parts)):
        raise ValueError(
            f"{path.parent}: already holds another dataset: {differ}; give another --out or delete it"
        )
    if differ:
        write_json(path, wanted)


def differences(theirs: dict, wanted: dict) -> str:
    """What settings lack or have otherwise, for a message; empty when all that is wanted is there."""
    return ", ".join(f"{k} {theirs.get(k)} (here {v})" for k, v in wanted.items() if v != theirs.get(k))


def write_rows(path: str | Path, header: str, rows: Sequence) -> None:
    """Write a CSV file, whole or not at all."""
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


def save_tensors(path: str | Path, content: dict, *, before: Path | None = None) -> None:
    """torch.save, whole or not at all; only tensors and plain Python go in.

    before  where the file that was there is kept
    """
    with replacing(path) as partial:
        torch.save(content, partial)
        if before and Path(path).exists():
            os.replace(path, before)


def newest_readable(checkpoints: Sequence[Sequence[Path]]) -> list[dict] | None:
    """What the files of the first checkpoint hold of which none is damaged; None where there are none at all.

    checkpoints  newest first, each of one file or several; of those passed over a line says why
    Raises ValueError or FileNotFoundError when all are damaged.
    """
    for files, older in zip(checkpoints, [*checkpoints[1:], None], strict=True):
        try:
            return [load_tensors(path) for path in files]
        except (ValueError, FileNotFoundError) as error:
            if older is None:
                raise
            print(f"{error}; going on from {older[0].name}", file=sys.stderr)
    return None


def load_tensors(path: str | Path, *, mapped: bool = False) -> dict:
    """Read a checkpoint as data, never as code, onto the CPU; mapped: its pages only when they are used.

    Raises ValueError for a file that is damaged (its checksums are compared, unless it is mapped), that holds
    anything else than tensors and plain Python, or a number that is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        broken = None if mapped else wrong_checksum(path)
        content = None if broken else torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        raise ValueError(f"{path}: holds more than tensors and plain Python, or is no checkpoint") from None
    except UNREADABLE as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: not a readable checkpoint ({why})") from None
    if broken:
        raise ValueError(
            f"{path}: damaged, the checksum of its part {broken} is wrong; "
            "take another copy or an earlier checkpoint"
        )
    if not mapped and (name := not_finite(content)):
        raise ValueError(f"{path}: {name} has values that are no numbers; take an earlier checkpoint")
    return content


def wrong_checksum(path: str | Path) -> str | None:
    """The first part of a zip file, as checkpoints are, that is not what was written: torch does not look."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def not_finite(content, name: str = "it") -> str | None:
    """The name of the first tensor with NaN or infinity in nested dicts and lists, if there is one."""
    if isinstance(content, torch.Tensor):
        return name if content.is_floating_point() and not content.isfinite().all() else None
    parts = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list | tuple)
        else ()
    )
    return next((found for key, part in parts if (found := not_finite(part, str(key)))), None)
