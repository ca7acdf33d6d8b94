"""Two channels that hold one sound: one of them empty, or both the same but for level, sign, delay."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.downmix import DEAD

HALF = 1 << 15  # samples: half of what is transformed at once, 3 s
EDGES = 50.0 * 2 ** np.arange(0, 9, 0.25)  # Hz, of the bands in which the channels are compared
BROAD = 2000.0  # Hz: from here on a head casts a shadow, and what is late is softer, too
AUDIBLE = 1e-4  # of the strongest band's power: what is compared
FARTHEST = 0.05  # seconds that one channel may be late
EARS_APART = 1e-3  # seconds; the widest heads reach 0.8 ms
SAME = -22.0  # dB below the sound that its channels differ by, but for level and sign
DELAYED = -36.0  # dB, with a delay that a head could make as well
LATE = -10.0  # dB, with one that no head makes
SILENCE = 1e-10  # mean power of samples: -100 dB


def one_sound(pair: np.ndarray, rate: int) -> str:
    """In what channels (2, N) differ that hold one sound; "" where they hold two."""
    channels = ChannelPair(rate)
    channels.push(torch.from_numpy(np.ascontiguousarray(pair)), last=True)
    return channels.one_sound()


class ChannelPair:
    """What two channels have in common, of a sound that comes in blocks.

    rate  samples a second
    """

    def __init__(self, rate: int):
        self.rate, self.samples = rate, 0
        self.first = math.ceil(EDGES[0] / (rate / 2) * HALF)  # bin: what is lower, an offset, is not heard
        edges = np.clip(np.round(EDGES / (rate / 2) * HALF), 0, HALF + 1)
        self.edges = torch.from_numpy(edges.astype(int))  # bins
        self.pieces, self.window = Pieces(HALF, HALF // 2), torch.hann_window(2 * HALF)
        self.left, self.right = torch.zeros(2, HALF + 1)
        self.cross = torch.zeros(HALF + 1, dtype=torch.complex64)

    def push(self, block: Tensor, *, last: bool = False) -> None:
        """The next samples (2, n), the last of the sound or not."""
        self.samples += block.shape[1]
        for piece, before, _ in self.pieces.push(block, last=last):
            first = HALF // 2 - before
            windowed = piece * self.window[first : first + piece.shape[1]]
            spectra = torch.fft.rfft(windowed, 2 * HALF)
            spectra[:, : self.first] = 0
            left, right = spectra
            self.left += left.abs() ** 2
            self.right += right.abs() ** 2
            self.cross += left * right.conj()

    def one_sound(self) -> str:
        """In what the channels differ, where they hold one sound; "" where they are two."""
        left, right = (float(power.sum()) for power in (self.left, self.right))
        if max(left, right) <= SILENCE * 2 * HALF * max(self.samples, 1):
            return "silence"
        if min(left, right) <= DEAD * max(left, right):
            return f"the {'right' if left > right else 'left'} channel is empty"
        gain = 10 * math.log10(right / left)
        level = f", the {'right' if gain > 0 else 'left'} one {abs(gain):.1f} dB louder"
        said = level if abs(gain) >= 0.1 else ""
        for sign, word in ((1.0, ""), (-1.0, ", one inverted")):
            if self.difference(0.0, sign) < SAME:
                return f"both channels are the same{word}{said}"
        delay, sign = self.lag()
        near = [delay + step / self.rate for step in np.arange(-1, 1.01, 0.1)]
        difference, delay = min((self.difference(at, sign), at) for at in near)
        broad = self.reaches(BROAD)
        if difference < (LATE if abs(delay) > EARS_APART else DELAYED if broad else -math.inf):
            later = f", the {'right' if delay > 0 else 'left'} one {1e3 * abs(delay):.2f} ms later"
            return f"both channels are the same{', one inverted' * (sign < 0)}{later}{said}"
        return ""

    def lag(self) -> tuple[float, float]:
        """Seconds that the right channel is late, in whole samples; 1, or -1 where it is inverted.

        By GCC-PHAT (Knapp & Carter 1976).
        """
        size = self.cross.abs()
        phat = torch.where(size > AUDIBLE * size.max(), self.cross / size.clamp(min=1e-30), 0.0)
        score = torch.fft.irfft(phat.conj())
        reach = round(FARTHEST * self.rate)
        near = torch.cat((score[-reach - 1 :], score[: reach + 2]))
        at = 1 + int(near[1:-1].abs().argmax())
        return (at - reach - 1) / self.rate, float(near[at].sign())

    def difference(self, delay: float, sign: float) -> float:
        """What remains of one channel less the other one at its level, in dB, the median of the bands.

        delay  seconds that the right channel is late;  sign: -1 where it is inverted
        """
        phase = 2 * math.pi * delay * torch.linspace(0, self.rate / 2, HALF + 1, dtype=torch.float64)
        gain = math.sqrt(float(self.right.sum() / self.left.sum()))
        # R = gain · L · e^{-iωτ} makes L R* e^{-iωτ} real
        aligned = self.cross.real * phase.cos() + self.cross.imag * phase.sin()
        whole = self._in_bands(gain * self.left + self.right / gain)
        rest = whole - 2 * sign * self._in_bands(aligned)
        audible = whole > AUDIBLE * whole.max()
        return 10 * math.log10(max(float((rest[audible] / whole[audible]).median()), 1e-12))

    def reaches(self, hertz: float) -> bool:
        """Whether there is sound above a frequency."""
        power = self._in_bands(self.left + self.right)
        return bool((power[EDGES[:-1] >= hertz] > AUDIBLE * power.max()).any())

    def _in_bands(self, values: Tensor) -> Tensor:
        """Sums of the bins of each band."""
        return F.pad(values.double().cumsum(0), (1, 0))[self.edges].diff()
