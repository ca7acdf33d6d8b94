"""Work shared out among worker processes."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Thread

import torch
from tqdm import tqdm

STOPS = (signal.SIGTERM, signal.SIGINT)


def parallel_map(work: Callable, items: Sequence, workers: int) -> list:
    """[work(item) for item in items], each in a process of its own, with a progress bar.

    workers  processes, of one thread each; 0 takes one a core
    """
    try:
        with ProcessPoolExecutor(workers or None, initializer=_init_worker) as pool:
            try:
                with signals_blocked():  # what interrupts a fork is lost
                    done = pool.map(work, items)
                return list(tqdm(done, total=len(items)))
            except BaseException:  # what has begun is ended; nothing else is
                pool.shutdown(cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise OSError(
            "a worker process was ended from outside, for want of memory perhaps; "
            "the same command goes on, with fewer --workers if need be"
        ) from None


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C wait for the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _init_worker() -> None:
    """One thread, no longer than the parent lives, whose business Ctrl-C is: what has begun is ended."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this process when its parent is gone: killed, it could not say so."""
    parent_process().join()
    os._exit(1)
