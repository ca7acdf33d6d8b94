"""Reading in threads: all files before a first step, or a few ahead of what is done with them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.progress import Progress


def read_all(name: str, read: Callable, items: Iterable, job: World) -> None:
    """Call `read` with each item of this process's shard, in threads; a broken file raises now.

    The first is read before there are threads: cffi 2.1, with which libsndfile is called, aborts the process
    where two of them meet one of its types for the first time.

    name  shown by the progress bar
    """
    shard = job.shard(items)
    with (
        Progress(total=len(shard), desc=name, leave=False, disable=not job.first) as bar,
        ThreadPoolExecutor() as pool,
    ):
        try:
            for first in shard[:1]:
                read(first)
                bar.update()
            for _ in pool.map(read, shard[1:]):
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def ahead(work: Callable, items: Iterable, workers: int) -> Iterator:
    """work(item) of each item, in order, done in threads for a few items ahead.

    The first is done before there are threads: see :func:`read_all`.
    """
    left = iter(items)
    yield from map(work, islice(left, 1))
    pool = ThreadPoolExecutor(workers)
    try:
        begun = deque(pool.submit(work, item) for item in islice(left, 2 * workers))
        while begun:
            yield begun.popleft().result()
            begun.extend(pool.submit(work, item) for item in islice(left, 1))
    finally:
        pool.shutdown(cancel_futures=True)
