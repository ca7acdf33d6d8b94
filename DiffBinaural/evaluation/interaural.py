"""Metrics of the differences between the ears: level, time, coherence, phase."""

from collections.abc import Callable

import numpy as np
from scipy.signal import get_window

from DiffBinaural.evaluation.metric import Metric, NotMeasurable, metric, sounding, unit_peaks

INTERAURAL: dict[str, Metric] = {}

GATE = 1e-4  # -40 dB in energy
ILD_EDGES = (0, 500, 1000, 1500, 3000, 6000, 11_025)  # Hz
ILD_WEIGHTS = np.array([0.5, 0.7, 1.0, 1.5, 1.5, 1.3])
LEVEL_BAND = (1500, 6000)  # Hz, where the head casts a deep shadow
ILD_FLOOR = 1e-8  # of the strongest frame's energy: no ILD over 80 dB
PHASE_LIMIT = 1500  # Hz: above it ears follow envelopes, not phases
ILD_TITLE = "ILD 1.5 to 6 kHz, dB"
MAX_LAG = 1e-3  # seconds; the widest heads reach 0.8 ms


def frames(wav: np.ndarray, size: int, hop: int) -> np.ndarray:
    """Hann-windowed frames (2, T, size) that lie wholly inside (2, N)."""
    if wav.shape[-1] < size:
        raise NotMeasurable(f"{wav.shape[-1]} samples are shorter than one frame of {size}")
    views = np.lib.stride_tricks.sliding_window_view(wav, size, axis=-1)
    return views[:, ::hop] * get_window("hann", size)


def gate(energy: np.ndarray) -> np.ndarray:
    """Frames that count, (T,) bool: those within 40 dB of the strongest frame."""
    return energy > GATE * energy.max()


