"""Videos with binaural sound: the dataset that is made of them, what is refused, interruptions."""

import csv
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.genaudio_realBinaural import GenAudioRealBinaural
from DiffBinaural.detection import finding
from DiffBinaural.detection.found import Found
from DiffBinaural.recorded import preparation
from DiffBinaural.recorded.config import WINDOW_SECONDS, RecordingsConfig
from DiffBinaural.recorded.splits import divided, spans
from DiffBinaural.recorded.takes import takes_of
from DiffBinaural.utils.audio import read_wav, resample
from DiffBinaural.utils.lists import read_clips, read_detections
from DiffBinaural.utils.media import pictures, read_picture, read_sound

ROOT = Path(__file__).parents[2]
EARS, MONO = "processed/binaural_audios_22050Hz", "processed/mono_audios_22050Hz"
FRAMES, FOUND = "processed/frames", "action_detection_results/detection_results.csv"
SCRIPT, RATE, NAMES = "DiffBinaural.prepare_recordings", 22_050, [f"take{k}" for k in range(5)]


def stand_in(picture):
    """Finds the red square, as a dog; a detector that needs no weights."""
    rows, columns = np.nonzero(np.abs(picture.astype(int) - (220, 40, 40)).sum(-1) < 150)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else ()
    return [Found(tuple(map(float, box)), 0.9, "dog")] if len(rows) else []


@pytest.fixture(scope="module", autouse=True)
def simple_detectors():
    """Of this process, whose workers are its forks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finding, "detector_named", lambda name: stand_in)
        patch.setattr(finding, "CenterFace", lambda: lambda picture: [])
        yield


@pytest.fixture
def videos(binaural_videos, tmp_path):
    """A copy of the videos, to be changed."""
    return Path(shutil.copytree(binaural_videos, tmp_path / "videos"))


def words(source, out, *more):
    return ("--input", source, "--out", out, "--workers", 1, *more)


def ears(number=0, seconds=3.0, rate=44_100):
    """Noise at the left ear, softer and later at the right one, (N, 2)."""
    random = np.random.default_rng([7, number])
    dry, *own = np.array([[0.15], [0.025], [0.025]]) * random.standard_normal((3, round(seconds * rate)))
    return np.stack(
        [dry + own[0], 0.5 * (np.roll(dry, 20) + own[1])], axis=1
    )  # own: of the room, at each ear


def film(path, *, sound=None, picture=1.0, late=0.0, rate=44_100):
    """A film: seconds of picture (0: none), its sound (N, C) or none, seconds from the first to the other."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25) if picture else None
        audio = None if sound is None else out.add_stream("pcm_s16le", rate=rate, layout=f"{sound.shape[1]}c")
        packets = []
        if video:
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            for k in range(round(picture * 25)):
                frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 90, np.uint8), format="rgb24")
                frame.pts, frame.time_base = k + round(max(-late, 0) * 25), Fraction(1, 25)
                packets += video.encode(frame)
            packets += video.encode(None)
        if audio:
            samples = np.ascontiguousarray((sound * 32767).astype(np.int16).reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=audio.layout.name)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(max(late, 0) * rate)
            packets += [*audio.encode(frame), *audio.encode(None)]
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    return path


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def lists(root):
    return {path.stem: read_clips(path) for path in sorted((root / "splits").glob("*.csv"))}


# --- the dataset --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(binaural_videos, scripts, simple_detectors, tmp_path_factory):
    """What is made of the videos; only to be read."""
    out, before = tmp_path_factory.mktemp("prepared") / "own", digests(binaural_videos)
    scripts(SCRIPT, *words(binaural_videos, out, "--width", 48, "--seconds", 1))
    assert digests(binaural_videos) == before, "the recordings are only read"
    return out


