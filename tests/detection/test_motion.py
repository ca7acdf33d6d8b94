from functools import lru_cache

import cv2
import numpy as np
import pytest

from DiffBinaural.detection.motion import Look, Motion

WIDTH, HEIGHT = 320, 240
BOXES = np.array([[40.0, 60, 120, 160], [200, 60, 280, 160]])
ALWAYS = np.array([0.0, 100.0])


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


def change(look: Look) -> float:
    """Mean speed at which a look changes."""
    speeds = np.abs(np.diff(look.values, axis=0)).mean(1) / np.diff(look.times)
    return float(speeds[~look.fresh[1:]].mean())


def changes(motion: Motion, boxes=BOXES) -> list[float]:
    return [change(motion.follow(str(k), ALWAYS, box[[0, 0]])) for k, box in enumerate(boxes[:, None])]


def test_motion_is_found_where_it_is():
    moving, still = changes(pushed(view(i / 25, swing=4) for i in range(25)))
    assert moving > 8 * still


def test_the_camera_is_taken_out():
    moving, still = changes(pushed(view(i / 25, swing=6, camera=6) for i in range(25)))
    assert moving > 2 * still


def travelling(motion: Motion, jitter: float = 0.0, inside: bool = False) -> Look:
    """A patch that crosses a plain picture; with motion inside it, if so asked."""
    rng, times, boxes = np.random.default_rng(0), np.arange(30) / 15, []
    for time in times:
        x, y = 20 + 90 * time, 60 + 20 * np.sin(3 * time)
        picture = cv2.warpAffine(
            wall(1), np.array([[1, 0, x - 60], [0, 1, y - 60]]), (WIDTH, HEIGHT), borderValue=0
        )
        away = np.ones_like(picture)
        cv2.ellipse(away, (round(x * 16) + 480, round(y * 16) + 640), (480, 640), 0, 0, 360, 0, -1, shift=4)
        picture = np.where(away > 0, 90, picture)
        if inside:
            cv2.circle(picture, (int(x) + 30, int(y) + 40), int(6 + 5 * np.sin(11 * time)), 0, -1)
        motion.push(time, np.clip(picture, 0, 255).astype(np.uint8))
        boxes.append(np.array([x, y, x + 60, y + 80]) + rng.normal(0, jitter, 4))
    return motion.follow("a", times, np.array(boxes))


@pytest.mark.parametrize("jitter", [0.0, 1.5])
def test_travel_is_no_motion_even_in_boxes_that_jitter(jitter):
    still, moving = (travelling(Motion(WIDTH, HEIGHT), jitter, inside) for inside in (False, True))
    assert change(moving) > 1.5 * change(still)


@pytest.mark.parametrize("gain", [0.4, 0.7])
def test_brightness_changes_nothing(gain):
    pictures = [view(i / 25, swing=3, camera=2) for i in range(25)]
    darker = [np.rint(picture * gain).astype(np.uint8) for picture in pictures]
    assert changes(pushed(darker))[0] == pytest.approx(changes(pushed(pictures))[0], rel=0.1)


def test_a_mirrored_video_has_the_same_motion_in_mirrored_boxes():
    pictures = [view(i / 25, swing=3, camera=2) for i in range(25)]
    mirrored = BOXES[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [WIDTH, 0, WIDTH, 0]
    found = changes(pushed(np.ascontiguousarray(picture[:, ::-1]) for picture in pictures), mirrored)
    assert found == pytest.approx(changes(pushed(pictures)), rel=0.1)


@pytest.mark.parametrize(("rate", "film"), [(24, 12), (12, 6)])
def test_a_film_in_a_file_of_twice_the_rate_is_the_film(rate, film):
    pictures = [view(i / film, swing=3) for i in range(12)]
    once, twice = (
        pushed(pictures, film),
        pushed((p for picture in pictures for p in (picture, picture)), rate),
    )
    a, b = (motion.follow("a", ALWAYS, BOXES[[0, 0]]) for motion in (once, twice))
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other)


def test_a_still_picture_has_no_motion():
    look = pushed([view(0, swing=0)] * 25).follow("a", ALWAYS, BOXES[[0, 0]])
    assert len(look.times) > 1
    assert change(look) < 1e-3


def test_a_cut_is_not_motion():
    shot = [view(0, swing=0)] * 12
    other = [np.clip(wall(9)[50 : 50 + HEIGHT, 50 : 50 + WIDTH], 0, 255).astype(np.uint8)] * 12
    look = pushed(shot + other).follow("a", ALWAYS, BOXES[[0, 0]])
    assert look.fresh.sum() == 2
    assert change(look) < 0.01


def test_pictures_are_read_once_whatever_the_calls():
    pictures = [view(i / 25, swing=4) for i in range(50)]
    whole = pushed(pictures).follow("a", np.array([0.0, 1.9]), BOXES[[0, 0]])
    motion = Motion(WIDTH, HEIGHT)
    for i, picture in enumerate(pictures):
        motion.push(i / 25, picture)
        if i % 10 == 9:
            until = min(i / 25, 1.9)
            look = motion.follow("a", np.array([0.0, until]), BOXES[[0, 0]])
            motion.forget(read=until, looks=0.0)
    look = motion.follow("a", np.array([0.0, 1.9]), BOXES[[0, 0]])
    for one, other in zip(whole, look, strict=True):
        np.testing.assert_allclose(one, other)


def test_looks_lie_between_the_first_detection_and_the_last():
    look = pushed(view(i / 25, swing=4) for i in range(75)).follow("a", np.array([1.41, 1.89]), BOXES)
    assert len(look.times) > 3
    assert ((look.times >= 1.41) & (look.times <= 1.89)).all()


def test_what_is_forgotten_is_gone():
    motion = pushed(view(i / 25, swing=4) for i in range(50))
    motion.follow("a", ALWAYS, BOXES[[0, 0]])
    motion.forget(read=2.0, looks=1.0)
    assert motion.follow("a", ALWAYS, BOXES[[0, 0]]).times.min() >= 1.0
    assert len(motion.follow("b", ALWAYS, BOXES[[0, 0]]).times) <= 1


def test_memory_is_bounded():
    motion = Motion(16, 16)
    for i in range(1100):
        motion.push(i / 16, np.full((16, 16), i % 200, np.uint8))
    look = motion.follow("a", np.array([0.0, 1e3]), np.array([[2.0, 2, 9, 9]] * 2))
    assert look.times[0] >= look.times[-1] - 61


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (160, 120)])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-50, -50, -10, -10), (5, 5, 5, 5), (-1e5, -1e5, 1e5, 1e5)])
@pytest.mark.parametrize("part", [(0, 0, 1, 1), (0, 0.5, 1, 1)])
def test_any_picture_and_any_box_give_finite_looks(size, box, part):
    rng, motion = np.random.default_rng(0), Motion(*size)
    for i in range(5):
        motion.push(i / 10, rng.integers(0, 256, size[::-1]).astype(np.uint8))
    look = motion.follow("a", ALWAYS, np.array([box] * 2, float), part)
    assert len(look.times) == 5
    assert np.isfinite(look.values).all()


def test_without_pictures_there_is_nothing_and_wrong_shapes_are_refused():
    assert len(Motion(WIDTH, HEIGHT).follow("a", np.zeros(1), BOXES[:1]).times) == 0
    with pytest.raises(ValueError, match="boxes"):
        Motion(WIDTH, HEIGHT).follow("a", np.zeros(2), BOXES[:1])
    with pytest.raises(ValueError, match="1 x 1"):
        Motion(0, 5)
