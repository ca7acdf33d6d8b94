"""Markdown tables of figures."""

from collections.abc import Iterable

from DiffBinaural.evaluation.aggregation import short
from DiffBinaural.evaluation.metrics import METRICS

NONE = "–"
POSITION_FORMATS = {"itd_us": "+.0f", "ild_db": "+.1f"}


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A markdown table, without padding."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def head(names: Iterable[str]) -> list[str]:
    """Column titles of metrics: name, direction, unit."""
    return [METRICS[name].titled(f"`{name}`") for name in names]


def in_digits(value: float, digits: int = 3, sign: str = "") -> str:
    """A number with this many significant digits.

    >>> in_digits(-287.3, 2, "+")
    '−290'
    """
    return short(value, digits, sign).replace("-", "−")


def proven(found: dict, name: str) -> int:
    """1 where a difference is a proven gain, -1 where a proven loss, 0 where its interval holds zero."""
    if "low" not in found or found["low"] <= 0 <= found["high"]:
        return 0
    return 1 if (found["high"] < 0) == (METRICS[name].better == "lower") else -1


def value_cell(found: dict | None, name: str) -> str:
    """A system's mean."""
    return in_digits(METRICS[name].scale * found["mean"]) if found else NONE


def difference_cell(found: dict | None, name: str, gain: int = 1) -> str:
    """A mean difference with its 95 % interval, bold where it is a proven gain.

    gain  1: a better figure is the gain; -1: a worse one is, as of a model without a part that helps
    """
    if not found or "low" not in found:
        return ""
    scale, bold = METRICS[name].scale, "**" if proven(found, name) == gain else ""
    low, high = (in_digits(scale * found[end], 2, "+") for end in ("low", "high"))
    return f"({bold}Δ {in_digits(scale * found['difference'], 2, '+')}{bold} [{low}, {high}])"


def cell(found: dict | None, name: str, gain: int = 1) -> str:
    """A system's mean with its difference from what the table compares it with."""
    return f"{value_cell(found, name)} {difference_cell(found, name, gain)}".strip()


def cells(figures: dict[str, dict], names: Iterable[str], gain: int = 1) -> list[str]:
    """The figures of a row."""
    return [cell(figures.get(name), name, gain) for name in names]


def position_table(found: list[dict]) -> str:
    """Table of placement.position_figures, with a last line for all positions."""
    lines = [
        [
            f"{at['x']:+.2f}",
            f"{at['azimuth']:+.1f}°",
            *(f"{at[name][0]:{form}} … {at[name][1]:{form}}" for name, form in POSITION_FORMATS.items()),
            f"{at['stoi'][0]:.3f}",
            f"{at['wrong']} of {at['n']}",
        ]
        for at in found
    ]
    wrong, n = (sum(at[name] for at in found) for name in ("wrong", "n"))
    lines.append(["all", "", "", "", f"{min(at['stoi'][0] for at in found):.3f}", f"{wrong} of {n}"])
    return table(
        ["x", "azimuth", "ITD µs, least … most", "ILD dB, least … most", "STOI, least", "wrong side"], lines
    )


def bench_table(rows: list[dict]) -> str:
    """Table of the rows of the benchmark's JSON."""
    units = {"seconds": " s", "floor_s": " s", "gap": "", "plain_s": " s", "speedup": " x", "peak_mb": " MB"}
    return table(
        ["", "seconds", "floor", "gap", "plain", "faster", "memory", ""],
        [
            [
                row["name"],
                *(NONE if row[name] is None else f"{row[name]:.3g}{unit}" for name, unit in units.items()),
                row["note"],
            ]
            for row in rows
        ],
    )
