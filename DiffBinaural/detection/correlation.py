"""Correlations of curves in windows of time, with how far each may be chance."""

import numpy as np
from scipy.signal import fftconvolve

GRID = 20.0  # samples a second at which motion and sound are compared; loudness varies up to 8 times a second
WINDOW = 6.0  # seconds; on drawn scenes the right one first in .76, .83, .84 of windows of 4, 6, 8 s
LAGS = range(-1, 4)  # samples that motion may come after its sound: -50 to +150 ms
MEMORY = 1.5  # seconds over which a curve's likeness to itself counts; beyond, its estimate is only noise
DRIFT = 0.6  # seconds; what changes more slowly is taken out: it is like everything else that drifts


def without_drift(curves: np.ndarray) -> np.ndarray:
    """Curves (…, G) less their means over DRIFT seconds, Hann weighted; NaN, where not known, stays NaN."""
    taper = np.hanning(round(DRIFT * GRID) // 2 * 2 + 3)[1:-1]
    known = np.isfinite(curves)
    total, weight = (
        fftconvolve(values, taper.reshape(*[1] * (curves.ndim - 1), -1), "same", axes=-1)
        for values in (np.where(known, curves, 0.0), known.astype(float))
    )
    return np.where(known, curves - total / np.maximum(weight, 1e-6), np.nan)


def correlations(
    motion: np.ndarray, curves: np.ndarray, centres: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Correlations (F, L, K, C) of curves (F, G) with motion (K, G); their variance (F, K, C) by chance.

    The variance is the sum over shifts of both curves' autocorrelations (Bartlett 1946), of weighted samples.
    """
    half, length = round(WINDOW * GRID / 2), motion.shape[1]
    reach = np.arange(-half, half + 1)
    taper = np.hanning(len(reach) + 2)[1:-1]
    here = centres[:, None] + reach
    inside = (here >= 0) & (here < length)
    picked = motion[:, np.clip(here, 0, length - 1)]
    present = np.isfinite(picked) & inside
    picked = np.nan_to_num(picked)
    found = []
    for lag in LAGS:
        there = here - lag
        weights = taper * (present & (there >= 0) & (there < length))  # (K, C, N)
        x = centred(picked, weights)
        y = centred(curves[:, None, np.clip(there, 0, length - 1)], weights)  # (F, K, C, N)
        power = (x * x).sum(-1) * (y * y).sum(-1)
        found.append(np.where(power < 1e-12, 0.0, (x * y).sum(-1) / np.sqrt(np.maximum(power, 1e-12))))
        if lag == 0:
            variance = chance_variance(x, y, weights)
    return np.stack(found, 1), variance


def centred(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values (…, N) less their weighted mean, times the roots of the weights."""
    total = np.maximum(weights.sum(-1, keepdims=True), 1e-9)
    return (values - (values * weights).sum(-1, keepdims=True) / total) * np.sqrt(weights)


def chance_variance(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Variance (F, K, C) by chance of a correlation of x (K, C, N) with y (F, K, C, N), both centred."""
    own_x, own_y = autocorrelation(x), autocorrelation(y)
    power = own_x[..., 0] * own_y[..., 0]
    flat = (own_x[..., 0] < 1e-6) | (own_y[..., 0] < 1e-6)
    shifts = np.arange(own_x.shape[-1])
    fading = np.where(shifts > 0, 2, 1) * np.cos(np.minimum(shifts / (MEMORY * GRID), 1) * np.pi / 2) ** 2
    overlap = autocorrelation(weights) / np.maximum(autocorrelation(np.sqrt(weights)) ** 2, 1e-6)
    total = (own_x * own_y * overlap * fading).sum(-1) / np.where(flat, 1.0, power)
    samples = weights.sum(-1) ** 2 / np.maximum((weights**2).sum(-1), 1e-9)
    return np.where(flat, 1e6, np.maximum(total, 1 / np.maximum(samples, 1e-6)))


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """Sums (…, N // 2) over products of values (…, N) with themselves, shifted by 0, 1, … samples."""
    n = values.shape[-1]
    power = np.abs(np.fft.rfft(values, 2 * n)) ** 2
    return np.fft.irfft(power, 2 * n)[..., : n // 2]