def test_sounds_pictures_and_boxes_are_those_of_the_videos(binaural_videos, prepared):
    found = read_detections(prepared / FOUND, 10)
    assert sorted(found) == NAMES
    for name in NAMES:
        wanted, rate = read_sound(binaural_videos / f"{name}.mp4")
        wanted = resample(wanted, rate, RATE)
        (made, rate), (mono, _) = (read_wav(prepared / kind / f"{name}.wav") for kind in (EARS, MONO))
        assert (rate, made.shape) == (RATE, wanted.shape)
        assert np.abs(made - wanted).max() <= 0.51 / 32768
        assert made[0].std() > 1.9 * made[1].std(), "left is channel 0"
        assert np.array_equal(mono, made.mean(0, keepdims=True))
        shown = list(pictures(binaural_videos / f"{name}.mp4", 10, (48, 32)))
        stills = sorted((prepared / FRAMES / name).iterdir())
        assert len(stills) == len(shown) == 30
        for still, picture in zip(stills, shown, strict=True):
            assert np.abs(np.asarray(read_picture(still)).astype(int) - picture).mean() < 3
        boxes = {d.time: d.box for d in found[name] if d.label == "dog"}
        assert sorted(boxes) == [k / 10 for k in range(30)]
        assert np.allclose(boxes[0.0], (5, 10, 15, 20), atol=1)
        assert np.allclose(boxes[2.0], (17.5, 10, 27.5, 20), atol=1.5)


def test_the_dataset_says_what_it_is_trains_and_generates(prepared):
    said = json.loads((prepared / "dataset.json").read_text())
    facts = ("fps", "frame_size", "sample_rate", "fov", "head", "clips", "pictures", "left_out", "splits")
    assert [said[k] for k in facts] == [
        *(10.0, [48, 32], RATE, 120.0, "sphere", 5, 150, {}),
        {"train": 9, "val": 3, "test": 3},
    ]
    item = RealBinaural(prepared, "train", MelConfig(), ViewConfig(image_size=32))[0]
    assert item["binaural_mel"].shape == (2, 80, 80)
    assert item["mask"][:, 1].logical_not().all(), "the detected source has a slot"
    assert len(GenAudioRealBinaural(prepared, "val", MelConfig(), ViewConfig(image_size=32))) == 3


def test_a_recordings_clips_are_in_one_list_and_cover_it(prepared):
    rows = lists(prepared)
    assert sorted({clip.video_id for clips in rows.values() for clip in clips}) == NAMES
    assert sum(len({clip.video_id for clip in clips}) for clips in rows.values()) == len(NAMES)
    for clips in rows.values():
        for name in {clip.video_id for clip in clips}:
            borders = [(clip.start, clip.end) for clip in clips if clip.video_id == name]
            assert np.allclose(borders, [(0, 1), (1, 2), (2, 3)], atol=0.03)


@pytest.mark.parametrize("seed", range(20))
def test_clips_join_without_a_gap_and_none_is_shorter_than_a_window(seed):
    random = np.random.default_rng(seed)
    begin, seconds = random.uniform(0, 3), random.uniform(WINDOW_SECONDS, 20)
    end = begin + random.uniform(WINDOW_SECONDS, 100)
    parts = spans(begin, end, seconds)
    assert (parts[0][0], parts[-1][1]) == (begin, end)
    assert all(a[1] == b[0] for a, b in zip(parts, parts[1:], strict=False))
    lengths = np.array([b - a for a, b in parts])
    assert lengths.min() >= WINDOW_SECONDS - 1e-9
    assert lengths.max() < seconds + WINDOW_SECONDS + 1e-9
    assert np.allclose(lengths[:-1], seconds)


@pytest.mark.parametrize("count", [3, 5, 20, 57])
def test_a_tenth_each_is_held_out_and_stays_so_when_a_recording_is_added(count):
    before = divided({f"r{k}": "" for k in range(count)}, None, 0)
    after = divided({f"r{k}": "" for k in range(count + 1)}, None, 0)
    held = max(round(count / 10), 1)
    assert [list(before.values()).count(name) for name in ("test", "val")] == [held, held]
    assert sum(before[name] != after[name] for name in before) <= 4
    assert divided({f"r{k}": "" for k in range(57)}, None, 1) != divided(
        {f"r{k}": "" for k in range(57)}, None, 0
    )


def test_lists_of_a_csv_are_kept_and_what_it_leaves_open_is_trained_on():
    assert divided({"a": "val", "b": "", "c": "test"}, None, 0) == {"a": "val", "b": "train", "c": "test"}


@pytest.mark.parametrize(("count", "held_out"), [(0, None), (1, None), (2, None), (4, 2)])
def test_too_few_recordings_for_three_lists_are_refused(count, held_out):
    with pytest.raises(ValueError, match=rf"^{count} recording\(s\) for three lists"):
        divided({f"r{k}": "" for k in range(count)}, held_out, 0)


