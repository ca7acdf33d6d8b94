"""Markdown tables of figures."""

from collections.abc import Iterable

from DiffBinaural.evaluation.aggregation import short
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.pairing import ANCHORS

CUE_FORMATS = {"ITD": "+.0f", "ILD": "+.1f"}
POSITION_FORMATS = {"itd_us": "+.0f", "ild_db": "+.1f"}


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """A markdown table, without padding."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def head(names: Iterable[str]) -> list[str]:
    """Column titles of metrics: name, direction, unit."""
    return [METRICS[name].titled(f"`{name}`") for name in names]


def cell(found: dict | None, scale: float = 1.0, key: str = "mean") -> str:
    """A figure, with the 95 % interval of its difference in brackets; bold where that excludes zero."""
    if found is None:
        return "–"
    text = short(scale * found[key], 3, "+" if key == "difference" else "")
    if "low" not in found:
        return text
    low, high = (short(scale * found[end], 2, "+") for end in ("low", "high"))
    sure = "**" if found["low"] > 0 or found["high"] < 0 else ""
    return f"{sure}{text}{sure} [{low}, {high}]"


def cells(figures: dict[str, dict], names: Iterable[str], key: str = "mean") -> list[str]:
    """The figures of a row."""
    return [cell(figures.get(name), METRICS[name].scale, key) for name in names]


def system_table(rows: dict[str, dict], names: tuple[str, ...], first: str) -> str:
    """A line for every system of every row, anchors last."""
    lines = []
    for title, entry in rows.items():
        systems = sorted(entry["systems"], key=lambda system: system in (*ANCHORS, "ceiling"))
        lines += [[title, system, *cells(entry["systems"][system], names)] for system in systems]
    return table([first, "system", *head(names)], lines)


def percent_table(rows: dict[str, dict], names: tuple[str, ...], systems: tuple[str, ...]) -> str:
    """Differences of errors from the mono copy's in per cent, with their intervals."""

    def percent(entry: dict, system: str, name: str) -> str:
        figure = entry["systems"].get(system, {}).get(name)
        if figure is None:  # geometry makes no mels
            return "–"
        mean, low, high = (f"{100 * (times - 1):+.0f}" for times in figure["times"])
        return f"{mean} % [{low}, {high}]"

    return table(
        ["scenes", "system, against the mono copy", *head(names)],
        [
            [title, system, *(percent(entry, system, name) for name in names)]
            for title, entry in rows.items()
            for system in systems
        ],
    )


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


def cue_table(systems: dict[str, dict[str, list]]) -> str:
    """Table of the cues of sounds, second by second."""

    def row(values: list, form: str) -> str:
        return " ".join("–" if value is None else f"{value:{form}}" for value in values)

    titles = list(next(iter(systems.values())))
    return table(
        ["sound", *(f"{title}, second by second" for title in titles)],
        [
            [name, *(row(found[title], CUE_FORMATS[title[:3]]) for title in titles)]
            for name, found in systems.items()
        ],
    )


def bench_table(rows: list[dict]) -> str:
    """Table of the rows of the benchmark's JSON."""
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
