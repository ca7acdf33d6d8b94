"""Reading all of a training's files before its first step."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

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
