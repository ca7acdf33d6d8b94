"""Trajectories: written, edited, read, followed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.dataset.tracks import SourcePaths
from DiffBinaural.dataset.trajectories import (
    TrajectoryPaths,
    Waypoint,
    read_trajectory,
    waypoints_of,
    write_trajectory,
)
from DiffBinaural.utils.lists import Detection

SIZE, FOV = (480, 270), 70.0


def by_hand(tmp_path, text):
    path = tmp_path / "edited.csv"
    path.write_text(text)
    return path


def test_a_file_of_two_lines_puts_the_voice_on_the_left(tmp_path):
    points = read_trajectory(by_hand(tmp_path, "time,track,azimuth\n0,voice,-40\n"))
    paths = TrajectoryPaths(points, SIZE, FOV, 3)
    found = paths.directions(np.array([0.0, 5.0, 500.0])).numpy()
    assert np.allclose(found[0], [[-40] * 3, [0] * 3, [1] * 3])
    assert not found[1:].any()


def test_it_is_linear_between_rows_and_held_at_the_ends(tmp_path):
    rows = "time,track,azimuth,sounding\n1,a,-20,0.5\n3,a,40,1\n"
    paths = TrajectoryPaths(read_trajectory(by_hand(tmp_path, rows)), SIZE, FOV, 1)
    azimuth, _, sounding = paths.directions(np.array([0.0, 1, 2, 3, 9])).numpy()[0]
    assert azimuth.tolist() == pytest.approx([-20, -20, 10, 40, 40])
    assert sounding.tolist() == pytest.approx([0.5, 0.5, 0.75, 1, 1])


def test_behind_the_head_it_takes_the_shorter_way():
    paths = TrajectoryPaths([Waypoint(0, "a", 170), Waypoint(2, "a", -170)], SIZE, FOV, 1)
    assert abs(paths.directions(np.array([1.0])).numpy()[0, 0, 0]) == pytest.approx(180)
    assert paths.detected(1.0) == [None]


way = st.lists(
    st.tuples(
        st.floats(0, 100), st.floats(-180, 180), st.floats(-90, 90), st.floats(0.1, 90), st.floats(0, 1)
    ),
    min_size=1,
    max_size=6,
)


@given(way)
@settings(max_examples=50, deadline=None)
def test_what_is_written_is_read(tmp_path_factory, way):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    points = sorted(
        (Waypoint(t, f"person {k % 2}", *rest) for k, (t, *rest) in enumerate(way)), key=lambda p: p.time
    )
    write_trajectory(path, points)
    again = read_trajectory(path)
    assert [p.track for p in sorted(again, key=lambda p: (p.time, p.track))] == [
        p.track for p in sorted(points, key=lambda p: (round(p.time, 3), p.track))
    ]
    for name in ("azimuth", "elevation", "width", "sounding"):
        assert sorted(getattr(p, name) for p in again) == pytest.approx(
            sorted(getattr(p, name) for p in points), abs=0.006
        )


@given(st.floats(30, 440), st.floats(40, 230), st.floats(8, 40))
@settings(max_examples=50, deadline=None)
def test_a_box_and_its_waypoint_are_in_one_direction(x, y, size):
    box = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
    found = [Detection(k / 10, box, 0.9, "person", "p", 0.7) for k in range(3)]
    points = waypoints_of(found, SIZE, FOV)
    seen = SourcePaths(found, 10, SIZE, FOV, 1).directions(np.array([0.1]))
    followed = TrajectoryPaths(points, SIZE, FOV, 1)
    assert np.allclose(followed.directions(np.array([0.1])), seen, atol=1e-4)
    (back,) = followed.detected(0.1)
    middle = np.array(back.box).reshape(2, 2).mean(0)
    assert np.allclose(middle, (x, y), atol=0.05 * size + 0.5)


def test_of_more_tracks_than_slots_the_likeliest_are_followed():
    points = [Waypoint(0, name, azimuth, sounding=p) for name, azimuth, p in (("a", 10, 0.1), ("b", 20, 0.9))]
    found = TrajectoryPaths(points, SIZE, FOV, 1).directions(np.array([0.0])).numpy()
    assert found[0, 0, 0] == pytest.approx(20)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("time,azimuth\n0,3\n", "track"),
        ("", "no column"),
        ("time,track,azimuth\n0,a,left\n", "line 2"),
        ("time,track,azimuth\n0,a,200\n", "line 2"),
        ("time,track,azimuth\n-1,a,20\n", "line 2"),
        ("time,track,azimuth\n0,a,10\ninf,a,20\n", "line 3"),
        ("time,track,azimuth,sounding\n0,a,10,1.5\n", "line 2"),
        ("time,track,azimuth,width\n0,a,10,0\n", "line 2"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, text, line):
    with pytest.raises(ValueError, match=line) as error:
        read_trajectory(by_hand(tmp_path, text))
    assert "edited.csv" in str(error.value)
    assert "\n" not in str(error.value)
