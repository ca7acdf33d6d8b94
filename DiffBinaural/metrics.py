"""Every figure that says how good a binaural result is, as a function (estimate, reference, rate) -> float.

estimate   (2, N)  what a model made, left ear first, samples in [-1, 1]
reference  (2, N)  the truth, as long as the estimate
rate       Hz      of both; the figures of mels take (2, M, T) log mels in nepers and their MelConfig instead

Energy gate.  A frame counts where its energy (both ears, all bins or samples, after the window) lies above
-40 dB of the *reference's* strongest frame; the estimate never chooses the frames it is judged by.

A wrong shape or a value that is not finite raises ValueError.  A figure that a clip does not allow (silence,
no speech for PESQ) raises its subclass NotMeasurable; :func:`measure` turns that into None, to be left out of
the mean and counted.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Literal

import numpy as np
import torch
from scipy.fft import dct
from scipy.signal import get_window, hilbert

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.helpers import FLOOR, band_centres, resample
from DiffBinaural.utils.lists import SIDES

PUBLISHED = 16_000  # Hz, of FAIR-Play's, CCStereo's figures; PESQ's too
SILENCE = 1e-4  # a peak below this (-80 dB full scale) is no sound
GATE = 1e-4  # -40 dB in energy
ILD_EDGES = (0, 500, 1000, 1500, 3000, 6000, 11_025)  # Hz
ILD_WEIGHTS = np.array([0.5, 0.7, 1.0, 1.5, 1.5, 1.3])
LEVEL_BAND = (1500, 6000)  # Hz, where the head casts a deep shadow
ILD_FLOOR = 1e-8  # of the strongest frame's energy: no ILD over 80 dB
PHASE_LIMIT = 1500  # Hz: above it ears follow envelopes, not phases
ILD_TITLE = "ILD 1.5 to 6 kHz, dB"
MAX_LAG = 1e-3  # seconds; the widest heads reach 0.8 ms
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # n_fft, hop, window
SDR_FLOOR = 1e-10  # of the estimate's energy: no SI-SDR over 100 dB


class NotMeasurable(ValueError):
    """This clip does not allow this figure; an aggregate leaves it out and counts it."""


@dataclass(frozen=True)
class Metric:
    """A figure, and what a table needs to know of it."""

    figure: Callable  # (estimate, reference, rate or MelConfig) -> float
    better: Literal["lower", "higher"]
    unit: str = ""
    scale: float = 1.0  # factor in print; JSON and CSV hold the figure itself
    at: int | None = None  # Hz that the figure resamples to; None = as the sounds are

    def titled(self, name: str) -> str:
        """A name with what is better and the unit, as the head of a row or column."""
        return f"{name} {'↓' if self.better == 'lower' else '↑'} {self.unit}".rstrip()


WAV_METRICS: dict[str, Metric] = {}
MEL_METRICS: dict[str, Metric] = {}


def metric(table: dict, better: str, unit: str = "", scale: float = 1.0, at: int | None = None) -> Callable:
    """Enter a figure into a table, have it check shapes and resample to `at` (Hz) first."""

    def enter(figure):
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

    return enter


def sounding(*wavs: np.ndarray, at_least: int = 1) -> None:
    """Raise NotMeasurable unless every ear of every sound sounds, and each has so many samples."""
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


# --- FAIR-Play's official figures, and CCStereo's -----------------------------------------------------------


def unit_peaks(*wavs: np.ndarray) -> list[np.ndarray]:
    """Each sound divided by its own peak over both ears."""
    peaks = [np.abs(wav).max() for wav in wavs]
    if min(peaks) < SILENCE:
        raise NotMeasurable("a silent sound has no peak to divide by")
    return [wav / peak for wav, peak in zip(wavs, peaks, strict=True)]


@metric(WAV_METRICS, "lower", at=PUBLISHED)
def stft(estimate, reference, rate):
    """Squared STFT distance (Gao & Grauman 2019): sum over ears of the mean over re/im, bins, frames."""
    return (np.abs(spectrum(estimate - reference, 512, 160, 400)) ** 2).mean(axis=(1, 2)).sum() / 2


@metric(WAV_METRICS, "lower", at=PUBLISHED)
def env(estimate, reference, rate):
    """Envelope distance (Gao & Grauman 2019): sum over ears of the RMS difference of Hilbert envelopes."""
    return np.sqrt(((np.abs(hilbert(estimate)) - np.abs(hilbert(reference))) ** 2).mean(axis=1)).sum()


@metric(WAV_METRICS, "lower", at=PUBLISHED)
def stft_peaknorm(estimate, reference, rate):
    """`stft` of the sounds after each was divided by its own peak."""
    return stft(*unit_peaks(estimate, reference), rate)


@metric(WAV_METRICS, "lower", at=PUBLISHED)
def env_peaknorm(estimate, reference, rate):
    """`env` of the sounds after each was divided by its own peak."""
    return env(*unit_peaks(estimate, reference), rate)


@metric(WAV_METRICS, "lower", "1e-3", scale=1e3, at=PUBLISHED)
def wav(estimate, reference, rate):
    """Sum over ears of the mean squared difference of the samples."""
    return ((estimate - reference) ** 2).mean(axis=1).sum()


@metric(WAV_METRICS, "lower", at=PUBLISHED)
def mag(estimate, reference, rate):
    """Sum over ears of the mean |Y - X|² of complex spectra: twice `stft`, whatever its name."""
    return 2 * stft(estimate, reference, rate)


@metric(WAV_METRICS, "lower", "rad", at=PUBLISHED)
def dphase(estimate, reference, rate):
    """Mean angle between the spectra of L - R, wrapped to [0, π]; chance and a mono copy give π/2."""
    if np.abs(reference[0] - reference[1]).max() < SILENCE:
        raise NotMeasurable("both ears of the reference are the same: L - R has no phase")
    # + 0.0 turns -0 into +0, whose angle is 0 rather than π: a mono copy has no other phase.
    made, true = (np.angle(spectrum(x[0] - x[1], 512, 160, 400) + 0.0) for x in (estimate, reference))
    return np.abs(np.angle(np.exp(1j * (made - true)))).mean()


@metric(WAV_METRICS, "higher", "dB", at=PUBLISHED)
def snr(estimate, reference, rate):
    """Signal-to-noise ratio, with CCStereo's 1e-4 added to both powers."""
    return 10 * np.log10(((reference**2).mean() + 1e-4) / (((estimate - reference) ** 2).mean() + 1e-4))


