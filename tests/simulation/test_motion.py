"""What sounds moves with its sound, within its box."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from DiffBinaural.simulation.appearance import FRAME, Appearance, box_of, stamp
from DiffBinaural.simulation.config import RATE
from DiffBinaural.simulation.motion import loudness, poses_of, swinging
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.simulation.shapes import RESTING, SHAPES, STILL, Pose
from DiffBinaural.simulation.signals import FAMILIES, melody

TIMES = np.arange(100) / 25
UNIT = st.floats(0, 1)
POSES = st.builds(Pose, UNIT, st.floats(-1, 1), UNIT, UNIT)
EXTREMES = [Pose(a, b, c, d) for a in (0.0, 1.0) for b in (-1.0, 1.0) for c in (0.0, 1.0) for d in (0.0, 1.0)]


def drawn(shape, pose, half=(13.3, 11.7)):
    """Whether each pixel is drawn (H, W), and the box."""
    source, blank = Appearance(shape, (250, 20, 20), half), Image.new("RGB", FRAME, (90, 90, 90))
    box = box_of(source, np.array([31.0]), np.array([7.0]))[0]
    picture = blank.copy()
    stamp(picture, source, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), pose)
    return np.asarray(picture).astype(int) - np.asarray(blank), box


def beats(at, seconds=4.0):
    """Decaying tones that start at these times (s)."""
    t, sound = np.arange(round(seconds * RATE)) / RATE, 0
    for start in at:
        since = np.maximum(t - start, 0)
        sound = sound + (t >= start) * np.exp(-since / 0.1) * np.sin(2 * math.pi * 440 * since)
    return sound


# --- the shapes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@given(pose=POSES)
def test_whatever_its_pose_a_shape_fills_its_box_and_stays_in_it(shape, pose):
    outline, *details = SHAPES[shape][1](pose)
    assert np.min(outline, 0).tolist() == [-1, -1]
    assert np.max(outline, 0).tolist() == [1, 1]
    assert all(np.abs(part).max() <= 1 + 1e-9 for part in details)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pose", [STILL, RESTING, *EXTREMES])
def test_boxes_are_tight_in_pixels_in_extreme_poses(shape, pose):
    changed, box = drawn(shape, pose)
    rows, cols = np.nonzero(changed.any(2))
    assert [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1] == pytest.approx(box, abs=1)


@pytest.mark.parametrize("shape", SHAPES)
@given(pose=POSES)
def test_a_mirrored_pose_is_the_mirror_image(shape, pose):
    """So that mirrored pictures, of which training makes use, show motion that occurs."""
    here, there = (SHAPES[shape][1](p) for p in (pose, pose._replace(swing=-pose.swing)))
    assert [len(part) for part in here] == [len(part) for part in there]
    mirrored, wanted = np.concatenate(here) * (-1, 1), np.concatenate(there)
    apart = np.abs(mirrored[:, None] - wanted).max(2)
    assert max(apart.min(0).max(), apart.min(1).max()) < 1e-9


# --- motion from sound ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_motion_is_bounded_smooth_and_does_not_depend_on_the_level(family):
    sound = melody(family, np.random.default_rng(3), 4 * RATE, RATE)
    fine = np.arange(400) / 100
    poses = np.array(poses_of(sound, RATE, fine))
    assert poses.min(0).tolist() >= [0, -1, 0, 0]
    assert poses.max() <= 1
    assert np.abs(np.diff(poses, axis=0)).max() < 0.45
    assert np.allclose(poses, poses_of(0.01 * sound, RATE, fine), atol=1e-6)
    assert np.ptp(poses, 0).min() > 0.2, "every part of the pose moves"


def test_loudness_is_that_of_the_sound():
    """An oracle: steps of 10 dB are halvings of the loudness."""
    t = np.arange(3 * RATE) / RATE
    sound = np.sin(2 * math.pi * 500 * t) * 10 ** (-np.floor(t) / 2)
    level = loudness(sound, RATE)
    assert len(level) == 300
    assert level[[50, 150, 250]] == pytest.approx([1, 10**-0.3, 10**-0.6], rel=0.02)


def test_onsets_push_and_nothing_else_does():
    onsets = [0.5, 1.6, 3.0]
    poses = poses_of(beats(onsets), RATE, np.arange(400) / 100)
    swing = np.array([pose.swing for pose in poses])
    assert np.abs(swing[:48]).max() < 0.01
    for onset in onsets:
        first = round(100 * onset)
        assert np.abs(swing[first : first + 20]).max() > 0.5
        assert np.abs(swing[first + 90 : first + 100]).max() < 0.25
    notes = np.array([(pose.outer > 0.5) + 2 * (pose.inner > 0.5) for pose in poses])
    assert notes[[20, 100, 250, 380]].tolist() == [0, 1, 2, 3]


def test_sides_are_mirror_images():
    left, right = (poses_of(beats([0.5]), RATE, TIMES, side) for side in (-1, 1))
    assert [p.swing for p in left] == [-p.swing for p in right]
    assert [p[2:] for p in left] == [p[2:] for p in right]


@pytest.mark.parametrize("samples", [1, 100, 220, 2205])
def test_short_and_silent_sounds_have_poses(samples):
    for sound in (np.zeros(samples), np.ones(samples)):
        poses = np.array(poses_of(sound, RATE, np.array([0.0, 0.05])))
        assert poses.shape == (2, 4)
        assert np.isfinite(poses).all()
    assert not swinging(np.zeros(5)).any()


# --- pictures ---------------------------------------------------------------------------------------------


def window_levels(sound, times):
    """RMS (K,) of a sound within 40 ms of each time."""
    spans = [sound[max(0, round((t - 0.04) * RATE)) : round((t + 0.04) * RATE)] for t in times]
    return np.array([np.sqrt(np.mean(span**2)) for span in spans])


def test_a_mouth_opens_with_the_loudness_in_the_picture():
    for seed in range(5):
        sound = melody("vowel", np.random.default_rng(seed), 4 * RATE, RATE)
        dark = []
        for pose in poses_of(sound, RATE, TIMES):
            changed, box = drawn("vowel", pose)
            mouth = changed[round((box[1] + box[3]) / 2) : round(box[3]), round(box[0]) : round(box[2])]
            dark.append((mouth[..., 0] < -5).sum())  # darker than the wall, unlike the face
        assert max(dark) > 2 * min(dark)
        assert np.corrcoef(dark, window_levels(sound, TIMES))[0, 1] > 0.7


def test_without_motion_nothing_but_the_paths_moves():
    scene = simulate(4, seconds=1.0, sources=(2, 2), bystanders=(2, 2), motion=False)
    assert not any(source.moves for source in scene.objects)
    moving = simulate(4, seconds=1.0, sources=(2, 2), bystanders=(2, 2))
    assert all(source.moves for source in moving.sources)
    assert np.array_equal(scene.binaural, moving.binaural)
    assert all(np.array_equal(a.boxes, b.boxes) for a, b in zip(scene.objects, moving.objects, strict=True))
    assert not np.array_equal(scene.frames, moving.frames)


def test_the_video_has_a_rate_of_its_own():
    scene = simulate(6, seconds=1.3, fps=10, video_fps=30)
    assert (len(scene.frames), len(scene.video)) == (13, 39)
    assert np.array_equal(scene.frames, scene.video[::3])
    same = simulate(6, seconds=1.3, fps=10)
    assert np.array_equal(same.video, same.frames)
    assert np.array_equal(same.frames, scene.frames)
