"""Tensors that a training computes once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import load_tensors, save_tensors

MAPPED = 4096  # files of a memory that a process maps at once; a system allows 65,530


class Cache:
    """Named tensors that are computed once and then recalled.

    folder  where they are kept, to be mapped by all processes of a run, and by those that resume it; without
            one, each process keeps its own
    """

    def __init__(self, folder: Path | None = None):
        self.folder, self.known = folder, {}
        self.mapped = lru_cache(MAPPED)(lambda path: load_tensors(path, mapped=True))

    def get(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
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
    mine = job.shard(items)
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
