"""A sound's channels in one: their mean; of channels that cancel each other, the louder one."""

from dataclasses import dataclass

import numpy as np

DEAD = 1e-4  # of the loudest channel's power, 40 dB below it: a channel with nothing but noise
CANCELLED = 0.25  # of the power that a sum of channels with nothing in common has, 6 dB below it
ALIKE = 0.9  # of the loudest channel's power: as loud, and the first of them is taken
OFTEN = 0.1  # of the sound's energy in seconds that cancel: then the mean is not used at all


@dataclass(frozen=True)
class Downmix:
    """Which channels a mono sound is the mean of.

    chosen  numbers of the channels; None: all of them
    peak    largest magnitude of the mono sound, an upper bound of it where `chosen` names several
    reason  what was done, in words; "" for the mean of all
    """

    chosen: tuple[int, ...] | None = None
    peak: float = 0.0
    reason: str = ""

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """(C, n) -> (1, n)."""
        return block[list(self.chosen) if self.chosen else slice(None)].mean(axis=0, keepdims=True)


class ChannelLevels:
    """Levels of a sound's channels, taken in block by block, second by second.

    rate  samples a second
    """

    def __init__(self, rate: int):
        self.rate, self.samples = rate, 0
        self.mean_peak, self.peaks = 0.0, np.zeros(0)
        self.powers: list[np.ndarray] = []  # (C + 1,) of a second each: of the channels, of their sum

    def push(self, block: np.ndarray) -> None:
        """The next samples (C, n) float32."""
        if not block.size:
            return
        self.samples += block.shape[1]
        peaks = np.abs(block).max(axis=1)
        self.peaks = np.maximum(self.peaks, peaks) if self.peaks.size else peaks
        self.mean_peak = max(self.mean_peak, float(np.abs(block.mean(axis=0)).max()))
        if len(block) > 1:
            for at in range(0, block.shape[1], self.rate):
                second = block[:, at : at + self.rate].astype(np.float64)
                every = np.concatenate([second, second.sum(axis=0, keepdims=True)])
                self.powers.append(every.var(axis=1) * every.shape[1])  # an offset is not heard

    def downmix(self) -> Downmix:
        """The downmix that suits what has been taken in."""
        if not self.powers:
            return Downmix(peak=self.mean_peak)
        powers = np.stack(self.powers)  # (seconds, C + 1)
        each, whole = powers[:, :-1], powers[:, :-1].sum(axis=0)
        loudest, count = int(np.flatnonzero(whole >= ALIKE * whole.max())[0]), len(whole)
        live = np.flatnonzero(whole > DEAD * whole.max())
        energy = each.sum(axis=1)
        cancelled = energy[powers[:, -1] < CANCELLED * energy].sum()
        if cancelled > OFTEN * energy.sum():
            reason = (
                f"its {count} channels cancel each other; the louder one is used, {_name(loudest, count)}"
            )
            return Downmix((loudest,), float(self.peaks[loudest]), reason)
        if not 0 < len(live) < count:
            return Downmix(peak=self.mean_peak)
        used = " and ".join(_name(int(k), count) for k in live)
        reason = f"{count - len(live)} of its {count} channels are empty; {used} used"
        return Downmix(tuple(map(int, live)), float(self.peaks[live].mean()), reason)


def _name(channel: int, count: int) -> str:
    return ("the left", "the right")[channel] if count == 2 else f"number {channel + 1}"
