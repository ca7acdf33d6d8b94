"""Worker processes."""

import gc
import os

from DiffBinaural.utils.processes import parallel_map


class Left:
    """Garbage in a cycle that writes down which process collects it."""

    def __init__(self, path):
        self.itself, self.path = self, path

    def __del__(self):
        with open(self.path, "a") as file:
            file.write(f"{os.getpid()}\n")


def collect(_):
    gc.collect()
    return os.getpid()


def test_a_worker_collects_nothing_that_is_its_parents(tmp_path):
    gc.disable()
    try:
        Left(tmp_path / "garbage")
        held = Left(tmp_path / "held")
        workers = set(parallel_map(collect, range(4), 2))
    finally:
        gc.enable()
    assert os.getpid() not in workers
    assert (tmp_path / "garbage").read_text() == f"{os.getpid()}\n"
    assert held.itself is held
    assert not (tmp_path / "held").exists()
    assert gc.get_freeze_count() == 0
