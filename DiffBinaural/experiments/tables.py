"""Markdown tables of figures."""

from collections.abc import Iterable

from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.pairing import ANCHORS


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A table for a page."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def head(names: Iterable[str]) -> list[str]:
    """Titles of figures: name, what is better, unit."""
    return [METRICS[name].titled(f"`{name}`") for name in names]


def short(value: float, digits: int, sign: str = "") -> str:
    """A number with so many digits that count.

    >>> short(-287.3, 2, "+")
    '-290'
    """
    return f"{float(f'{value:.{digits}g}'):{sign}g}"


def cell(found: dict | None, scale: float = 1.0, key: str = "mean") -> str:
    """A figure, and in brackets the 95 % interval of its difference; bold where that leaves zero out."""
    if found is None:
        return "–"
    text = short(scale * found[key], 3, "+" if key == "difference" else "")
    if "low" not in found:
        return text
    low, high = (short(scale * found[end], 2, "+") for end in ("low", "high"))
    sure = "**" if found["low"] > 0 or found["high"] < 0 else ""
    return f"{sure}{text}{sure} [{low}, {high}]"


def cells(figures: dict[str, dict], names: Iterable[str], key: str = "mean") -> list[str]:
    """A row's figures in print."""
    return [cell(figures.get(name), METRICS[name].scale, key) for name in names]


def system_table(rows: dict[str, dict], names: tuple[str, ...], first: str) -> str:
    """Every system of every row, the anchors last."""
    lines = []
    for title, entry in rows.items():
        systems = sorted(entry["systems"], key=lambda system: system in (*ANCHORS, "ceiling"))
        lines += [[title, system, *cells(entry["systems"][system], names)] for system in systems]
    return table([first, "system", *head(names)], lines)


def percent_table(rows: dict[str, dict], names: tuple[str, ...], systems: tuple[str, ...]) -> str:
    """How much larger or smaller errors are than the mono copy's, in per cent, with the intervals."""

    def percent(entry: dict, system: str, name: str) -> str:
        mean, low, high = (f"{100 * (times - 1):+.0f}" for times in entry["systems"][system][name]["times"])
        return f"{mean} % [{low}, {high}]"

    return table(
        ["scenes", "system, against the mono copy", *head(names)],
        [
            [title, system, *(percent(entry, system, name) for name in names)]
            for title, entry in rows.items()
            for system in systems
        ],
    )


def bench_table(rows: list[dict]) -> str:
    """Rows of the benchmark's JSON as a table."""
    units = {"seconds": " s", "floor_s": " s", "gap": "", "plain_s": " s", "speedup": " x", "peak_mb": " MB"}
    return table(
        ["", "seconds", "floor", "gap", "plain", "faster", "memory", ""],
        [
            [
                row["name"],
                *("–" if row[name] is None else f"{row[name]:.3g}{unit}" for name, unit in units.items()),
                row["note"],
            ]
            for row in rows
        ],
    )
