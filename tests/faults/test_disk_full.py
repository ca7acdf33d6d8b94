"""Full disks: an error that names the file, status 2, no partial files, the last state intact."""

import shutil
import subprocess
from pathlib import Path

import pytest
from inputs import video
from scripted import Lost, dump_words, e2e_words, stage1_words, stop_at, vocoder_words

from DiffBinaural.utils.files import load_tensors

MESSAGE = "cannot be written ("


def refused(outcome, *, cause="File too large"):
    assert outcome.status == 2, outcome.output
    assert outcome.line.startswith("error: "), outcome.output
    assert MESSAGE in outcome.line, outcome.line
    assert cause in outcome.line, outcome.line
    assert outcome.line.endswith("make room, and run the same command again")


def no_partial_files(folder):
    assert not list(folder.rglob(".*.part"))


@pytest.mark.parametrize("kind", ["stage1", "vocoder"])
def test_a_training_keeps_its_last_state_and_goes_on_from_it(
    kind, scenes, config, stage1, vocoder, start, ends, tally, tmp_path
):
    """The limit is below the size of the state, which is the largest file."""
    script, words, state, reference = {
        "stage1": (
            "DiffBinaural.train_realBinaural",
            stage1_words(scenes, tmp_path),
            "state_latest.pth",
            stage1,
        ),
        "vocoder": (
            "BigVGAN.train_binaural_mel",
            vocoder_words(scenes, tmp_path / "run", config),
            "do_00000002",
            vocoder,
        ),
    }[kind]
    stop_at(start(script, *words), tmp_path / "run" / state)
    kept = (tmp_path / "run" / state).read_bytes()
    refused(ends(script, *words, RLIMIT_FSIZE=len(kept) // 2))
    no_partial_files(tmp_path)
    if (tmp_path / "run" / state).read_bytes() != kept:
        raise Lost(f"{state} has changed")
    assert ends(script, *words).status == 0
    weights = "unet_latest.pth" if kind == "stage1" else "g_00000006"
    ours, theirs = (load_tensors(folder / weights) for folder in (tmp_path / "run", reference))
    ours, theirs = (x.get("generator", x) for x in (ours, theirs))
    assert all((ours[name] == theirs[name]).all() for name in ours)
    tally("full disks survived")


def words_of(kind, scenes, stage1, vocoder, dumped, out):
    """A script that writes, its words, the limit of a file's size in bytes."""
    e2e = e2e_words(min((scenes / "videos").iterdir()), stage1, vocoder, out / "a.wav")
    if kind == "mux":  # the video is larger than the sound
        video(out.parent / "large.mp4", size=(640, 480))
        e2e += ("--input_video", out.parent / "large.mp4", "--end", 0.2, "--mux", out / "a.mp4")
    return {
        "dump": (
            "DiffBinaural.test_realBinaural",
            dump_words(stage1, scenes, out),
            20_000,
        ),
        "vocode": (
            "BigVGAN.inference_diffbinaural_mels",
            ("--mels_dir", dumped, "--checkpoint_file", vocoder / "g_best.pth", "--output_dir", out),
            20_000,
        ),
        "e2e": ("BigVGAN.inference_e2e", e2e, 20_000),
        "mux": ("BigVGAN.inference_e2e", e2e, 20_000),
        "plot": ("BigVGAN.inference_e2e", (*e2e, "--end", 0.1, "--plot", out / "a.png"), 9000),
        "simulate": ("DiffBinaural.simulate_dataset", ("--out", out, "--clips", 3, "--seconds", 1), 20_000),
    }[kind]


@pytest.mark.parametrize("kind", ["dump", "vocode", "e2e", "mux", "plot", "simulate"])
def test_what_cannot_be_written_is_named(kind, scenes, stage1, vocoder, dumped, ends, tally, tmp_path):
    script, words, limit = words_of(kind, scenes, stage1, vocoder, dumped, tmp_path / "out")
    refused(ends(script, *words, RLIMIT_FSIZE=limit))
    no_partial_files(tmp_path)
    tally("full disks survived")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of six megabytes, where the user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", ["dump", "vocode", "e2e", "simulate", "stage1", "vocoder"])
def test_a_small_disk_fills_up(kind, scenes, config, stage1, vocoder, dumped, ends, tally, small_disk):
    """Only 60 kB are free."""
    if kind in ("stage1", "vocoder"):
        script, words = {
            "stage1": ("DiffBinaural.train_realBinaural", stage1_words(scenes, small_disk)),
            "vocoder": ("BigVGAN.train_binaural_mel", vocoder_words(scenes, small_disk / "run", config)),
        }[kind]
    else:
        script, words, _ = words_of(kind, scenes, stage1, vocoder, dumped, small_disk / "out")
    free = shutil.disk_usage(small_disk).free
    Path(small_disk / "ballast").write_bytes(bytes(max(free - 60_000, 0)))
    refused(ends(script, *words), cause="No space left on device")
    no_partial_files(small_disk)
    tally("full disks survived")
