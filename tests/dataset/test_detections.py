"""Tables of detections: refused where they do not fit, held between their rows, counted."""

from dataclasses import replace

import numpy as np
import pytest

from DiffBinaural.dataset.detections import (
    check_boxes,
    check_times,
    film_detections,
    held_between,
    rows_used,
)
from DiffBinaural.dataset.recordings import check_lengths
from DiffBinaural.dataset.tracks import GAP, SourcePaths
from DiffBinaural.utils.lists import Detection

FPS, SIZE, FOV = 10, (240, 120), 90.0


def at(time, x=100.0, y=60.0, size=20.0, **more):
    half = size / 2
    return Detection(time, (x - half, y - half, x + half, y + half), 0.9, **more)


@pytest.mark.parametrize(
    "change",
    [
        lambda box: [v / 240 for v in box],  # fractions
        lambda box: [v * 8 for v in box],  # of 1080p
        lambda box: [box[0], box[1], box[0] + 0.5, box[3]],  # below a pixel
        lambda box: [v - 200 for v in box],
    ],
)
def test_boxes_that_are_not_pixels_of_these_pictures_are_refused(change):
    found = [replace(at(k / FPS), box=tuple(change(at(0).box))) for k in range(5)]
    with pytest.raises(ValueError, match=r"^table, v: "):
        check_boxes("table, v", found, SIZE)


def test_boxes_may_reach_out_of_the_picture_by_less_than_half():
    check_boxes("", [at(0, x=0.5), at(0, x=239.5, y=119), at(0, x=120, size=120)], SIZE)
    with pytest.raises(ValueError, match="1 of 2 do"):
        check_boxes("", [at(0), at(1, x=-1)], SIZE)
    check_boxes("", [], SIZE)


def test_boxes_after_the_end_are_refused():
    check_times("", [at(0), at(3.9)], 4.0)
    check_times("", [], 4.0)
    with pytest.raises(ValueError, match="2 of 3 boxes"):
        check_times("", [at(0), at(4.0), at(11.8)], 4.0)


@pytest.mark.parametrize(
    ("pictures", "fps", "seconds", "fits"),
    [
        (40, 10, 4.0, True),
        (37, 10, 4.0, True),
        (120, 10, 4.0, False),
        (20, 10, 4.0, False),
        (1, 1, 0.1, True),
    ],
)
def test_pictures_that_last_longer_or_shorter_than_the_sound_are_refused(
    tmp_path, pictures, fps, seconds, fits
):
    if fits:
        check_lengths(tmp_path, pictures, fps, seconds)
    else:
        with pytest.raises(
            ValueError, match=rf"{pictures} pictures last {pictures / fps:.2f} s .*{seconds:.2f}"
        ):
            check_lengths(tmp_path, pictures, fps, seconds)


# --- between the rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("track", ["", "a"])
@pytest.mark.parametrize("step", [0.6, 1.0, 2.0])
def test_a_source_with_few_rows_is_there_all_the_time_between_them(track, step):
    rows = [at(k * step, x=60 + 15 * k, track=track, sounding=1 - k / 10) for k in range(5)]
    paths = SourcePaths(held_between(rows, FPS), FPS, SIZE, FOV, 2)
    times = np.arange(0, 4 * step, 1 / FPS)
    shown = [paths.detected(time)[0] for time in times]
    assert all(shown)
    x = np.array([sum(d.box[::2]) / 2 for d in shown])
    assert np.abs(x - (60 + 15 * times / step)).max() < 1.5 * 0.5 / FPS / step * 15 + 1e-6
    assert (paths.directions(times)[0, 2] > 0).all()
    assert not paths.directions(times)[1].any(), "one source, one slot"


def test_what_a_detector_did_not_see_stays_unseen():
    dense = [at(k / FPS) for k in range(40) if k not in (7, 8, 20)]
    assert held_between(dense, FPS) == dense
    gone = [at(k / FPS) for k in (*range(5), *range(25, 40))]
    assert held_between(gone, FPS) == gone, "a source without a name that was away"
    named = [at(k / FPS, track="a") for k in (*range(5), *range(25, 40))]
    assert len(held_between(named, FPS)) == 40
    assert held_between([at(1.0)], FPS) == [at(1.0)]
    assert held_between([], FPS) == []
    assert GAP == 0.5


def test_two_sources_with_few_rows_stay_two():
    rows = sorted([*(at(k, x=30) for k in range(4)), *(at(k, x=200) for k in range(4))], key=lambda d: d.time)
    paths = SourcePaths(held_between(rows, FPS), FPS, SIZE, FOV, 3)
    azimuth, _, there = paths.directions(np.arange(0, 3, 0.1)).numpy().transpose(1, 0, 2)
    assert (there[:2] > 0).all()
    assert not there[2].any()
    assert np.ptp(azimuth[:2], axis=1).max() < 1e-3


def test_mirrored_boxes_are_mirrored_directions():
    random = np.random.default_rng(0)
    rows = [at(k / FPS, x=x, y=50, track="a") for k, x in enumerate(random.uniform(20, 220, 20))]
    mirrored = [replace(d, box=(SIZE[0] - d.box[2], d.box[1], SIZE[0] - d.box[0], d.box[3])) for d in rows]
    times = np.arange(0, 1.9, 0.013)
    ways = [SourcePaths(found, FPS, SIZE, FOV, 1).directions(times)[0].numpy() for found in (rows, mirrored)]
    assert np.allclose(ways[0][0], -ways[1][0], atol=1e-4)
    assert np.array_equal(ways[0][1:], ways[1][1:])


# --- whose rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1", "001 ", "001.mp4", "01"])
def test_rows_of_nobody_are_an_error_that_names_who_may_be_meant(name):
    with pytest.raises(ValueError, match=r"none of its 3 rows .*for 001"):
        rows_used("t.csv", {name: [1, 2, 3]}, ["001", "002"])


def test_rows_that_are_not_used_are_counted():
    said = rows_used("t.csv", {"001": [1] * 38, "3.MP4": [1, 2]}, ["001", "002", "003"])
    for part in ("38 of 40 rows", "1 of 3 recordings", "'3.MP4' for 003"):
        assert part in said
    assert rows_used("t.csv", {"001": [1]}, ["001", "002"]) == ""
    assert rows_used("t.csv", {}, ["001"]) == ""


def test_a_films_rows_in_a_table_of_several(tmp_path):
    path = tmp_path / "t.csv"
    head, row = "video_id,frame,x1,y1,x2,y2,score\n", "{},1,0,0,9,9,1\n"
    path.write_text(head + row.format("other"))
    found, said = film_detections(path, "clip", 10)
    assert len(found) == 1
    assert "'other'" in said, "its id may be any, and is said"
    path.write_text(head + row.format("clip") + row.format("b"))
    found, said = film_detections(path, "clip", 10)
    assert len(found) == 1
    assert "1 of 2 rows" in said
    path.write_text(head + row.format("Clip.mp4") + row.format("b"))
    with pytest.raises(ValueError, match=r"'Clip\.mp4' for clip"):
        film_detections(path, "clip", 10)
    path.write_text(head)
    with pytest.raises(ValueError, match="no rows"):
        film_detections(path, "clip", 10)
