"""Bystanders: seen and detected like sources, but not heard."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from DiffBinaural import simulate_dataset
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.recordings import DETECTIONS
from DiffBinaural.position_utils import azimuth_to_x, boxes_to_units
from DiffBinaural.simulation.camera import Camera
from DiffBinaural.simulation.config import FRAME, RATE, SimulateConfig
from DiffBinaural.simulation.objects import draw_bystanders
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.simulation.signals import FAMILIES, recordings
from DiffBinaural.simulation.writer import write_dataset
from DiffBinaural.utils.arguments import parse
from DiffBinaural.utils.lists import read_detections
from DiffBinaural.utils.media import frame_rate, pictures

SEEDS = range(8)


def pair(seed, **changes):
    """A scene without bystanders, and with two."""
    settings = {"seconds": 1.0, **changes}
    return simulate(seed, **settings), simulate(seed, **settings, bystanders=(2, 2))


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("seed", SEEDS)
def test_bystanders_change_nothing_but_pictures(seed):
    alone, among = pair(seed, room=seed % 2 == 0)
    assert np.array_equal(alone.binaural, among.binaural)
    assert len(among.sources) == len(alone.sources)
    for one, other in zip(alone.sources, among.sources, strict=True):
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.azimuth, other.azimuth)
        kept = replace(other, track=one.track, boxes=one.boxes, azimuth=one.azimuth)
        assert vars(kept) == vars(one)
    assert not np.array_equal(alone.frames, among.frames)
    assert not alone.bystanders


def test_where_a_bystander_is_not_the_picture_is_as_before():
    for seed in SEEDS:
        alone, among = pair(seed)
        changed = (alone.frames != among.frames).any(3)
        for k, picture in enumerate(changed):
            for bystander in among.bystanders:
                x1, y1, x2, y2 = bystander.boxes[k]
                picture[max(0, int(y1) - 1) : int(y2) + 2, max(0, int(x1) - 1) : int(x2) + 2] = False
        assert not changed.any()
    assert alone.frames.shape == among.frames.shape


def test_bystanders_are_drawn_like_sources_and_anywhere_among_them():
    scenes = [simulate(seed, seconds=0.4, room=False, bystanders=(0, 2)) for seed in range(60)]
    silent = [b for scene in scenes for b in scene.bystanders]
    assert {len(scene.bystanders) for scene in scenes} == {0, 1, 2}
    assert {b.family for b in silent} == set(FAMILIES)
    assert not any(b.sounds or b.drr for b in silent)
    assert 0.3 < np.mean([b.moves for b in silent]) < 0.7
    for scene in scenes:
        assert [each.track for each in scene.objects] == list(range(len(scene.objects)))
    first = [s.objects[0].sounds for s in scenes if len(s.sources) == len(s.bystanders)]
    assert 0.2 < np.mean(first) < 0.8, "the track's number does not tell who sounds"


def test_a_bystander_rests_or_moves_to_a_sound_that_is_not_heard():
    times, resting, moving = np.arange(100) / 25, [], []
    for seed in range(12):
        sounds = {"n": 4 * RATE, "files": (), "recorded_fraction": 1.0}
        rng = np.random.default_rng(seed)
        for each in draw_bystanders(
            rng, [], (2, 2), hue=0.0, seconds=4.0, camera=Camera(), room=None, **sounds
        ):
            levels = [pose.level for pose in each.filmed(times, Camera()).poses]
            (moving if each.moves else resting).append(levels)
    assert np.ptp(resting) == 0
    assert np.ptp(moving, 1).min() > 0.2
    heard = simulate(3, seconds=4.0, sources=(1, 1), room=False).binaural.mean(0)
    level = np.sqrt([np.mean(heard[int(t * RATE) :][: RATE // 25] ** 2) for t in times])
    assert abs(np.mean([np.corrcoef(level, each)[0, 1] for each in moving])) < 0.2


def test_bystanders_use_the_recordings_too(tmp_path):
    tone = np.sin(np.arange(RATE) / 9)
    for name in ("vowel_anna", "bell_tower"):
        soundfile.write(tmp_path / f"{name}.wav", tone, RATE)
    scene = simulate(0, seconds=0.5, files=recordings(tmp_path), bystanders=(2, 2))
    assert {b.family for b in scene.bystanders} == {"vowel_anna", "bell_tower"}


# --- the dataset ------------------------------------------------------------------------------------------


def configure(out, **changes):
    small = SimulateConfig(out=str(out), clips=4, seconds=1.3, sources=(1, 2), bystanders=(1, 2), workers=1)
    return replace(small, seed=3, **changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("crowd")
    simulate_dataset.main(configure(root))
    return root


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_same_seed_same_bytes_and_the_sounds_of_a_dataset_without_bystanders(dataset, tmp_path):
    simulate_dataset.main(configure(tmp_path / "again", workers=2))
    assert files(tmp_path / "again") == files(dataset)
    simulate_dataset.main(configure(tmp_path / "alone", bystanders=(0, 0), motion=False))
    for path in (tmp_path / "alone/processed").rglob("*.wav"):
        assert path.read_bytes() == (dataset / path.relative_to(tmp_path / "alone")).read_bytes()
    assert "+" not in {row["action_label"] for row in rows(dataset / "splits/test.csv")}


def test_the_truth_says_which_tracks_sound(dataset):
    detected = rows(dataset / DETECTIONS)
    for name, scene in json.loads((dataset / "scenes.json").read_text()).items():
        known = {each["track"]: each for each in (*scene["sources"], *scene["bystanders"])}
        assert all(each["sounds"] for each in scene["sources"])
        assert scene["bystanders"]
        assert not any(each["sounds"] for each in scene["bystanders"])
        mine = [row for row in detected if row["video_id"] == name]
        assert {int(row["track"]) for row in mine} == set(known)
        for row in mine:
            box = np.array([float(row[corner]) for corner in ("x1", "y1", "x2", "y2")])
            each, k = known[int(row["track"])], int(row["frame"]) - 1
            x = azimuth_to_x(each["azimuth"][k], scene["fov"])
            assert boxes_to_units(box, *FRAME)[0] == pytest.approx(x, abs=1e-3)
            assert row["label"] == each["family"]


def test_slots_hold_sources_and_bystanders(dataset):
    facts = json.loads((dataset / "scenes.json").read_text())
    data = RealBinaural(dataset, "train", MelConfig(), ViewConfig(image_size=16))
    for clip in data.clips:
        count = len(facts[clip.video_id]["sources"]) + len(facts[clip.video_id]["bystanders"])
        empty = data.frame_source(clip.video_id).picture(5)["mask"][1:]
        assert int((~empty).sum()) == min(count, len(empty))


def test_a_faster_video_has_times_in_its_detections(tmp_path):
    simulate_dataset.main(configure(tmp_path, video_fps=25))
    video = tmp_path / "videos/scene_00000.mp4"
    assert frame_rate(video) == 25
    assert len(list(pictures(video, 25))) == 33
    assert len(list((tmp_path / "processed/frames/scene_00000").iterdir())) == 13
    detections = [read_detections(tmp_path / DETECTIONS, fps)["scene_00000"] for fps in (10, 25)]
    assert detections[0] == detections[1]
    assert sorted({d.time for d in detections[0]}) == pytest.approx(np.arange(13) / 10)


def estimated(scene):
    """An estimate (tracks, K) that knows the truth, and falls with time."""
    truth = np.array([[source.sounds] for source in scene.objects])
    assert len(scene.frames) == len(scene.video) == 13
    return truth * np.linspace(1, 0.5, 13)


def test_an_estimate_of_who_sounds_is_written_where_there_is_one(dataset, tmp_path):
    write_dataset(configure(tmp_path, workers=2), estimated)
    plain, told = rows(dataset / DETECTIONS), rows(tmp_path / DETECTIONS)
    assert "sounding" not in plain[0]
    assert [{k: v for k, v in row.items() if k != "sounding"} for row in told] == plain
    facts = json.loads((tmp_path / "scenes.json").read_text())
    for name, found in read_detections(tmp_path / DETECTIONS, 10).items():
        heard = {str(each["track"]) for each in facts[name]["sources"]}
        for d in found:
            assert d.sounding == pytest.approx((d.track in heard) * (1 - 0.5 * d.time / 1.2), abs=1e-3)


# --- hostile values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["-1", "2..1", "0..1000000000", "-1..2"])
def test_impossible_bystanders_are_refused(value):
    with pytest.raises(ValueError, match="--bystanders") as refused:
        parse(SimulateConfig, argv=["--out", "x", f"--bystanders={value}"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [0, -5, 100_000])
def test_impossible_rates_of_the_video_are_refused(value):
    with pytest.raises(ValueError, match="--video_fps") as refused:
        SimulateConfig(out="x", video_fps=value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("changes", [{"bystanders": (0, 1)}, {"video_fps": 25}])
def test_the_layout_of_fairplay_refuses_them(changes):
    with pytest.raises(ValueError, match="FAIR-Play") as refused:
        SimulateConfig(out="x", layout="fairplay", **changes)
    assert "\n" not in str(refused.value)


def test_another_number_of_bystanders_is_another_dataset(dataset):
    before = files(dataset)
    with pytest.raises(ValueError, match="bystanders"):
        simulate_dataset.main(configure(dataset, bystanders=(0, 0)))
    with pytest.raises(ValueError, match="motion"):
        simulate_dataset.main(configure(dataset, motion=False))
    assert files(dataset) == before
