from functools import lru_cache

import cv2
import numpy as np
import pytest

from DiffBinaural.detection.motion import Motion

WIDTH, HEIGHT = 320, 240
BOXES = np.array([[40.0, 60, 120, 160], [200, 60, 280, 160]])


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@lru_cache
def wall(seed: int = 0) -> np.ndarray:
    """A textured picture, larger than the view on all sides."""
    rng = np.random.default_rng(seed)
    spots = rng.uniform(0, 255, (HEIGHT // 4 + 30, WIDTH // 4 + 30)).astype(np.float32)
    return cv2.GaussianBlur(cv2.resize(spots, None, fx=4, fy=4), (0, 0), 2)


def view(time: float, *, swing: float, camera: float = 0.0) -> np.ndarray:
    """A wall seen by a camera that moves by `camera` pixels; a patch in the first box swings."""
    x, y = 50 + camera * np.sin(7 * time), 50 + camera * np.cos(5 * time)
    matrix = np.array([[1, 0, -x], [0, 1, -y]])
    picture = cv2.warpAffine(wall(), matrix, (WIDTH, HEIGHT))
    patch = cv2.warpAffine(wall(1), np.array([[1, 0, -60 - swing * np.sin(9 * time)], [0, 1, -60]]), (60, 80))
    picture[70:150, 50:110] = patch
    return np.clip(picture, 0, 255).astype(np.uint8)


def pushed(pictures, rate: float = 25.0) -> Motion:
    motion = Motion(WIDTH, HEIGHT)
    for i, picture in enumerate(pictures):
        motion.push(i / rate, picture)
    return motion


def means(motion: Motion, boxes=BOXES) -> list[float]:
    return [float(np.nanmean(motion.motion_in(np.zeros(1), box[None])[1])) for box in boxes]


def test_motion_is_found_where_it_is():
    moving, still = means(pushed(view(i / 25, swing=4) for i in range(12)))
    assert moving > 20 * still


def test_the_camera_is_taken_out():
    moving, still = means(pushed(view(i / 25, swing=4, camera=6) for i in range(12)))
    assert moving > 4 * still


@pytest.mark.parametrize("gain", [0.4, 0.7])
def test_brightness_changes_nothing(gain):
    pictures = [view(i / 25, swing=3, camera=2) for i in range(12)]
    darker = [np.rint(picture * gain).astype(np.uint8) for picture in pictures]
    assert means(pushed(darker))[0] == pytest.approx(means(pushed(pictures))[0], rel=0.1)


def test_a_mirrored_video_has_the_same_motion_in_mirrored_boxes():
    pictures = [view(i / 25, swing=3, camera=2) for i in range(12)]
    mirrored = BOXES[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [WIDTH, 0, WIDTH, 0]
    found = means(pushed(np.ascontiguousarray(picture[:, ::-1]) for picture in pictures), mirrored)
    assert found == pytest.approx(means(pushed(pictures)), rel=0.1)


def test_a_film_of_12_a_second_in_a_file_of_24_is_the_film_of_12():
    pictures = [view(i / 12, swing=3) for i in range(12)]
    once, twice = pushed(pictures, 12), pushed((p for picture in pictures for p in (picture, picture)), 24)
    for a, b in zip(once.motion_in(np.zeros(1), BOXES[:1]), twice.motion_in(np.zeros(1), BOXES[:1])):
        np.testing.assert_allclose(a, b)


def test_repetitions_that_the_frame_rate_does_not_hide_are_passed_over():
    pictures = [view(i / 6, swing=3) for i in range(8)]
    values = pushed((p for picture in pictures for p in (picture, picture)), 12).motion_in(
        np.zeros(1), BOXES[:1]
    )[1]
    assert len(values[np.isfinite(values)])
    assert np.nanmin(values[np.isfinite(values)]) > 0.05


def test_a_still_picture_has_no_motion():
    times, values = pushed([view(0, swing=0)] * 25).motion_in(np.zeros(1), BOXES[:1])
    assert len(times)
    assert np.nanmax(values) == 0


def test_a_cut_is_not_motion():
    shot = [view(0, swing=0)] * 12
    other = [np.clip(wall(9)[50 : 50 + HEIGHT, 50 : 50 + WIDTH], 0, 255).astype(np.uint8)] * 12
    values = pushed(shot + other).motion_in(np.array([0.0, 1.0]), BOXES[[0, 0]])[1]
    assert np.max(values) < 0.01


def test_boxes_are_followed_between_detections():
    pictures = [view(i / 25, swing=4) for i in range(30)]
    times, values = pushed(pictures).motion_in(np.array([0.0, 1.2]), BOXES)
    third = len(times) // 3
    assert values[:third].mean() > 5 * values[-third:].mean()


def test_a_track_is_not_seen_long_before_and_after_its_detections():
    times, values = pushed(view(i / 25, swing=4) for i in range(75)).motion_in(np.array([1.41, 1.59]), BOXES)
    np.testing.assert_array_equal(np.isfinite(values), (times > 0.91) & (times < 2.09))


def test_part_of_a_box_is_that_box():
    motion = pushed(view(i / 25, swing=4) for i in range(12))
    part = np.array([[40.0, 115, 120, 160]])
    a = motion.motion_in(np.zeros(1), BOXES[:1], part=(0, 0.55, 1, 1))[1]
    b = motion.motion_in(np.zeros(1), part)[1]
    # the same pixels; the speed is divided by another box's size
    np.testing.assert_allclose(a / a.max(), b / b.max(), rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (160, 120)])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-50, -50, -10, -10), (5, 5, 5, 5)])
def test_any_picture_and_any_box_give_finite_speeds(size, box):
    rng, motion = np.random.default_rng(0), Motion(*size)
    for i in range(5):
        motion.push(i / 10, rng.integers(0, 256, size[::-1]).astype(np.uint8))
    times, values = motion.motion_in(np.zeros(1), np.array([box], float))
    assert len(times) == 4
    assert np.isfinite(values).all()
    assert (values >= 0).all()


def test_without_pictures_there_is_nothing_and_wrong_shapes_are_refused():
    times, values = Motion(WIDTH, HEIGHT).motion_in(np.zeros(1), BOXES[:1])
    assert len(times) == len(values) == 0
    with pytest.raises(ValueError, match="boxes"):
        Motion(WIDTH, HEIGHT).motion_in(np.zeros(2), BOXES[:1])
    with pytest.raises(ValueError, match="1 x 1"):
        Motion(0, 5)
