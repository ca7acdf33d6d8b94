"""A packed dataset gives the samples of its folder, and says what is broken."""

import io
import json
import shutil
import sqlite3
import tarfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from BigVGAN.env import load_config
from BigVGAN.meldataset import MelDataset
from BigVGAN.settings import TrueMelConfig
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import BINAURAL, MONO, RealBinaural
from DiffBinaural.dataset.dataset_real_binaural_mix import RealBinauralMix
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.dataset.recordings import DETECTIONS
from DiffBinaural.utils.lists import Clip, Detection
from DiffBinaural.utils.pack_writer import NewRecording, PackWriter
from DiffBinaural.utils.packed import Packed
from DiffBinaural.utils.packed_index import INDEX, UNFINISHED
from DiffBinaural.utils.preload import ahead
from DiffBinaural.utils.schedule import Shuffled
from DiffBinaural.utils.shards import BLOCK, Member, Shards, append, shard_name

MEL, VIEW = MelConfig(), ViewConfig(frames=3, slots=3, image_size=32)
VOCODER = load_config(Path(__file__).parents[2] / "BigVGAN/configs/bigvgan_binaural_tiny.json")
KINDS = {
    "mels": {},
    "phasor": {"phasor": True},
    "direct paths": {"phasor": True, "spectra": True, "direct_path": True},
}


@pytest.fixture(scope="module")
def folder(scenes, tmp_path_factory):
    """The scenes with few detections, and a list of clips that begin and end anywhere in recordings."""
    root = tmp_path_factory.mktemp("packing") / "data"
    shutil.copytree(scenes, root)
    names = sorted(path.stem for path in (root / MONO).iterdir())
    rows = [f"{name},{start},{end},a" for name in names for start, end in ((0, 1.1), (0.13, 1.4), (0.3, 9))]
    header, *found = (root / DETECTIONS).read_text().splitlines()
    few = [row for row in found if row.startswith(names[0]) or int(row.split(",")[1]) % 7 == 1]
    assert 0 < len(few) < len(found)
    (root / DETECTIONS).write_text("\n".join([header, *few]) + "\n")
    lists = root / "splits/pieces/train.csv"
    lists.parent.mkdir()
    lists.write_text("\n".join(["video_id,start_time,end_time,action_label", *rows, f"{names[0]},,,"]) + "\n")
    return root


def packed_copy(folder, out, scripts, **options):
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    scripts("DiffBinaural.pack_dataset", "--data_root", folder, "--out", out, "--workers", 2, *words)
    return out


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory, scripts):
    return packed_copy(folder, tmp_path_factory.mktemp("packed") / "data.packed", scripts, shard_mb=1)


@pytest.fixture
def own(packed, tmp_path):
    """A copy to be damaged."""
    shutil.copytree(packed, tmp_path / "own")
    return tmp_path / "own"


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if torch.is_tensor(value) and not torch.equal(value, other[name]):
            off = (value.double() - other[name].double()).abs()
            raise AssertionError(f"{name}: {int((off > 0).sum())} values differ, by up to {off.max():.3g}")
        assert torch.is_tensor(value) or value == other[name], name


# --- the samples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("dataset", [RealBinaural, partial(RealBinauralMix, mix_sources=3)], ids=["", "mix"])
def test_the_nth_sample_is_that_of_the_folder(folder, packed, dataset, kinds):
    options = dict(windows_per_clip=3, mirror=True, hide_detections=0.3, hide_sounding=0.3, seed=5)
    forms = [
        dataset(root, "train", MEL, VIEW, split="pieces", **options, **KINDS[kinds])
        for root in (folder, packed)
    ]
    assert len(forms[0]) == len(forms[1]) == 3 * 16
    for n in (*range(24), 1000, 10**9):
        assert_same(*(form[n] for form in forms))


def test_whole_clips_and_those_of_a_list_elsewhere_are_those_of_the_folder(folder, packed, tmp_path):
    elsewhere = shutil.copy(folder / "splits/pieces/train.csv", tmp_path / "some.csv")
    for name in ("test", "pieces/train", str(elsewhere)):
        forms = [GenAudioRealBinaural(root, name, MEL, VIEW, phasor=True) for root in (folder, packed)]
        for i in range(len(forms[0])):
            assert_same(*(form[i] for form in forms))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("fold", ["", "1/2", "2/2", "3/3", "5/5"])
