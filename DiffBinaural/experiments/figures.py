"""Metrics of an experiment's systems: means with paired intervals."""

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean

import numpy as np

from DiffBinaural.evaluation.aggregation import rows_of
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.paired import interval, ratio
from DiffBinaural.experiments.registry import Experiment
from DiffBinaural.experiments.runner import ROOT

COPY = "mono_copy"
SOUND_METRICS = ("stft", "env", "dphase", "itd_error", "ild_error", "iacc_error", "pesq_wb")
HEADLINE = ("stft", "env", "itd_error", "ild_error")  # those that RESULTS.md counts
FIGURES = {
    "quality": ("mel_rmse", *SOUND_METRICS),
    "general": (*SOUND_METRICS, "mel_spec_error"),
    "anchors": tuple(METRICS),
    "kit": (*HEADLINE, "iacc_error"),
    "parts": ("mel_rmse", "mel_ild_error", "stft", "env", "itd_error", "ild_error", "mrstft", "pesq_wb"),
    "steps": ("mel_rmse", "mel_ild_error"),
}
# the system that is ours, as it is used by default; those that it is compared with beside the mono copy
OURS = {"quality": "levelled", "kit": "model_auto", "general": "wiener"}
PEER = "mono2binaural"
BASELINES = {"quality": ("geometry", PEER), "kit": ("geometry_auto", PEER)}
BASELINE_NAMES = {
    COPY: "the mono copy",
    "geometry": "geometry",
    "geometry_auto": "geometry",
    PEER: "Mono2Binaural",
}

ByClip = dict[str, dict[str, dict]]  # system -> clip -> {metric: value}


def figures_by_clip(experiment: Experiment, root: Path) -> ByClip:
    """Metrics of an experiment: system -> clip -> {metric: value}."""
    files = [ROOT / experiment.folder(root) / name for name in ("steps.json", "metrics.json")]
    systems: ByClip = {}
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


def known_figures(values: dict[str, dict], names: Iterable[str], others: dict[str, dict] | None) -> dict:
    """:func:`figure` of every metric that a system has."""
    return {name: found for name in names if (found := figure(values, name, others))}


def against(systems: ByClip, names: Iterable[str], base: str) -> dict:
    """Figures of all systems, with their differences from one of them."""
    return {
        "against": base,
        "systems": {
            system: known_figures(values, names, None if system == base else systems.get(base))
            for system, values in systems.items()
        },
    }


def compared(systems: ByClip, table: str) -> dict:
    """Figures of all systems against the mono copy; those of ours also against each baseline that is there.

    -> :func:`against`, and "compared": baseline -> metric -> :func:`figure` of ours against it
    """
    names, ours = FIGURES[table], OURS.get(table)
    baselines = [name for name in BASELINES.get(table, ()) if {name, ours} <= systems.keys()]
    return {
        **against(systems, names, COPY),
        "compared": {name: known_figures(systems[ours], names, systems[name]) for name in baselines},
    }