# --- which sound goes with which video ----------------------------------------------------------------------


def test_sounds_beside_the_videos_go_before_their_own(videos, scripts, tmp_path, capsys):
    soundfile.write(videos / "take2.flac", ears(), 44_100)
    soundfile.write(videos / "stray.wav", ears(), 44_100)
    (videos / "notes.txt").write_text("no video")
    scripts(SCRIPT, *words(videos, tmp_path / "own"))
    made, _ = read_wav(tmp_path / "own" / EARS / "take2.wav")
    assert np.abs(made - resample(ears().T.astype(np.float32), 44_100, RATE)).max() < 2 / 32768
    assert "1 sound(s) belong to no video" in capsys.readouterr().out


def test_sounds_and_monos_of_their_own_folders(videos, scripts, tmp_path):
    for kind in ("sounds", "monos"):
        (tmp_path / kind).mkdir()
    for number, name in enumerate(NAMES):
        soundfile.write(tmp_path / f"sounds/{name}.wav", ears(number), 44_100)
        soundfile.write(tmp_path / f"monos/{name}.wav", 0.9 * ears(number)[:, 0], 44_100)
    folders = ("--sounds", tmp_path / "sounds", "--monos", tmp_path / "monos")
    scripts(SCRIPT, *words(videos, tmp_path / "own", *folders))
    (pair, _), (mono, _) = (read_wav(tmp_path / "own" / kind / "take4.wav") for kind in (EARS, MONO))
    assert np.abs(mono - 0.9 * pair[:1]).max() < 2 / 32768
    scripts(SCRIPT, *words(videos, tmp_path / "own", *folders, "--verify"))
    (tmp_path / "sounds/take1.wav").unlink()
    with pytest.raises(ValueError, match=r"1 recording.*\n  take1: .*holds no sound of this name"):
        scripts(SCRIPT, *words(videos, tmp_path / "own", *folders))


def test_a_csv_names_them(videos, scripts, tmp_path):
    soundfile.write(videos / "field.wav", ears(), 44_100)
    (tmp_path / "pairs.csv").write_text(
        "input_video,input_wav,video_id,split\n"
        "videos/take0.mp4,videos/field.wav,field,test\nvideos/take1.mp4,,,val\nvideos/take2.mp4,,,\n"
    )
    scripts(SCRIPT, *words(tmp_path / "pairs.csv", tmp_path / "own"))
    rows = {name: [clip.video_id for clip in clips] for name, clips in lists(tmp_path / "own").items()}
    assert rows == {"test": ["field"], "val": ["take1"], "train": ["take2"]}
    scripts(SCRIPT, *words(tmp_path / "pairs.csv", tmp_path / "own", "--verify"))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("input_video,sound\na.mp4,b.wav", "unknown column 'sound'"),
        ("input_video\na.mp4,b.wav", "line 2 has more fields"),
        ("video\na.mp4", "no column input_video"),
        ("input_video,split\na.mp4,dev", "split is 'dev'"),
        ("input_video,video_id\na.mp4,../a", "is not an id"),
        ("input_video\nx/a.mp4\ny/A.mov", "would both be A"),
        ("input_video", "no recordings"),
        ("input_video,video_id\n,a", "names no video"),
    ],
)
def test_a_csv_that_is_wrong_is_refused_before_anything_is_written(scripts, tmp_path, rows, reason):
    (tmp_path / "pairs.csv").write_text(rows + "\n")
    with pytest.raises(ValueError, match=reason):
        scripts(SCRIPT, *words(tmp_path / "pairs.csv", tmp_path / "own"))
    assert not (tmp_path / "own").exists()


