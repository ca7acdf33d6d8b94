"""The registry of metrics.

To add a metric, write one decorated function in the module of its kind::

    @metric(SOUND_QUALITY, "lower", "dB")
    def loudness_error(estimate, reference, rate):
        '''Error of the loudness, ears averaged.'''
        sounding(estimate, reference)
        return np.abs(10 * np.log10((estimate**2).mean(axis=1) / (reference**2).mean(axis=1))).mean()

- OFFICIAL in official.py, INTERAURAL in interaural.py and SOUND_QUALITY in sound_quality.py compare sounds
  (2, N) at `rate` Hz; MEL_METRICS in mel_metrics.py compares log mels (2, M, T), with a MelConfig for `rate`.
- The decorator's words: its table, whether "lower" or "higher" is better, the unit; `scale` in print; `at` Hz
  that the sounds are resampled to first.
- The function's name is the metric's name in every table, JSON, CSV and report; the report explains it with
  the first line of its docstring.
- Raise NotMeasurable where a clip does not allow the figure, as :func:`sounding` does for silence.
- The evaluate scripts write it at once, and print it with ``--metrics NAME`` or ``--metrics all``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Literal

import numpy as np
import torch

from DiffBinaural.utils.audio import resample

OFFICIAL_RATE = 16_000  # Hz, of FAIR-Play's, CCStereo's figures; PESQ's too
SILENCE = 1e-4  # a peak below this (-80 dB full scale) is no sound


class NotMeasurable(ValueError):
    """A clip does not allow a figure; means leave it out and count it as missing."""


@dataclass(frozen=True)
class Metric:
    """A figure with what a table needs to know about it."""

    figure: Callable  # (estimate, reference, rate or MelConfig) -> float
    better: Literal["lower", "higher"]
    unit: str = ""
    scale: float = 1.0  # factor in print; JSON and CSV hold the figure itself
    at: int | None = None  # Hz that the figure resamples to; None = as the sounds are

    def titled(self, name: str) -> str:
        """A name with direction and unit, as the header of a row or column."""
        return f"{name} {'↓' if self.better == 'lower' else '↑'} {self.unit}".rstrip()


def metric(table: dict, better: str, unit: str = "", scale: float = 1.0, at: int | None = None) -> Callable:
    """Decorator that adds a figure to a table, with shapes checked and sounds resampled to `at` Hz first."""

    def add(figure):
        @wraps(figure)
        def call(estimate, reference, rate):
            pair = [np.ascontiguousarray(x, dtype=float) for x in (estimate, reference)]
            shapes = [x.shape for x in pair]
            if shapes[0] != shapes[1] or len(shapes[0]) < 2 or len(pair[0]) != 2 or not pair[0].size:
                raise ValueError(f"{figure.__name__}: shapes {shapes}; expected the same two ears twice")
            if not all(np.isfinite(x).all() for x in pair):
                raise ValueError(f"{figure.__name__}: not all values are finite numbers; expected sound")
            if at:
                pair, rate = [resample(x, rate, at) for x in pair], at
            return float(figure(*pair, rate))

        table[figure.__name__] = Metric(call, better, unit, scale, at)
        return call

    return add


def sounding(*wavs: np.ndarray, at_least: int = 1) -> None:
    """Raise NotMeasurable where an ear is silent throughout, or a sound has too few samples."""
    if wavs[0].shape[-1] < at_least:
        raise NotMeasurable(f"{wavs[0].shape[-1]} samples are too short; {at_least} are needed")
    if min(np.abs(wav).max(axis=-1).min() for wav in wavs) < SILENCE:
        raise NotMeasurable("an ear is silent throughout")


def spectrum(wav: np.ndarray, n_fft: int, hop: int, win: int, pad_mode="constant") -> np.ndarray:
    """Centred STFT (..., n_fft/2 + 1, T), the window centred in n_fft; pads with zeros, as librosa does."""
    if wav.shape[-1] <= n_fft // 2:
        raise NotMeasurable(f"{wav.shape[-1]} samples are too short for an STFT of {n_fft}")
    window, wav = torch.hann_window(win, dtype=torch.float64), torch.from_numpy(wav)
    return torch.stft(wav, n_fft, hop, win, window, pad_mode=pad_mode, return_complex=True).numpy()


def unit_peaks(*wavs: np.ndarray) -> list[np.ndarray]:
    """Each sound divided by its own peak over both ears."""
    peaks = [np.abs(wav).max() for wav in wavs]
    if min(peaks) < SILENCE:
        raise NotMeasurable("a silent sound has no peak to divide by")
    return [wav / peak for wav, peak in zip(wavs, peaks, strict=True)]


def measure(metrics: dict[str, Metric], estimate, reference, rate) -> dict[str, float | None]:
    """All figures of a table for one clip; None where the clip does not allow one.

    rate  Hz of two (2, N) sounds with WAV_METRICS, MelConfig of two (2, M, T) log mels with MEL_METRICS
    """
    inputs, figures = {None: (estimate, reference, rate)}, {}
    for at in {one.at for one in metrics.values()} - {None}:  # once for all the figures that want it
        pair = (np.ascontiguousarray(x, dtype=float) for x in (estimate, reference))
        inputs[at] = (*(resample(x, rate, at) for x in pair), at)
    for name, one in metrics.items():
        try:
            figures[name] = one.figure(*inputs[one.at])
        except NotMeasurable:
            figures[name] = None
    return figures
