"""The processes of one job, started by torchrun; a script started alone is a job of one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from DiffBinaural.utils.helpers import pick_device


@dataclass(frozen=True)
class World:
    """This process among those of the job."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def shard(self, items) -> list:
        """Every size-th of the items, from the rank-th on: this process's own."""
        return list(items)[self.rank :: self.size]

    def gather(self, items: list) -> list:
        """All processes' shards, in the order of the items before :meth:`shard`."""
        if self.size == 1:
            return items
        shards: list[list] = [[] for _ in range(self.size)]
        dist.all_gather_object(shards, items)
        count = sum(map(len, shards))
        return [shards[k % self.size][k // self.size] for k in range(count)]

    def mean(self, value: torch.Tensor) -> float:
        """A scalar tensor's mean over the processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return float(value) / self.size

    def means(self, numbers: dict[str, float | torch.Tensor]) -> dict[str, float]:
        """Named scalars' means over the processes."""
        values = torch.stack(
            [torch.as_tensor(v, dtype=torch.float32, device=self.device).detach() for v in numbers.values()]
        )
        if self.size > 1:
            dist.all_reduce(values)
        return dict(zip(numbers, (values / self.size).tolist(), strict=True))

    def average_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace gradients by their means over the processes, in one exchange.

        For steps in which a network runs several times, which DistributedDataParallel does not support.
        """
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.size > 1 and gradients:
            flat = torch.cat([g.flatten() for g in gradients])
            dist.all_reduce(flat)
            means = (flat / self.size).split([g.numel() for g in gradients])
            for own, mean in zip(gradients, means, strict=True):
                own.copy_(mean.view_as(own))

    def broadcast(self, value: float) -> float:
        """The first process's value, in all of them: clocks differ."""
        values = [value]
        if self.size > 1:
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in one of the processes."""
        if self.size == 1:
            return flag
        total = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(total)
        return bool(total)

    def wait(self) -> None:
        """Block until every process has called this."""
        if self.size > 1:
            dist.barrier()


SINGLE_PROCESS = World(torch.device("cpu"))


@contextmanager
def world(device: str) -> Iterator[World]:
    """Join the job that torchrun's environment describes, and leave it at the end.

    device  as in --device; under torchrun "auto" and "cuda" are the local rank's own GPU
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(pick_device(device))
        return
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    own = pick_device(device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    # processes wait while the first one reads, encodes or draws, perhaps for an hour
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=timedelta(hours=6))
    try:
        yield World(own, dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
