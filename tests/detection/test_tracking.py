"""Tracks: one identity over time, gaps bridged, jitter smoothed, wild boxes dropped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.detection.found import Found, colours_of
from DiffBinaural.detection.tracking import EDGE, GAP, HOLD, LARGEST, Tracker

SIZE = (400, 200)
TIMES = np.arange(0, 6, 0.25)  # of the detections
GRID = np.arange(0, 6, 0.1)
RED, BLUE = (
    colours_of(np.full((9, 9, 3), shade, np.uint8), (0, 0, 9, 9)) for shade in ((200, 40, 40), (40, 40, 200))
)


def at(x, y=100.0, size=30.0, score=0.9, label="person"):
    half = size / 2
    return Found((x - half, y - half, x + half, y + half), score, label)


def tracked(pictures, times=TIMES, grid=GRID, size=SIZE):
    """name -> (times (K,), boxes (K, 4)) of what is found in pictures."""
    tracker = Tracker(size)
    for time, found in zip(times, pictures, strict=True):
        tracker.push(time, found)
    made = {}
    for point in tracker.points(list(grid)):
        made.setdefault(point.track, []).append((point.time, *point.box))
    return {name: (np.array(rows)[:, 0], np.array(rows)[:, 1:]) for name, rows in made.items()}


def middle(boxes):
    return (boxes[:, 0] + boxes[:, 2]) / 2


def test_two_that_cross_keep_their_identities():
    right, left = 50 + 50 * TIMES, 350 - 50 * TIMES
    made = tracked([[at(a, 90), at(b, 130)] for a, b in zip(right, left, strict=True)])
    assert len(made) == 2
    for _, boxes in made.values():
        steps = np.diff(middle(boxes))
        assert (steps >= 0).all() or (steps <= 0).all()


@pytest.mark.parametrize("unlike", ["size", "colours"])
def test_two_that_meet_and_turn_back_are_told_apart_by_their_looks(unlike):
    """Where they would be if they had gone on, the other is."""
    way = 60 * np.abs(TIMES - 3) + 5
    sizes = (45, 30) if unlike == "size" else (30, 30)
    shades = (RED, BLUE) if unlike == "colours" else (None, None)
    pictures = [
        [
            at(200 + side * x, size=size)._replace(colours=shade)
            for side, size, shade in zip((-1, 1), sizes, shades, strict=True)
        ]
        for x in way
    ]
    made = tracked(pictures)
    assert len(made) == 2
    for _, boxes in made.values():
        away = middle(boxes) - 200
        assert (away < 0).all() or (away > 0).all()


def test_one_who_stands_is_not_carried_off_by_one_who_passes():
    """While the nearer covers the farther, one of both is seen; whoever passes slows down there."""
    passing = 60 + 50 * TIMES
    passing -= 6.0 * (np.abs(passing - 200) < 14)
    pictures = [[at(x, 104, 44), *([] if abs(x - 200) < 30 else [at(200, 96, 32)])] for x in passing]
    made = tracked(pictures)
    spans = sorted(np.ptp(middle(boxes)) for _, boxes in made.values())
    assert spans == [pytest.approx(0, abs=1), pytest.approx(passing[-1] - passing[0], rel=0.02)]


def test_the_colours_of_a_box_are_those_of_its_middle():
    picture = np.full((60, 80, 3), (250, 10, 10), np.uint8)
    picture[20:40, 30:50] = (10, 10, 250)
    inside, around = colours_of(picture, (30, 20, 50, 40)), colours_of(picture, (28, 18, 52, 42))
    assert inside @ inside == pytest.approx(1)
    assert inside @ around == pytest.approx(1)  # the rim of the box is left out
    assert inside @ colours_of(picture, (0, 0, 20, 20)) == 0
    large = np.repeat(np.repeat(picture, 20, 0), 20, 1)
    for box in ((0, 0, 80, 60), (28, 18, 60, 50)):
        assert colours_of(picture, box) @ colours_of(large, tuple(20 * x for x in box)) > 0.999
    for box in ((-9, -9, 1, 1), (79, 59, 90, 70), (10, 10, 10.2, 10.2)):
        assert np.square(colours_of(picture, box)).sum() == pytest.approx(1)


@pytest.mark.parametrize("speed", [0.1, 0.2, 0.3])
def test_what_is_small_may_be_fast(speed):
    """Parts of the picture a second; a face that far away has 12 pixels of 400."""
    times = np.arange(0, 1.2, 0.25)
    made = tracked([[at(20 + 400 * speed * t, size=12), at(200, 30, 12)] for t in times], times, times)
    assert len(made) == 2
    ways = sorted((np.ptp(middle(boxes)) for _, boxes in made.values()), reverse=True)
    assert ways[0] == pytest.approx(400 * speed * times[-1], rel=0.02)
    assert ways[1] < 1


@pytest.mark.parametrize("ended", [False, True])
def test_what_comes_and_goes_does_so_gradually(ended):
    """Half a second before its first detection, and after its last; not where the video begins or ends."""
    tracker = Tracker(SIZE)
    for time in TIMES:
        found = [at(50)] if time > 0.3 else []
        tracker.push(time, [*found, *[at(200)] * int(2 < time < 3.6), *[at(350)] * int(5.2 < time < 5.7)])
    grid, rows = GRID if ended else GRID[TIMES[-1] >= GRID], {}
    for point in tracker.points(list(grid), 5.5 if ended else None):
        rows.setdefault(round(middle(np.array([point.box]))[0] / 150), []).append(
            (point.time, point.presence)
        )
    always, between, later = (np.array(rows[k]) for k in range(3))
    assert (always[:, 1] == 1).all()
    assert always[[0, -1], 0] == pytest.approx(grid[[0, -1]])
    assert (between[(between[:, 0] > 2.3) & (between[:, 0] < 3.4), 1] == 1).all()
    assert between[[0, -1], 1].max() < 0.5
    for row in (between, later):
        assert np.abs(np.diff(row[:, 1])).max() <= np.diff(GRID).max() / EDGE + 1e-6
    assert later[0, 1] < 0.5
    assert later[-1] == pytest.approx([grid[-1], 1])


def test_a_clips_end_brings_nothing_back():
    """Read to its end in blocks, a video has no more of a source that is gone than read at once."""
    whole, parts = Tracker(SIZE), Tracker(SIZE)
    for tracker in (whole, parts):
        for time in TIMES:
            tracker.push(time, [at(50), *[at(200)] * int(time < 2.1)])
    made = parts.points([t for t in GRID if t < 2.35])
    made += parts.points([t for t in GRID if t >= 2.35], GRID[-1] - 1)
    once = whole.points(list(GRID), GRID[-1] - 1)
    rows = [sorted((p.track, round(p.time, 3), round(p.presence, 6)) for p in some) for some in (made, once)]
    assert rows[0] == rows[1]
    gone = [p.presence for p in sorted(once, key=lambda p: p.time) if p.box[0] > 100]
    assert (np.diff(gone) <= 0).all()


@pytest.mark.parametrize("missing", [0.5, GAP - 0.3])
def test_a_gap_is_bridged_evenly(missing):
    gone = (TIMES > 2) & (2 + missing > TIMES)
    made = tracked([[] if no else [at(100 + 20 * t)] for t, no in zip(TIMES, gone, strict=True)])
    (times, boxes), *others = made.values()
    assert not others
    assert np.allclose(np.diff(times), 0.1)
    inside = (times > 0.3) & (times < TIMES[-1])
    assert np.abs(middle(boxes) - 100 - 20 * times)[inside].max() < 0.5


def test_after_a_long_gap_it_is_another():
    gone = (TIMES > 2) & (TIMES < 2 + GAP + 0.6)
    made = tracked([[] if no else [at(100)] for no in gone])
    assert len(made) == 2
    for times, _ in made.values():
        assert times[-1] - times[0] < 3.5


def test_jitter_is_smoothed_and_steady_motion_is_not_delayed():
    random = np.random.default_rng(0)
    true = 60 + 45 * TIMES
    (times, boxes), *others = tracked([[at(x + random.normal(0, 3))] for x in true]).values()
    assert not others
    error = (middle(boxes) - 60 - 45 * times)[(times > 0.5) & (times < 5.2)]
    assert error.std() < 0.75 * 3
    assert abs(error.mean()) < 1.0


def test_a_wild_box_is_dropped_and_the_whole_scene_is_no_source():
    pictures = [[at(100)] for _ in TIMES]
    pictures[7] = [at(100), at(300, score=0.99)]
    assert len(tracked(pictures)) == 1
    scene = Found((0, 0, SIZE[0], LARGEST * SIZE[1] + 2), 0.99, "person")
    assert len(tracked([[at(100), scene] for _ in TIMES])) == 1


def test_a_box_does_not_suddenly_become_many_times_larger():
    pictures = [[at(100, size=30)] if t < 3 else [at(100, size=110)] for t in TIMES]
    assert len(tracked(pictures)) == 2


def test_a_single_picture_shows_what_it_shows():
    ((times, boxes),) = tracked([[at(100)]], times=[0.0], grid=[0.0]).values()
    assert times.tolist() == [0.0]
    assert np.allclose(boxes[0], at(100).box)


def test_it_is_there_a_little_before_and_after_it_is_detected():
    seen = (TIMES >= 2) & (TIMES <= 4)
    ((times, _),) = tracked([[at(100)] if yes else [] for yes in seen]).values()
    assert times[0] == pytest.approx(2 - HOLD, abs=0.11)
    assert times[-1] == pytest.approx(4 + HOLD, abs=0.11)


def test_pictures_that_show_faces_alone_are_no_evidence_against_a_dog():
    tracker = Tracker(SIZE)
    for k, time in enumerate(TIMES):
        whole = k % 4 == 0
        tracker.push(time, [at(300), at(80, label="dog")] if whole else [at(300)], whole=whole)
    labels = {point.label for point in tracker.points(list(GRID))}
    assert labels == {"person", "dog"}


@given(st.lists(st.floats(0.3, 3), min_size=1, max_size=5), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_in_parts_it_is_what_it_is_at_once(lengths, seed):
    """Points that are asked for as pictures come, AHEAD seconds behind, are those of the whole film."""
    from DiffBinaural.detection.tracking import AHEAD

    random = np.random.default_rng(seed)
    pictures = [
        [at(x + random.normal(0, 2)) for x in (80 + 20 * t, 320 - 15 * t) if random.random() < 0.8]
        for t in TIMES
    ]
    whole, parts = Tracker(SIZE), Tracker(SIZE)
    for time, found in zip(TIMES, pictures, strict=True):
        whole.push(time, found)
    borders = [*np.cumsum(lengths)[np.cumsum(lengths) < 6], 6.0]
    made, fed, given = [], 0, 0
    for border in borders:
        while fed < len(TIMES) and TIMES[fed] <= border + AHEAD:
            parts.push(TIMES[fed], pictures[fed])
            fed += 1
        some = [t for t in GRID[given:] if t <= border]
        given += len(some)
        made += parts.points(some)
    key = lambda point: (point.time, point.track)  # noqa: E731
    once = sorted(whole.points(list(GRID)), key=key)
    apart = sorted(made, key=key)
    assert [key(p) for p in once] == [key(p) for p in apart]
    assert np.allclose([p.box for p in once], [p.box for p in apart])
