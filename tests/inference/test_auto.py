"""Sources found in the video itself, by the script and in Python, from a video to a trajectory."""

import csv

import numpy as np
import pytest
import soundfile
from PIL import Image

from BigVGAN.pipeline import Pipeline
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.trajectories import read_trajectory
from DiffBinaural.detection import finding
from DiffBinaural.detection.found import Found
from DiffBinaural.detection.report import NOTHING
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.utils.lists import read_detections
from DiffBinaural.utils.media_writing import write_video

RATE, FPS, SIZE, SECONDS = MelConfig.sample_rate, 25, (320, 180), 5.0
COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}


def stand_in(picture):
    """Finds a red and a blue square, as persons; a detector that needs no weights."""
    found = []
    for score, (r, g, b) in zip((0.9, 0.8), COLOURS.values(), strict=True):
        off = np.abs(picture.astype(int) - (r, g, b)).sum(-1)
        rows, columns = np.nonzero(off < 150)
        if len(rows) > 200:
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            found.append(Found(tuple(map(float, box)), score, "dog"))
    return found


@pytest.fixture(autouse=True)
def simple_detectors(monkeypatch):
    monkeypatch.setattr(finding, "detector_named", lambda name: stand_in)
    monkeypatch.setattr(finding, "CenterFace", lambda: lambda picture: [])


