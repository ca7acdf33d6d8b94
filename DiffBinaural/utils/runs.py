"""What training runs of both stages share: an endless order of samples, a schedule of rates, and one log."""

import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import Sampler
from tqdm import tqdm

from DiffBinaural.utils.helpers import generator_for, read_json, write_json


class Shuffled(Sampler):
    """An endless stream of sample numbers: every epoch a new order, every number different for ever.

    start  samples to leave out, those that an earlier part of the run has seen
    """

    def __init__(self, length: int, seed: int, start: int = 0):
        self.length, self.seed, self.start = length, seed, start

    def __iter__(self) -> Iterator[int]:
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

    def done(self, step: int) -> float:
        """Part of the run that is over before a step; 1 or more: stop."""
        self.progress["seconds"] = time.monotonic() - self.began
        return max(step / self.steps, self.progress["seconds"] / self.seconds if self.seconds else 0.0)


def rate_factor(step: int, done: float, warmup: int) -> float:
    """What the learning rates are multiplied by: a linear rise, then half a cosine down to 0.

    done  part of the run that is over, in [0, 1]
    """
    return min((step + 1) / max(warmup, 1), 1) * 0.5 * (1 + math.cos(math.pi * min(done, 1)))


class RunLog:
    """Send rows of named numbers to a run's TensorBoard folder, its history file and the screen.

    run     run folder
    board   TensorBoard's folder inside it
    step    where the run goes on: what was written about later steps, by a part that is lost, is dropped
    """

    def __init__(self, run: Path, board: str, *, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.path = Path(run) / "training_history.json"
        written = read_json(self.path) if step and self.path.exists() else []
        self.rows = [row for row in written if row["step"] <= step]
        self.writer = SummaryWriter(str(Path(run) / board), purge_step=step + 1 if step else None)

    def __call__(self, step: int, **numbers: float) -> None:
        """Record one event at a step."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()
        self.rows = [row for row in self.rows if row["step"] < step] + [{"step": step, **numbers}]
        write_json(self.path, self.rows)
        tqdm.write(f"step {step:6d}  " + "  ".join(f"{k} {v:.4g}" for k, v in numbers.items()))

    def scalars(self, step: int, **numbers: float) -> None:
        """Numbers of a single step, for TensorBoard's curves only."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish the TensorBoard file."""
        self.writer.close()
