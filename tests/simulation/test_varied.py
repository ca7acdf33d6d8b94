"""Scenes whose look is drawn at random, boxes as a detector gives them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from DiffBinaural import simulate_dataset
from DiffBinaural.dataset.recordings import DETECTIONS
from DiffBinaural.simulation.attention import seeming
from DiffBinaural.simulation.camera import SHAKING, SWINGS, draw_camera
from DiffBinaural.simulation.config import FRAME, SimulateConfig
from DiffBinaural.simulation.detected import detected_exactly, detected_poorly
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.simulation.varied import disguised
from DiffBinaural.utils.lists import read_detections

SEEDS = range(6)


# --- looks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_look_changes_neither_sound_nor_directions(seed):
    plain, varied = (simulate(seed, seconds=0.6, bystanders=(0, 2), varied=v) for v in (False, True))
    assert np.array_equal(plain.binaural, varied.binaural)
    for one, other in zip(plain.objects, varied.objects, strict=True):
        assert np.array_equal(one.azimuth, other.azimuth)
        middles = [(s.boxes[:, :2] + s.boxes[:, 2:]) / 2 for s in (one, other)]
        assert np.abs(middles[0] - middles[1]).max() <= FRAME[0] * SHAKING * SWINGS, "it shakes, no more"


def test_no_two_looks_are_alike_and_the_same_seed_looks_the_same():
    scenes = [
        simulate(seed, seconds=0.1, room=False, varied=True).frames[0].astype(int) for seed in range(12)
    ]
    assert min(np.abs(a - b).mean() for k, a in enumerate(scenes) for b in scenes[:k]) > 8
    again = simulate(4, seconds=0.1, room=False, varied=True).frames[0]
    assert np.array_equal(again, scenes[4])


def test_frames_and_video_show_the_same():
    for seed in range(4):
        scene = simulate(seed, seconds=0.6, room=False, fps=10, video_fps=30, varied=True)
        assert np.array_equal(scene.frames, scene.video[::3])


def test_boxes_shake_with_the_picture():
    """The middle of a thing's box is off by as much as the background is."""
    times = np.linspace(0, 5, 400)
    cameras = [draw_camera(np.random.default_rng(k), 120.0, FRAME) for k in range(30)]
    reach = [np.abs(camera.offsets(times)).max() for camera in cameras]
    assert 0.2 < np.mean(np.array(reach) == 0) < 0.7
    assert 1 < max(reach) < FRAME[0] * SHAKING * SWINGS
    steps = [np.abs(np.diff(camera.offsets(times), axis=0)).max() for camera in cameras]
    assert max(steps) < 0.7, "smooth at 80 pictures a second"


def test_a_look_says_nothing_of_the_sound():
    """A thing's look is drawn from the generator alone, not from its name, sound or shape."""
    looks = []
    for seed in (1, 2):
        objects = [replace(each) for each in _objects(seed)]
        looks.append([each.appearance for each in disguised(np.random.default_rng(0), objects, FRAME)])
    assert [type(one) for one in looks[0]] == [type(one) for one in looks[1]]
    assert [one.half for one in looks[0]] == [one.half for one in looks[1]]


def _objects(seed):
    from DiffBinaural.simulation.camera import Camera
    from DiffBinaural.simulation.objects import draw_bystanders

    sounds = {"n": 4000, "files": (), "recorded_fraction": 1.0}
    rng = np.random.default_rng(seed)
    return draw_bystanders(rng, [], (4, 4), hue=0.1, seconds=1.0, camera=Camera(), room=None, **sounds)


# --- boxes as a detector gives them -----------------------------------------------------------------------


def still_boxes(count=40, things=3):
    return [
        np.tile([20.0 + 60 * k, 30.0, 50.0 + 60 * k, 80.0], (count, 1)).astype(float) for k in range(things)
    ]