def speech(seconds=SECONDS, seed=0):
    """Noise in syllables of irregular length and loudness, and their envelope at the pictures."""
    random = np.random.default_rng(seed)
    knots = np.cumsum(random.uniform(0.1, 0.3, 60))
    level = np.interp(
        np.arange(round(seconds * RATE)) / RATE, knots, random.random(60) ** 2 * (random.random(60) < 0.7)
    )
    envelope = level[(np.arange(round(seconds * FPS)) * RATE) // FPS]
    return 0.3 * level * random.standard_normal(len(level)), envelope


def film(path, envelopes, sound, places=(60, 220), background=90):
    """A red and a blue square; a dark bar inside each is as high as its envelope says."""
    frames = []
    noise = np.random.default_rng(9).integers(-20, 20, (SIZE[1], SIZE[0], 1))
    for k in range(round(SECONDS * FPS)):
        picture = np.clip(np.full((SIZE[1], SIZE[0], 3), background) + noise, 0, 255).astype(np.uint8)
        for x, colour, envelope in zip(places, COLOURS.values(), envelopes, strict=True):
            picture[60:120, x : x + 50] = colour
            high = round(4 + 36 * envelope[k])
            picture[90 - high // 2 : 90 + high // 2, x + 12 : x + 38] = 15
        frames.append(picture)
    write_video(path, np.stack(frames), FPS, sound[None].astype(np.float32), RATE)
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    root = tmp_path_factory.mktemp("auto")
    sound, moves = speech()
    _, other = speech(seed=1)
    return film(root / "clip.mp4", (other, moves), sound), film(root / "mirror.mp4", (moves, other), sound)


def words(video, out, *more):
    return ("--input_video", video, "--output", out, "--renderer", "geometry", "--device", "cpu", *more)


def side(wav):
    """Level of the right ear over the left in dB."""
    left, right = (wav**2).sum(0)
    return 10 * np.log10(right / left)


def test_the_sound_goes_to_what_moves_with_it(clip, scripts, tmp_path, capsys):
    for video, sign in zip(clip, (1, -1), strict=True):
        out, table = tmp_path / "out.wav", tmp_path / "out.csv"
        scripts("BigVGAN.inference_e2e", *words(video, out, "--trajectory", table))
        assert "2 dogs found" in capsys.readouterr().err
        assert sign * side(soundfile.read(out)[0]) > 1
        tracks = {}
        for point in read_trajectory(table):
            tracks.setdefault(point.track, []).append((point.azimuth, point.sounding))
        best = max(tracks.values(), key=lambda track: np.mean([p for _, p in track]))
        assert np.mean([p for _, p in best]) > 0.7
        assert sign * np.mean([a for a, _ in best]) > 10


def test_what_is_written_may_be_edited_and_taken_back(clip, scripts, tmp_path):
    table = tmp_path / "out.csv"
    scripts("BigVGAN.inference_e2e", *words(clip[0], tmp_path / "a.wav", "--trajectory", table))
    scripts("BigVGAN.inference_e2e", *words(clip[0], tmp_path / "b.wav", "--trajectory_in", table))
    found, again = (soundfile.read(tmp_path / f"{name}.wav")[0] for name in "ab")
    assert np.abs(found - again).max() < 0.02 * np.abs(found).max()
    table.write_text("time,track,azimuth\n0,voice,-40\n")
    scripts("BigVGAN.inference_e2e", *words(clip[0], tmp_path / "c.wav", "--trajectory_in", table))
    assert side(soundfile.read(tmp_path / "c.wav")[0]) < -1


def test_where_nothing_is_found_the_sound_stays_in_the_middle(scripts, tmp_path, capsys):
    sound, _ = speech()
    dark = np.zeros((round(SECONDS * FPS), SIZE[1], SIZE[0], 3), np.uint8)
    write_video(tmp_path / "dark.mp4", dark, FPS, sound[None].astype(np.float32), RATE)
    call = ("--input_video", tmp_path / "dark.mp4", "--output", tmp_path / "a.wav", "--device", "cpu")
    scripts("BigVGAN.inference_e2e", *call)
    assert NOTHING in capsys.readouterr().err
    wav = soundfile.read(tmp_path / "a.wav")[0]
    assert np.abs(wav).max() > 0.05
    assert np.abs(wav[:, 0] - wav[:, 1]).max() <= 1 / 32768


def test_in_blocks_the_same_sources_are_found(clip):
    def found(seconds):
        finder = finding.SourceFinder()
        finder.hear(speech()[0].astype(np.float32))
        frames = VideoFrames(clip[0], ViewConfig(), finder=finder)
        return [d for part in frames.sources_found(seconds) for d in part]

    whole, parts = found(60.0), found(1.5)
    assert [(d.time, d.track) for d in whole] == [(d.time, d.track) for d in parts]
    assert np.allclose([d.box for d in whole], [d.box for d in parts])
    loud = {d.track for d in whole if d.sounding > 0.6}
    assert len(loud) == 1


def test_find_sources_takes_videos_folders_and_datasets(clip, scripts, tmp_path, capsys):
    scripts("DiffBinaural.find_sources", "--input", clip[0], "--output", tmp_path / "a.csv")
    (video,) = read_detections(tmp_path / "a.csv", 10).values()
    assert {d.label for d in video} == {"dog"}
    assert {round(d.time * 10) for d in video} == set(range(round(SECONDS * 10)))
    folder = tmp_path / "film"
    folder.mkdir()
    for k in range(20):
        Image.new("RGB", SIZE, (90, 90, 90)).save(folder / f"{k:03d}.png")
    scripts("DiffBinaural.find_sources", "--input", folder, "--output", tmp_path / "b.csv")
    assert not read_detections(tmp_path / "b.csv", 10)
    assert "no sound" in capsys.readouterr().err
    with open(tmp_path / "a.csv") as file:
        assert {row["video_id"] for row in csv.DictReader(file)} == {"clip"}


def test_find_sources_of_a_dataset_writes_where_the_dataset_has_them(scripts, tmp_path):
    data = tmp_path / "data"
    size = ("--clips", 3, "--seconds", 1, "--workers", 1)
    scripts("DiffBinaural.simulate_dataset", "--out", data, *size)
    (data / "action_detection_results/detection_results.csv").unlink()
    scripts("DiffBinaural.find_sources", "--input", data)
    assert (data / "action_detection_results/detection_results.csv").is_file()
    with pytest.raises(FileExistsError, match="--output"):
        scripts("DiffBinaural.find_sources", "--input", data)


def test_options_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(ValueError, match="--trajectory_in"):
        Pipeline.from_pretrained(detections="none", trajectory_in="a.csv")
    with pytest.raises(ValueError, match="--trajectory"):
        Pipeline.from_pretrained(detections="none", trajectory="a.csv")
