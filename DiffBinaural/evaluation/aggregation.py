"""Tables of metrics over many clips."""

import csv
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from tabulate import tabulate

from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.utils.files import read_json, replacing, write_json

COLUMNS = 5  # metrics side by side in print: six systems fit into 100 characters


def rows_of(path: str | Path) -> list[dict]:
    """The clips of a JSON that an evaluate script wrote."""
    content = read_json(path)
    rows = content.get("clips") if isinstance(content, dict) else None
    if not isinstance(rows, list) or any(not isinstance(r, dict) or {"id", "system"} - set(r) for r in rows):
        raise ValueError(f"{path}: no list `clips` with id and system; expected an evaluate script's JSON")
    return rows


def joined(rows: list[dict], others: list[dict] = ()) -> list[dict]:
    """Rows of the same clip and system merged, system by system; the first value of a figure stays."""
    by_clip: dict[tuple, dict] = {}
    for row in [*rows, *others]:
        key = row["system"], row["id"]
        by_clip[key] = {**row, **by_clip.get(key, {})}
    order = list(dict.fromkeys(system for system, _ in by_clip))
    return sorted(by_clip.values(), key=lambda row: order.index(row["system"]))


def summary(values: list[float | None]) -> dict:
    """Mean, sample standard deviation, standard error, n and number missing; None where n is too small."""
    found = [value for value in values if value is not None]
    n = len(found)
    std = stdev(found) if n > 1 else None
    return {
        "mean": fmean(found) if n else None,
        "std": std,
        "se": std / n**0.5 if n > 1 else None,
        "n": n,
        "missing": len(values) - n,
    }


def summarise(rows: list[dict]) -> dict:
    """The content of the evaluate scripts' JSON, from one row per clip and system.

    rows  {"id", "system", metric: value}; None where a clip does not allow a figure
    ->    {"systems": {system: {metric: {"mean", "std", "se", "n", "missing"}}}, "clips": rows}
    """
    values: dict[str, dict[str, list]] = {}
    for row in rows:
        for name in row.keys() - {"id", "system"}:
            values.setdefault(row["system"], {}).setdefault(name, []).append(row[name])
    return {
        "systems": {
            system: {name: summary(named[name]) for name in sorted(named)} for system, named in values.items()
        },
        "clips": rows,
    }


def format_table(systems: dict, names: Iterable[str]) -> str:
    """Text table, a row per system and a column per metric; more than five metrics continue below.

    systems  of :func:`summarise`
    names    metrics to print, as far as a system has them
    """
    names = [name for name in names if any(name in figures for figures in systems.values())]
    counts = [found["n"] + found["missing"] for figures in systems.values() for found in figures.values()]
    n, tables = max(counts, default=0), []
    for start in range(0, len(names), COLUMNS):
        columns = names[start : start + COLUMNS]
        head = [METRICS[name].titled(f"{name}\n").replace("\n ", "\n") for name in columns]
        rows = [
            [system, *(format_cell(figures.get(name), METRICS[name].scale, n) for name in columns)]
            for system, figures in systems.items()
        ]
        tables.append(tabulate(rows, ["", *head], disable_numparse=True))
    return "\n\n".join([f"Mean ± standard error, n = {n}", *tables])


def format_cell(figure: dict | None, scale: float, n: int) -> str:
    """One figure of :func:`format_table`; states its own n where that differs from the table's."""
    if figure is None:
        return "-"
    text = short(scale * figure["mean"], 3) if figure["n"] else "-"
    text += f"±{short(scale * figure['se'], 2)}" if figure["n"] > 1 else ""
    return text if figure["n"] == n else f"{text} (n={figure['n']})"


def short(value: float, digits: int, sign: str = "") -> str:
    """A number with this many significant digits.

    >>> short(-287.3, 2, "+")
    '-290'
    """
    return f"{float(f'{value:.{digits}g}'):{sign}g}"


def write_csv(path: str | Path, rows: list[dict]) -> None:
    """One line per clip and system; an empty cell where there is no figure."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def over_splits(root: str | Path, family: str) -> tuple[dict, list[str]]:
    """Figures of a family of splits: mean and standard error over the means of each split.

    root    folder with <split>/metrics.json
    family  split, FAIR-Play's original ones, or five_split, the scene-disjoint ones
    ->      systems as of :func:`summarise`, and the splits found
    """
    found = sorted(Path(root).glob(f"{family}[0-9]*/metrics.json"), key=lambda p: (len(p.parent.name), p))
    tables = [summarise(rows_of(path))["systems"] for path in found]
    means: dict[str, dict[str, list]] = {}
    for system, figures in (pair for table in tables for pair in table.items()):
        for name, figure in figures.items():
            means.setdefault(system, {}).setdefault(name, []).append(figure["mean"])
    systems = {
        system: {name: summary(values) for name, values in named.items()} for system, named in means.items()
    }
    return systems, [path.parent.name for path in found]


def band_means(rows: list[tuple[str, dict]]) -> dict[str, dict]:
    """Means over clips by system, as lists, from pairs (system, mel_metrics.band_errors of a clip)."""
    clips: dict[str, list[dict]] = {}
    for system, errors in rows:
        clips.setdefault(system, []).append(errors)
    return {
        system: {kind: np.mean([e[kind] for e in every], axis=0).tolist() for kind in every[0]}
        for system, every in clips.items()
    }


def save(rows: list[dict], to_csv: str | None, to_json: str | None, **extra) -> dict:
    """Write the requested files and return the systems' figures.  extra: further keys of the JSON."""
    content = summarise(rows)
    if to_csv:
        write_csv(to_csv, rows)
    if to_json:
        write_json(to_json, {**content, **extra})
    return content["systems"]