# --- what the ears compare ----------------------------------------------------------------------------------


def frames(wav: np.ndarray, size: int, hop: int) -> np.ndarray:
    """Hann-windowed frames (2, T, size) that lie wholly inside (2, N)."""
    if wav.shape[-1] < size:
        raise NotMeasurable(f"{wav.shape[-1]} samples are shorter than one frame of {size}")
    views = np.lib.stride_tricks.sliding_window_view(wav, size, axis=-1)
    return views[:, ::hop] * get_window("hann", size)


def gate(energy: np.ndarray) -> np.ndarray:
    """Which frames count: (T,) bool, energy above -40 dB of the strongest frame's."""
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
    """Mean |ILD difference| over gated frames, band by band, then weighted: no errors cancel."""
    (made, _), (true, weights) = ild(estimate, hz), ild(reference, hz)
    return weights @ np.abs(made - true)[:, gate(reference.sum(axis=(0, 1)))].mean(axis=1)


@metric(WAV_METRICS, "lower", "dB")
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
    """What tells a listener where a sound is, over time, to be drawn: title -> (seconds, values).

    wav  (2, N), padded with silence up to one frame
    Frames 2048/1024; NaN below -40 dB of the strongest.  ILD: all of LEVEL_BAND together
    """
    wav = np.pad(wav, [(0, 0), (0, max(2048 - wav.shape[1], 0))])
    framed = frames(wav, 2048, 1024)
    power, hz = np.abs(np.fft.rfft(framed)) ** 2, np.fft.rfftfreq(2048, 1 / rate)
    floor = ILD_FLOOR * max(power.sum(axis=-1).max(), 1e-12)
    left, right = power[..., np.digitize(hz, LEVEL_BAND) == 1].sum(axis=-1) + floor
    heard = gate((framed**2).sum(axis=(0, 2)))
    seconds = (np.arange(len(heard)) * 1024 + 1024) / rate
    values = {"ITD below 1.5 kHz, µs": 1e6 * itd(wav, rate), ILD_TITLE: 10 * np.log10(right / left)}
    return {title: (seconds, np.where(heard, value, np.nan)) for title, value in values.items()}


