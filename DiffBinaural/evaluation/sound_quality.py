"""Metrics of the sound quality of each ear."""

import warnings

import numpy as np
import torch
from scipy.fft import dct

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.metric import OFFICIAL_RATE, Metric, NotMeasurable, metric, sounding, spectrum
from DiffBinaural.utils.mel import mel_l1

SOUND_QUALITY: dict[str, Metric] = {}

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # n_fft, hop, window
SDR_FLOOR = 1e-10  # of the estimate's energy: no SI-SDR over 100 dB


@metric(SOUND_QUALITY, "higher", "dB")
def si_sdr(estimate, reference, rate):
    """Scale-invariant SDR (Le Roux et al. 2019), ears averaged and never exchanged; within ±100 dB."""
    sounding(estimate, reference)
    scale = (estimate * reference).sum(axis=1) / (reference**2).sum(axis=1)
    target = scale[:, None] * reference
    floor = SDR_FLOOR * (estimate**2).sum(axis=1)
    ratio = ((target**2).sum(axis=1) + floor) / (((estimate - target) ** 2).sum(axis=1) + floor)
    return 10 * np.log10(ratio).mean()


@metric(SOUND_QUALITY, "lower", "dB", at=MelConfig.sample_rate)
def mcd(estimate, reference, rate):
    """Mel cepstral distortion: 10/ln 10 · sqrt(2 Σ Δc²) over MFCC 1-13, frames and ears averaged, unaligned.

    MFCC: librosa's defaults (2048/512, 128 bands, power), but the natural log of max(power, 1e-10).
    """
    import librosa

    sounding(estimate, reference, at_least=2048)
    mels = (librosa.feature.melspectrogram(y=x, sr=rate) for x in (estimate, reference))
    made, true = (dct(np.log(mel.clip(min=1e-10)), axis=1, norm="ortho")[:, 1:14] for mel in mels)
    return 10 / np.log(10) * np.sqrt(2 * ((made - true) ** 2).sum(axis=1)).mean()


@metric(SOUND_QUALITY, "lower", "nepers", at=MelConfig.sample_rate)
def mel_spec_error(estimate, reference, rate):
    """Mel L1: mean absolute difference of the log mels of the sounds, by which vocoders are compared."""
    sounding(estimate, reference, at_least=MelConfig.n_fft)
    made, true = (torch.from_numpy(x).float() for x in (estimate, reference))
    return float(mel_l1(made, true, MelConfig()))


@metric(SOUND_QUALITY, "lower")
def mrstft(estimate, reference, rate):
    """Multi-resolution STFT distance (Yamamoto et al. 2020): spectral convergence + L1 of ln magnitudes."""
    sounding(estimate, reference)
    total = 0.0
    for sizes in RESOLUTIONS:
        made, true = (np.abs(spectrum(x, *sizes, "reflect")).clip(min=1e-4) for x in (estimate, reference))
        convergence = np.linalg.norm(made - true, axis=(1, 2)) / np.linalg.norm(true, axis=(1, 2))
        total += convergence.mean() + np.abs(np.log(made / true)).mean()
    return total / len(RESOLUTIONS)


@metric(SOUND_QUALITY, "higher", at=OFFICIAL_RATE)
def pesq_wb(estimate, reference, rate):
    """Wide-band PESQ (ITU-T P.862.2), 1.04 to 4.64, per ear, averaged; made for speech, it may fail."""
    from pesq import PesqError, pesq

    sounding(estimate, reference)
    made, true = estimate.clip(-1, 1), reference.clip(-1, 1)
    try:
        return np.mean([pesq(rate, true[ear], made[ear], "wb") for ear in (0, 1)])
    except PesqError as error:
        raise NotMeasurable(f"PESQ: {type(error).__name__} {error}") from None


@metric(SOUND_QUALITY, "higher")
def stoi(estimate, reference, rate):
    """Short-time objective intelligibility (Taal et al. 2011), to 1, per ear, averaged.  A speech measure."""
    from pystoi import stoi as of_ear

    sounding(estimate, reference, at_least=round(0.4 * rate))  # one of its segments takes 384 ms
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi warns where it cannot measure
        try:
            return np.mean([of_ear(reference[ear], estimate[ear], rate) for ear in (0, 1)])
        except RuntimeWarning as warning:
            raise NotMeasurable(f"STOI: {warning}") from None
