"""How a training advances: the order of its samples, its budget, its learning rates."""

import itertools
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch.utils.data import Sampler

from DiffBinaural.utils.helpers import generator_for


class Shuffled(Sampler):
    """An endless stream of sample numbers: every epoch a new order, every number different for ever.

    start  samples to leave out, those that an earlier part of the run has seen
    shard  (rank, size): only every size-th number, from the rank-th on
    """

    def __init__(self, length: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)):
        self.length, self.seed, self.start, self.shard = length, seed, start, shard

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._numbers(), self.shard[0], None, self.shard[1])

    def _numbers(self) -> Iterator[int]:
        for epoch in itertools.count(self.start // self.length):
            order = torch.randperm(self.length, generator=generator_for(self.seed, f"epoch {epoch}")).tolist()
            skip = max(self.start - epoch * self.length, 0)
            yield from (epoch * self.length + k for k in order[skip:])


class Budget:
    """How much of a run is over: the larger of its shares of steps and, where these are limited, of seconds.

    progress  the run's own record; its "seconds" are kept up to date, over resumes too
    """

    def __init__(self, progress: dict, steps: int, seconds: float | None):
        self.progress, self.steps, self.seconds = progress, steps, seconds
        self.began = time.monotonic() - progress["seconds"]

    def done(self, step: int, agree: Callable[[float], float] = float) -> float:
        """Part of the run that is over before a step; 1 or more: stop.

        agree  seconds -> those of the clock that several processes go by
        """
        self.progress["seconds"] = time.monotonic() - self.began
        if not self.seconds:
            return step / self.steps
        return max(step / self.steps, agree(self.progress["seconds"]) / self.seconds)


def rate_factor(step: int, done: float, warmup: int, schedule: str = "cosine") -> float:
    """What the learning rates are multiplied by: a linear rise, and a fall over the whole run.

    done      part of the run that is over, in [0, 1]
    schedule  cosine: half a cosine down to 0; exponential: evenly in the logarithm, down to 1 %
    """
    done = min(done, 1)
    fall = 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else 0.01**done
    return min((step + 1) / max(warmup, 1), 1) * fall
