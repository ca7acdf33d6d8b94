"""Sources that were dragged: where they are then, before, later."""

import numpy as np
import pytest

from BinauralApp.found import Found, moved, trajectory
from BinauralApp.wanted import Move, Wanted, wanted_of
from DiffBinaural.utils.lists import Detection

WAY = np.array(
    [np.arange(0, 10, 0.1), np.linspace(-40, 40, 100), np.zeros(100), np.full(100, 9.0), np.ones(100)]
)


def azimuth(way, time):
    return np.interp(time, way[0], np.degrees(np.unwrap(np.radians(way[1]))))


def apart(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("reach", ["all", "onwards", "around"])
@pytest.mark.parametrize("time", [0.0, 0.25, 5.0, 9.9, 12.0])
@pytest.mark.parametrize("to", [-175.0, -60.0, 0.0, 90.0, 180.0])
def test_a_source_is_where_it_was_put(reach, time, to):
    way = moved(WAY, Move("a", time, to, reach))
    assert apart(azimuth(way, time), to) < 0.01
    assert (np.diff(way[0]) > 0).all()
    assert np.abs(way[1]).max() <= 180


def test_a_move_reaches_as_far_as_it_says():
    turns = {reach: moved(WAY, Move("a", 5.0, 60.0, reach)) for reach in ("all", "onwards", "around")}
    before, later, end = (
        {r: apart(azimuth(w, t), azimuth(WAY, t)) for r, w in turns.items()} for t in (1, 6, 9)
    )
    turn = apart(60.0, azimuth(WAY, 5.0))
    assert before == pytest.approx({"all": turn, "onwards": 0, "around": 0}, abs=1e-6)
    assert later == pytest.approx({"all": turn, "onwards": turn, "around": turn / 2}, abs=1e-6)
    assert end == pytest.approx({"all": turn, "onwards": turn, "around": 0}, abs=1e-6)


def found(*spans):
    detections = [
        Detection(t / 10, (100.0 + 10 * k, 20, 140.0 + 10 * k, 60), 1, "person", f"person {k}", 0.4)
        for k, (first, last) in enumerate(spans)
        for t in range(first, last)
    ]
    return Found((320, 240), 60.0, 6.0, "", detections)


def test_a_source_is_silent_while_it_is_not_in_the_picture():
    points = [p for p in trajectory(found((20, 30), (0, 60)), Wanted()) if p.track == "person 0"]
    assert [(points[k].time, points[k].sounding) for k in (0, -1)] == [
        (pytest.approx(1.9), 0),
        (pytest.approx(3.0), 0),
    ]
    whole = [p for p in trajectory(found((20, 30), (0, 60)), Wanted()) if p.track == "person 1"]
    assert min(p.sounding for p in whole) == 0.4


def test_one_source_is_named_as_the_one_that_sounds():
    points = trajectory(found((0, 60), (20, 30)), Wanted(sounding="person 1"))
    assert {p.track: max(q.sounding for q in points if q.track == p.track) for p in points} == {
        "person 0": 0,
        "person 1": 1,
    }


def test_a_source_stays_where_it_was_put_when_the_field_of_view_changes():
    for fov in (40.0, 60.0, 120.0):
        wanted = Wanted(fov=fov, moves=(Move("person 0", 2.0, 33.0),))
        assert [p.azimuth for p in trajectory(found((0, 60)), wanted) if p.time == 2.0] == [
            pytest.approx(33.0)
        ]


def test_a_wider_view_takes_a_source_farther_out():
    one, other = (trajectory(found((0, 60)), Wanted(fov=fov))[0].azimuth for fov in (40.0, 80.0))
    assert abs(other) > 1.5 * abs(one) > 0


def test_a_source_can_be_put_where_nothing_was_found():
    points = trajectory(Found(seconds=4.0), Wanted(moves=(Move("added 1", 0.0, 45.0),)))
    assert [(p.time, p.track, p.azimuth, p.sounding) for p in points] == [
        (0, "added 1", 45, 1),
        (4, "added 1", 45, 1),
    ]


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {"fov": 0},
        {"fov": "wide"},
        {"strength": "1"},
        {"strength": float("nan")},
        {"room": 1},
        {"head": 3},
        {"mono": "stereo"},
        {"unknown": 1},
        {"moves": {}},
        {"moves": [{"track": "a"}]},
        {"moves": [{"track": "a", "time": -1, "azimuth": 0}]},
        {"moves": [{"track": "a", "time": 0, "azimuth": 181}]},
        {"moves": [{"track": "a\n", "time": 0, "azimuth": 0}]},
        {"moves": [{"track": "a", "time": 0, "azimuth": 0, "reach": "none"}]},
        {"moves": [{"track": "a", "time": 0, "azimuth": 0}] * 201},
    ],
)
def test_what_is_no_wish_is_refused(content):
    with pytest.raises(ValueError):
        wanted_of(content)
