"""What a script says last: where its results are, how good they are, what to run next."""

import shlex
from collections.abc import Sequence
from pathlib import Path


def closing_line(folder: str | Path, why: str, rows: Sequence[dict], figure: str, anchor: str = "") -> str:
    """The last line about a training.

    why     it stopped
    rows    of its history: {"step": …, figure: …}
    figure  whose least value is the best, and that of the mono copy beside it
    """
    known = [row for row in rows if figure in row]
    if not known:
        return f"{folder}: {why}; nothing was validated"
    best = min(known, key=lambda row: row[figure])
    than = f", the mono copy {best[anchor]:.4g}" if anchor in best else ""
    name = figure.rpartition("/")[2]
    return f"{folder}: {why}; best at step {best['step']}: {name} {best[figure]:.4g}{than}"


def ending(place: str | Path, what: str, script: str = "", **flags) -> str:
    """Where a result is, what it is, and with a script the next command: see :func:`next_command`."""
    return "\n".join([f"{place}: {what}", *([next_command(script, **flags)] if script else [])])


def written(*places: str | Path | None) -> str:
    """A line that names the files and folders that were asked for and written; "" where none was."""
    return f"written: {', '.join(map(str, filter(None, places)))}" if any(places) else ""


def next_command(script: str, **flags) -> str:
    """A command line, quoted where that is necessary; flags without a value are left out."""
    words = [part for name, value in flags.items() if value for part in (f"--{name}", str(value))]
    return f"next: python {shlex.join([script, *words])}"
