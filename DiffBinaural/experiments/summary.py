"""The entries of docs/results.json: records of finished experiments with their figures."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from DiffBinaural.evaluation.aggregation import summary
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.placement import position_figures
from DiffBinaural.experiments.catalogue import EXPERIMENTS, POOLED, RETIRED
from DiffBinaural.experiments.figures import (
    COPY,
    FIGURES,
    SOUND_METRICS,
    against,
    compared,
    figures_by_clip,
)
from DiffBinaural.experiments.kit import VIDEO_ROW
from DiffBinaural.experiments.registry import SEEDS, Experiment
from DiffBinaural.experiments.runner import ROOT, finished, record_of
from DiffBinaural.utils.files import read_json

DIGITS = 4  # significant digits in docs/results.json
DEFAULT_MELS, DEFAULT_WAVS = (
    "ddim, 2",
    "steps_2",
)  # the default number of steps, with which others are compared


def collect(experiments: Iterable[Experiment], root: Path) -> dict[str, dict]:
    """The entries of docs/results.json for finished experiments: title -> record and figures."""
    found = {}
    for e in experiments:
        if not finished(e, root):
            continue
        record, read = record_of(e, root), READERS.get(e.table)
        found[f"{e.table}/{e.row}"] = {
            "folder": str(e.folder(root)),
            "commands": record["commands"],
            "settings": record["settings"],
            "seeds": [0],
            "seconds": round(sum(record["seconds"])),
            "machine": record["machine"],
            "bundled": record.get("bundled"),
            "vocoder": record.get("vocoder"),
            **(read(e, root) if read else {}),
        }
    return rounded(found)


def rounded(content: dict) -> dict:
    """A JSON's content with floats of DIGITS digits."""
    return json.loads(json.dumps(content), parse_float=lambda text: float(f"{float(text):.{DIGITS}g}"))


def updated(known: dict[str, dict], new: dict[str, dict], root: Path) -> dict[str, dict]:
    """Known entries with the new ones in their place, in the list's order; pooled, then retired ones follow.

    Entries that are neither listed, pooled nor retired are dropped.
    """
    both = known | new
    for title in POOLED:
        table = title.split("/")[1]
        if any(name.startswith(f"{table}/") and "systems" in entry for name, entry in new.items()):
            both |= {title: pooled(table, both, root)}
    both = {title: entry for title, entry in both.items() if entry}
    order = [*(f"{e.table}/{e.row}" for e in EXPERIMENTS), *POOLED, *RETIRED]
    return {title: both[title] for title in order if title in both}


def pooled(table: str, known: dict[str, dict], root: Path) -> dict | None:
    """Figures over the clips of all known rows of a table; None where the clips of one are not here."""
    rows = [e for e in EXPERIMENTS if e.table == table and "systems" in known.get(f"{table}/{e.row}", {})]
    if not all(finished(e, root) for e in rows):
        return None
    systems: dict[str, dict] = {}
    for e in rows:
        for system, clips in figures_by_clip(e, root).items():
            systems.setdefault(system, {}).update({f"{e.row}/{clip}": row for clip, row in clips.items()})
    return rounded({"rows": [e.row for e in rows], **compared(systems, table)})


def repeated(experiment: Experiment) -> list[Experiment]:
    """The same experiment with the other seeds."""
    return [replace(experiment, seed=seed) for seed in SEEDS]


def seeds_mean(experiments: tuple[Experiment, ...], root: Path, names: Iterable[str]) -> dict[str, dict]:
    """Means over seeds: clip -> {metric: value}."""
    every = [figures_by_clip(each, root)["model"] for each in experiments]
    return {
        clip: {name: summary([rows[clip].get(name) for rows in every])["mean"] for name in names}
        for clip in every[0]
    }


def part(experiment: Experiment, root: Path, seeds: tuple[int, ...] = (0, *SEEDS)) -> dict:
    """Figures without a part and their difference from those with it, or those of a row by itself.

    Only seeds that both sides have finished count.
    """
    names, base = FIGURES["parts"], experiment.against
    sides = [
        [replace(experiment, row=row, seed=seed) for row in (experiment.row, base or experiment.row)]
        for seed in seeds
    ]
    without, with_it = zip(*[pair for pair in sides if all(finished(e, root) for e in pair)], strict=True)
    about = {
        "seeds": [e.seed for e in without],
        "seconds": round(sum(sum(record_of(e, root)["seconds"]) for e in without)),
    }
    systems = {"without" if base else "model": seeds_mean(without, root, names)}
    if not base:
        return about | against(figures_by_clip(experiment, root) | systems, names, COPY)
    systems["with"] = seeds_mean(with_it, root, names)
    return about | {
        "part_of": base,
        "decided_by": experiment.decided_by,
        "decision": experiment.decision,
        **against(systems, names, "with"),
    }


def beside_baselines(experiment: Experiment, root: Path) -> dict:
    """Figures of every system against the mono copy, of ours also against the baselines."""
    return compared(figures_by_clip(experiment, root), experiment.table)


def steps(experiment: Experiment, root: Path) -> dict:
    """Figures of every number of steps against the default, for rendered sounds or for mels with time."""
    if experiment.row == "rendered":
        return against(figures_by_clip(experiment, root), SOUND_METRICS, DEFAULT_WAVS)
    rows = read_json(ROOT / experiment.folder(root) / "steps.json")["rows"]
    return {"rows": rows, **against(figures_by_clip(experiment, root), FIGURES["steps"], DEFAULT_MELS)}


def speed(experiment: Experiment, root: Path) -> dict:
    """The benchmark's JSON."""
    return {"bench": read_json(ROOT / experiment.folder(root) / "bench.json")}


def by_position(experiment: Experiment, root: Path) -> dict:
    """Direction and intelligibility at every position."""
    rows = read_json(ROOT / experiment.folder(root) / "positions.json")
    xs = sorted({row["x"] for row in rows})
    return {"positions": [position_figures([row for row in rows if row["x"] == x]) for x in xs]}


def on_kit(experiment: Experiment, root: Path) -> dict:
    """Figures of every system against the mono copy; of the talking video, the cues second by second."""
    if experiment.row == VIDEO_ROW:
        return {"cues": read_json(ROOT / experiment.folder(root) / "cues.json")}
    return beside_baselines(experiment, root)


READERS: dict[str, Callable[[Experiment, Path], dict]] = {
    "quality": beside_baselines,
    "general": beside_baselines,
    "anchors": beside_baselines,
    "kit": on_kit,
    "parts": part,
    "steps": steps,
    "speed": speed,
    "positions": by_position,
}


def unproved(entry: dict) -> bool:
    """Whether the metric that a part should improve is not significantly worse without the part."""
    found = entry["systems"]["without"][entry["decided_by"]]
    return found["low"] <= 0 if METRICS[entry["decided_by"]].better == "lower" else found["high"] >= 0


def undecided(experiments: list[Experiment], root: Path) -> list[Experiment]:
    """Experiments of parts that seed 0 leaves unproved, and of their counterparts, with the other seeds."""
    done = [e for e in experiments if e.against and finished(e, root)]  # the others lack material
    close = [e for e in done if unproved(part(e, root, seeds=(0,)))]
    rows = dict.fromkeys(row for e in close for row in (e.against, e.row))
    named = {e.row: e for e in experiments if e.table == "parts"}
    return [again for row in rows for again in repeated(named[row])]