@given(amount=st.floats(0.01, 1), seed=st.integers(0, 10_000), count=st.integers(1, 80))
def test_detections_are_usable_however_poor(amount, seed, count):
    found = detected_poorly(np.random.default_rng(seed), still_boxes(count), 10, amount)
    assert [one.track for one in found] == list(range(len(found)))
    assert [one.thing for one in found[:3]] == [0, 1, 2]
    for one in found:
        assert len(one.at) == len(one.boxes) == len(one.scores) >= 1
        assert (np.diff(one.at) > 0).all()
        assert 0 <= one.at[0] <= one.at[-1] < count
        assert (one.boxes[:, :2] < one.boxes[:, 2:]).all()
        assert ((one.scores > 0) & (one.scores <= 1)).all()


def test_errors_grow_with_the_amount():
    figures = []
    for amount in (0.1, 0.4, 1.0):
        off, missing, late, doubled = [], [], [], []
        for seed in range(150):
            exact = still_boxes(60)
            found = detected_poorly(np.random.default_rng(seed), exact, 10, amount)
            doubled.append(len(found) - 3)
            for one in found[:3]:
                error = (one.boxes - exact[one.thing][one.at]) / (30, 50, 30, 50)
                off.append(np.sqrt(np.mean(error**2)))
                missing.append(1 - len(one.at) / 60)
                late.append(one.at[0] > 1)
        figures.append([np.mean(row) for row in (off, missing, late, doubled)])
    assert (np.diff(figures, axis=0) > 0).all(), figures
    off, missing, late, doubled = figures[-1]
    assert 0.05 < off < 0.25
    assert 0.08 < missing < 0.35
    assert 0.3 < late < 0.7
    assert 1 < doubled < 5


def test_middles_are_right_on_average():
    off = []
    for seed in range(200):
        for one in detected_poorly(np.random.default_rng(seed), still_boxes(), 10, 1.0)[:3]:
            middle = (one.boxes[:, :2] + one.boxes[:, 2:]) / 2
            off.append((middle - still_boxes()[one.thing][0, :2] - (15, 25)).mean(0))
    assert np.abs(np.mean(off, 0)).max() < 0.3


def test_noise_changes_detections_and_leaves_the_truth_alone(tmp_path):
    settings = {"clips": 4, "seconds": 1.5, "sources": (1, 2), "bystanders": (0, 1), "workers": 1, "seed": 8}
    for folder, amount in (("exact", 0.0), ("poor", 1.0)):
        simulate_dataset.main(SimulateConfig(out=str(tmp_path / folder), **settings, box_noise=amount))
    exact, poor = (tmp_path / folder for folder in ("exact", "poor"))
    for path in exact.rglob("*"):
        if path.is_file() and path.name not in ("dataset.json", "detection_results.csv"):
            assert path.read_bytes() == (poor / path.relative_to(exact)).read_bytes(), path
    facts, true, found = (
        json.loads((poor / "scenes.json").read_text()),
        *(read_detections(root / DETECTIONS, 10) for root in (exact, poor)),
    )
    for name in facts:
        assert true[name] != found[name]
        tracks = {str(each["track"]) for each in (*facts[name]["sources"], *facts[name]["bystanders"])}
        assert tracks == {d.track for d in true[name]} <= {d.track for d in found[name]}
        assert {d.label for d in found[name]} == {d.label for d in true[name]}


def test_without_noise_detections_are_the_boxes():
    boxes = still_boxes()
    for one, exact in zip(detected_exactly(boxes), boxes, strict=True):
        assert np.array_equal(one.boxes, exact)
        assert one.at.tolist() == list(range(40))


def test_who_seems_to_sound_is_estimated_from_what_is_detected():
    scene = simulate(5, seconds=1.5, sources=(2, 2), room=False, fps=10, video_fps=20, box_noise=1.0)
    chance = seeming(scene, 10, 20)
    assert chance.shape == (len(scene.detected), 15)
    assert ((chance >= 0) & (chance <= 1)).all()
