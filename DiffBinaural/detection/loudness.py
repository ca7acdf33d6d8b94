"""Loudness of a sound over time, as curves that motion is compared with."""

import numpy as np

HOP, SIZE = 0.01, 0.0232  # seconds between two spectra, and of one
BANDS = np.geomspace(80, 8000, 9)  # Hz, edges
FLOOR = 40.0  # dB below the loud parts (95th percentile): what is softer counts as silence


class Loudness:
    """Energy of a sound in bands, taken in piece by piece; memory: 12 MB an hour.

    rate   samples a second
    """

    def __init__(self, rate: int = 22_050) -> None:
        self.rate, self.hop, self.size = rate, max(1, round(HOP * rate)), max(2, round(SIZE * rate))
        self._rest = np.zeros(0, np.float32)
        self._bands: list[np.ndarray] = []
        self._taper = np.hanning(self.size).astype(np.float32)
        frequencies = np.fft.rfftfreq(self.size, 1 / rate)[:, None]
        self._inside = ((frequencies >= BANDS[:-1]) & (frequencies < BANDS[1:])).astype(np.float32)

    def push(self, samples: np.ndarray) -> None:
        """Take the next samples (N,), mono, N >= 0."""
        sound = np.concatenate([self._rest, np.asarray(samples, np.float32)])
        count = max(0, (len(sound) - self.size) // self.hop + 1)
        for start in range(0, count, 4096):
            first, last = start * self.hop, (min(start + 4096, count) - 1) * self.hop + self.size
            pieces = np.lib.stride_tricks.sliding_window_view(sound[first:last], self.size)[:: self.hop]
            power = np.abs(np.fft.rfft(pieces * self._taper)) ** 2
            self._bands.append((power @ self._inside).astype(np.float32))
        self._rest = sound[count * self.hop :]

    def bands(self, begin: float = -np.inf, end: float = np.inf) -> np.ndarray:
        """Energies (N, 8) in bands, 100 a second, between two times (s) of the sound."""
        made = np.concatenate([np.zeros((0, len(BANDS) - 1), np.float32), *self._bands])
        first, last = (int(np.clip(time * self.rate / self.hop, 0, len(made))) for time in (begin, end))
        return made[first:last].astype(np.float64)

    def curves(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Curves (2, T) of the sound at times (T,) in seconds, and where it is heard at all (T,) bool.

        The curves: log energy, onset strength; each smoothed over 0.15 s, the same at any gain.
        """
        bands = np.concatenate([np.zeros((1, len(BANDS) - 1)), self.bands()])
        energy = bands.sum(1)
        floor = np.percentile(energy, 95) * 10 ** (-FLOOR / 10)
        if not floor > 0:
            return np.zeros((2, len(times))), np.zeros(len(times), bool)
        level = np.log(energy + floor)
        by_band = np.log(bands + floor / bands.shape[1])
        rise = np.zeros(len(bands))
        rise[2:-2] = np.maximum(by_band[4:] - by_band[:-4], 0).mean(1)
        level, rise = smoothed(level), smoothed(rise)
        at = ((np.arange(len(bands)) - 1) * self.hop + self.size / 2) / self.rate
        curves = np.stack([np.interp(times, at, curve) for curve in (level, rise)])
        return curves, np.interp(times, at, smoothed((energy > 10 * floor).astype(float))) > 0.1


def smoothed(curve: np.ndarray) -> np.ndarray:
    """A curve (N,) of 100 a second, averaged over about 0.15 s."""
    taper = np.hanning(31)[1:-1]
    return np.convolve(np.pad(curve, len(taper) // 2, mode="edge"), taper / taper.sum(), "valid")
