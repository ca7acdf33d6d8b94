"""Figures of finished experiments: means with paired intervals."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from DiffBinaural.evaluation.aggregation import rows_of, summary
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.paired import interval, ratio
from DiffBinaural.evaluation.placement import position_figures
from DiffBinaural.experiments.catalogue import EXPERIMENTS, RETIRED
from DiffBinaural.experiments.kit import VIDEO_ROW
from DiffBinaural.experiments.registry import SEEDS, Experiment
from DiffBinaural.experiments.runner import ROOT, finished, record_of
from DiffBinaural.utils.files import read_json

COPY = "mono_copy"
DIGITS = 4  # significant digits in docs/results.json
SOUND_METRICS = ("stft", "env", "dphase", "itd_error", "ild_error", "iacc_error", "pesq_wb")
FIGURES = {
    "quality": ("mel_rmse", *SOUND_METRICS),
    "general": SOUND_METRICS,
    "anchors": tuple(METRICS),
    "kit": ("stft", "env", "itd_error", "ild_error", "iacc_error"),
    "parts": ("mel_rmse", "mel_ild_error", "stft", "env", "itd_error", "ild_error", "mrstft", "pesq_wb"),
    "steps": ("mel_rmse", "mel_ild_error"),
}
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
            **(read(e, root) if read else {}),
        }
    return json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.{DIGITS}g}"))


def updated(known: dict[str, dict], new: dict[str, dict]) -> dict[str, dict]:
    """Known entries with the new ones in their place, in the list's order; retired ones follow.

    Entries that are neither listed nor retired are dropped.
    """
    both = known | new
    order = [*(f"{e.table}/{e.row}" for e in EXPERIMENTS), *RETIRED]
    return {title: both[title] for title in order if title in both}


def repeated(experiment: Experiment) -> list[Experiment]:
    """The same experiment with the other seeds."""
    return [replace(experiment, seed=seed) for seed in SEEDS]


def figures_by_clip(experiment: Experiment, root: Path) -> dict[str, dict[str, dict]]:
    """Metrics of an experiment: system -> clip -> {metric: value}."""
    files = [ROOT / experiment.folder(root) / name for name in ("steps.json", "metrics.json")]
    systems: dict[str, dict] = {}
    for row in rows_of(next(file for file in files if file.exists())):
        clip = row["id"].removesuffix("_000000")  # the start time, which names of mels have
        systems.setdefault(row["system"], {})[clip] = row
    return systems


def figure(values: dict[str, dict], name: str, others: dict[str, dict] | None) -> dict | None:
    """One metric of a system: mean, n, and the mean difference from another system with its 95 % interval.

    Errors also get "times", the ratio to the other system's mean with its interval.

    values, others  clip -> {metric: value}
    ->              None where no clip has the metric
    """
    known = {clip: row[name] for clip, row in values.items() if row.get(name) is not None}
    if not known:
        return None
    found = {"mean": fmean(known.values()), "n": len(known)}
    pairs = [
        (value, others[clip][name])
        for clip, value in known.items()
        if others and others.get(clip, {}).get(name) is not None
    ]
    if len(pairs) > 1:
        ours, theirs = np.array(pairs).T
        found["difference"] = float((ours - theirs).mean())
        found["low"], found["high"] = interval(ours - theirs, seed=0)
        if METRICS[name].better == "lower" and theirs.mean() > 0:
            found["times"] = ratio(ours, theirs, seed=0)
    return found


def against(systems: dict[str, dict], names: Iterable[str], base: str) -> dict:
    """Figures of all systems, with their differences from one of them."""
    return {
        "against": base,
        "systems": {
            system: {
                name: found
                for name in names
                if (found := figure(values, name, None if system == base else systems.get(base)))
            }
            for system, values in systems.items()
        },
    }


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


def against_mono_copy(experiment: Experiment, root: Path) -> dict:
    """Figures of every system against the mono copy."""
    return against(figures_by_clip(experiment, root), FIGURES[experiment.table], COPY)


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
    return against_mono_copy(experiment, root)


READERS: dict[str, Callable[[Experiment, Path], dict]] = {
    "quality": against_mono_copy,
    "general": against_mono_copy,
    "anchors": against_mono_copy,
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
    close = [e for e in experiments if e.against and unproved(part(e, root, seeds=(0,)))]
    rows = dict.fromkeys(row for e in close for row in (e.against, e.row))
    named = {e.row: e for e in experiments if e.table == "parts"}
    return [again for row in rows for again in repeated(named[row])]
