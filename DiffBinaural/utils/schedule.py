"""Schedule of a training: order of samples, budget, learning rates."""

import itertools
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch.utils.data import Sampler

from DiffBinaural.utils.helpers import generator_for

NUMBERS = 4096  # of an epoch's order that are Python's integers at once


class Shuffled(Sampler):
    """An endless stream of sample numbers: a new order in every epoch, and no number twice.

    start  samples to skip: those that an earlier part of the run has used
    shard  (rank, size): only every size-th number, from the rank-th on
    """

    def __init__(self, length: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)):
        self.length, self.seed, self.start, self.shard = length, seed, start, shard

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._numbers(), self.shard[0], None, self.shard[1])

    def _numbers(self) -> Iterator[int]:
        for epoch in itertools.count(self.start // self.length):
            order = torch.randperm(self.length, generator=generator_for(self.seed, f"epoch {epoch}"))
            skip = max(self.start - epoch * self.length, 0)
            for few in order[skip:].split(NUMBERS):  # as Python's integers all would take 40 bytes each
                yield from (epoch * self.length + k for k in few.tolist())


class Budget:
    """The fraction of a run that is over: of its steps or, if larger, of its seconds where they are limited.

    progress  the run's own; its "seconds" are kept up to date, across resumes too
    """

    def __init__(self, progress: dict, steps: int, seconds: float | None):
        self.progress, self.steps, self.seconds = progress, steps, seconds
        self.began = time.monotonic() - progress["seconds"]

    def done(self, step: int, broadcast: Callable[[float], float] = float) -> float:
        """The fraction of the run that is over before a step; 1 or more: stop.

        broadcast  seconds -> those of the first process, for all of them
        """
        self.progress["seconds"] = time.monotonic() - self.began
        if not self.seconds:
            return step / self.steps
        return max(step / self.steps, broadcast(self.progress["seconds"]) / self.seconds)

    def why(self, step: int) -> str:
        """Why a run ends after so many steps, for a message."""
        if self.seconds and step < self.steps:
            return f"its {self.seconds:g} s are spent, after {step} steps"
        return f"all its {self.steps} steps are made"

    @property
    def unit(self) -> str:
        """What a progress bar counts: seconds of a run whose seconds are limited, else steps."""
        return "s" if self.seconds else "step"

    @property
    def total(self) -> int:
        """The bar's end, in units."""
        return math.ceil(self.seconds) if self.seconds else self.steps

    def position(self, step: int) -> int:
        """Whole units of the run that are over after so many steps."""
        return min(int(self.progress["seconds"]), self.total) if self.seconds else step


def rate_factor(step: int, done: float, warmup: int, schedule: str = "cosine") -> float:
    """Factor of the learning rates: a linear rise over the warm-up, a fall over the whole run.

    done      fraction of the run that is over, in [0, 1]
    schedule  cosine: half a cosine down to 0; exponential: down to 1 %
    """
    done = min(done, 1)
    fall = 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 0.01**done
    return min((step + 1) / max(warmup, 1), 1) * fall