def test_folders_that_are_wrong_are_refused_before_anything_is_written(videos, scripts, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, more, reason in (
        (tmp_path / "none", (), "no such folder"),
        (tmp_path / "empty", (), "no videos in this folder"),
        (videos, ("--sounds", tmp_path / "none"), "none: no such folder"),
    ):
        with pytest.raises(FileNotFoundError, match=reason):
            scripts(SCRIPT, *words(source, tmp_path / "own", *more))
    shutil.copy(videos / "take0.mp4", videos / "Take0.mov")
    with pytest.raises(ValueError, match=r"Take0\.mov and take0\.mp4 would both be take0"):
        scripts(SCRIPT, *words(videos, tmp_path / "own"))
    for more in (("--seconds", "0.5"), ("--fps", "0"), ("--held_out", "0"), ("--fov", "200")):
        with pytest.raises(ValueError, match=more[0]):
            scripts(SCRIPT, *words(videos, tmp_path / "own", *more))
    assert not (tmp_path / "own").exists()


def test_two_sounds_of_a_name_are_not_chosen_from(videos, scripts, tmp_path):
    scripts(SCRIPT, *words(videos, tmp_path / "own"))
    for kind in ("wav", "flac"):
        soundfile.write(videos / f"take3.{kind}", ears(), 44_100)
    takes, _ = takes_of(RecordingsConfig(input=str(videos), out="own"))
    assert [take.fault.partition(": ")[2] for take in takes if take.fault] == [
        "holds take3.flac and take3.wav; keep one of them"
    ]
    with pytest.raises(ValueError, match=r"^1 recording\(s\) cannot be used"):
        scripts(SCRIPT, *words(videos, tmp_path / "own"))
    assert not (tmp_path / "own" / EARS / "take3.wav").exists(), "made of its video's own sound"


# --- what cannot be used ------------------------------------------------------------------------------------


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


ONE, SILENCE = ears()[:, :1], np.zeros((132_300, 2))
UNUSABLE = {
    "mono": (lambda p: film(p, sound=ONE, picture=3), "one channel; expected 2"),
    "six channels": (lambda p: film(p, sound=np.tile(ears(), 3), picture=3), "6 channels"),
    "dual mono": (lambda p: film(p, sound=np.tile(ONE, 2), picture=3), "both channels are the same"),
    "panned mono": (lambda p: film(p, sound=ONE * (0.9, 0.3), picture=3), "both channels are the same"),
    "silence": (lambda p: film(p, sound=SILENCE, picture=3), "silence"),
    "an empty channel": (lambda p: film(p, sound=ONE * (1, 0), picture=3), "right channel is empty"),
    "an inverted channel": (lambda p: film(p, sound=ONE * (1, -0.9), picture=3), "one inverted"),
    "no sound": (lambda p: film(p, picture=3), "has no sound; put a sound file"),
    "no picture": (lambda p: film(p, sound=ears(), picture=0), "has no picture"),
    "under a window": (lambda p: film(p, sound=ears()[:30_000], picture=3), "0.68 s; expected at least 0.93"),
    "no overlap": (lambda p: film(p, sound=ears(), picture=1, late=2), "together for 0.00 s"),
    "half a file": (cut_off, "half a file.mov: cannot be read as a video"),
    "nothing": (lambda p: p.write_bytes(b""), "cannot be read as a video"),
    "text": (lambda p: p.write_text("a video"), "cannot be read as a video"),
    "not its sound": (lambda p: p.with_suffix(".wav").write_text("sound"), "not its sound.wav: "),
    "a copy": (lambda p: shutil.copy(p.with_name("TAKE.mp4"), p), "has the same sound as TAKE"),
}


def test_what_cannot_be_used_is_named_and_the_rest_is_done(binaural_videos, scripts, tmp_path):
    videos, out = tmp_path / "videos", tmp_path / "own"
    videos.mkdir()
    good = {"TAKE": "take0", "unlike": "take1", "z": "take2"}
    for name, source in good.items():
        shutil.copy(binaural_videos / f"{source}.mp4", videos / f"{name}.mp4")
    for name, (spoil, _) in UNUSABLE.items():
        spoil(film(videos / f"{name}.mov", sound=ears(9), picture=1.0))
    with pytest.raises(ValueError, match=rf"^{len(UNUSABLE)} recording\(s\) cannot be used") as error:
        scripts(SCRIPT, *words(videos, out))
    lines = dict(line.strip().split(": ", 1) for line in str(error.value).splitlines()[1:])
    assert sorted(lines) == sorted(UNUSABLE)
    for name, (_, reason) in UNUSABLE.items():
        assert re.search(reason, lines[name]), lines[name]
    assert {clip.video_id for clips in lists(out).values() for clip in clips} == set(good)
    kept = {Path(name).stem for name in digests(out) if name.startswith((EARS, MONO))}
    assert kept == set(good), "nothing of what is broken"
    assert json.loads((out / "dataset.json").read_text())["left_out"].keys() == UNUSABLE.keys()
    scripts(SCRIPT, *words(videos, out, "--verify"))


def test_the_exit_status_is_2_and_there_is_no_traceback(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/broken.mp4").write_text("no video")
    script = [sys.executable, ROOT / "DiffBinaural/prepare_recordings.py", *words("videos", "own")]
    done = subprocess.run(list(map(str, script)), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    message = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert [line.split(":")[0].strip() for line in message] == ["error", "broken"]


def test_sound_and_picture_keep_their_times_and_clips_what_both_have(videos, scripts, tmp_path, capsys):
    tone = np.zeros((88_200, 2))
    tone[22_050:] = ears(seconds=1.5) + (0.1, 0)
    film(videos / "take1.mov", sound=tone, picture=3.0, late=0.6)
    film(videos / "take3.mov", sound=ears(), picture=1.6, late=-0.4)
    for name in ("take1", "take3"):
        (videos / f"{name}.mp4").unlink()
    scripts(SCRIPT, *words(videos, tmp_path / "own"))
    made, _ = read_wav(tmp_path / "own" / EARS / "take1.wav")
    assert np.flatnonzero(np.abs(made[0]) > 0.05)[0] / RATE == pytest.approx(0.6 + 0.5, abs=0.03)
    assert len(list((tmp_path / "own" / FRAMES / "take3").iterdir())) == 20, "0.4 s of the first one, 1.6 s"
    clips = {clip.video_id: clip for rows in lists(tmp_path / "own").values() for clip in rows}
    assert clips["take1"].start == pytest.approx(0.6, abs=0.03)
    assert clips["take1"].end == pytest.approx(2.6, abs=0.03)
    assert clips["take3"].start == pytest.approx(0.4, abs=0.03)
    assert clips["take3"].end == pytest.approx(2.0, abs=0.03)
    said = capsys.readouterr().out
    assert "its sound begins 0.6" in said
    assert "its picture begins 0.4" in said
    assert "the sound ends at 3.0 s, the video at 2.0 s" in said


def test_floats_above_full_scale_keep_the_balance_of_the_ears(videos, scripts, tmp_path):
    loud = 20 * ears()
    soundfile.write(videos / "take2.wav", loud, 44_100, subtype="FLOAT")
    scripts(SCRIPT, *words(videos, tmp_path / "own"))
    made, _ = read_wav(tmp_path / "own" / EARS / "take2.wav")
    assert made[0].std() / made[1].std() == pytest.approx(2.0, rel=0.01)
    assert 0.99 < np.abs(made).max() <= 1


# --- again, after an interruption or a change ---------------------------------------------------------------


def test_an_interrupted_preparation_goes_on_and_gives_the_same_bytes(
    binaural_videos, prepared, scripts, tmp_path, monkeypatch
):
    out, calls = tmp_path / "again", []
    more = words(binaural_videos, out, "--width", 48, "--seconds", 1)

    def stopped(take, cfg):
        calls.append(take.name)
        if len(calls) == 3:
            (out / FRAMES / f".{take.name}.77.part").mkdir()
            soundfile.write(out / EARS / f"{take.name}.wav", ears(), RATE)
            raise KeyboardInterrupt
        return make_take(take, cfg)

    make_take = preparation.make_take
    monkeypatch.setattr(preparation, "make_take", stopped)
    monkeypatch.setattr(
        "DiffBinaural.recorded.dataset.parallel_map", lambda work, items, n: list(map(work, items))
    )
    with pytest.raises(KeyboardInterrupt):
        scripts(SCRIPT, *more)
    with pytest.raises(ValueError, match="not prepared to the end"):
        scripts(SCRIPT, *more, "--verify")
    scripts(SCRIPT, *more)
    assert calls == [*NAMES[:3], *NAMES[2:]], "what was finished is not done again"
    assert digests(out) == digests(prepared)


def test_a_recording_that_was_changed_is_made_anew(videos, scripts, tmp_path):
    soundfile.write(videos / "take2.wav", ears(), 44_100)
    scripts(SCRIPT, *words(videos, tmp_path / "own"))
    before = read_wav(tmp_path / "own" / EARS / "take2.wav")[0]
    size = (videos / "take2.wav").stat().st_size
    soundfile.write(videos / "take2.wav", ears()[:, ::-1], 44_100)
    assert (videos / "take2.wav").stat().st_size == size
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "own/processed").rglob("take[0134]*")}
    scripts(SCRIPT, *words(videos, tmp_path / "own"))
    assert np.array_equal(read_wav(tmp_path / "own" / EARS / "take2.wav")[0], before[::-1])
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_other_settings_are_not_mixed_into_a_folder(binaural_videos, prepared, scripts):
    before = digests(prepared)
    with pytest.raises(ValueError, match=r"another dataset: width 48 \(here 480\)"):
        scripts(SCRIPT, *words(binaural_videos, prepared))
    assert digests(prepared) == before


def test_verify_finds_every_fault_and_changes_nothing(binaural_videos, prepared, scripts, tmp_path):
    prepared = Path(shutil.copytree(prepared, tmp_path / "own"))
    more = words(binaural_videos, prepared, "--width", 48, "--seconds", 1, "--verify")
    scripts(SCRIPT, *more)
    wav, _ = soundfile.read(prepared / EARS / "take0.wav")
    wav[50_000:50_100] += 0.01
    soundfile.write(prepared / EARS / "take0.wav", wav, RATE)
    (prepared / FRAMES / "take1/frame_000030.jpg").unlink()
    Image.new("RGB", (48, 32), "white").save(prepared / FRAMES / "take2/frame_000030.jpg")
    (prepared / "processed/records/take3.json").write_text("{")
    shutil.copy(prepared / MONO / "take4.wav", prepared / MONO / "stray.wav")
    with open(prepared / FOUND, newline="") as file:
        rows = list(csv.reader(file))
    rows[4][2] = "7.0"
    with open(prepared / FOUND, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    before = digests(prepared)
    with pytest.raises(ValueError, match=r"fault\(s\) found") as error:
        scripts(SCRIPT, *more)
    said = str(error.value)
    for fault in (
        "take0.wav: differs from the recording",
        "take0.wav: is not (L+R)/2",
        "take1: has 29 pictures; the video gives 30",
        "frame_000030.jpg: differs from the video",
        "take3.json: missing or damaged",
        "holds stray, which belongs to no clip",
        "detection_results.csv: has other rows",
    ):
        assert fault in said, fault
    assert "take4.wav: differs" not in said
    assert digests(prepared) == before

    # its cure
    for name in (f"{EARS}/take0.wav", f"{FRAMES}/take2/frame_000030.jpg", f"{MONO}/stray.wav"):
        (prepared / name).unlink()
    scripts(SCRIPT, *more[:-1])
    scripts(SCRIPT, *more)


# --- from recordings to binaural sound ----------------------------------------------------------------------

COMMANDS = """
python DiffBinaural/prepare_recordings.py --input binaural_videos --out data/own
python DiffBinaural/train_realBinaural.py --preset tiny --id own --data_root data/own --interaural_phase
python DiffBinaural/test_realBinaural_few.py --run checkpoints/own --data_root data/own --output_dir generated
python BigVGAN/inference_e2e.py --input_video clip.mp4 --run checkpoints/own --output out.wav --mux out.mp4
"""
SHORT = [
    "--workers 1",
    "--num_epoch 1 --windows_per_clip 1 --workers 0 --device cpu",
    "--sampling_timesteps 1 --device cpu --limit 1",
    "--sampling_timesteps 1 --device cpu",
]


@pytest.mark.slow
def test_four_commands_from_five_videos_to_a_converted_clip(binaural_videos, scripts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(binaural_videos, "binaural_videos")
    shutil.copy(binaural_videos / "take0.mp4", "clip.mp4")
    for line, more in zip(COMMANDS.strip().splitlines(), SHORT, strict=True):
        _, script, *given = shlex.split(line)
        scripts(script.removesuffix(".py").replace("/", "."), *given, *shlex.split(more))
    made, rate = read_wav("out.wav")
    own, own_rate = read_sound("clip.mp4")
    assert len(made) == 2
    assert made.shape[1] / rate == pytest.approx(own.shape[1] / own_rate, abs=0.03)
    assert made.std() > 0.01
    assert list(Path("generated").glob("*.png"))
    assert Path("out.mp4").exists()