def mel_cues(mel: np.ndarray, cfg: MelConfig) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """:func:`cues` as far as log mels (2, M, T) tell them: the level difference."""
    power = np.exp(2 * np.asarray(mel, dtype=float))
    left, right = power[:, np.digitize(band_centres(cfg), LEVEL_BAND) == 1].sum(axis=1)
    seconds = (np.arange(mel.shape[-1]) + 0.5) * cfg.hop / cfg.sample_rate
    heard = gate(power.sum(axis=(0, 1)))
    return {ILD_TITLE: (seconds, np.where(heard, 10 * np.log10(right / left), np.nan))}


def gated_difference(cue: Callable, estimate, reference, rate) -> float:
    """Mean |difference| of a per-frame cue over the gated frames in which both ears of both sounds sound."""
    sounding(estimate, reference)
    difference = np.abs(cue(estimate, rate) - cue(reference, rate))
    difference = difference[gate((frames(reference, 2048, 1024) ** 2).sum(axis=(0, 2)))]
    if np.isnan(difference).all():
        raise NotMeasurable("no frame in which both ears of both sounds sound")
    return np.nanmean(difference)


@metric(WAV_METRICS, "lower", "µs")
def itd_error(estimate, reference, rate):
    """Error of the interaural time difference; see :func:`itd`, gated."""
    return 1e6 * gated_difference(itd, estimate, reference, rate)


@metric(WAV_METRICS, "lower")
def iacc_error(estimate, reference, rate):
    """Error of the interaural coherence, 0 to 1; see :func:`iacc`, gated."""
    return gated_difference(iacc, estimate, reference, rate)


@metric(WAV_METRICS, "lower", "rad")
def ipd_error(estimate, reference, rate):
    """Error of the interaural phase, wrapped to [0, π]: up to 1.5 kHz, gated frames 1024/512.

    Bins weigh as much as the reference's |L·R|: where an ear has no energy there is no phase.
    """
    sounding(estimate, reference)
    made, true = (np.fft.rfft(frames(x, 1024, 512)) for x in (estimate, reference))
    low = np.fft.rfftfreq(1024, 1 / rate) <= PHASE_LIMIT
    counted = gate((np.abs(true) ** 2).sum(axis=(0, 2)))
    made, true = ((x[0] * x[1].conj())[counted][:, low] for x in (made, true))
    weights = np.abs(true) * (made != 0)
    if not weights.any():
        raise NotMeasurable("no energy below 1.5 kHz that both ears share")
    return (weights * np.abs(np.angle(made * true.conj()))).sum() / weights.sum()


# --- the sound itself ---------------------------------------------------------------------------------------


@metric(WAV_METRICS, "higher", "dB")
def si_sdr(estimate, reference, rate):
    """Scale-invariant SDR (Le Roux et al. 2019), ears averaged and never exchanged; within ±100 dB."""
    sounding(estimate, reference)
    scale = (estimate * reference).sum(axis=1) / (reference**2).sum(axis=1)
    target = scale[:, None] * reference
    floor = SDR_FLOOR * (estimate**2).sum(axis=1)
    ratio = ((target**2).sum(axis=1) + floor) / (((estimate - target) ** 2).sum(axis=1) + floor)
    return 10 * np.log10(ratio).mean()


@metric(WAV_METRICS, "lower", "dB", at=MelConfig.sample_rate)
def mcd(estimate, reference, rate):
    """Mel cepstral distortion: 10/ln 10 · sqrt(2 Σ Δc²) over MFCC 1-13, frames and ears averaged, unaligned.

    MFCC: librosa's defaults (2048/512, 128 bands, power), but the natural log of max(power, 1e-10).
    """
    import librosa

    sounding(estimate, reference, at_least=2048)
    mels = (librosa.feature.melspectrogram(y=x, sr=rate) for x in (estimate, reference))
    made, true = (dct(np.log(mel.clip(min=1e-10)), axis=1, norm="ortho")[:, 1:14] for mel in mels)
    return 10 / np.log(10) * np.sqrt(2 * ((made - true) ** 2).sum(axis=1)).mean()


