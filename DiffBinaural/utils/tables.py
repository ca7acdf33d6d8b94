"""CSV tables, as spreadsheets in any country write them."""

import codecs
import csv
import difflib
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:\.\d*)?)")  # mm:ss or hh:mm:ss, with a fraction or not
PIECE = 1 << 20  # bytes that are decoded at once to find the encoding


def read_rows(path: str | Path, needed: Sequence[str], known: Sequence[str] = ()) -> list[dict]:
    """Rows of a CSV file as dicts, one for each line that is not empty.

    needed  columns that it must have
    known   all columns that it may have; without any, it may have others
    Raises ValueError naming the file for other files, missing or unknown columns, and more fields than
    columns.
    """
    return list(each_row(path, needed, known))


def each_row(path: str | Path, needed: Sequence[str], known: Sequence[str] = ()) -> Iterator[dict]:
    """:func:`read_rows`, one at a time."""
    encoding = encoding_of(path)
    try:
        with open(path, newline="", encoding=encoding) as file:
            header = file.readline(csv.field_size_limit())
            delimiter = delimiter_of(header, needed)
            file.seek(0)
            reader = csv.DictReader(file, delimiter=delimiter)
            names = [name.strip() for name in reader.fieldnames or []]
            check_columns(names, needed, known)
            reader.fieldnames = names
            unusual = [encoding] * (encoding != "utf-8-sig") + [DELIMITERS[delimiter]] * (delimiter != ",")
            if unusual:
                say_once(f"{path}: read as {' with '.join(unusual)}, where UTF-8 with commas was expected")
            for row in reader:
                if any(surplus := [*row.pop(None, ()), row.pop("", "")]):
                    raise ValueError(
                        f"line {reader.line_num} has more fields than the first one: {surplus[0]!r}; "
                        "numbers have a decimal point, and texts with commas stand in quotes"
                    )
                yield row
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from None


def encoding_of(path: str | Path) -> str:
    """The encoding of a text file: UTF-8, by its first bytes UTF-16, else Latin-1, which any bytes are."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with open(path, "rb") as file:
        head = file.read(2)
        if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        if head.count(b"\0") == 1 and len(head) == 2:
            return "utf-16-le" if head[1] == 0 else "utf-16-be"
        file.seek(0)
        try:
            while piece := file.read(PIECE):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def delimiter_of(header: str, needed: Sequence[str]) -> str:
    """What divides the fields of a table by its first line: what gives most of the needed columns."""

    def found(delimiter):
        names = {name.strip(' "\r\n\ufeff') for name in header.split(delimiter)}
        return len(names.intersection(needed)), header.count(delimiter)

    return max(DELIMITERS, key=found)


def check_columns(names: Sequence[str], needed: Sequence[str], known: Sequence[str]) -> None:
    """Raise ValueError for columns that are missing, not known or there twice."""
    unknown = [name for name in names if name and name not in known] if known else []
    missing = [name for name in needed if name not in names]
    if missing:
        near = nearest(missing[0], unknown or [name for name in names if name not in needed])
        shown = "".join(c if c.isprintable() else "?" for c in ",".join(names)[:200])
        hint = f"; is {near} meant?" if near else f"; the first line has {shown or 'nothing'}"
        raise ValueError(f"no column {', '.join(missing)}{hint}")
    if unknown:
        near = nearest(unknown[0], [name for name in known if name not in names])
        raise ValueError(
            f"unknown column {unknown[0][:80]!r}{f'; is {near} meant?' if near else ''}; "
            f"columns are {','.join(known)}"
        )
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise ValueError(f"has two columns {twice[0]!r}")


def nearest(word: str, known: Sequence[str]) -> str:
    """The known word that is most like a word, upper or lower case; "" where none is like it."""
    lower = {name.casefold().replace(" ", "_"): name for name in known}
    found = difflib.get_close_matches(word.casefold().replace(" ", "_"), lower, n=1, cutoff=0.7)
    return lower[found[0]] if found else ""


def number(row: dict, name: str, source: str) -> float:
    """A column of a row as a float.  Raises ValueError naming the source when it is NaN or no number."""
    text = row.get(name)
    try:
        if not math.isnan(value := float(text)):  # type: ignore[arg-type]
            return value
    except (TypeError, ValueError):
        pass
    comma = isinstance(text, str) and re.fullmatch(r"\s*-?\d*,\d+\s*", text)
    point = " with a decimal point" if comma else ""
    raise ValueError(f"{source}: {name} is {str(text)[:80]!r}; expected a number{point}")


def seconds(row: dict, name: str, source: str) -> float:
    """A column of a row as seconds, also where it is written mm:ss or hh:mm:ss: see :func:`number`."""
    clock = CLOCK.fullmatch((row.get(name) or "").strip())
    if not clock:
        return number(row, name, source)
    hours, minutes, rest = int(clock[1] or 0), int(clock[2]), float(clock[3])
    if rest >= 60 or (clock[1] and minutes >= 60):
        raise ValueError(f"{source}: {name} is {row[name]!r}; expected seconds, or mm:ss")
    return hours * 3600 + minutes * 60 + rest


@lru_cache(maxsize=1024)
def say_once(line: str) -> None:
    """Print a line to stderr, once in a process, and by the first of several that torchrun started."""
    if os.environ.get("RANK", "0") == "0":
        print(line, file=sys.stderr)
