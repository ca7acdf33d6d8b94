"""Reading of untrusted files, writing of files as a whole or not at all."""

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

from DiffBinaural.utils.arguments import DISK_FULL

# exceptions that the readers of zips and pickles raise for damaged bytes
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
    """Write a file as a whole or not at all.

    path  final path; a folder of files works too, where `path` does not exist yet
    ->    a temporary path beside it, renamed to `path` at the end of the block, deleted if the block fails
    Raises OSError naming `path` when the disk is full.
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
    except (OSError, RuntimeError):  # torch and libsndfile do not name the cause
        if cause := growth_error(partial):
            raise OSError(cause.errno, cause.strerror, str(path)) from None
        raise
    finally:
        discard(partial)


def growth_error(path: Path) -> OSError | None:
    """The error that stops a file, or a file in this folder, from growing; None if there is none."""
    try:
        with open(path / ".part" if path.is_dir() else path, "ab") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error if error.errno in DISK_FULL else None
    return None


@contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Prefix the message of a ValueError raised in the block with the name of the file that was read."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def partial_files(root: Path, *patterns: str) -> list[Path]:
    """Unfinished files of interrupted runs in a folder, and in its subfolders that match the patterns."""
    return [part for pattern in ("", *patterns) for part in sorted(root.glob(f"{pattern}.*.part"))]


def abandoned(path: str | Path) -> list[Path]:
    """Unfinished versions of a file, left by processes of this machine that are gone."""
    parts = Path(path).parent.glob(f".{glob.escape(Path(path).name)}.*.part")
    pids = {part: part.name.split(".")[-2] for part in parts}
    return [part for part, pid in pids.items() if pid.isdigit() and not alive(int(pid))]


def alive(pid: int) -> bool:
    """Whether a process of this machine exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it belongs to another user
        pass
    return True


def discard(path: Path) -> None:
    """Delete a file, or a folder with its content, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content) -> None:
    """Write indented JSON."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path: str | Path):
    """Read JSON.  Raises ValueError naming the file when it is not valid."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8; nested too deeply
        raise ValueError(f"{path}: not valid JSON ({error})") from None


def claim(path: Path, wanted: dict, *parts: str) -> None:
    """Write the settings of a dataset into its folder, before anything else is written there.

    path    JSON file of the settings
    parts   files and folders that show that there is a dataset, should the JSON be missing
    Raises ValueError when the folder holds a dataset with other settings.
    """
    found, wanted = read_json(path) if path.exists() else {}, json.loads(json.dumps(wanted))
    differ = differences(found, wanted)
    if differ and (found or any((path.parent / part).exists() for part in parts)):
        raise ValueError(
            f"{path.parent}: already holds another dataset: {differ}; give another --out or delete it"
        )
    if differ:
        write_json(path, wanted)


def differences(found: dict, wanted: dict) -> str:
    """Settings that are missing or have another value, for a message; "" when there are none."""
    return ", ".join(f"{k} {found.get(k)} (here {v})" for k, v in wanted.items() if v != found.get(k))


def write_rows(path: str | Path, header: str, rows: Sequence) -> None:
    """Write a CSV file."""
    with replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])


def save_tensors(path: str | Path, content: dict, *, before: Path | None = None) -> None:
    """Write a checkpoint of tensors and plain Python.

    before  path under which the previous version of the file is kept
    """
    with replacing(path) as partial:
        torch.save(content, partial)
        if before and Path(path).exists():
            os.replace(path, before)


def newest_readable(checkpoints: Sequence[Sequence[Path]]) -> list[dict] | None:
    """Contents of the newest checkpoint without a damaged file; None when there are no checkpoints.

    checkpoints  newest first, each of one or several files; a line on stderr says why one is skipped
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
    """Read a checkpoint onto the CPU, as data and never as code.

    mapped  map the file into memory; its checksums and numbers are then not checked
    Raises ValueError for a file that is damaged, or holds NaN, infinity or anything but tensors and plain
    Python.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        broken = None if mapped else wrong_checksum(path)
        content = None if broken else torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path}: holds more than tensors and plain Python, or is not a checkpoint"
        ) from None
    except UNREADABLE as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path}: not a readable checkpoint ({why})") from None
    if broken:
        raise ValueError(
            f"{path}: damaged, the checksum of its part {broken} is wrong; "
            "take another copy or an earlier checkpoint"
        )
    if not mapped and (name := not_finite(content)):
        raise ValueError(f"{path}: {name} has NaN or infinite values; take an earlier checkpoint")
    return content


def wrong_checksum(path: str | Path) -> str | None:
    """Name of the first member of a zip file (a checkpoint) with a wrong checksum, which torch ignores."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.testzip()


def not_finite(content, name: str = "it") -> str | None:
    """Name of the first tensor with NaN or infinity in nested dicts and lists; None if there is none."""
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