@metric(WAV_METRICS, "lower")
def mrstft(estimate, reference, rate):
    """Multi-resolution STFT distance (Yamamoto et al. 2020): spectral convergence + L1 of ln magnitudes."""
    sounding(estimate, reference)
    total = 0.0
    for sizes in RESOLUTIONS:
        made, true = (np.abs(spectrum(x, *sizes, "reflect")).clip(min=1e-4) for x in (estimate, reference))
        convergence = np.linalg.norm(made - true, axis=(1, 2)) / np.linalg.norm(true, axis=(1, 2))
        total += convergence.mean() + np.abs(np.log(made / true)).mean()
    return total / len(RESOLUTIONS)


@metric(WAV_METRICS, "higher", at=PUBLISHED)
def pesq_wb(estimate, reference, rate):
    """Wide-band PESQ (ITU-T P.862.2), 1.04 to 4.64, per ear, averaged.  A speech measure: it may refuse."""
    from pesq import PesqError, pesq

    sounding(estimate, reference)
    made, true = estimate.clip(-1, 1), reference.clip(-1, 1)
    try:
        return np.mean([pesq(rate, true[ear], made[ear], "wb") for ear in (0, 1)])
    except PesqError as error:
        raise NotMeasurable(f"PESQ: {type(error).__name__} {error}") from None


@metric(WAV_METRICS, "higher")
def stoi(estimate, reference, rate):
    """Short-time objective intelligibility (Taal et al. 2011), to 1, per ear, averaged.  A speech measure."""
    from pystoi import stoi as of_ear

    sounding(estimate, reference, at_least=round(0.4 * rate))  # one of its segments takes 384 ms
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi: cannot, take 1e-5
        try:
            return np.mean([of_ear(reference[ear], estimate[ear], rate) for ear in (0, 1)])
        except RuntimeWarning as warning:
            raise NotMeasurable(f"STOI: {warning}") from None


# --- log mels: (2, M, T) in nepers --------------------------------------------------------------------------


def band_errors(estimate: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """RMSE (nepers), L1 (nepers) and L2 (mean square, nepers²) of each ear and mel band, (2, M) each."""
    difference = np.asarray(estimate, dtype=float) - reference
    l1, l2 = np.abs(difference).mean(axis=-1), (difference**2).mean(axis=-1)
    return {"rmse": np.sqrt(l2), "l1": l1, "l2": l2}


@metric(MEL_METRICS, "lower", "neper")
def mel_rmse(estimate, reference, cfg):
    """Root of the mean squared difference over bands and frames, ears averaged."""
    return np.sqrt(((estimate - reference) ** 2).mean(axis=(1, 2))).mean()


@metric(MEL_METRICS, "lower", "dB")
def mel_ild_error(estimate, reference, cfg):
    """`ild_error` from mels: a band's power is the sum of exp(2·mel) over the mel bands centred in it."""
    if min(estimate.max(), reference.max()) < np.log(FLOOR) + 1e-3:
        raise NotMeasurable("a mel is silent throughout")
    return level_error(np.exp(2 * estimate), np.exp(2 * reference), band_centres(cfg))


def enter_ear(kind: str, ear: int, side: str, unit: str) -> None:
    """Enter mel_<kind>_<side>, one ear's rmse, l1 or l2, into MEL_METRICS."""

    def figure(estimate, reference, cfg):
        mean = {k: v[ear].mean() for k, v in band_errors(estimate, reference).items()}
        return np.sqrt(mean["l2"]) if kind == "rmse" else mean[kind]

    figure.__name__, figure.__doc__ = f"mel_{kind}_{side}", f"{kind.upper()} of the {side} ear's log mel."
    metric(MEL_METRICS, "lower", unit)(figure)


for _kind, _unit in (("rmse", "neper"), ("l1", "neper"), ("l2", "neper²")):
    for _ear, _side in enumerate(SIDES):
        enter_ear(_kind, _ear, _side, _unit)

METRICS = WAV_METRICS | MEL_METRICS


def measure(metrics: dict[str, Metric], estimate, reference, rate) -> dict[str, float | None]:
    """Every figure of a table for one clip; None where the clip does not allow it.

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
