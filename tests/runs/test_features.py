"""Features of pictures by a frozen trunk: kept for all its runs, encoded anew where they must be."""

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig, preset_config
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.inference.features import PICTURES_A_CALL, visual_features
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.runs import encoding
from DiffBinaural.runs.encoding import encode_once, encoded
from DiffBinaural.utils.distributed import SINGLE_PROCESS, World
from DiffBinaural.utils.files import load_tensors


@pytest.fixture
def root(scenes, tmp_path):
    """A dataset whose pictures may be changed."""
    shutil.copytree(scenes, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def asked(monkeypatch):
    """Pictures that the trunk has encoded."""
    seen, real = [], encoding.encode_pictures

    def counted(model, pictures):
        seen.append(len(pictures["mask"]))
        return real(model, pictures)

    monkeypatch.setattr(encoding, "encode_pictures", counted)
    return seen


def model_of(root, seed=0, **settings):
    torch.manual_seed(seed)
    cfg = preset_config("tiny", id="r", data_root=str(root), ckpt=str(root.parent), train_trunk=False)
    return ModelBuilder(replace(cfg, **settings)).build().eval()


def encode(model, job=SINGLE_PROCESS, view=None):
    """The features of a fresh start, by recording, and their folder."""
    data = RealBinaural(model.cfg.data_root, "train", model.cfg.mel, view or model.cfg.view)
    ids = sorted({clip.video_id for clip in data.clips})
    folder = encode_once(data, model, ids, job)
    return {i: load_tensors(path) for i in ids if (path := folder / f"{i}.maps.pt").exists()}, folder


def same(a, b):
    return a.keys() == b.keys() and all(
        torch.equal(a[i][name], b[i][name]) for i in a for name in ("maps", "box", "mask")
    )


def one_by_one(model, source):
    """The features as they are defined: a call after the other, nothing read ahead."""
    parts = []
    for first in range(0, source.count, PICTURES_A_CALL):
        pictures = source.stack(range(first, min(first + PICTURES_A_CALL, source.count)))
        both = torch.stack([visual_features(model, pictures, mirror=m) for m in (False, True)], dim=2)
        parts.append(
            {"maps": both.cpu()[~pictures["mask"]].half(), **{n: pictures[n] for n in ("box", "mask")}}
        )
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_reading_ahead_changes_no_bit(root, workers, monkeypatch):
    monkeypatch.setattr(encoding, "PICTURES_A_CALL", 4)
    monkeypatch.setitem(one_by_one.__globals__, "PICTURES_A_CALL", 4)
    model = model_of(root)
    data = RealBinaural(root, "train", model.cfg.mel, model.cfg.view)
    sources = [data.frame_source(i) for i in ("scene_00000", "scene_00002", "scene_00001")]
    for got, source in zip(encoded(model, sources, workers), sources, strict=True):
        wanted = one_by_one(model, source)
        assert len(got["mask"]) == source.count
        assert all(torch.equal(got[name], wanted[name]) for name in wanted)
        assert source.picture.cache_info().currsize == source.count, "only what was read one by one"


def test_a_second_run_encodes_nothing_and_says_so(root, asked, capsys):
    first, folder = encode(model_of(root))
    assert sum(asked) == sum(len(one["mask"]) for one in first.values()) > 0
    assert capsys.readouterr().err.count("reused") == 0
    asked.clear()
    again, there = encode(model_of(root, id="other", num_epoch=3))
    assert (asked, there) == ([], folder)
    assert same(first, again)
    assert "3 of 3 recordings" in capsys.readouterr().err


def test_what_a_stopped_run_has_finished_is_kept(root, asked, monkeypatch):
    wanted, _ = encode(model_of(root))
    shutil.rmtree(root.parent / "features")
    real = encoding.save_tensors

    def stopped(path, content):
        real(path, content)
        if path.name.startswith("scene_00001"):
            raise KeyboardInterrupt(15)

    monkeypatch.setattr(encoding, "save_tensors", stopped)
    with pytest.raises(KeyboardInterrupt):
        encode(model_of(root))
    monkeypatch.setattr(encoding, "save_tensors", real)
    left = {path.name for path in (root.parent / "features").rglob("*.pt")}
    assert {"scene_00000.maps.pt", "scene_00001.maps.pt"} <= left
    asked.clear()
    got, _ = encode(model_of(root))
    assert sum(asked) == sum(len(wanted[i]["mask"]) for i in wanted if f"{i}.maps.pt" not in left)
    assert same(got, wanted)


@pytest.mark.parametrize(
    "other",
    [dict(seed=1), dict(view=ViewConfig(frames=3, image_size=32)), dict(arch_frame="resnet18")],
    ids=["weights", "view", "architecture"],
)
def test_another_trunk_or_view_has_features_of_its_own(root, other, asked):
    first, folder = encode(model_of(root))
    asked.clear()
    got, there = encode(model_of(root, **other))
    assert there != folder
    assert sum(asked) > 0
    assert not same(got, first)
    assert same(encode(model_of(root))[0], first)


def test_windows_and_heads_do_not_matter_to_a_picture(root, asked):
    view = model_of(root).cfg.view
    encode(model_of(root))
    asked.clear()
    encode(model_of(root, view=replace(view, window=40, frames=2)))
    assert asked == []


def test_where_a_picture_or_a_detection_changed_its_recording_alone_is_encoded(root, asked):
    first, _ = encode(model_of(root))
    frames = root / "processed/frames"
    shutil.copyfile(frames / "scene_00001/frame_000002.jpg", frames / "scene_00001/frame_000005.jpg")
    asked.clear()
    got, _ = encode(model_of(root))
    assert sum(asked) == len(first["scene_00001"]["mask"])
    assert not torch.equal(got["scene_00001"]["maps"], first["scene_00001"]["maps"])
    path = root / "action_detection_results/detection_results.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "scene_00002" not in line))
    asked.clear()
    got, _ = encode(model_of(root))
    assert sum(asked) == len(first["scene_00002"]["mask"])
    assert got["scene_00002"]["mask"][:, 1:].all()
    os.utime(frames / "scene_00000/frame_000001.jpg", (1, 1))
    asked.clear()
    encode(model_of(root))
    assert sum(asked) == len(first["scene_00000"]["mask"])


@pytest.mark.parametrize("how", ["cut", "flipped", "emptied", "another"])
def test_a_damaged_file_is_a_line_and_is_made_anew(root, how, asked, capsys):
    first, folder = encode(model_of(root))
    path = folder / "scene_00001.maps.pt"
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"cut": data[:-100], "flipped": data, "emptied": b"", "another": b"text" * 99}[how])
    asked.clear()
    capsys.readouterr()
    got, _ = encode(model_of(root))
    assert sum(asked) == len(first["scene_00001"]["mask"])
    assert same(got, first)
    lines = capsys.readouterr().err.splitlines()
    assert sum(str(path) in line for line in lines) == 1


