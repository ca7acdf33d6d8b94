"""What several test files use: the real scripts, and what they leave on a tiny simulated dataset."""

import importlib
import os
from typing import get_type_hints

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from DiffBinaural.utils.arguments import parse


def pytest_configure():
    """One thread here and in what is started: networks this small only make threads wait for each other."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


# what is not fast: tests with these fixtures, which run scripts, and those with these names
RUN_SCRIPTS = {"scripts", "scenes"}
LONG = (
    "/faults/",
    "test_e2e.py",
    "test_distributed.py",
    "test_evaluate.py",
    "test_report.py",
    "test_ten_minutes",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the fast tests."""
    for item in items:
        if not any(name in item.nodeid for name in LONG) and not RUN_SCRIPTS & set(item.fixturenames):
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
