"""Two systems on the same clips: paired bootstrap."""

import numpy as np

from DiffBinaural.evaluation.metric import Metric
from DiffBinaural.evaluation.metrics import METRICS
from DiffBinaural.evaluation.pairing import shortened_list

RESAMPLES = 10_000
AT_ONCE = 1_000_000  # numbers that are drawn together
INTERVAL = (2.5, 97.5)  # percentiles: 95 % of the resampled means lie between


def resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """Means (RESAMPLES, …) of values (n, …), drawn n at a time with replacement.

    The seed decides which clips a resample holds; the same seed gives every figure of n clips the same ones.
    """
    random, n, means = np.random.default_rng(seed), len(values), []
    for rows in np.array_split(np.arange(RESAMPLES), max(n * RESAMPLES // AT_ONCE, 1)):
        means.append(values[random.integers(n, size=(len(rows), n))].mean(axis=1))
    return np.concatenate(means)


def interval(differences: np.ndarray, seed: int) -> tuple[float, float]:
    """Where the mean of differences (n,) lies: percentile bootstrap over clips (Efron & Tibshirani 1993)."""
    low, high = np.percentile(resampled_means(differences, seed), INTERVAL)
    return float(low), float(high)


def ratio(values: np.ndarray, others: np.ndarray, seed: int) -> tuple[float, float, float]:
    """Ratio of the means of values and others (n,), clip by clip, and where it lies, as of interval."""
    means = resampled_means(np.stack([values, others], axis=1), seed)
    low, high = np.percentile(means[:, 0] / means[:, 1], INTERVAL)
    return float(values.mean() / others.mean()), float(low), float(high)


def compare(rows: list[dict], a: str, b: str, seed: int) -> dict:
    """System a minus system b, figure by figure, over the clips that both have it for.

    rows  {"id", "system", metric: value} as in the evaluate scripts' JSON
    ->    {"a", "b", "resamples", "seed", "metrics": {name: {"mean", "low", "high", "n", "better"}}}; better
          is a or b where the 95 % interval leaves 0 out, else None; without two clips there is no interval
    """
    clips = {system: {row["id"]: row for row in rows if row["system"] == system} for system in (a, b)}
    shared = sorted(clips[a].keys() & clips[b])
    if not shared:
        raise ValueError(
            f"{a} and {b} have no clip in common: {shortened_list(list(clips[a]), 3)} against "
            f"{shortened_list(list(clips[b]), 3)}; give both the same file names"
        )
    found = {}
    for name, metric in METRICS.items():
        pairs = [[clips[system][clip].get(name) for system in (a, b)] for clip in shared]
        known = np.array([pair for pair in pairs if None not in pair])
        if len(known):
            found[name] = difference(known[:, 0] - known[:, 1], metric, (a, b), seed)
    return {"a": a, "b": b, "resamples": RESAMPLES, "seed": seed, "metrics": found}


def difference(values: np.ndarray, metric: Metric, names: tuple[str, str], seed: int) -> dict:
    """One figure's differences (n,) in short, and which of the two names is better for sure."""
    low, high = interval(values, seed) if len(values) > 1 else (None, None)
    better = None
    if low is not None and (low > 0 or high < 0):
        better = names[(low > 0) == (metric.better == "lower")]
    return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values), "better": better}


def format_paired(paired: dict) -> str:
    """Text table of :func:`compare`; a star where 0 lies outside the interval, and who is better there."""
    lines = [(f"{paired['a']} - {paired['b']}", "mean difference [95 % interval]", "better")]
    for name, found in paired["metrics"].items():
        m = METRICS[name]
        mean, low, high = (
            None if found[k] is None else f"{m.scale * found[k]:+.3g}" for k in ("mean", "low", "high")
        )
        between = f" [{low}, {high}]" if low else ""
        lines.append(
            (
                m.titled(name),
                f"{mean}{between} n={found['n']}",
                f"* {found['better']}" if found["better"] else "",
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
