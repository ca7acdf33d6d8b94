"""FAIR-Play: the download, its preparation, broken clips, interruptions."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import h5py
import numpy as np
import pytest
import soundfile
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.fairplay.config import PrepareConfig
from DiffBinaural.fairplay.download import entries, read_ids, read_lists
from DiffBinaural.fairplay.preparation import plan, prepare_clip
from DiffBinaural.fairplay.simulated import write_list, write_lists
from DiffBinaural.fairplay.verification import verify
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.utils.arguments import parse
from DiffBinaural.utils.audio import read_wav, resample
from DiffBinaural.utils.lists import read_clips, split_path
from DiffBinaural.utils.media import pictures, read_sound

ROOT = Path(__file__).parents[2]
IDS = ["000001", "000002", "000003", "000004"]
SETS = ("train", "val", "test")
EARS, MONO = "processed/binaural_audios_22050Hz", "processed/mono_audios_22050Hz"
FRAMES = "processed/frames"
FPS, SIZE = 4, (64, 32)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 1921102\n"


def prepare_words(source, out, *more):
    return (
        "--fairplay_root",
        source,
        "--out",
        out,
        "--fps",
        FPS,
        "--size",
        "x".join(map(str, SIZE)),
        "--workers",
        1,
        *more,
    )


@pytest.fixture(scope="session")
def download(scripts, tmp_path_factory):
    """Four clips in the layout of the download."""
    root = tmp_path_factory.mktemp("download") / "FAIR-Play"
    scripts(
        "DiffBinaural.simulate_dataset",
        "--layout",
        "fairplay",
        "--out",
        root,
        "--clips",
        4,
        "--seed",
        2,
        "--workers",
        1,
    )
    return root


@pytest.fixture(scope="session")
def prepared(download, scripts, tmp_path_factory):
    """The same, prepared without interruption."""
    out = tmp_path_factory.mktemp("prepared") / "data"
    before = digests(download)
    scripts("DiffBinaural.prepare_fairplay", *prepare_words(download, out))
    assert digests(download) == before, "the download is only read"
    return out


@pytest.fixture
def mine(download, tmp_path):
    """A copy of the download, to be damaged."""
    return Path(shutil.copytree(download, tmp_path / "mine"))


def digests(root):
    """Digest of every file below a folder; False for folders."""
    return {
        str(path.relative_to(root)): path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
    }


def rows(root, name):
    return [clip.video_id for clip in read_clips(root / f"splits/{name}.csv")]


# --- the layout of the download -----------------------------------------------------------------------------


def test_the_tree_has_the_downloads_folders_and_no_others(download):
    assert {path.name for path in download.glob("[!.]*")} == {
        "binaural_audios",
        "videos",
        "splits",
        "new_splits",
        "simulated.json",
    }
    assert sorted(path.name for path in (download / "binaural_audios").iterdir()) == [f"{k}.wav" for k in IDS]
    assert sorted(path.name for path in (download / "videos").iterdir()) == [f"{k}.mp4" for k in IDS]


def test_recordings_equal_the_download_in_size_and_to_the_byte_in_their_head(download):
    # 12 + 24 + 34 + 8 bytes, then 4 bytes for each of 480,256 or 479,232 sample frames
    between = (
        bytes.fromhex(
            "57415645 666d7420 10000000 0100 0200 80bb0000 00ee0200 0400 1000"
            "4c495354 1a000000 494e464f 49534654 0e000000"
        )
        + b"Lavf58.29.100\0data"
    )
    heads = {
        1_921_102: b"RIFF\x46\x50\x1d\0" + between + b"\0\x50\x1d\0",
        1_917_006: b"RIFF\x46\x40\x1d\0" + between + b"\0\x40\x1d\0",
    }
    contents = [path.read_bytes() for path in sorted((download / "binaural_audios").iterdir())]
    assert sorted(map(len, contents)) == [1_917_006, 1_921_102, 1_921_102, 1_921_102]
    for content in contents:
        assert content[:78] == heads[len(content)]
    info = soundfile.info(download / "binaural_audios/000001.wav")
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (48_000, 2, "PCM_16", 480_256)


def test_recordings_are_the_scenes_of_the_simulator(download):
    wav, _ = soundfile.read(download / "binaural_audios/000002.wav")
    scene = simulate(2 * 100_000 + 1, seconds=479_232 / 48_000)
    assert np.abs(wav.T - resample(scene.binaural, 22_050, 48_000)[:, :479_232]).max() <= 1 / 32768


def test_a_video_has_a_sound_of_its_own(download):
    own, rate = read_sound(download / "videos/000001.mp4")
    ears, _ = soundfile.read(download / "binaural_audios/000001.wav")
    n = min(own.shape[1], len(ears))
    assert (rate, len(own)) == (48_000, 2)
    assert own.std() > 0.01
    assert abs(np.corrcoef(own[0, :n], ears[:n, 0])[0, 1]) < 0.02
    assert len(list(pictures(download / "videos/000001.mp4", 10))) == 101


def test_lists_have_the_downloads_sizes_and_foreign_names(download):
    assert len(list((download / "splits").glob("split*/*.h5"))) == 30
    assert len(list((download / "new_splits").glob("split*/*.txt"))) == 15
    for part, count in (("train", 2), ("val", 1), ("test", 1)):
        path = download / f"splits/split10/{part}.h5"
        with h5py.File(path) as file:
            assert list(file) == ["audio"]
            assert (file["audio"].dtype, file["audio"].shape) == (np.dtype("S71"), (count,))
        assert path.stat().st_size == 2048 + 71 * count
        text = (download / f"new_splits/split5/{part}.txt").read_bytes()
        assert len(text) == 11 * count - 1
        assert all(line.endswith(b".mp3") for line in text.split(b"\n"))
    assert entries(path)[0].startswith("/nowhere/")


def test_every_split_has_every_clip_once(download):
    lists = read_lists(download)
    names = [*(f"split{k}" for k in range(1, 11)), *(f"five_split{k}" for k in range(1, 6))]
    assert list(lists) == [f"{name}/{part}" for name in names for part in SETS]
    for name in names:
        assert sorted(clip for part in SETS for clip in lists[f"{name}/{part}"]) == IDS
    assert len({tuple(lists[f"{name}/train"]) for name in names}) > 3


@pytest.mark.parametrize(("count", "sizes"), [(1871, [1497, 187, 187]), (3, [1, 1, 1]), (6, [4, 1, 1])])
def test_a_tenth_each_is_held_out(tmp_path, count, sizes):
    write_lists(tmp_path, count, seed=0)
    assert [len(read_ids(tmp_path / f"splits/split7/{part}.h5")) for part in SETS] == sizes


def test_same_seed_same_bytes_whatever_the_workers(download, scripts, tmp_path):
    scripts(
        "DiffBinaural.simulate_dataset",
        "--layout",
        "fairplay",
        "--out",
        tmp_path,
        "--clips",
        4,
        "--seed",
        2,
        "--workers",
        2,
    )
    assert digests(tmp_path) == digests(download)


def test_a_true_download_is_not_written_over(scripts, tmp_path):
    (tmp_path / "videos").mkdir()
    with pytest.raises(ValueError, match="already holds another dataset"):
        scripts("DiffBinaural.simulate_dataset", "--layout", "fairplay", "--out", tmp_path, "--clips", 3)
    assert [path.name for path in tmp_path.rglob("*")] == ["videos"]


def test_a_length_is_refused_where_it_does_not_apply():
    with pytest.raises(ValueError, match=r"--seconds is 4.0; .* leave it out"):
        SimulateConfig(out="d", layout="fairplay", seconds=4.0)


# --- preparation --------------------------------------------------------------------------------------------


def test_sounds_are_those_of_the_download_at_22050_hz_and_mono_is_half_their_sum(download, prepared):
    for name, samples in zip(IDS, [220_618, 220_148, 220_618, 220_618], strict=True):
        (ears, rate), (mono, _) = (soundfile.read(prepared / kind / f"{name}.wav") for kind in (EARS, MONO))
        assert (rate, ears.shape) == (22_050, (samples, 2))
        assert soundfile.info(prepared / EARS / f"{name}.wav").subtype == "PCM_16"
        wanted, _ = read_wav(download / f"binaural_audios/{name}.wav", 22_050)
        assert np.abs(ears.T - wanted).max() <= 0.51 / 32768
        assert np.array_equal(mono, ears.mean(1))


def test_stills_are_the_videos_pictures(download, prepared):
    for name in IDS:
        stills = sorted((prepared / FRAMES / name).iterdir())
        shown = list(pictures(download / f"videos/{name}.mp4", FPS))
        count = 41 if name != "000002" else 40
        assert [path.name for path in stills] == [f"frame_{k:06d}.jpg" for k in range(1, count + 1)]
        assert len(shown) == count
        for path, picture in zip(stills[::10], shown[::10], strict=True):
            still, wanted = Image.open(path), Image.fromarray(picture).resize(SIZE)
            assert still.size == SIZE
            assert np.abs(np.asarray(still).astype(float) - np.asarray(wanted)).mean() < 6


def test_lists_keep_their_clips_and_order(download, prepared):
    for name, ids in read_lists(download).items():
        assert rows(prepared, name) == ids
    clip = read_clips(split_path(prepared, "five_split3/test"))[0]
    assert clip.start == 0
    assert round(clip.end * 22_050) == soundfile.info(prepared / EARS / f"{clip.video_id}.wav").frames


def test_the_dataset_says_what_it_is_and_trains(prepared):
    said = json.loads((prepared / "dataset.json").read_text())
    assert {k: said[k] for k in ("fps", "frame_size", "sample_rate", "clips", "pictures", "left_out")} == {
        "fps": FPS,
        "frame_size": list(SIZE),
        "sample_rate": 22_050,
        "clips": 4,
        "pictures": 163,
        "left_out": {},
    }
    assert said["splits"]["split4/train"] == 2
    assert set(said["versions"]) >= {"av", "torchaudio", "soundfile", "pillow"}
    item = RealBinaural(prepared, "split1/train", MelConfig(), ViewConfig(image_size=32))[0]
    assert item["binaural_mel"].shape == (2, 80, 80)


def test_folders_may_be_named_as_in_the_tarballs_and_as_in_other_codebases(mine, prepared, scripts, tmp_path):
    (mine / "binaural_audios").rename(mine / "audios")
    (mine / "new_splits").rename(mine / "five_splits")
    scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, tmp_path / "out", "--workers", 2))
    assert digests(tmp_path / "out") == digests(prepared)


def test_other_options_are_not_mixed_into_a_folder(download, prepared, scripts):
    before = digests(prepared)
    for more in ((), ("--verify",)):
        with pytest.raises(ValueError, match=r"another dataset: fps 4 \(here 5\)"):
            scripts("DiffBinaural.prepare_fairplay", *prepare_words(download, prepared, "--fps", 5, *more))
    assert digests(prepared) == before


@pytest.mark.parametrize("inside", ["", "data", "videos/data", "../mine/splits"])
def test_nothing_is_written_into_the_download(mine, scripts, inside):
    before = digests(mine)
    with pytest.raises(ValueError, match="lies in the download"):
        scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, mine / inside))
    assert digests(mine) == before


def test_options_make_sense():
    given = ["--fairplay_root", "a", "--out", "b"]
    assert parse(PrepareConfig, argv=given).size == (480, 240)
    assert parse(PrepareConfig, argv=[*given, "--size", "96x48"]).size == (96, 48)
    for words in (["--size", "96"], ["--size", "axb"]):
        with pytest.raises(SystemExit, match="2"):
            parse(PrepareConfig, argv=[*given, *words])
    for words in (["--size", "0x9"], ["--fps", "0"]):
        with pytest.raises(ValueError, match=r"above 0|at least 1x1"):
            parse(PrepareConfig, argv=[*given, *words])


# --- lists of other people ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["S71", h5py.string_dtype(), h5py.string_dtype("ascii", 40)])
def test_entries_may_be_bytes_or_strings(tmp_path, dtype):
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file.create_dataset("audio", data=["/home/x/binaural16k/000123.wav", "000007.wav"], dtype=dtype)
    assert read_ids(tmp_path / "train.h5") == ["000123", "000007"]


@pytest.mark.parametrize(
    "text",
    [
        "000123.mp3\n000007.mp3",
        "000123.mp3\r\n000007.mp3\r\n",
        "000123\n\n000007\n",
        "/data/a.b/000123.wav\n  ../000007.mp4",
    ],
)
def test_txt_entries_need_no_final_newline_and_no_extension(tmp_path, text):
    (tmp_path / "train.txt").write_bytes(text.encode())
    assert read_ids(tmp_path / "train.txt") == ["000123", "000007"]


@pytest.mark.parametrize("entry", ["../000123.wav", "../../etc/000123.wav", "/home/x/../000123"])
def test_a_foreign_path_is_dropped_and_not_followed(tmp_path, entry):
    (tmp_path / "train.txt").write_text(entry)
    assert read_ids(tmp_path / "train.txt") == ["000123"]


@pytest.mark.parametrize(
    "entry", ["..", "a/..", "../", "binaural16k/", "...wav", "..\\000123.wav", "C:\\x\\1.wav"]
)
def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(mine, scripts, tmp_path, entry):
    (mine / "new_splits/split2/val.txt").write_text(entry)
    with pytest.raises(ValueError, match=r"split2/val\.txt.*expected a plain name"):
        scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_lists_that_cannot_be_read_are_named_before_anything_is_written(mine, scripts, tmp_path):
    path = mine / "splits/split3/test.h5"
    for content, reason in ((POINTER, "git-lfs pointer.*git lfs pull"), (b"text", "cannot be read as HDF5")):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"split3/test\.h5: .*{reason}"):
            scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, tmp_path / "out"))
    with h5py.File(path, "w") as file:
        file["video"] = [1]
    with pytest.raises(ValueError, match="has video; expected a dataset `audio`"):
        read_ids(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"split3: has neither test\.h5 nor test\.txt"):
        scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, tmp_path / "out"))
    shutil.rmtree(mine / "videos")
    with pytest.raises(FileNotFoundError, match="has no videos/"):
        scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# --- broken clips -------------------------------------------------------------------------------------------


def truncate(path, fraction):
    path.write_bytes(path.read_bytes()[: round(fraction * path.stat().st_size)])


def zero(path, start, end):
    content = bytearray(path.read_bytes())
    content[start:end] = bytes(end - start)
    path.write_bytes(content)


WAV, MP4 = "binaural_audios/000001.wav", "videos/000001.mp4"
DAMAGES = {
    "a wav that is a pointer": (WAV, lambda p: p.write_bytes(POINTER), "git-lfs pointer.*git lfs pull"),
    "a video that is a pointer": (MP4, lambda p: p.write_bytes(POINTER), "git-lfs pointer.*git lfs pull"),
    "no wav": (WAV, Path.unlink, "no such file"),
    "no video": (MP4, Path.unlink, "no such file"),
    "an empty wav": (WAV, lambda p: p.write_bytes(b""), "cannot be read as a sound"),
    "an empty video": (MP4, lambda p: p.write_bytes(b""), "cannot be read as a video"),
    "half a wav": (WAV, lambda p: truncate(p, 0.5), "breaks off after 960551 of 1921102 bytes"),
    "half a video": (MP4, lambda p: truncate(p, 0.5), "cannot be read as a video"),
    "text for a video": (MP4, lambda p: p.write_text("no video"), "cannot be read as a video"),
    "a hole in a video": (MP4, lambda p: zero(p, 20_000, 120_000), "cannot be decoded"),
    "one ear": (WAV, lambda p: soundfile.write(p, np.zeros(480_256), 48_000), r"1 channel\(s\); expected 2"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_clip_is_named_and_nothing_of_it_is_kept(mine, tmp_path, damage):
    path, damage_file, reason = DAMAGES[damage]
    damage_file(mine / path)
    fault = prepare_clip("000001", plan(mine, tmp_path / "out", 1, SIZE)).fault
    assert fault.startswith(path)
    assert re.search(reason, fault), fault
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_a_video_that_ends_before_its_own_time_is_named(mine, tmp_path):
    """An index at the front, as on the web, survives when the end of the file is lost."""
    path, web = mine / MP4, str(tmp_path / "web.mp4")
    with av.open(str(path)) as box, av.open(web, "w", options={"movflags": "faststart"}) as out:
        copy = out.add_stream_from_template(box.streams.video[0])
        for packet in box.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    shutil.copy(web, path)
    assert not prepare_clip("000001", plan(mine, tmp_path / "whole", 10, SIZE)).fault
    with av.open(web) as box:
        end = [packet.pos for packet in box.demux(video=0) if packet.size][40]
    for size, reason in (
        (end, "breaks off after 4.0 of 10.1 s; download it again"),
        (end - 10, "has a picture that cannot be decoded"),
    ):
        path.write_bytes(Path(web).read_bytes()[:size])
        fault = prepare_clip("000001", plan(mine, tmp_path / "truncated", 10, SIZE)).fault
        assert fault.startswith(f"{MP4}: {reason}")


def test_broken_clips_are_listed_at_the_end_and_left_out(mine, prepared, scripts, tmp_path, capsys):
    (mine / "videos/000003.mp4").unlink()
    (mine / "binaural_audios/000001.wav").write_bytes(POINTER)
    for part, names in (("train", ["000001", "000002"]), ("val", ["000009"]), ("test", ["000004"])):
        write_list(mine / f"splits/split1/{part}.h5", np.array(names))
    words = prepare_words(mine, tmp_path / "out")
    done = subprocess.run(
        [sys.executable, ROOT / "DiffBinaural/prepare_fairplay.py", *map(str, words)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    message = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert message[0] == "error: 3 clip(s) cannot be prepared and are left out of the lists:"
    assert [line.split(": ")[:2] for line in message[1:]] == [
        ["  000001", "binaural_audios/000001.wav"],
        ["  000003", "videos/000003.mp4"],
        ["  000009", "binaural_audios/000009.wav"],
    ]
    assert rows(tmp_path / "out", "split1/train") == ["000002"]
    kept, whole = digests(tmp_path / "out"), digests(prepared)
    good = {name for name in whole if {"000002", "000004"} & {Path(name).stem, Path(name).parent.name}}
    assert {name for name in kept if name.startswith("processed/") and kept[name]} == {
        name for name in good if whole[name]
    }
    assert all(kept[name] == whole[name] for name in good)

    # the rest can be verified
    scripts("DiffBinaural.prepare_fairplay", *words, "--verify")
    assert "left out when they were made: 000001, 000003, 000009" in capsys.readouterr().out

    # after a repair of the download the same command goes on
    shutil.copy(mine / "videos/000002.mp4", mine / "videos/000003.mp4")
    with pytest.raises(ValueError, match=r"2 clip\(s\) cannot"):
        scripts("DiffBinaural.prepare_fairplay", *words)
    assert (tmp_path / "out" / EARS / "000003.wav").exists()


def test_unequal_lengths_are_kept_and_said(mine, scripts, tmp_path, capsys):
    path = mine / "binaural_audios/000003.wav"
    wav, _ = soundfile.read(path)
    soundfile.write(path, wav[: 6 * 48_000], 48_000)
    shutil.copy(mine / "binaural_audios/000001.wav", mine / "binaural_audios/000077.wav")
    shutil.rmtree(mine / "new_splits")
    scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, tmp_path / "out"))
    said = capsys.readouterr().out
    assert "differ by more than 0.5 s, and are kept: 000003 (6.0 s, 10.2 s)" in said
    assert "1 recordings are in no list and are ignored, 000077 for example" in said
    assert "no scene-disjoint lists found" in said
    for part in SETS:
        for clip in read_clips(tmp_path / f"out/splits/split2/{part}.csv"):
            assert clip.end == pytest.approx(6 if clip.video_id == "000003" else 10, abs=0.02)
    scripts("DiffBinaural.prepare_fairplay", *prepare_words(mine, tmp_path / "out", "--verify"))


# --- interruptions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_and_repeated_it_gives_the_same_bytes(
    download, prepared, scripts, tmp_path, seed
):
    out, latest, killed = tmp_path / "out", random.Random(seed).uniform(0, 0.6), False
    words = prepare_words(download, out, "--workers", 1 + seed % 2)
    script = [sys.executable, ROOT / "DiffBinaural/prepare_fairplay.py", *map(str, words)]
    while not killed:
        process = subprocess.Popen(script, start_new_session=True, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (out / "dataset.json").exists():
            time.sleep(0.01)  # until it has begun to write
        try:
            assert process.wait(latest) == 0
            latest /= 2  # too late: once more from nothing, and sooner
            shutil.rmtree(out)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            killed = process.wait() == -signal.SIGKILL
    scripts("DiffBinaural.prepare_fairplay", *prepare_words(download, out))
    assert digests(out) == digests(prepared)


def test_what_is_done_is_not_done_again(download, prepared, scripts):
    times = {path: path.stat().st_mtime_ns for path in (prepared / "processed").rglob("*")}
    scripts("DiffBinaural.prepare_fairplay", *prepare_words(download, prepared))
    assert {path: path.stat().st_mtime_ns for path in (prepared / "processed").rglob("*")} == times


# --- verify -------------------------------------------------------------------------------------------------


def test_a_good_folder_passes(download, prepared, scripts, capsys):
    before = digests(prepared)
    scripts("DiffBinaural.prepare_fairplay", *prepare_words(download, prepared, "--verify"))
    assert "4 clips and 45 lists compared" in capsys.readouterr().out
    assert digests(prepared) == before


def test_verify_finds_every_fault_and_changes_nothing(download, prepared, scripts, tmp_path):
    out = Path(shutil.copytree(prepared, tmp_path / "out"))
    wav, _ = soundfile.read(out / EARS / "000001.wav")
    wav[50_000:50_100] += 0.01
    soundfile.write(out / EARS / "000001.wav", wav, 22_050)
    (out / FRAMES / "000001/frame_000041.jpg").unlink()
    truncate(out / EARS / "000002.wav", 0.9)
    (out / FRAMES / "000002/frame_000007.jpg").unlink()
    half, _ = soundfile.read(out / MONO / "000003.wav")
    soundfile.write(out / MONO / "000003.wav", half * 0.999, 22_050, subtype="PCM_24")
    truncate(out / FRAMES / "000003/frame_000005.jpg", 0.5)
    shutil.copy(out / EARS / "000003.wav", out / EARS / "000004.wav")
    Image.new("RGB", SIZE, "white").save(out / FRAMES / "000004/frame_000002.jpg")
    (out / FRAMES / ".000004.77.part").mkdir()
    shutil.copy(out / MONO / "000001.wav", out / MONO / "000055.wav")
    test = out / "splits/split6/test.csv"
    test.write_text(test.read_text().replace("\n0000", "\n0001"))
    before = digests(out)

    _, faults = verify(plan(download, out, FPS, SIZE), 1)
    assert [fault.replace(f"{out}/", "") for fault in faults] == [
        f"{FRAMES}/.000004.77.part: is left from an interrupted run",
        f"{MONO}: holds 000055, which belongs to no clip of the lists",
        "splits/split6/test.csv: has other clips than the download's list",
        f"{EARS}/000001.wav: differs from the recording",
        f"{MONO}/000001.wav: is not (L+R)/2 of {EARS}/000001.wav",
        f"{FRAMES}/000001: has 40 pictures; the video gives 41",
        f"{EARS}/000002.wav: breaks off after 792572 of 880636 bytes",
        f"{FRAMES}/000002: frame_000008.jpg follows picture 6; expected number 7: "
        "numbers start at 1, each once, without a gap",
        f"{MONO}/000003.wav: is not (L+R)/2 of {EARS}/000003.wav",
        f"{FRAMES}/000003/frame_000005.jpg: cannot be read as a picture",
        f"{EARS}/000004.wav: differs from the recording",
        f"{MONO}/000004.wav: is not (L+R)/2 of {EARS}/000004.wav",
        f"{FRAMES}/000004/frame_000002.jpg: differs from the video",
    ]
    with pytest.raises(ValueError, match=r"13 fault\(s\) found; delete what is named and prepare again"):
        scripts("DiffBinaural.prepare_fairplay", *prepare_words(download, out, "--verify"))
    assert digests(out) == before


def test_verify_wants_a_folder_that_is_finished(download, prepared, scripts, tmp_path):
    for root in (tmp_path / "none", tmp_path):
        with pytest.raises(ValueError, match="not prepared to the end"):
            scripts("DiffBinaural.prepare_fairplay", *prepare_words(download, root, "--verify"))
        shutil.copy(prepared / "dataset.json", tmp_path)
        begun = json.loads((tmp_path / "dataset.json").read_text())
        del begun["left_out"]
        (tmp_path / "dataset.json").write_text(json.dumps(begun))
    assert [path.name for path in tmp_path.iterdir()] == ["dataset.json"]
