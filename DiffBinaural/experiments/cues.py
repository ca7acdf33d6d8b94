"""Interaural cues second by second."""

import numpy as np

from DiffBinaural.evaluation.interaural import cues
from DiffBinaural.utils.plots import Lines


def cues_by_second(wav: np.ndarray, rate: float) -> dict[str, list[float | None]]:
    """Median ITD and ILD of every second.

    wav  (2, N)
    ->   titles of :func:`cues` -> a value for each second, None where no frame is audible
    """
    count = -(-wav.shape[1] // int(rate))
    return {
        title: [_median(values[seconds.astype(int) == k]) for k in range(count)]
        for title, (seconds, values) in cues(wav, rate).items()
    }


def cue_lines(systems: dict[str, dict[str, list]], reference: str) -> Lines:
    """Curves of all systems for :func:`draw_lines`: first the reference, its mirror image."""
    lines = {
        name: {title: _curve(values) for title, values in found.items()} for name, found in systems.items()
    }
    told = lines.pop(reference)
    image = {title: (seconds, -values) for title, (seconds, values) in told.items()}
    return {reference: told, f"{reference}_mirrored": image} | lines


def _curve(values: list[float | None]) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(values)) + 0.5, np.array(values, dtype=float)


def _median(values: np.ndarray) -> float | None:
    audible = values[np.isfinite(values)]
    return float(np.median(audible)) if audible.size else None
