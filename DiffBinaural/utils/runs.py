"""What training runs share: a memory, an endless order of samples, a schedule of rates, and one log."""

import io
import itertools
import math
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import Sampler
from tqdm import tqdm

from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import load_tensors, read_json, save_tensors, write_json
from DiffBinaural.utils.helpers import generator_for, stored

MAPPED = 4096  # files of a memory that a process maps at once; a system allows 65,530


class Memory:
    """Named tensors that are computed once and then recalled.

    folder  where they are kept, to be mapped by all processes of a run, and by those that resume it; without
            one, each process keeps its own
    """

    def __init__(self, folder: Path | None = None):
        self.folder, self.known = folder, {}
        self.mapped = lru_cache(MAPPED)(lambda path: load_tensors(path, mapped=True))

    def recall(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors of that name; where there are none yet, those that `make` returns."""
        if self.folder is None:
            if name not in self.known:
                self.known[name] = make()
            return self.known[name]
        path = self.folder / f"{name}.pt"
        if not path.exists():
            save_tensors(path, make())
        return self.mapped(path)


def read_all(name: str, read: Callable, items: Iterable, job: World) -> None:
    """Call `read` with each of this process's share of items, in threads: a broken file is named now.

    The first is read before there are threads: cffi 2.1, with which libsndfile is called, aborts the process
    where two of them meet one of its types for the first time.
    """
    mine = job.share(items)
    with (
        tqdm(total=len(mine), desc=name, leave=False, disable=not job.first) as bar,
        ThreadPoolExecutor() as pool,
    ):
        try:
            for alone in mine[:1]:
                read(alone)
                bar.update()
            for _ in pool.map(read, mine[1:]):
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class Shuffled(Sampler):
    """An endless stream of sample numbers: every epoch a new order, every number different for ever.

    start  samples to leave out, those that an earlier part of the run has seen
    share  (rank, size): only every size-th number, from the rank-th on
    """

    def __init__(self, length: int, seed: int, start: int = 0, share: tuple[int, int] = (0, 1)):
        self.length, self.seed, self.start, self.share = length, seed, start, share

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._numbers(), self.share[0], None, self.share[1])

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


class Stop:
    """Within its block SIGTERM and Ctrl-C wait for the end of a step; the second of them no longer."""

    def __enter__(self):
        self.asked, self.process = 0, os.getpid()
        self.before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *error):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame) -> None:
        if os.getpid() != self.process:  # a loader's process: its parent decides
            return
        self.__exit__()
        self.asked = number
        os.write(2, b"\nstopping: after this step, and once the state is saved; again: at once\n")

    def obey(self, job: World, save: Callable[[], str]) -> None:
        """Between two steps: if a process of the job was asked to stop, save and raise KeyboardInterrupt.

        save  -> words on what is kept; called by the first process
        """
        if job.any(bool(self.asked)):
            kept = save() if job.first else ""
            job.wait()
            raise KeyboardInterrupt(self.asked or signal.SIGTERM, kept)


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

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """A picture (H, W, 3) uint8, for TensorBoard only."""
        self.writer.add_image(name, image, step, dataformats="HWC")

    def sound(self, step: int, name: str, wav: np.ndarray, rate: int) -> None:
        """A sound (C, N) in [-1, 1] at `rate` Hz, for TensorBoard only, whose add_audio knows one channel."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        file = io.BytesIO()
        soundfile.write(file, stored(wav, "PCM_16").T, rate, "PCM_16", format="WAV")
        audio = Summary.Audio(
            sample_rate=rate,
            num_channels=len(wav),
            length_frames=wav.shape[1],
            encoded_audio_string=file.getvalue(),
            content_type="audio/wav",
        )
        self.writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=name, audio=audio)]), step)

    def scalars(self, step: int, **numbers: float) -> None:
        """Numbers of a single step, for TensorBoard's curves only."""
        for name, value in numbers.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Finish the TensorBoard file."""
        self.writer.close()
