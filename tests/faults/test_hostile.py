"""Hostile files are refused, and have no effect."""

import html.parser
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from inputs import bomb, huge_video, plain, tone, video
from scripted import dump_words, e2e_words, stage1_words, vocoder_words

EVIL = "<img src=x onerror=alert(1)>"


class Burglar:
    """Unpickled, it would create a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        """The call that a pickle makes."""
        return os.mkdir, (str(self.trace),)


def burgle(path, trace):
    """Replace a checkpoint or an array by a pickle."""
    if path.suffix == ".npy":
        np.save(path, np.array([Burglar(trace)], dtype=object), allow_pickle=True)
    else:
        torch.save({"generator": Burglar(trace), "model": Burglar(trace)}, path)


@pytest.fixture
def runs(stage1, vocoder, scenes, tmp_path):
    """Copies of both runs and of the scenes, to be damaged."""
    return {
        name: Path(shutil.copytree(source, tmp_path / name))
        for name, source in (("stage1", stage1), ("vocoder", vocoder), ("scenes", scenes))
    }


def e2e(runs, out):
    clip = min((runs["scenes"] / "videos").iterdir())
    return "BigVGAN.inference_e2e", e2e_words(clip, runs["stage1"], runs["vocoder"], out / "o.wav")


def resume(runs, out):
    shutil.copytree(runs["stage1"], out / "run")
    return "DiffBinaural.train_realBinaural", stage1_words(runs["scenes"], out)


def resume_vocoder(runs, out):
    return "BigVGAN.train_binaural_mel", vocoder_words(
        runs["scenes"], runs["vocoder"], runs["vocoder"] / "config.json"
    )


@pytest.mark.parametrize(
    ("where", "script"),
    [
        ("stage1/unet_best.pth", e2e),
        ("stage1/frame_best.pth", e2e),
        ("vocoder/g_best.pth", e2e),
        ("stage1/state_latest.pth", resume),
        ("vocoder/do_00000006", resume_vocoder),
        ("vocoder/g_00000006", resume_vocoder),
    ],
)
def test_a_pickle_in_a_checkpoint_is_refused_and_not_run(where, script, runs, ends, tally, tmp_path):
    trace = tmp_path / "trace"
    for name in ("state_previous.pth", "do_00000004", "do_00000002"):  # no earlier state to go on from
        (runs[where.split("/")[0]] / name).unlink(missing_ok=True)
    burgle(tmp_path / where, trace)
    name, words = script(runs, tmp_path / "out")
    outcome = ends(name, *words)
    assert outcome.status == 2, outcome.output
    assert Path(where).name in outcome.line
    assert "more than tensors" in outcome.line
    assert not trace.exists()
    tally("hostile files refused")


@pytest.mark.parametrize("script", ["vocode", "both"])
def test_a_pickle_in_an_array_is_refused_and_not_run(script, runs, ends, tally, tmp_path):
    trace, mels = tmp_path / "trace", tmp_path / "mels"
    for split in ("train", "val"):
        assert (
            ends(
                "DiffBinaural.test_realBinaural",
                *dump_words(runs["stage1"], runs["scenes"], mels),
                "--list_test",
                split,
            ).status
            == 0
        )
    burgle(min(mels.glob("*_left.npy")), trace)
    name, words = {
        "vocode": (
            "BigVGAN.inference_diffbinaural_mels",
            (
                "--mels_dir",
                mels,
                "--checkpoint_file",
                runs["vocoder"] / "g_best.pth",
                "--output_dir",
                tmp_path / "o",
            ),
        ),
        "both": (
            "BigVGAN.train_binaural_both",
            vocoder_words(
                runs["scenes"],
                tmp_path / "o",
                runs["vocoder"] / "config.json",
                "--mel_pred_dir",
                mels,
                "--stage1_checkpoint_path",
                runs["vocoder"],
            ),
        ),
    }[script]
    outcome = ends(name, *words)
    assert outcome.status == 2, outcome.output
    assert "_left.npy: not a readable .npy array" in outcome.output
    assert not trace.exists()
    tally("hostile files refused")


@pytest.mark.parametrize(("make", "said"), [(huge_video, "pixels"), (lambda path: bomb(path), "picture")])
def test_bombs_are_refused_within_bounds(make, said, runs, ends, tally, tmp_path):
    path = tmp_path / "film.avi" if make is huge_video else tmp_path / "film/frame_000001.png"
    path.parent.mkdir(exist_ok=True)
    make(path)
    plain(tmp_path / "a.wav", tone(channels=1))
    script, words = e2e(runs, tmp_path / "out")
    outcome = ends(
        script,
        *words,
        "--input_wav",
        tmp_path / "a.wav",
        "--input_video",
        path if make is huge_video else path.parent,
        "--fps",
        10,
    )
    assert outcome.status == 2, outcome.output
    assert said in outcome.line
    assert outcome.peak_mb < 800
    tally("hostile files refused")


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/../../x", "..", "a\\x"])
@pytest.mark.parametrize("script", ["stage1", "dump", "vocoder"])
def test_an_id_that_leaves_the_dataset_is_refused(name, script, runs, ends, tally, tmp_path):
    path = runs["scenes"] / "splits/train.csv"
    header, row = path.read_text().splitlines()[:2]
    path.write_text(f"{header}\n{name},{row.split(',', 1)[1]}\n")
    script, words = {
        "stage1": ("DiffBinaural.train_realBinaural", stage1_words(runs["scenes"], tmp_path / "o")),
        "dump": (
            "DiffBinaural.test_realBinaural",
            (
                *dump_words(runs["stage1"], runs["scenes"], tmp_path / "o"),
                "--list_test",
                "train",
            ),
        ),
        "vocoder": (
            "BigVGAN.train_binaural_mel",
            vocoder_words(runs["scenes"], tmp_path / "o", runs["vocoder"] / "config.json"),
        ),
    }[script]
    outcome = ends(script, *words)
    assert outcome.status == 2, outcome.output
    assert "is not an id" in outcome.line
    assert not (tmp_path / "o").exists()
    tally("hostile files refused")


@pytest.mark.parametrize("name", ["../o.wav", "/tmp/o.wav", "a/../../o.wav"])
def test_a_batch_that_writes_outside_its_folder_is_refused(name, runs, ends, tally, tmp_path):
    video(tmp_path / "a.mp4", count=3)
    (tmp_path / "jobs.csv").write_text(f"input_video,output\na.mp4,{name}\n")
    script, words = e2e(runs, tmp_path / "out")
    outcome = ends(script, *words, "--input_video", tmp_path / "jobs.csv", "--output", tmp_path / "out")
    assert outcome.status == 2, outcome.output
    assert "outside --output" in outcome.line
    assert not (tmp_path / "out").exists()
    tally("hostile files refused")


class Tags(html.parser.HTMLParser):
    """Elements of a page, and the content of its scripts."""

    def __init__(self):
        super().__init__()
        self.names, self.scripts = [], []

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        assert not any(key.startswith("on") for key, _ in attrs), (tag, attrs)

    def handle_data(self, data):
        if self.names and self.names[-1] == "script":
            self.scripts.append(data)


def test_html_in_ids_and_names_of_systems_is_inert(ends, tally, tmp_path):
    """The page has the same elements as one with plain names."""
    pages = {}
    for name, system in (("plain", "plain"), (f"{EVIL}<script>x<!--", "<script>x<!--")):
        root = tmp_path / f"root{len(pages)}"
        for kind, channels in (("true", 2), ("made", 2), ("mono", 1)):
            (root / kind).mkdir(parents=True)
            plain(root / kind / f"{name}.wav", tone(channels=channels))
        outcome = ends(
            "DiffBinaural.evaluate_binaural_22050",
            "--gt_dir",
            root / "true",
            "--mono_dir",
            root / "mono",
            "--pred_dir",
            f"{system}={root / 'made'}",
            "--workers",
            1,
            "--report",
            root / "page.html",
            "--output_json",
            root / "o.json",
            seconds=200,
        )
        assert outcome.status == 0, outcome.output
        pages[name] = Tags()
        pages[name].feed((root / "page.html").read_text())
    good, evil = pages.values()
    assert evil.names == good.names
    assert f"{EVIL}<script>x<!--" in "".join(
        json.dumps(json.loads(text), ensure_ascii=False)
        for text in evil.scripts
        if text.strip().startswith("{")
    )
    tally("hostile files refused")
