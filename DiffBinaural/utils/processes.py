"""Parallel work in processes."""

import gc
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from threading import Thread

import cv2
import torch

from DiffBinaural.utils.progress import Progress

STOPS = (signal.SIGTERM, signal.SIGINT)


def parallel_map(work: Callable, items: Sequence, workers: int) -> list:
    """[work(item) for item in items] in worker processes, with a progress bar.

    workers  processes, of one thread each; 0: one per core
    """
    try:
        with ProcessPoolExecutor(workers or None, initializer=_init_worker) as pool:
            try:
                # a signal during a fork would be lost
                with signals_blocked(), garbage_kept(), one_opencv_thread():
                    done = pool.map(work, items)
                return list(Progress(done, total=len(items)))
            except BaseException:  # started items are finished, the rest is cancelled
                pool.shutdown(cancel_futures=True)
                raise
    except BrokenProcessPool:
        raise OSError(
            "a worker process was ended from outside, perhaps for lack of memory; "
            "run the same command again, with fewer --workers if necessary"
        ) from None


@contextmanager
def garbage_kept() -> Iterator[None]:
    """Processes that are forked in the block never collect what is their parent's.

    Such garbage can be a video decoder: its threads are not there in the fork, which would wait for them
    forever.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Processes that are forked in the block run OpenCV in one thread.

    Told so afterwards, they would wait forever for their parent's threads to end, which they do not have.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


@contextmanager
def signals_blocked() -> Iterator[None]:
    """Delay SIGTERM and Ctrl-C until the end of the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _init_worker() -> None:
    """A worker has one thread, finishes its item on Ctrl-C, and exits with its parent."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """Exit when the parent is gone: a killed one cannot stop its workers."""
    parent_process().join()
    os._exit(1)
