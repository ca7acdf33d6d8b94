"""Scripts killed at random moments: no file is incomplete, and the same command gives the same result."""

import csv
import json
import os
import random
import re
import shutil
import signal
import time

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from scripted import Lost, dump_words, e2e_words, stage1_words, vocoder_words, wait_for

from DiffBinaural.utils.files import load_tensors

MOMENTS = 10  # per kind of work


def video_end(path):
    with av.open(str(path)) as file:
        return sum(1 for _ in file.decode(video=0))


READERS = {
    ".pth": load_tensors,
    ".pt": load_tensors,
    ".json": lambda path: json.loads(path.read_text()),
    ".npy": np.load,
    ".wav": soundfile.read,
    ".png": lambda path: Image.open(path).load(),
    ".jpg": lambda path: Image.open(path).load(),
    ".mp4": video_end,
    ".csv": lambda path: list(csv.DictReader(path.open())),
}


def check_whole(folder):
    """All files under their final names are complete; logs of TensorBoard, which grow, may be truncated."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_dir() or hidden or "events.out" in path.name:
            continue
        read = load_tensors if re.fullmatch(r"(g|do)_\d{8}", path.name) else READERS[path.suffix]
        try:
            read(path)
        except Exception as error:
            raise Lost(f"{path}: {error}") from None


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one if k != "seconds")
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def same_tensors(folder, reference, *names):
    for name in names:
        if not equal(load_tensors(folder / name), load_tensors(reference / name)):
            raise Lost(f"{folder / name} differs from that of an undisturbed run")


def same_bytes(folder, reference, *patterns):
    for pattern in patterns:
        wanted = sorted(path.relative_to(reference) for path in reference.rglob(pattern))
        assert wanted
        for name in wanted:
            if (
                not (folder / name).is_file()
                or (folder / name).read_bytes() != (reference / name).read_bytes()
            ):
                raise Lost(f"{folder / name} differs from that of an undisturbed run")


# --- five kinds of work: a script, its words for a folder, a check of the result---------------------------


@pytest.fixture
def stage1_work(scenes, stage1):
    def same(folder):
        same_tensors(
            folder / "run", stage1, "state_latest.pth", "unet_best.pth", "frame_best.pth", "unet_latest.pth"
        )
        assert json.loads((folder / "run/training_history.json").read_text()) == json.loads(
            (stage1 / "training_history.json").read_text()
        )

    return "DiffBinaural.train_realBinaural", lambda folder: stage1_words(scenes, folder), same


@pytest.fixture
def vocoder_work(scenes, vocoder, config):
    def same(folder):
        same_tensors(folder / "run", vocoder, "g_00000006", "do_00000006", "g_best.pth")

    return "BigVGAN.train_binaural_mel", lambda folder: vocoder_words(scenes, folder / "run", config), same


@pytest.fixture
def dump_work(scenes, stage1, ends, tmp_path):
    def words(folder):
        return (
            *dump_words(stage1, scenes, folder),
            "--list_test",
            "train",
            "--sampling_timesteps",
            12,
        )

    assert ends("DiffBinaural.test_realBinaural", *words(tmp_path / "reference")).status == 0
    return (
        "DiffBinaural.test_realBinaural",
        words,
        lambda folder: same_bytes(folder, tmp_path / "reference", "*.npy", "mel_config.json"),
    )


@pytest.fixture
def prepare_work(ends, tmp_path):
    download = tmp_path / "download"
    assert (
        ends("DiffBinaural.simulate_dataset", "--out", download, "--layout", "fairplay", "--clips", 6).status
        == 0
    )

    def words(folder):
        return "--fairplay_root", download, "--out", folder, "--fps", 5

    assert ends("DiffBinaural.prepare_fairplay", *words(tmp_path / "reference")).status == 0
    return (
        "DiffBinaural.prepare_fairplay",
        words,
        lambda folder: same_bytes(folder, tmp_path / "reference", "*.wav", "*.jpg", "*.csv", "*.json"),
    )


@pytest.fixture
def e2e_work(scenes, stage1, vocoder, ends, tmp_path):
    name = next((scenes / "videos").glob("*.mp4"))

    def words(folder):
        return (
            *e2e_words(name, stage1, vocoder, folder / "out.wav"),
            "--mux",
            folder / "out.mp4",
            "--plot",
            folder / "out.png",
            "--sampling_timesteps",
            12,
        )

    assert ends("BigVGAN.inference_e2e", *words(tmp_path / "reference")).status == 0
    return (
        "BigVGAN.inference_e2e",
        words,
        lambda folder: same_bytes(folder, tmp_path / "reference", "*.wav", "*.mp4", "*.png"),
    )


def gone(group):
    """Wait until the workers of a killed process have ended."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def survives(work, moments, seed, start, tally, tmp_path):
    """Kill the work at random moments, twice in each folder; then let it end, and compare the results."""
    script, words, same = work
    chance, killed = random.Random(seed), 0
    whole = start(script, *words(tmp_path / "timing")).end()
    assert whole.status == 0, whole.output
    for k in range(0, moments, 2):
        folder = tmp_path / f"killed{k}"
        for number in (signal.SIGKILL, signal.SIGTERM)[:: 1 if k % 4 else -1]:
            process = start(script, *words(folder))
            time.sleep(chance.uniform(0.05, 0.95) * whole.seconds)
            process.kill(number)
            outcome = process.end()
            killed += outcome.status != 0
            assert outcome.status in (0, -number, 128 + number), outcome.output
            assert "Traceback" not in outcome.output, outcome.output
            if outcome.status == 128 + number:
                assert re.search(
                    r"stopped by SIGTERM: .*; run the same command again to go on$", outcome.line
                )
            assert gone(process.process.pid), "its workers live on"
            check_whole(folder)
        outcome = start(script, *words(folder)).end()
        assert outcome.status == 0, outcome.output
        check_whole(folder)
        same(folder)
        assert not list(folder.rglob(".*.part")), "left over"
        shutil.rmtree(folder)
    tally("kills survived", killed)
    assert killed >= moments * 0.7, "most kills came too late: the test shows nothing"