def test_lists_and_folds_are_those_of_the_folder(folder, packed, fold, inside):
    forms = [
        RealBinaural(root, "val", MEL, VIEW).recordings.clips("train", "pieces", fold, inside=inside)
        for root in (folder, packed)
    ]
    assert list(forms[0]) == list(forms[1]) == [forms[1][i] for i in range(len(forms[1]))]
    assert forms[0][-1] == forms[1][-1]
    with pytest.raises(IndexError):
        forms[1][len(forms[1])]


@pytest.mark.parametrize("frames", [8, 32, 96, 400])
def test_the_nth_segment_of_stage_2_is_that_of_the_folder(folder, packed, frames, tmp_path):
    from dataclasses import asdict, replace

    cfg = replace(VOCODER, segment_size=frames * VOCODER.hop_size)
    listing = folder / "splits/pieces/train.csv"
    mels = tmp_path / "mels"
    mels.mkdir()
    (mels / "mel_config.json").write_text(json.dumps(asdict(cfg.mel)))
    plain = MelDataset(folder / BINAURAL, listing, cfg, seed=2)
    for i, clip in enumerate(plain.clips):
        for side, mel in zip(("left", "right"), plain.whole(i)["mel"].numpy(), strict=True):
            if clip.end > 1.3:  # the others have the same start
                np.save(mels / f"{clip.stem}_{side}.npy", mel + 1)
    rows = [f"{c.video_id},{c.start},{c.end}" for c in plain.clips if c.start > 0]
    later = tmp_path / "later.csv"
    later.write_text("\n".join(["video_id,start_time,end_time", *rows]))
    for names, options in (((listing, "pieces/train"), {}), ((later, later), {"pred_dir": str(mels)})):
        forms = [
            MelDataset(root, name, cfg, seed=2, **options)
            for root, name in zip((folder / BINAURAL, packed), names, strict=True)
        ]
        for n in range(40):
            assert_same(*(form[n] for form in forms))
        assert_same(*(form.whole(1) for form in forms))
    assert "mel_pred" in forms[1][0]


