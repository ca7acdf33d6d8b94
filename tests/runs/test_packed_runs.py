"""A training on a packed dataset, stopped within an epoch, resumed, ends like a whole one on its folder."""

import json
from pathlib import Path

import pytest
import torch

from BigVGAN import training as stage2
from DiffBinaural import training as stage1

TINY = Path(__file__).parents[2] / "BigVGAN/configs/bigvgan_binaural_tiny.json"


@pytest.fixture(scope="module")
def packed(scenes, scripts, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "scenes.packed"
    scripts("DiffBinaural.pack_dataset", "--data_root", scenes, "--out", out, "--shard_mb", 1)
    return out


@pytest.fixture
def stopped_after(monkeypatch):
    """stopped_after(module, name, k) makes the k-th call of a function the last: a killed process."""

    def stop(module, name, count):
        calls, whole = [], getattr(module, name)

        def limited(*given, **more):
            calls.append(1)
            if len(calls) > count:
                raise KeyboardInterrupt
            return whole(*given, **more)

        monkeypatch.setattr(module, name, limited)

    return stop


def same_tensors(one, other):
    one, other = (torch.load(path, weights_only=True) for path in (one, other))
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert all(torch.equal(part, other[name][key]) for key, part in value.items()), name
        else:
            assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("more", [(), ("--direct_path", "--workers", 2)], ids=["mels", "direct paths"])
def test_stage_1(scenes, packed, scripts, tmp_path, monkeypatch, stopped_after, more):
    def train(folder, root):
        words = ("--preset", "tiny", "--id", "run", "--ckpt", folder, "--data_root", root, "--num_epoch", 2)
        sizes = ("--windows_per_clip", 4, "--batch_size_per_gpu", 2, "--save_steps", 1, "--eval_epoch", 2)
        scripts("DiffBinaural.train_realBinaural", *words, *sizes, *more)

    train(tmp_path / "whole", scenes)
    stopped_after(stage1, "backward", 4)  # of 6 steps an epoch
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", packed)
    monkeypatch.undo()
    train(tmp_path / "parts", packed)
    for name in ("unet_latest.pth", "frame_latest.pth", "unet_best.pth"):
        same_tensors(tmp_path / "whole/run" / name, tmp_path / "parts/run" / name)
    assert not (tmp_path / "parts/run/cache").exists()


def test_stage_2(scenes, packed, scripts, tmp_path, monkeypatch, stopped_after):
    config = tmp_path / "c.json"
    small = {"upsample_initial_channel": 16, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1]]}
    sizes = {"batch_size": 4, "segment_size": 4096, "mpd_reshapes": [2, 3]}
    config.write_text(json.dumps({**json.loads(TINY.read_text()), **small, **sizes}))

    def train(folder, *where):
        words = ("--checkpoint_path", folder, "--config", config, "--training_steps", 5, "--freeze_step", 1)
        often = ("--checkpoint_interval", 1, "--validation_interval", 5)
        scripts("BigVGAN.train_binaural_mel", *where, *words, *often)

    lists = [word for name in ("train", "val") for word in (f"--list_{name}", scenes / f"splits/{name}.csv")]
    train(tmp_path / "whole", "--audio_dir", scenes / "processed/binaural_audios_22050Hz", *lists)
    there = ("--data_root", packed, "--list_train", "train", "--list_val", "val")
    stopped_after(stage2, "train_step", 2)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", *there)
    monkeypatch.undo()
    train(tmp_path / "parts", *there)
    for name in ("g_00000005", "g_best.pth"):
        same_tensors(tmp_path / "whole" / name, tmp_path / "parts" / name)