@pytest.mark.parametrize("kind", ["stage1", "vocoder", "dump", "prepare", "e2e"])
def test_killed_at_any_moment_the_same_command_gives_the_same_result(kind, request, start, tally, tmp_path):
    survives(request.getfixturevalue(f"{kind}_work"), MOMENTS, kind, start, tally, tmp_path)


@pytest.mark.parametrize("kind", ["stage1", "vocoder"])
def test_killed_twice_a_training_gives_the_same_result(kind, request, start, tally, tmp_path):
    survives(request.getfixturevalue(f"{kind}_work"), 2, "short", start, tally, tmp_path)


def steps_shown(log):
    """Highest step that a training's progress bar has shown."""
    text = log.read_text() if log.exists() else ""
    return max(map(int, re.findall(r" (\d+)/\d+ \[", text)), default=0)


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("stage1", signal.SIGTERM),
        ("vocoder", signal.SIGINT),
        pytest.param("stage1", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("vocoder", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_asked_to_stop_a_training_saves_first_and_says_so(
    kind, number, scenes, config, start, ends, tmp_path
):
    """The saved state is that of the last step, though the interval of saves is long."""
    script, words, pattern = {
        "stage1": (
            "DiffBinaural.train_realBinaural",
            stage1_words(scenes, tmp_path, "--num_epoch", 500, "--save_steps", 100_000, "--eval_epoch", 500),
            "state_latest.pth",
        ),
        "vocoder": (
            "BigVGAN.train_binaural_mel",
            vocoder_words(
                scenes,
                tmp_path / "run",
                config,
                "--training_steps",
                5000,
                "--checkpoint_interval",
                5000,
                "--validation_interval",
                5000,
            ),
            "do_*",
        ),
    }[kind]
    process = start(script, *words)
    wait_for(lambda: steps_shown(process.log) >= 3, process)  # in a log the bar is drawn every ten seconds
    process.kill(number)
    outcome = process.end(20)
    assert outcome.status == 128 + number, outcome.output
    said = re.search(
        r"stopped by (SIG\w+): (\S+) is saved at step (\d+); run the same command again to go on$",
        outcome.line,
    )
    assert said, outcome.output
    assert said[1] == number.name
    state = load_tensors(next((tmp_path / "run").glob(pattern)))
    assert int(said[3]) == (state["progress"]["step"] if kind == "stage1" else state["steps"]) >= 3


# --- two at once --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stage1", "vocoder"])
def test_two_trainings_in_one_folder_the_second_refuses_while_the_first_lives(
    kind, scenes, config, start, ends, tally, tmp_path
):
    script, words = {
        "stage1": ("DiffBinaural.train_realBinaural", stage1_words(scenes, tmp_path, "--num_epoch", 500)),
        "vocoder": (
            "BigVGAN.train_binaural_mel",
            vocoder_words(scenes, tmp_path / "run", config, "--training_steps", 5000),
        ),
    }[kind]
    first = start(script, *words)
    wait_for(lambda: (tmp_path / "run/config.json").exists(), first)
    second = ends(script, *words)
    assert second.status == 2
    assert re.search(rf"^error: .*run: in use by process {first.process.pid} on \S+ since ", second.line)
    assert first.process.is_alive(), "the second disturbed the first"
    first.kill(signal.SIGKILL)
    first.end()
    third = start(script, *words)  # the files of the dead one do not matter
    wait_for(lambda: str(third.process.pid) in (tmp_path / "run/.in_use.json").read_text(), third)
    tally("second runs refused")
