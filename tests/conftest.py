"""What several test files use: the real scripts, and what they leave on a tiny simulated dataset."""

import importlib
import os
import re
from typing import get_type_hints

import numpy as np
import pytest
import torch

from DiffBinaural.utils.arguments import parse
from DiffBinaural.utils.media_writing import write_video


def wants_gpu(config):
    """Whether -m asks for the tests that run on a GPU."""
    return re.search(r"(?<!not )\bgpu\b", config.getoption("markexpr")) is not None


def pytest_configure(config):
    """One thread here and in what is started: networks this small only make threads wait for each other.

    Without -m gpu a GPU is hidden, here and from what is started: `--device auto` is then the CPU, whose
    results are compared bit for bit; Triton's kernels run in its interpreter.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    if not wants_gpu(config):
        os.environ |= {"CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": "1"}


# what is not fast: tests with these fixtures, which run scripts, and those with these names
RUN_SCRIPTS = {"scripts", "scenes", "served"}
LONG = (
    "/faults/",
    "test_e2e.py",
    "test_distributed.py",
    "test_evaluate.py",
    "test_report.py",
    "test_ten_minutes",
    "test_processes_start_from",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the fast tests; of a GPU's tests, skip all where there is none."""
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, or no -m gpu"))
        elif not any(name in item.nodeid for name in LONG) and not RUN_SCRIPTS & set(item.fixturenames):
            item.add_marker(pytest.mark.fast)


@pytest.fixture
def two_threads():
    """For loops that are to be shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def call(script, *words):
    """Run a script's main here on a real command line: call("DiffBinaural.simulate_dataset", "--out", d)."""
    module = importlib.import_module(script)
    cfg = get_type_hints(module.main)["cfg"]
    module.main(parse(cfg, getattr(module, "PRESETS", None), [str(word) for word in words]))


@pytest.fixture(scope="session")
def scripts():
    return call


@pytest.fixture(scope="session")
def scalars():
    """(run folder, name) -> the values that the run left for TensorBoard."""

    def read(run, name, folder="runs"):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = EventAccumulator(str(run / folder))
        board.Reload()
        return [event.value for event in board.Scalars(name)]

    return read


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """A simulated dataset: three clips of 1.5 s for training, one each for validation and test."""
    root = tmp_path_factory.mktemp("scenes") / "data"
    call(
        "DiffBinaural.simulate_dataset",
        "--out",
        root,
        "--clips",
        5,
        "--seconds",
        1.5,
        "--sources",
        "1..2",
        "--workers",
        1,
    )
    return root


@pytest.fixture(scope="session")
def binaural_videos(tmp_path_factory):
    """Five small videos, each with its own binaural sound: a square that moves, noise that comes louder and
    sooner to the left ear."""
    root = tmp_path_factory.mktemp("recorded") / "binaural_videos"
    root.mkdir()
    for number in range(5):
        random = np.random.default_rng(number)
        dry = 0.2 * random.standard_normal(3 * 44_100) * np.repeat(random.random(30), 4410)
        own = 0.15 * random.standard_normal((2, len(dry))) * dry.std()  # what each ear has of the room
        ears = np.stack([dry + own[0], 0.5 * (np.roll(dry, 20) + own[1])]).astype(np.float32)
        shown = np.full((3 * 25, 64, 96, 3), 90, np.uint8)
        for k, picture in enumerate(shown):
            picture[20:40, 10 + k // 2 : 30 + k // 2] = 220, 40, 40
        write_video(root / f"take{number}.mp4", shown, 25, ears, 44_100)
    return root
