"""Impulse responses at two ears: their onsets, what is kept of them, their levels."""

import numpy as np
import scipy.fft

BEFORE, AFTER = 24 / 22050, 128 / 22050  # seconds that are kept of a response before, after its onset
FADE_IN, FADE_OUT = 16 / 22050, 48 / 22050  # seconds of them, at the ends
MARGIN = 0.0002  # seconds more that are kept at the file's own rate, for the filters of another rate
ONSET_BAND = 3000.0  # Hz: below, the delay hardly jumps from a direction to the next
LEVEL_BAND = (200.0, 4000.0)  # Hz in which a response has its level
LOWEST = 100.0  # Hz: below, measurements hold little but noise
CHUNK = 256  # directions at a time
POINTS = 2**22  # of correlations at a time: 64 MB


def onsets(impulses: np.ndarray, rate: float) -> np.ndarray:
    """Delays (N, 2) in seconds of responses (N, 2, taps): the lag behind their minimum-phase forms.

    It is where both correlate most below ONSET_BAND, to a fraction of a sample (Nam, Abel & Smith 2008).
    """
    size, fine = scipy.fft.next_fast_len(4 * impulses.shape[2], real=True), 8
    hz = scipy.fft.rfftfreq(size, 1 / rate)
    band, high = 1 / (1 + (hz / ONSET_BAND) ** 8), hz > 5 * ONSET_BAND
    octave = (hz > 2.5 * ONSET_BAND) & ~high
    lags = []
    for part in np.array_split(impulses, -(-impulses.shape[0] * size * fine // POINTS)):
        spectra = scipy.fft.rfft(part.astype(float), size)
        magnitude = np.abs(spectra)  # without what the filters of recorders cut off
        magnitude[..., high] = np.sqrt((magnitude[..., octave] ** 2).mean(-1, keepdims=True))
        spectra *= minimum_phase(magnitude, size).conj() * band
        correlation = scipy.fft.irfft(spectra, size * fine)
        at = correlation.argmax(-1)[..., None]
        around_it = np.take_along_axis(correlation, (at + [-1, 0, 1]) % (size * fine), -1)
        before, peak, after = np.split(around_it, 3, -1)
        lag = at + 0.5 * (before - after) / np.minimum(before - 2 * peak + after, -1e-30)
        lags.append(np.where(at > size * fine // 2, lag - size * fine, lag)[..., 0] / (fine * rate))
    return np.concatenate(lags)


def minimum_phase(magnitude: np.ndarray, size: int) -> np.ndarray:
    """Minimum-phase spectra of magnitudes (..., size/2 + 1), by the folded cepstrum."""
    least = 1e-3 * magnitude.max(-1, keepdims=True)
    cepstrum = scipy.fft.irfft(np.log(np.maximum(magnitude, least)), size)
    cepstrum[..., 1 : (size + 1) // 2] *= 2
    cepstrum[..., size // 2 + 1 :] = 0
    return np.exp(scipy.fft.rfft(cepstrum))


def around(impulses: np.ndarray, onset: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """What is needed around the onset of responses (N, 2, taps), float32; the first of these taps (N, 2)."""
    reach = [int(np.ceil((seconds + MARGIN) * rate)) for seconds in (BEFORE, AFTER)]
    first = np.floor(onset * rate).astype(int) - reach[0]
    taps = first[..., None] + np.arange(sum(reach))
    there = (taps >= 0) & (taps < impulses.shape[2])
    kept = np.take_along_axis(impulses, np.clip(taps, 0, impulses.shape[2] - 1), -1)
    return np.where(there, kept, 0).astype(np.float32), first


def fades(rate: float) -> np.ndarray:
    """The window over a response, from BEFORE to AFTER its onset, raised-cosine at both ends."""
    size = round(BEFORE * rate) + round(AFTER * rate)
    place = (np.arange(size) + 0.5) / rate
    ends = np.minimum(place / FADE_IN, (size / rate - place) / FADE_OUT)
    return np.sin(np.pi / 2 * np.minimum(ends, 1)) ** 2


def levelled(spectra: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Spectra (N, 2, F), delays taken out, made alike in level below LOWEST, where a head is in nobody's way.

    What both ears' phases have in common stays, and by what they differ goes straight to 0 at 0 Hz.
    """
    low, edge = hz < LOWEST, int(np.searchsorted(hz, LOWEST))
    both = spectra.mean(1, keepdims=True)
    level = np.sqrt((np.abs(spectra[..., edge]) ** 2).mean(1))[:, None, None]
    differing = np.angle(spectra[..., edge] * both[..., edge].conj())[..., None] * hz[low] / hz[edge]
    return np.concatenate(
        [level * np.exp(1j * (np.angle(both[..., low]) + differing)), spectra[..., ~low]], -1
    )


def frontal_level(rays: np.ndarray, impulses: np.ndarray, rate: float) -> float:
    """Root of the mean power of both ears in LEVEL_BAND, of the direction nearest to straight ahead."""
    size = 4 * impulses.shape[2]
    hz = scipy.fft.rfftfreq(size, 1 / rate)
    ahead = np.abs(scipy.fft.rfft(impulses[np.argmax(rays[:, 1])].astype(float), size)) ** 2
    return float(np.sqrt(ahead[:, (hz >= LEVEL_BAND[0]) & (hz <= LEVEL_BAND[1])].mean()))