def test_workers_that_are_forked_after_the_first_sample_read_the_same(packed):
    data = RealBinaural(packed, "train", MEL, VIEW, split="pieces", seed=1)
    here = [data[n] for n in range(8)]
    there = DataLoader(data, None, sampler=range(8), num_workers=2, multiprocessing_context="fork")
    for one, other in zip(here, there, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("start", [0, 5, 99, 100, 250])
def test_the_order_from_the_middle_of_an_epoch_on_is_that_of_the_whole(start):
    from itertools import islice

    whole = list(islice(Shuffled(100, seed=3), 400))
    assert list(islice(Shuffled(100, seed=3, start=start), 400 - start)) == whole[start:]
    assert sorted(n % 100 for n in whole[100:200]) == list(range(100))


def test_the_shards_unpack_to_the_folder(folder, packed, tmp_path):
    for shard in sorted(packed.glob("*.tar")):
        with tarfile.open(shard) as tar:
            tar.extractall(tmp_path, filter="data")
    paths = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert len(list(packed.glob("*.tar"))) > 1
    assert {path.parts[0] for path in paths} >= {"dataset.json", "splits", "processed"}
    for path in paths:
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes(), path


# --- shards -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 77])
def test_a_file_in_a_shard_is_read_as_written(tmp_path, size):
    content = np.random.default_rng(size).bytes(size)
    with tarfile.open(tmp_path / shard_name(0), "w") as tar:
        append(tar, "before", io.BytesIO(b"x" * 700), 0)
        place = append(tar, "n" * 150 + "é", io.BytesIO(content), 0)
        append(tar, "behind", io.BytesIO(b"y"), 0)
    shards = Shards(tmp_path)
    assert shards.read(place, "it") == content
    member = Member(shards, place, "it")
    random = np.random.default_rng(1)
    for _ in range(30):
        begin, count = random.integers(size + 10), random.integers(2 * BLOCK)
        assert member.seek(begin) == begin
        assert member.read(count) == content[begin : begin + count]
    member.seek(0)
    assert member.read() == content
    assert member.fault is None


# --- what is wrong with a packed dataset --------------------------------------------------------------------


def test_a_shard_cut_short_or_missing_is_named_at_once(own):
    shard = own / shard_name(1)
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(
        ValueError, match=f"{shard.name}: has {len(content) - 1} bytes, expected {len(content)}"
    ):
        RealBinaural(own, "train", MEL, VIEW)
    shard.unlink()
    with pytest.raises(ValueError, match=f"{shard.name}: missing"):
        MelDataset(own, "train", VOCODER)


@pytest.mark.parametrize("part", ["mono", "binaural", "picture"])
def test_a_flipped_bit_is_found_when_it_is_read(own, part):
    data = RealBinaural(own, "train", MEL, VIEW)
    name = data.clips[0].video_id
    recording = data.recordings.recording(name)
    place = recording.places[{"mono": 0, "binaural": 1, "picture": 4}[part]]
    with open(own / shard_name(place.shard), "r+b") as file:
        file.seek(place.offset + place.size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(ValueError, match=f"{shard_name(place.shard)}: damaged, .*{part}.* of {name}"):
        GenAudioRealBinaural(own, "train", MEL, VIEW)[0]
    if part == "binaural":
        with pytest.raises(ValueError, match="damaged, the binaural sound"):
            MelDataset(own, "train", VOCODER).whole(0)


def test_another_version_a_damaged_index_and_other_files_are_refused(own):
    index = own / INDEX
    content = index.read_bytes()
    with sqlite3.connect(index) as connection:
        connection.execute("PRAGMA user_version = 7")
    with pytest.raises(ValueError, match="of format 7, this version reads 1"):
        Packed(own)
    index.write_bytes(content[:5000])
    with pytest.raises(ValueError, match=INDEX):
        Packed(own).clips("train")[0]
    index.write_bytes(b"video_id,start_time\n" * 100)
    with pytest.raises(ValueError, match=INDEX):
        Packed(own)
    index.unlink()
    with sqlite3.connect(index) as connection:
        connection.execute("CREATE TABLE mine (x)")
    with pytest.raises(ValueError, match="no index of a packed dataset"):
        Packed(own)


def test_what_is_not_there_is_named(packed, tmp_path):
    with pytest.raises(FileNotFoundError, match="nosuch"):
        RealBinaural(packed, "nosuch", MEL, VIEW)
    listing = tmp_path / "other.csv"
    listing.write_text("video_id\nnobody\n")
    with pytest.raises(FileNotFoundError, match="holds no recording nobody"):
        RealBinaural(packed, str(listing), MEL, VIEW)
    with pytest.raises(ValueError, match="22050 Hz, 16000 Hz are wanted"):
        Packed(packed).sound(Packed(packed).clips("train")[0], 16_000, 1)


@pytest.mark.parametrize("given", [{}, {"audio_dir": "a", "data_root": "b"}])
def test_stage_2_takes_a_folder_of_sounds_or_a_dataset(given):
    with pytest.raises(ValueError, match="--audio_dir"):
        TrueMelConfig(checkpoint_path="", config="", **given)


def test_a_dataset_without_sounds_is_named_by_stage_2(tmp_path):
    sounds = TrueMelConfig(checkpoint_path="", config="", data_root=str(tmp_path)).sounds
    with pytest.raises(FileNotFoundError, match=f"{tmp_path.name}/{BINAURAL}: no such folder of sounds"):
        MelDataset(sounds, "train", VOCODER)


# --- packing ------------------------------------------------------------------------------------------------


def broken_picture(root, name):
    path = next((root / "processed/frames" / name).iterdir())
    path.write_bytes(path.read_bytes()[:200])


def other_rate(root, name):
    path = root / BINAURAL / f"{name}.wav"
    soundfile.write(path, soundfile.read(path)[0], 24_000)


def not_finite(root, name):
    path = root / MONO / f"{name}.wav"
    wav = soundfile.read(path)[0]
    wav[7] = np.nan
    soundfile.write(path, wav, 22_050, "FLOAT")


def shorter_ears(root, name):
    path = root / BINAURAL / f"{name}.wav"
    soundfile.write(path, soundfile.read(path)[0][:-600], 22_050)


def too_late(root, name):
    with open(root / "splits/val.csv", "a") as file:
        file.write(f"{name},60,61,a\n")


def no_mono(root, name):
    (root / MONO / f"{name}.wav").unlink()


@pytest.mark.parametrize("spoil", [broken_picture, other_rate, not_finite, shorter_ears, too_late, no_mono])
def test_a_fault_is_named_by_clip_and_mended_without_packing_all_again(
    scenes, tmp_path, scripts, spoil, monkeypatch
):
    root, out = tmp_path / "data", tmp_path / "packed"
    shutil.copytree(scenes, root)
    name = sorted(path.stem for path in (root / MONO).iterdir())[1]
    spoil(root, name)
    with pytest.raises(ValueError, match=f"^1 fault.*\n  .*{name}"):
        packed_copy(root, out, scripts, shard_mb=1)
    assert not (out / INDEX).exists()
    with pytest.raises(FileNotFoundError, match="not finished"):
        RealBinaural(out, "train", MEL, VIEW)
    shutil.rmtree(root)
    shutil.copytree(scenes, root)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    packed_copy(root, out, scripts, shard_mb=1)
    assert kept
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    assert_same(RealBinaural(root, "train", MEL, VIEW)[1], RealBinaural(out, "train", MEL, VIEW)[1])


def test_a_packing_that_is_stopped_goes_on_behind_its_last_whole_shard(
    folder, tmp_path, scripts, monkeypatch
):
    from DiffBinaural.dataset import packing

    out, checked, seen = tmp_path / "packed", packing.checked, []

    def stopping(source, video_id, *given):
        seen.append(video_id)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return checked(source, video_id, *given)

    monkeypatch.setattr(packing, "checked", stopping)
    monkeypatch.setattr(packing, "MEGABYTE", 1 << 16)
    with pytest.raises(KeyboardInterrupt):
        scripts(
            "DiffBinaural.pack_dataset", "--data_root", folder, "--out", out, "--workers", 1, "--shard_mb", 1
        )
    whole = len(list(out.glob("*.tar")))
    assert (out / UNFINISHED).exists()
    assert whole >= 1
    assert not list(out.glob(".*.part"))
    before = len(seen)
    packed_copy(folder, out, scripts, shard_mb=1)
    assert len(seen) - before < 5, "what is packed is not read again"
    forms = [RealBinaural(root, "pieces/train", MEL, VIEW) for root in (folder, out)]
    for n in range(16):
        assert_same(*(form[n] for form in forms))
    packed_copy(folder, out, scripts)  # has nothing to do
    facts = json.loads((folder / "dataset.json").read_text())
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "dataset.json").write_text(json.dumps({**facts, "fps": 5}))
    with pytest.raises(ValueError, match=r"another dataset\.json"):
        packed_copy(other, out, scripts)


def test_recordings_without_ears_are_packed_and_refused_where_ears_are_needed(scenes, tmp_path, scripts):
    root = tmp_path / "data"
    shutil.copytree(scenes, root)
    name = RealBinaural(root, "train", MEL, VIEW).clips[1].video_id
    (root / BINAURAL / f"{name}.wav").unlink()
    out = packed_copy(root, tmp_path / "packed", scripts)
    for kind in (RealBinaural, lambda *given: MelDataset(out, "train", VOCODER)):
        with pytest.raises(FileNotFoundError, match=f"{name}.*binaural"):
            kind(out, "train", MEL, VIEW)
    forms = [GenAudioRealBinaural(place, "train", MEL, VIEW, truth=False) for place in (root, out)]
    for i in range(3):
        assert_same(*(form[i] for form in forms))


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_work_is_done_a_few_items_ahead_and_no_more(count):
    begun = []

    def work(item):
        begun.append(item)
        return item * item

    for k, made in enumerate(ahead(work, range(count), 2)):
        time.sleep(0.01)
        assert made == k * k
        assert len(begun) <= k + 1 + 2 * 2 + 1


# --- many clips ---------------------------------------------------------------------------------------------


def test_opening_takes_no_longer_with_more_clips(tmp_path):
    """The index of 30,000 recordings: what is read at the start is the same few rows."""
    mono, ears = io.BytesIO(), io.BytesIO()
    for file, shape in ((mono, 300), (ears, (300, 2))):
        soundfile.write(file, np.zeros(shape), 22_050, "PCM_16", format="WAV")
    writer = PackWriter(tmp_path, 1 << 30)
    writer.state(rate=22_050, fps=10)
    names = [f"r{k}" for k in range(30_000)]
    writer.write_detections((name, Detection(0.0, (0, 0, 1, 1), 1.0)) for name in names)
    files = [("a", mono), ("b", ears), ("c", mono)]
    writer.write_shards([(NewRecording("r29999", 300, 300, (8, 8), 120.0, "sphere"), files)])
    writer.write_list("train", map(Clip, names))
    writer.finish()
    statements = []
    data = RealBinaural(tmp_path, "train", MEL, VIEW)
    data.recordings.opened[1].set_trace_callback(statements.append)
    assert len(data) == 30_000
    assert data.sound(data.clips[29_999])[1].shape == (2, 300)
    assert 0 < len(statements) < 10
    assert (tmp_path / DETECTIONS).exists() is False