def ild(power: np.ndarray, hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interaural level difference of every band of ILD_EDGES and frame.

    power  (2, F, T)  left ear first
    hz     (F,)       frequency of each row
    ->     (B, T)     10 log10(right / left) in dB, and (B,) the weights; bands without any row are left out
    """
    member = np.arange(len(ILD_WEIGHTS))[:, None] == np.digitize(hz, ILD_EDGES[1:-1])
    filled = member.any(axis=1)
    left, right = member[filled].astype(float) @ power + ILD_FLOOR * power.sum(axis=(0, 1)).max()
    return 10 * np.log10(right / left), ILD_WEIGHTS[filled] / ILD_WEIGHTS[filled].sum()


def phasor_error(estimate: np.ndarray, reference: np.ndarray, mono_mel: np.ndarray) -> float:
    """Mean distance of two phasors, cells weighted with the mono's magnitude: 0 to 2.

    estimate, reference  (2, M, T)  real and imaginary part;  mono_mel: (1, M, T) in nepers
    """
    made, true, mel = (np.asarray(x, dtype=float) for x in (estimate, reference, mono_mel))
    return float(np.average(np.hypot(*(made - true)), weights=np.exp(mel[0])))


def level_error(estimate: np.ndarray, reference: np.ndarray, hz: np.ndarray) -> float:
    """Mean |ILD difference| over gated frames, band by band, then weighted: so errors do not cancel."""
    (made, _), (true, weights) = ild(estimate, hz), ild(reference, hz)
    return weights @ np.abs(made - true)[:, gate(reference.sum(axis=(0, 1)))].mean(axis=1)


@metric(INTERAURAL, "lower", "dB")
def ild_error(estimate, reference, rate):
    """Error of the interaural level difference; six bands, frames 1024/512, gated."""
    unit_peaks(estimate, reference)  # one silent ear is an extreme ILD; a silent sound has none
    powers = ((np.abs(np.fft.rfft(frames(x, 1024, 512))) ** 2).swapaxes(1, 2) for x in (estimate, reference))
    return level_error(*powers, np.fft.rfftfreq(1024, 1 / rate))


def cross_correlation(cross: np.ndarray, lag: int) -> np.ndarray:
    """Correlation at lags -lag … lag, (T, 2·lag + 1), from one-sided spectra of L·R*, (T, F)."""
    full = np.fft.irfft(cross)
    return np.concatenate([full[:, -lag:], full[:, : lag + 1]], axis=1)


def itd(wav: np.ndarray, rate: float) -> np.ndarray:
    """Interaural time difference of every frame 2048/1024, by GCC-PHAT (Knapp & Carter 1976) up to 1.5 kHz.

    wav  (2, N)
    ->   (T,)  t_left - t_right in seconds, positive where the right ear leads; NaN where an ear is silent
    """
    left, right = np.fft.rfft(frames(wav, 2048, 1024), 4096)  # twice the frame: no lag wraps around
    hz, lag = np.fft.rfftfreq(4096, 1 / rate), round(MAX_LAG * rate)
    cross = left * right.conj() * ((hz > 0) & (hz <= PHASE_LIMIT))
    top = np.abs(cross).max(axis=1, keepdims=True)
    # Whitened, except that bins 60 dB below the strongest hold noise and count less.
    phat = cross / np.maximum(np.abs(cross) + 1e-6 * top, np.finfo(float).tiny)
    score = cross_correlation(phat, lag + 1)
    peak = 1 + score[:, 1:-1].argmax(axis=1)
    before, at, after = (score[np.arange(len(score)), peak + k] for k in (-1, 0, 1))
    bend = np.minimum(before + after - 2 * at, -np.finfo(float).tiny)
    vertex = np.clip((before - after) / 2 / bend, -0.5, 0.5)  # of the parabola through the three
    return np.where(top[:, 0] > 0, (peak + vertex - lag - 1) / rate, np.nan)


def iacc(wav: np.ndarray, rate: float) -> np.ndarray:
    """Interaural coherence of every frame 2048/1024: largest |correlation| in ±1 ms, (T,), or NaN."""
    framed = frames(wav, 2048, 1024)
    left, right = np.fft.rfft(framed, 4096)
    energy = np.sqrt((framed**2).sum(axis=-1).prod(axis=0))
    best = np.abs(cross_correlation(left * right.conj(), round(MAX_LAG * rate))).max(axis=1)
    return np.divide(best, energy, out=np.full_like(best, np.nan), where=energy > 0)


def cues(wav: np.ndarray, rate: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Interaural time and level difference over time, for plots.

    Frames are 2048/1024.  The level difference is that of the whole LEVEL_BAND.

    wav  (2, N), padded with silence up to one frame
    ->   title -> (seconds, values), NaN in frames below -40 dB of the strongest
    """
    wav = np.pad(wav, [(0, 0), (0, max(2048 - wav.shape[1], 0))])
    framed = frames(wav, 2048, 1024)
    power, hz = np.abs(np.fft.rfft(framed)) ** 2, np.fft.rfftfreq(2048, 1 / rate)
    floor = ILD_FLOOR * max(power.sum(axis=-1).max(), 1e-12)
    left, right = power[..., np.digitize(hz, LEVEL_BAND) == 1].sum(axis=-1) + floor
    audible = gate((framed**2).sum(axis=(0, 2)))
    seconds = (np.arange(len(audible)) * 1024 + 1024) / rate
    values = {"ITD below 1.5 kHz, µs": 1e6 * itd(wav, rate), ILD_TITLE: 10 * np.log10(right / left)}
    return {title: (seconds, np.where(audible, value, np.nan)) for title, value in values.items()}


def gated_difference(cue: Callable, estimate, reference, rate) -> float:
    """Mean |difference| of a per-frame cue over gated frames in which no ear is silent."""
    sounding(estimate, reference)
    difference = np.abs(cue(estimate, rate) - cue(reference, rate))
    difference = difference[gate((frames(reference, 2048, 1024) ** 2).sum(axis=(0, 2)))]
    if np.isnan(difference).all():
        raise NotMeasurable("no frame in which no ear is silent")
    return np.nanmean(difference)


@metric(INTERAURAL, "lower", "µs")
def itd_error(estimate, reference, rate):
    """Error of the interaural time difference; see :func:`itd`, gated."""
    return 1e6 * gated_difference(itd, estimate, reference, rate)


@metric(INTERAURAL, "lower")
def iacc_error(estimate, reference, rate):
    """Error of the interaural coherence, 0 to 1; see :func:`iacc`, gated."""
    return gated_difference(iacc, estimate, reference, rate)


@metric(INTERAURAL, "lower", "rad")
def ipd_error(estimate, reference, rate):
    """Error of the interaural phase, wrapped to [0, π]: up to 1.5 kHz, gated frames 1024/512.

    Bins are weighted by the reference's |L·R|: an ear without energy has no phase.
    """
    sounding(estimate, reference)
    made, true = (np.fft.rfft(frames(x, 1024, 512)) for x in (estimate, reference))
    low = np.fft.rfftfreq(1024, 1 / rate) <= PHASE_LIMIT
    counted = gate((np.abs(true) ** 2).sum(axis=(0, 2)))
    made, true = ((x[0] * x[1].conj())[counted][:, low] for x in (made, true))
    weights = np.abs(true) * (made != 0)
    if not weights.any():
        raise NotMeasurable("no frequency below 1.5 kHz at which both ears have energy")
    return (weights * np.abs(np.angle(made * true.conj()))).sum() / weights.sum()
