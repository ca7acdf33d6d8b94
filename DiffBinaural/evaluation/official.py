"""Metrics of the official code of FAIR-Play, of CCStereo."""

import numpy as np
from scipy.signal import hilbert

from DiffBinaural.evaluation.metric import (
    OFFICIAL_RATE,
    SILENCE,
    Metric,
    NotMeasurable,
    metric,
    spectrum,
    unit_peaks,
)

OFFICIAL: dict[str, Metric] = {}


@metric(OFFICIAL, "lower", at=OFFICIAL_RATE)
def stft(estimate, reference, rate):
    """Squared STFT distance (Gao & Grauman 2019): sum over ears of the mean over re/im, bins, frames."""
    return (np.abs(spectrum(estimate - reference, 512, 160, 400)) ** 2).mean(axis=(1, 2)).sum() / 2


@metric(OFFICIAL, "lower", at=OFFICIAL_RATE)
def env(estimate, reference, rate):
    """Envelope distance (Gao & Grauman 2019): sum over ears of the RMS difference of Hilbert envelopes."""
    return np.sqrt(((np.abs(hilbert(estimate)) - np.abs(hilbert(reference))) ** 2).mean(axis=1)).sum()


@metric(OFFICIAL, "lower", at=OFFICIAL_RATE)
def stft_peaknorm(estimate, reference, rate):
    """`stft` of the sounds after each was divided by its own peak."""
    return stft(*unit_peaks(estimate, reference), rate)


@metric(OFFICIAL, "lower", at=OFFICIAL_RATE)
def env_peaknorm(estimate, reference, rate):
    """`env` of the sounds after each was divided by its own peak."""
    return env(*unit_peaks(estimate, reference), rate)


@metric(OFFICIAL, "lower", "1e-3", scale=1e3, at=OFFICIAL_RATE)
def wav(estimate, reference, rate):
    """Sum over ears of the mean squared difference of the samples."""
    return ((estimate - reference) ** 2).mean(axis=1).sum()


@metric(OFFICIAL, "lower", at=OFFICIAL_RATE)
def mag(estimate, reference, rate):
    """Sum over ears of the mean |Y - X|² of complex spectra: twice `stft`, whatever its name."""
    return 2 * stft(estimate, reference, rate)


@metric(OFFICIAL, "lower", "rad", at=OFFICIAL_RATE)
def dphase(estimate, reference, rate):
    """Mean angle between the spectra of L - R, wrapped to [0, π]; chance and a mono copy give π/2."""
    if np.abs(reference[0] - reference[1]).max() < SILENCE:
        raise NotMeasurable("both ears of the reference are the same: L - R has no phase")
    # + 0.0 turns -0 into +0, whose angle is 0 rather than π: a mono copy has no other phase.
    made, true = (np.angle(spectrum(x[0] - x[1], 512, 160, 400) + 0.0) for x in (estimate, reference))
    return np.abs(np.angle(np.exp(1j * (made - true)))).mean()


@metric(OFFICIAL, "higher", "dB", at=OFFICIAL_RATE)
def snr(estimate, reference, rate):
    """Signal-to-noise ratio, with CCStereo's 1e-4 added to both powers."""
    return 10 * np.log10(((reference**2).mean() + 1e-4) / (((estimate - reference) ** 2).mean() + 1e-4))