class Rank(World):
    """One of two processes, which do not wait for each other here."""

    def gather(self, items):
        return items

    def wait(self):
        pass


def test_processes_divide_the_recordings(root, asked):
    device = torch.device("cpu")
    first, _ = encode(model_of(root), Rank(device, 0, 2))
    second, _ = encode(model_of(root), Rank(device, 1, 2))
    assert sorted(first) == ["scene_00000", "scene_00002"]
    assert len(second) == 3
    assert sum(asked) == sum(len(one["mask"]) for one in second.values())


def test_another_job_waits_and_then_reuses(root, asked, capsys):
    model = model_of(root)
    folder = encoding.features_folder(model)
    folder.mkdir(parents=True)
    (folder / ".scene_00000.maps.pt.12345.part").write_bytes(b"left by one that was killed")
    lock, found = FileLock(folder / ".lock"), []
    with lock:
        waiting = threading.Thread(target=lambda: found.append(encode(model)))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        assert asked == []
    waiting.join(60)
    assert len(found[0][0]) == 3
    assert not list(folder.glob(".*.part"))


def test_trainings_reuse_features_and_leave_them(scenes, scripts, tmp_path, capsys):
    def trained(name):
        words = ("--preset", "tiny", "--num_epoch", 1, "--windows_per_clip", 1, "--no-train_trunk")
        where = ("--id", name, "--ckpt", tmp_path, "--data_root", scenes, "--batch_size_per_gpu", 2)
        scripts("DiffBinaural.train_realBinaural", *words, *where)
        return load_tensors(tmp_path / name / "unet_latest.pth"), capsys.readouterr().err

    (first, said), (second, then) = trained("a"), trained("b")
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert "reused" not in said
    assert then.count("reused") == 2, "training and validation list"
    assert len(list(tmp_path.glob("features/*/*.maps.pt"))) == 4
    assert not list(tmp_path.glob("*/cache"))


def test_a_broken_picture_is_named(root):
    broken = root / "processed/frames/scene_00001/frame_000007.jpg"
    broken.write_bytes(Path(broken).read_bytes()[:30])
    with pytest.raises(ValueError, match=r"frame_000007.jpg: cannot be read"):
        encode(model_of(root))


def test_few_calls_are_read_in_advance(root, monkeypatch):
    monkeypatch.setattr(encoding, "PICTURES_A_CALL", 2)
    model, read, held = model_of(root), [], []
    data = RealBinaural(root, "train", model.cfg.mel, model.cfg.view)
    real, once = encoding.encode_pictures, RecordedFrames.once

    def reading(self, numbers):
        read.append(numbers)
        return once(self, numbers)

    def encoding_one(*given):
        held.append(len(read) - len(held))
        return real(*given)

    monkeypatch.setattr(RecordedFrames, "once", reading)
    monkeypatch.setattr(encoding, "encode_pictures", encoding_one)
    list(encoded(model, [data.frame_source(f"scene_0000{k}") for k in range(3)], workers=2))
    assert len(held) == len(read) > 12
    assert max(held) <= 2 * 2 + 1
