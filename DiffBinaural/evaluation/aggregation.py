"""Tables of metrics over many clips."""

import csv
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from DiffBinaural.utils.files import read_json, replacing, write_json


def rows_of(path: str | Path) -> list[dict]:
    """The clips of a JSON that an evaluate script wrote."""
    content = read_json(path)
    rows = content.get("clips") if isinstance(content, dict) else None
    if not isinstance(rows, list) or any(not isinstance(r, dict) or {"id", "system"} - set(r) for r in rows):
        raise ValueError(f"{path}: no list `clips` with id and system; expected an evaluate script's JSON")
    return rows


def joined(rows: list[dict], others: list[dict] = ()) -> list[dict]:
    """Rows of the same clip and system as one, system by system; of a figure in both, the first stays."""
    by_clip: dict[tuple, dict] = {}
    for row in [*rows, *others]:
        key = row["system"], row["id"]
        by_clip[key] = {**row, **by_clip.get(key, {})}
    order = list(dict.fromkeys(system for system, _ in by_clip))
    return sorted(by_clip.values(), key=lambda row: order.index(row["system"]))


def summary(values: list[float | None]) -> dict:
    """Mean, sample standard deviation, standard error, n, and how many are missing; None for a small n."""
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
    """The evaluate scripts' JSON from one row for each clip and system.

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


def format_table(systems: dict, metrics: dict) -> str:
    """Text table: a row for each figure, a column for each system.

    systems  of :func:`summarise`
    metrics  name -> metrics.Metric (unit, direction, factor in print), in the order of the rows
    """
    rows = [["mean ± standard error (std)", *systems]]
    for name, m in metrics.items():
        if any(name in figures for figures in systems.values()):
            cells = [format_cell(figures.get(name), m.scale) for figures in systems.values()]
            rows.append([m.titled(name), *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def format_cell(figure: dict | None, scale: float) -> str:
    """One figure in print, with the number of clips behind it, and of how many where some are missing."""
    if figure is None:
        return "-"
    n, missing = figure["n"], figure["missing"]
    parts = [f"{scale * figure['mean']:.4g}"] if n else []
    parts += [f"± {scale * figure['se']:.2g} ({scale * figure['std']:.2g})"] if n > 1 else []
    return " ".join([*parts, f"n={n}" + (f" of {n + missing}" if missing else "")])


def write_csv(path: str | Path, rows: list[dict]) -> None:
    """Every clip and system on a line; an empty cell where there is no figure."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def over_splits(root: str | Path, family: str) -> tuple[dict, list[str]]:
    """Figures of a family of splits: mean and standard error over the splits' own means.

    root    folder with <split>/metrics.json
    family  split, FAIR-Play's original ones, or five_split, the scene-disjoint ones
    ->      systems as of :func:`summarise`, and the splits that were there
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
    """Means over clips of arrays by system, as lists: from (system, metrics.band_errors of a clip) pairs."""
    clips: dict[str, list[dict]] = {}
    for system, errors in rows:
        clips.setdefault(system, []).append(errors)
    return {
        system: {kind: np.mean([e[kind] for e in every], axis=0).tolist() for kind in every[0]}
        for system, every in clips.items()
    }


def save(rows: list[dict], to_csv: str | None, to_json: str | None, **extra) -> dict:
    """Write what was asked for and return the systems' figures.  extra: further keys of the JSON."""
    content = summarise(rows)
    if to_csv:
        write_csv(to_csv, rows)
    if to_json:
        write_json(to_json, {**content, **extra})
    return content["systems"]
