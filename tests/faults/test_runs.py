"""Damaged checkpoints are refused by name, or a run resumes from the one before."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scripted import e2e_words, stage1_words, stop_at, vocoder_words

from DiffBinaural.utils.files import load_tensors, save_tensors


def truncate(path):
    path.write_bytes(path.read_bytes()[:-3000])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


def not_a_number(path):
    state = load_tensors(path)
    for part in state.values():
        for tensor in part.values() if isinstance(part, dict) else ():
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
                tensor.view(-1)[0] = float("nan")
                save_tensors(path, state)
                return


DAMAGE = {"truncated": truncate, "flipped": flip, "empty": empty, "NaN": not_a_number}


def half_way(kind, scenes, config, folder, start):
    """Kill a run when it has two states; return its script and words."""
    script, words, awaited = {
        "stage1": ("DiffBinaural.train_realBinaural", stage1_words(scenes, folder), "state_previous.pth"),
        "vocoder": (
            "BigVGAN.train_binaural_mel",
            vocoder_words(scenes, folder / "run", config),
            "do_00000004",
        ),
    }[kind]
    stop_at(start(script, *words), folder / "run" / awaited)
    newest = folder / "run/state_latest.pth"
    if kind == "stage1" and not newest.exists():  # killed between the two
        shutil.copy(newest.with_name(awaited), newest)
    return script, words


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("kind", ["stage1", "vocoder"])
def test_resume_takes_the_state_before_and_says_so(
    kind, damage, scenes, config, stage1, vocoder, start, ends, tally, tmp_path
):
    script, words = half_way(kind, scenes, config, tmp_path, start)
    states = sorted((tmp_path / "run").glob("do_*"))
    newest, before = (
        ("state_latest.pth", "state_previous.pth")
        if kind == "stage1"
        else (states[-1].name, states[-2].name.replace("do_", "g_"))
    )
    DAMAGE[damage](tmp_path / "run" / newest)
    outcome = ends(script, *words)
    assert outcome.status == 0, outcome.output
    said = [line for line in outcome.output.splitlines() if newest in line]
    assert said, outcome.output
    assert said[0].endswith(f"going on from {before}")
    weights, reference = {"stage1": ("unet_latest.pth", stage1), "vocoder": ("g_00000006", vocoder)}[kind]
    ours, theirs = (load_tensors(folder / weights) for folder in (tmp_path / "run", reference))
    ours, theirs = (x.get("generator", x) for x in (ours, theirs))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    tally("damaged checkpoints refused")


@pytest.mark.parametrize("kind", ["stage1", "vocoder"])
def test_where_none_is_whole_resume_refuses(kind, scenes, config, start, ends, tally, tmp_path):
    script, words = half_way(kind, scenes, config, tmp_path, start)
    for path in (tmp_path / "run").iterdir():
        if path.name.startswith(("state_", "do_")):
            truncate(path)
    before = {path: path.read_bytes() for path in (tmp_path / "run").glob("[!.]*") if path.is_file()}
    outcome = ends(script, *words)
    assert outcome.status == 2, outcome.output
    assert outcome.line.startswith("error: ")
    assert ("state_previous.pth" if kind == "stage1" else "do_00000002") in outcome.line
    assert before == {path: path.read_bytes() for path in before}, "it changed what it could not read"
    tally("damaged checkpoints refused")


def other_network(path):
    """Replace a state by that of a wider model."""
    state = load_tensors(path)
    part = state["model"] if "model" in state else state["mpd"]
    name = next(name for name in part if part[name].ndim > 1)
    part[name] = torch.zeros(3, *part[name].shape)
    save_tensors(path, state)


def parts_gone(path):
    state = load_tensors(path)
    del state["optimizer" if "optimizer" in state else "mpd"]
    save_tensors(path, state)


@pytest.mark.parametrize("change", [other_network, parts_gone])
@pytest.mark.parametrize("kind", ["stage1", "vocoder"])
def test_a_state_of_another_architecture_is_refused_by_name(
    kind, change, scenes, config, stage1, vocoder, ends, tally, tmp_path
):
    run = Path(shutil.copytree(stage1 if kind == "stage1" else vocoder, tmp_path / "run"))
    path = run / ("state_latest.pth" if kind == "stage1" else "do_00000006")
    change(path)
    script, words = {
        "stage1": ("DiffBinaural.train_realBinaural", stage1_words(scenes, tmp_path)),
        "vocoder": ("BigVGAN.train_binaural_mel", vocoder_words(scenes, run, config)),
    }[kind]
    outcome = ends(script, *words)
    assert outcome.status == 2, outcome.output
    assert outcome.line.startswith(f"error: {path}")
    tally("damaged checkpoints refused")


@pytest.mark.parametrize("kind", ["stage1", "vocoder"])
def test_another_runs_settings_are_refused(kind, scenes, config, stage1, vocoder, ends, tally, tmp_path):
    """The config.json is that of a wider network."""
    run = Path(shutil.copytree(stage1 if kind == "stage1" else vocoder, tmp_path / "run"))
    settings = json.loads((run / "config.json").read_text())
    if kind == "stage1":
        settings["model"]["dim"] *= 2
    else:
        settings["upsample_initial_channel"] *= 2
    (run / "config.json").write_text(json.dumps(settings))
    runs = (run, vocoder) if kind == "stage1" else (stage1, run)
    clip = min((scenes / "videos").iterdir())
    outcome = ends("BigVGAN.inference_e2e", *e2e_words(clip, *runs, tmp_path / "o.wav"))
    assert outcome.status == 2, outcome.output
    assert str(run) in outcome.line
    assert not (tmp_path / "o.wav").exists()
    tally("damaged checkpoints refused")


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["unet_best.pth", "frame_best.pth", "g_best.pth"])
def test_inference_refuses_damaged_weights(name, damage, scenes, stage1, vocoder, ends, tally, tmp_path):
    runs = {
        kind: Path(shutil.copytree(run, tmp_path / kind)) for kind, run in (("a", stage1), ("b", vocoder))
    }
    path = next(run / name for run in runs.values() if (run / name).exists())
    if damage == "NaN":
        state = load_tensors(path)
        tensors = state.get("generator", state)
        next(t for t in tensors.values() if t.is_floating_point()).view(-1)[0] = np.nan
        save_tensors(path, state)
    else:
        DAMAGE[damage](path)
    clip = min((scenes / "videos").iterdir())
    outcome = ends("BigVGAN.inference_e2e", *e2e_words(clip, runs["a"], runs["b"], tmp_path / "o.wav"))
    assert outcome.status == 2, outcome.output
    assert outcome.line.startswith(f"error: {path}: ")
    assert not (tmp_path / "o.wav").exists()
    tally("damaged checkpoints refused")
