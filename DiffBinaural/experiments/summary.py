"""RESULTS.md's figures: means, paired intervals."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np

from DiffBinaural.evaluation.aggregation import rows_of, summary
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.paired import interval, ratio
from DiffBinaural.experiments.catalogue import EXPERIMENTS
from DiffBinaural.experiments.registry import SEEDS, Experiment
from DiffBinaural.experiments.runner import ROOT, finished, record_of
from DiffBinaural.utils.files import read_json

COPY = "mono_copy"
DIGITS = 4  # of a figure that is kept
SOUND_METRICS = ("stft", "env", "dphase", "itd_error", "ild_error", "iacc_error", "pesq_wb")
FIGURES = {
    "quality": ("mel_rmse", *SOUND_METRICS),
    "general": SOUND_METRICS,
    "anchors": tuple(METRICS),
    "parts": ("mel_rmse", "mel_ild_error", "stft", "env", "itd_error", "ild_error", "mrstft", "pesq_wb"),
    "steps": ("mel_rmse", "mel_ild_error"),
}
KNEE, RENDERED_KNEE = "ddim, 2", "steps_2"  # what other numbers of steps are compared with: the default


def collect(experiments: Iterable[Experiment], root: Path) -> dict[str, dict]:
    """What docs/results.json keeps of each finished row: title -> how it was made, and its figures."""
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
    """Both, the new before the known, in the list's order and without rows that it does not have any more."""
    both = known | new
    return {title: both[title] for e in EXPERIMENTS if (title := f"{e.table}/{e.row}") in both}


def repeated(experiment: Experiment) -> list[Experiment]:
    """The same with the other seeds."""
    return [replace(experiment, seed=seed) for seed in SEEDS]


def clips_of(experiment: Experiment, root: Path) -> dict[str, dict[str, dict]]:
    """system -> clip -> its figures."""
    files = [ROOT / experiment.folder(root) / name for name in ("steps.json", "metrics.json")]
    systems: dict[str, dict] = {}
    for row in rows_of(next(file for file in files if file.exists())):
        clip = row["id"].removesuffix("_000000")  # mels of a whole clip say when it starts
        systems.setdefault(row["system"], {})[clip] = row
    return systems


def figure(values: dict[str, dict], name: str, others: dict[str, dict] | None) -> dict | None:
    """One figure of a system: mean, n, and the mean difference from another system with its 95 % interval;
    of errors also how many times the other's mean it is, with that interval.

    values, others  clip -> its figures;  None where a figure is known of no clip
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
        if METRICS[name].better == "lower" and theirs.mean() > 0:  # an error: how many times the other's?
            found["times"] = ratio(ours, theirs, seed=0)
    return found


def against(systems: dict[str, dict], names: Iterable[str], base: str) -> dict:
    """Figures of all systems, each beside its difference from one of them."""
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
    """clip -> its figures, each the mean over the seeds that have it."""
    every = [clips_of(each, root)["model"] for each in experiments]
    return {
        clip: {name: summary([rows[clip].get(name) for rows in every])["mean"] for name in names}
        for clip in every[0]
    }


def part(experiment: Experiment, root: Path, seeds: tuple[int, ...] = (0, *SEEDS)) -> dict:
    """A part's worth: figures without it, and their difference from those with it; or a row of its own.

    Seeds count that both sides have finished.
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
        return about | against(clips_of(experiment, root) | systems, names, COPY)
    systems["with"] = seeds_mean(with_it, root, names)
    return about | {
        "part_of": base,
        "decided_by": experiment.decided_by,
        "decision": experiment.decision,
        **against(systems, names, "with"),
    }


def against_mono_copy(experiment: Experiment, root: Path) -> dict:
    """Every system beside the mono copy."""
    return against(clips_of(experiment, root), FIGURES[experiment.table], COPY)


def steps(experiment: Experiment, root: Path) -> dict:
    """Every number of steps beside the default's: sounds, or mels and their time."""
    if experiment.row == "heard":
        return against(clips_of(experiment, root), SOUND_METRICS, RENDERED_KNEE)
    rows = read_json(ROOT / experiment.folder(root) / "steps.json")["rows"]
    return {"rows": rows, **against(clips_of(experiment, root), FIGURES["steps"], KNEE)}


def speed(experiment: Experiment, root: Path) -> dict:
    """The benchmark's own."""
    return {"bench": read_json(ROOT / experiment.folder(root) / "bench.json")}


def placed(experiment: Experiment, root: Path) -> dict:
    """Position by position, what is heard."""
    rows = read_json(ROOT / experiment.folder(root) / "places.json")
    positions = sorted({row["x"] for row in rows})
    return {"places": [_at([row for row in rows if row["x"] == x]) for x in positions]}


def _at(rows: list[dict]) -> dict:
    ends = {
        name: [min(row[name] for row in rows), max(row[name] for row in rows)]
        for name in ("itd_us", "ild_db", "stoi")
    }
    return {
        "x": rows[0]["x"],
        "azimuth": rows[0]["azimuth"],
        **ends,
        "n": len(rows),
        "wrong": sum(row["wrong"] for row in rows),
    }


READERS: dict[str, Callable[[Experiment, Path], dict]] = {
    "quality": against_mono_copy,
    "general": against_mono_copy,
    "anchors": against_mono_copy,
    "parts": part,
    "steps": steps,
    "speed": speed,
    "places": placed,
}


def unproved(entry: dict) -> bool:
    """Whether leaving a part out does not, for sure, make the figure worse that it is there for."""
    judged = entry["systems"]["without"][entry["decided_by"]]
    return judged["low"] <= 0 if METRICS[entry["decided_by"]].better == "lower" else judged["high"] >= 0


def close_calls(experiments: list[Experiment], root: Path) -> list[Experiment]:
    """Parts that seed 0 does not prove, and what they are compared with, for the other seeds."""
    close = [e for e in experiments if e.against and unproved(part(e, root, seeds=(0,)))]
    rows = dict.fromkeys(row for e in close for row in (e.against, e.row))
    named = {e.row: e for e in experiments if e.table == "parts"}
    return [again for row in rows for again in repeated(named[row])]
