"""Several processes give the results of one; a killed and resumed run those of an uninterrupted one.

As a script, under torchrun, this file is one of the processes: it writes the gradient of a first step.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from BigVGAN import training as vocoder
from BigVGAN.env import load_config
from BigVGAN.meldataset import MelDataset
from BigVGAN.settings import TrueMelConfig
from BigVGAN.training_step import train_step
from DiffBinaural.configs.advanced_diffusion_config import PRESETS, TrainConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.runs.loading import loader, step_batches
from DiffBinaural.runs.state import Run
from DiffBinaural.training import backward, data_parallel, noisy
from DiffBinaural.utils.distributed import World, world

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / "DiffBinaural/train_realBinaural.py"
TRAIN_VOCODER = ROOT / "BigVGAN/train_binaural_mel.py"


def first_gradient(data_root, ckpt, batch, accumulate):
    """The gradient of a run's first step in this process: name -> tensor."""
    cfg = TrainConfig(id="g", data_root=str(data_root), ckpt=str(ckpt), **PRESETS["tiny"])
    cfg = replace(
        cfg,
        batch_size_per_gpu=batch,
        accumulate=accumulate,
        seed=3,
        model=replace(cfg.model, dim=8, context_dim=32),
    )
    torch.manual_seed(0)
    data = RealBinaural(data_root, "train", cfg.mel, cfg.view, windows_per_clip=4, seed=3, mirror=True)
    with world("cpu") as job:
        run = Run(ModelBuilder(cfg).build().train(), cfg, job, len(data))
        net, batches = data_parallel(run.model, job), iter(loader(noisy(data, run.model), cfg, job))
        for batch, last in step_batches(batches, accumulate):
            backward(net, batch, run, last=last)
        return {name: p.grad for name, p in run.model.named_parameters() if p.grad is not None}


def torchrun(count, script, *words):
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc_per_node={count}",
        "--",
        script,
        *words,
    ]  # or torchrun takes our --run for its own --run-path
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def words(scenes, folder, *more):
    return [
        str(w)
        for w in (
            "--preset",
            "tiny",
            "--id",
            "run",
            "--ckpt",
            folder,
            "--data_root",
            scenes,
            "--windows_per_clip",
            4,
            "--device",
            "cpu",
            *more,
        )
    ]


def same_weights(a, b, names=("unet_latest.pth", "frame_latest.pth", "unet_best.pth")):
    for name in names:
        one, other = (torch.load(folder / name, weights_only=True) for folder in (a, b))
        assert all(torch.equal(one[key], other[key]) for key in one), name


@pytest.mark.parametrize(
    ("processes", "batch", "accumulate"),
    [(2, 2, 1), pytest.param(2, 1, 2, marks=pytest.mark.slow), (1, 1, 4)],
)
def test_the_first_gradient_is_that_of_one_process_on_the_whole_batch(
    scenes, tmp_path, processes, batch, accumulate
):
    alone = first_gradient(scenes, tmp_path / "alone", 4, 1)
    if processes == 1:
        together = first_gradient(scenes, tmp_path / "one", batch, accumulate)
    else:
        torchrun(processes, __file__, scenes, tmp_path / "two", batch, accumulate)
        together = torch.load(tmp_path / "two" / "gradient.pt", weights_only=True)
    size = torch.stack([g.norm() for g in alone.values()]).norm()
    off = torch.stack([(together[name] - g).norm() for name, g in alone.items()]).norm()
    assert size > 0
    assert off / size < 1e-5


def test_two_processes_train_validate_and_generate_as_one(scenes, scripts, scalars, tmp_path):
    same = ("--num_epoch", 2, "--eval_epoch", 2, "--workers", 1)
    torchrun(2, TRAIN, *words(scenes, tmp_path / "two", "--batch_size_per_gpu", 2, *same))
    alone = words(scenes, tmp_path / "one", "--batch_size_per_gpu", 4, *same)
    scripts("DiffBinaural.train_realBinaural", *alone)
    for name in ("train/loss", "val/mel_rmse", "val/loss", "val/mono_copy_mel_ild_error"):
        one, two = (scalars(tmp_path / who / "run", name) for who in ("one", "two"))
        assert len(one) == len(two) == (6 if name == "train/loss" else 1)
        assert one[:5] == pytest.approx(two[:5], rel=1e-4), name
    dump = (
        "--run",
        tmp_path / "one/run",
        "--data_root",
        scenes,
        "--list_test",
        "train",
        "--sampling_timesteps",
        1,
        "--device",
        "cpu",
    )
    torchrun(2, ROOT / "DiffBinaural/test_realBinaural.py", *dump, "--output_dir", tmp_path / "divided")
    scripts("DiffBinaural.test_realBinaural", *dump, "--output_dir", tmp_path / "whole")
    files = sorted(path.name for path in (tmp_path / "whole").glob("[!.]*"))
    assert files == sorted(path.name for path in (tmp_path / "divided").glob("[!.]*"))
    assert len(files) == 7
    for name in files[1:]:
        assert np.allclose(*(np.load(tmp_path / who / name) for who in ("whole", "divided")), atol=1e-4)


