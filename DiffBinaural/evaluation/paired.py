"""Paired bootstrap of two systems on the same clips."""

from collections.abc import Iterable

import numpy as np
from tabulate import tabulate

from DiffBinaural.evaluation.metric import Metric
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.pairing import shortened_list

RESAMPLES = 10_000
BATCH = 1_000_000  # numbers that are drawn together
INTERVAL = (2.5, 97.5)  # percentiles of the resampled means


def resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """Means (…, RESAMPLES) of values (…, n), drawn n at a time with replacement.

    The draws are those of scipy.stats.bootstrap with the same seed, which takes half as long again.
    """
    random, n, means = np.random.default_rng(seed), values.shape[-1], []
    for rows in np.array_split(np.arange(RESAMPLES), max(n * RESAMPLES // BATCH, 1)):
        means.append(np.take(values, random.integers(n, size=(len(rows), n)), axis=-1).mean(axis=-1))
    return np.concatenate(means, axis=-1)


def interval(differences: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % interval of the mean of differences (n,): percentile bootstrap (Efron & Tibshirani 1993)."""
    low, high = np.percentile(resampled_means(differences, seed), INTERVAL)
    return float(low), float(high)


def ratio(values: np.ndarray, others: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Ratio of the means of values and others (n,), paired by clip, and its 95 % interval."""
    means, other_means = resampled_means(np.stack([values, others]), seed)
    low, high = np.percentile(means / other_means, INTERVAL)
    return float(values.mean() / others.mean()), float(low), float(high)


def compare(rows: list[dict], a: str, b: str, seed: int) -> dict:
    """System a minus system b, metric by metric, over the clips for which both have the figure.

    rows  {"id", "system", metric: value} as in the evaluate scripts' JSON
    ->    {"a", "b", "resamples", "seed", "metrics": {name: {"mean", "low", "high", "n", "better"}}}; better
          is a or b where the 95 % interval excludes 0, else None; a single clip has no interval
    """
    clips = {system: {row["id"]: row for row in rows if row["system"] == system} for system in (a, b)}
    common = sorted(clips[a].keys() & clips[b])
    if not common:
        raise ValueError(
            f"{a} and {b} have no clip in common: {shortened_list(list(clips[a]), 3)} against "
            f"{shortened_list(list(clips[b]), 3)}; give both the same file names"
        )
    found = {}
    for name, metric in METRICS.items():
        pairs = [[clips[system][clip].get(name) for system in (a, b)] for clip in common]
        known = np.array([pair for pair in pairs if None not in pair])
        if len(known):
            found[name] = difference(known[:, 0] - known[:, 1], metric, (a, b), seed)
    return {"a": a, "b": b, "resamples": RESAMPLES, "seed": seed, "metrics": found}


def difference(values: np.ndarray, metric: Metric, names: tuple[str, str], seed: int) -> dict:
    """Mean and interval of differences (n,), and the name of the significantly better system."""
    low, high = interval(values, seed) if len(values) > 1 else (None, None)
    better = None
    if low is not None and (low > 0 or high < 0):
        better = names[(low > 0) == (metric.better == "lower")]
    return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values), "better": better}


def format_paired(paired: dict, names: Iterable[str]) -> str:
    """Text table of :func:`compare` for the named metrics; `better` is empty where the interval holds 0."""
    rows = []
    for name in names:
        if found := paired["metrics"].get(name):
            m = METRICS[name]
            between = "-"
            if found["low"] is not None:
                between = f"{m.scale * found['low']:+.3g} … {m.scale * found['high']:+.3g}"
            mean = f"{m.scale * found['mean']:+.3g}"
            rows.append([m.titled(name), mean, between, found["n"], found["better"] or ""])
    head = [f"{paired['a']} - {paired['b']}", "mean difference", "95 % interval", "n", "better"]
    return tabulate(rows, head, disable_numparse=True)