def test_a_run_killed_twice_ends_bit_for_bit_like_an_uninterrupted_one(scenes, tmp_path):
    options = (
        "--batch_size_per_gpu",
        2,
        "--num_epoch",
        3,
        "--eval_epoch",
        2,
        "--save_steps",
        2,
        "--workers",
        1,
        "--no-train_trunk",
    )

    def start(folder):
        return subprocess.Popen(
            [sys.executable, TRAIN, *words(scenes, folder, *options)],
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    whole = start(tmp_path / "whole")
    assert whole.wait() == 0, whole.stderr.read()[-2000:]
    moment, state = random.Random(7), tmp_path / "killed/run/state_latest.pth"
    for _ in range(2):
        run, seen = start(tmp_path / "killed"), state.stat().st_mtime_ns if state.exists() else 0
        while run.poll() is None and (state.stat().st_mtime_ns if state.exists() else 0) == seen:
            time.sleep(0.01)
        time.sleep(moment.uniform(0, 0.6))
        os.killpg(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    last = start(tmp_path / "killed")
    assert last.wait() == 0, last.stderr.read()[-2000:]
    assert not list(state.parent.glob(".*.part")), "half-written files of a killed process are deleted"
    same_weights(tmp_path / "whole/run", tmp_path / "killed/run")
    one, other = (
        torch.load(tmp_path / who / "run/state_latest.pth", weights_only=True) for who in ("whole", "killed")
    )
    for moments, others in zip(*(x["optimizer"]["state"].values() for x in (one, other)), strict=True):
        assert all(torch.equal(moments[name], others[name]) for name in moments)
    history = [(tmp_path / who / "run/training_history.json").read_text() for who in ("whole", "killed")]
    assert history[0] == history[1]


# --- stage 2 ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """The demo's vocoder with fewer channels and every term of the loss."""
    path = tmp_path_factory.mktemp("narrow") / "c.json"
    tiny = json.loads((ROOT / "BigVGAN/configs/bigvgan_binaural_tiny.json").read_text())
    path.write_text(
        json.dumps(
            {
                **tiny,
                "upsample_initial_channel": 16,
                "resblock_kernel_sizes": [3],
                "resblock_dilation_sizes": [[1]],
                "batch_size": 8,
                "segment_size": 4096,
                "mpd_reshapes": [2, 3],
                "lambda_silence": 1,
                "lambda_interaural": 1,
                "lambda_level": 1,
            }
        )
    )
    return path


def vocoder_words(scenes, folder, config, *more):
    return [
        str(w)
        for w in (
            "--audio_dir",
            scenes / "processed/binaural_audios_22050Hz",
            "--config",
            config,
            "--list_train",
            scenes / "splits/train.csv",
            "--list_val",
            scenes / "splits/val.csv",
            "--checkpoint_path",
            folder,
            "--device",
            "cpu",
            *more,
        )
    ]


class Watched(vocoder.VocoderRun):
    """A run that keeps the gradients of its first step and does not change the weights."""

    def update(self, name, net):
        self.job.average_gradients(net.parameters())
        self.kept = {
            **getattr(self, "kept", {}),
            **{f"{name}.{key}": p.grad.clone() for key, p in net.named_parameters()},
        }
        net.zero_grad()
        return 0.0


def vocoder_gradient(scenes, folder, config):
    torch.manual_seed(0)
    cfg, root = load_config(config), Path(scenes)
    train = TrueMelConfig(
        audio_dir=str(root / "processed/binaural_audios_22050Hz"),
        list_val="",
        list_train=str(root / "splits/train.csv"),
        checkpoint_path=str(folder),
        config=str(config),
        device="cpu",
    )
    with world("cpu") as job:
        run = Watched(cfg, train, job)
        batches = vocoder.loader(MelDataset(train.audio_dir, train.list_train, cfg), run)
        train_step(run, next(iter(batches)), 0.0)
        return run.kept


@pytest.mark.slow
def test_the_vocoders_first_gradient_is_that_of_one_process(scenes, narrow, tmp_path):
    alone = vocoder_gradient(scenes, tmp_path / "one", narrow)
    torchrun(2, __file__, scenes, tmp_path / "two", narrow)
    together = torch.load(tmp_path / "two" / "gradient.pt", weights_only=True)
    assert {name.split(".")[0] for name in alone} == {"g", "mpd", "mrd"}

    def norms(gradients):
        parts = {
            net: [g for name, g in gradients.items() if name.startswith(f"{net}.")]
            for net in ("g", "mpd", "mrd")
        }
        return {net: torch.cat([g.flatten() for g in found]).norm() for net, found in parts.items()}

    size, off = norms(alone), norms({name: together[name] - g for name, g in alone.items()})
    assert min(size.values()) > 0
    assert torch.stack([*off.values()]).norm() / torch.stack([*size.values()]).norm() < 1e-5
    # the sum over an STFT discriminator's many bins is the least exact in float32
    assert max(off[net] / size[net] for net in size) < 1e-4, (off, size)


def test_two_vocoder_processes_train_and_validate_as_one(scenes, scripts, scalars, narrow, tmp_path):
    steps = ("--training_steps", 3, "--validation_interval", 3, "--freeze_step", 1)
    torchrun(2, TRAIN_VOCODER, *vocoder_words(scenes, tmp_path / "two", narrow, *steps))
    scripts("BigVGAN.train_binaural_mel", *vocoder_words(scenes, tmp_path / "one", narrow, *steps))
    for name in (
        "training/gen_loss_total",
        "training/mel_spec_error",
        "training/interaural",
        "training/disc_loss_mpd",
        "training/fm_loss_mrd",
        "validation_true/mel_spec_error",
    ):
        one, two = (scalars(tmp_path / who, name, "logs") for who in ("one", "two"))
        assert len(one) == len(two) > 0
        assert one == pytest.approx(two, rel=1e-4), name


def test_segments_that_processes_cannot_divide_are_refused(narrow, tmp_path):
    job = World(torch.device("cpu"), 0, 3)
    with pytest.raises(ValueError, match="4 segments of two ears, which 3 processes cannot divide"):
        vocoder.VocoderRun(
            load_config(narrow),
            TrueMelConfig(
                audio_dir="", list_train="", list_val="", checkpoint_path=str(tmp_path), config="c.json"
            ),
            job,
        )


def test_a_killed_vocoder_run_ends_bit_for_bit_like_an_uninterrupted_one(scenes, narrow, tmp_path):
    options = (
        "--training_steps",
        8,
        "--checkpoint_interval",
        2,
        "--validation_interval",
        4,
        "--freeze_step",
        3,
    )

    def start(folder):
        words = vocoder_words(scenes, folder, narrow, *options)
        return subprocess.Popen([sys.executable, TRAIN_VOCODER, *words], stderr=subprocess.PIPE)

    whole = start(tmp_path / "whole")
    assert whole.wait() == 0, whole.stderr.read()[-2000:]
    folder = tmp_path / "killed"
    run = start(folder)
    while run.poll() is None and not list(folder.glob("do_????????")):
        time.sleep(0.01)
    time.sleep(random.Random(3).uniform(0, 0.3))
    run.kill()
    assert run.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    last = start(folder)
    assert last.wait() == 0, last.stderr.read()[-2000:]
    for name in ("g_00000008", "do_00000008", "g_best.pth"):
        one, other = (torch.load(tmp_path / who / name, weights_only=True) for who in ("whole", "killed"))
        one.pop("seconds", None), other.pop("seconds", None)
        assert alike(one, other), name
    names = [sorted(p.name for p in (tmp_path / who).iterdir()) for who in ("whole", "killed")]
    assert names[0] == names[1]


def alike(a, b):
    """Equality of nested checkpoints, tensors bit for bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


if __name__ == "__main__":
    root, folder, *rest = sys.argv[1:]
    gradient = (
        vocoder_gradient(root, folder, *rest)
        if len(rest) == 1
        else first_gradient(root, folder, *map(int, rest))
    )
    Path(folder).mkdir(parents=True, exist_ok=True)
    if os.environ["RANK"] == "0":
        torch.save(gradient, Path(folder) / "gradient.pt")
