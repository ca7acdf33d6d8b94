"""Detections linked into tracks, divided among slots, turned into directions."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.frame_sources import EncodedFrames, RecordedFrames, WithoutDetections
from DiffBinaural.dataset.recordings import DETECTIONS
from DiffBinaural.dataset.tracks import GAP, LEAP, SourcePaths, in_slots, linked
from DiffBinaural.position_utils import FOV, angles_of, azimuth_to_x, x_to_azimuth
from DiffBinaural.simulation.appearance import FRAME
from DiffBinaural.simulation.binaural import positions_at
from DiffBinaural.utils.lists import Detection, read_detections

FPS, SIZE = 10, (200, 100)
VIEW = ViewConfig(window=40, frames=3, slots=3, image_size=16)


def seen(time, x, y=50.0, label="", size=20.0, **more):
    """A detection whose box of so many pixels is centred at (x, y)."""
    half = size / 2
    return Detection(time, (x - half, y - half, x + half, y + half), more.pop("score", 0.9), label, **more)


def in_time(*tracks):
    return sorted((d for track in tracks for d in track), key=lambda d: d.time)


def paths(detections, count=2, fov=FOV, size=SIZE):
    return SourcePaths(in_time(detections), FPS, size, fov, count)


# --- linking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lower", "labels"),
    [(62.0, ("person", "person")), (50.0, ("person", "guitar"))],
    ids=["past each other", "one behind the other"],
)
def test_two_sources_that_cross_stay_themselves(lower, labels):
    k = np.arange(31)
    right, left = (
        [seen(t, x, y, label) for t, x in zip(k / FPS, xs, strict=True)]
        for xs, y, label in zip((40 + 4 * k, 160 - 4 * k), (50.0, lower), labels, strict=True)
    )
    tracks = linked(in_time(right, left))
    assert sorted(tracks, key=lambda track: track[0].box) == [right, left]


def test_the_assignment_of_a_moment_is_the_nearest_in_all_not_one_by_one():
    """The first of the new boxes is nearest to the track that the second one needs."""
    before, after = [seen(0.0, 50), seen(0.0, 64)], [seen(0.1, 58), seen(0.1, 74)]
    tracks = linked(in_time(before, after))
    assert tracks == [[before[0], after[0]], [before[1], after[1]]]


@pytest.mark.parametrize("fps", [5, 10, 25, 30])
def test_a_source_may_go_undetected_for_a_while_wherever_in_the_film(fps):
    """Times are k / fps, whose differences are not exact."""
    for first in range(100):
        for missing in range(20):
            pair = [seen(first / fps, 50), seen((first + missing + 1) / fps, 52)]
            one = missing + 1 <= GAP * fps
            assert len(linked(pair)) == (1 if one else 2), (first, missing)


@pytest.mark.parametrize(("sizes", "tracks"), [(0.9 * LEAP, 1), (1.1 * LEAP, 2)])
@pytest.mark.parametrize("size", [6.0, 20.0, 60.0])
def test_how_far_a_source_leaps_is_measured_by_its_box(size, sizes, tracks):
    step = sizes * size / np.sqrt(2)
    assert len(linked([seen(0, 90, 40, size=size), seen(0.1, 90 + step, 40 + step, size=size)])) == tracks


def test_another_label_is_another_source():
    assert len(linked([seen(0, 50, label="person"), seen(0.1, 50, label="drum")])) == 2


def test_named_tracks_are_believed_however_far_and_long():
    jumpy = [seen(0, 20, track="a", label="person"), seen(3, 180, track="a", label="drum")]
    other = [seen(0, 21, track="b")]
    loose = [seen(0.1, 20)]
    assert linked(in_time(jumpy, other, loose)) == [jumpy, other, loose]


def test_boxes_of_one_moment_are_different_sources():
    doubled = [[seen(k / FPS, 50), seen(k / FPS, 51)] for k in range(5)]
    tracks = linked(in_time(*doubled))
    assert [len(track) for track in tracks] == [5, 5]
    assert {d.time for d in tracks[0]} == {k / FPS for k in range(5)}


def test_a_named_tracks_doubled_box_breaks_nothing():
    found = [
        seen(0.0, 50, track="a"),
        seen(0.1, 60, track="a"),
        seen(0.1, 64, track="a"),
        seen(0.2, 70, track="a"),
    ]
    there = paths(found).directions(np.linspace(0, 0.2, 50))
    x = 100 * (1 + azimuth_to_x(there[0, 0].numpy(), FOV))
    assert np.all(np.diff(x) >= -1e-3)
    assert np.all((x > 50 - 1e-3) & (x < 70 + 1e-3))


def test_no_detection_at_all():
    assert linked([]) == []
    there = SourcePaths([], FPS, SIZE, FOV, 2)
    assert there.detected(0.0) == [None, None]
    assert not there.directions(np.arange(5.0)).any()
    assert SourcePaths([seen(0, 50)], FPS, SIZE, FOV, 0).directions(np.zeros(3)).shape == (0, 3, 3)


# --- slots --------------------------------------------------------------------------------------------------


def slotted(tracks, count):
    slots = [[] for _ in range(count)]
    in_slots(tracks, slots)
    return slots


spans = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 10), st.floats(0.1, 1)),
    max_size=12,
)


@given(spans, st.integers(0, 4))
@settings(max_examples=200, deadline=None)
def test_slots_never_overlap_and_a_track_is_left_out_only_where_all_are_taken(spans, count):
    tracks = [
        [seen(k / FPS, 50, score=score, track=str(n)) for k in range(first, first + more + 1)]
        for n, (first, more, score) in enumerate(spans)
    ]
    slots = slotted(tracks, count)
    assert len(slots) == count
    placed = [track for slot in slots for track in slot]
    assert len({id(track) for track in placed}) == len(placed)
    for slot in slots:
        for one, following in zip(slot, slot[1:]):
            assert one[-1].time < following[0].time
    for track in tracks:
        if not any(track is other for other in placed):
            for slot in slots:
                assert any(t[0].time <= track[-1].time and track[0].time <= t[-1].time for t in slot)
    if len(tracks) <= count:
        assert len(placed) == len(tracks)


def test_the_surest_and_longest_track_chooses_first():
    long, sure, short = (
        [seen(k / FPS, x, score=score, track=str(x)) for k in range(n)]
        for x, n, score in ((20, 10, 0.5), (90, 3, 1.0), (160, 2, 0.9))
    )
    assert slotted([short, sure, long], 2) == [[long], [sure]]


def test_a_track_that_is_likely_to_sound_chooses_before_a_surer_one_that_is_not():
    silent, heard = (
        [seen(k / FPS, x, track=str(x), score=score, sounding=sounding) for k in range(5)]
        for x, score, sounding in ((20, 1.0, 0.1), (90, 0.5, 0.9))
    )
    assert slotted([silent, heard], 1) == [[heard]]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(0, 4))
@settings(max_examples=50, deadline=None)
def test_detections_that_come_in_parts_are_those_that_come_at_once(borders, count):
    """Tracks go on in their slots; of more tracks than slots the same are held only by chance."""
    tracks = [
        [seen(k / FPS, 30 + 40 * n, track=str(n), score=0.9 - n / 10) for k in range(5 * n, 40)]
        for n in range(count)
    ]
    whole = in_time(*tracks)
    parts = SourcePaths([], FPS, SIZE, FOV, 4)
    edges = [0, *sorted(borders), 41]
    for low, high in zip(edges, edges[1:]):
        parts.add([d for d in whole if low <= round(d.time * FPS) < high])
    once, times = SourcePaths(whole, FPS, SIZE, FOV, 4), np.arange(0, 4, 0.03)
    order = [[track[0].track for track in slot] for slot in parts.slots]
    assert sorted(order) == sorted([track[0].track for track in slot] for slot in once.slots)
    for slot, held in enumerate(order):
        there = next(k for k, s in enumerate(once.slots) if [t[0].track for t in s] == held)
        assert torch.equal(parts.directions(times)[slot], once.directions(times)[there])


def test_what_is_forgotten_is_not_asked_for():
    kept = SourcePaths([seen(k / FPS, 30 + k, track="a") for k in range(40)], FPS, SIZE, FOV, 2)
    times, before = np.arange(2.2, 4, 0.05), kept.directions(np.arange(2.2, 4, 0.05))
    kept.forget(2.0)
    kept.add([])
    assert torch.equal(kept.directions(times), before)
    assert sum(len(track) for slot in kept.slots for track in slot) == 20


@given(spans, st.lists(st.floats(0, 5), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None)
def test_what_is_seen_in_a_slot_is_what_its_direction_says(spans, times):
    """Wherever a detection is nearer than half a picture, and a track's own time always."""
    tracks = [
        [seen(k / FPS, 20 + 12 * n, score=score, track=str(n)) for k in range(first, first + more + 1)]
        for n, (first, more, score) in enumerate(spans)
    ]
    there = paths([d for track in tracks for d in track])
    directions = there.directions(np.array(times))
    for k, time in enumerate(times):
        for slot, detection in enumerate(there.detected(time)):
            azimuth, _, sounding = directions[slot, :, k].tolist()
            assert sounding == (detection is not None)
            if detection:
                x = sum(detection.box[::2]) / 2
                assert azimuth == pytest.approx(float(x_to_azimuth(x / 100 - 1, FOV)), abs=1e-3)


def test_a_track_keeps_its_direction_until_its_last_detection():
    """At 30 detections a second the next source's first one comes less than a picture later."""
    first, second = (
        [seen(k / 30, x, track=name) for k in range(start, start + 15)]
        for name, start, x in (("a", 0, 50), ("b", 15, 150))
    )
    there = paths(first + second, count=1)
    times = np.arange(30) / 30
    azimuth = there.directions(times)[0, 0].numpy()
    shown = [sum(there.detected(time)[0].box[::2]) / 2 for time in times]
    assert np.allclose(azimuth, x_to_azimuth(np.array(shown) / 100 - 1, FOV), atol=1e-3)


# --- directions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fov", [40.0, 70.0, 120.0, 170.0])
@pytest.mark.parametrize("size", [SIZE, (240, 120), (64, 48)])
def test_a_box_is_where_the_camera_projects_its_direction(fov, size):
    width, height = size
    x = np.linspace(-0.95, 0.95, 9)
    up = np.linspace(0.8, -0.9, 9)  # of half the height
    found = [
        seen(k / FPS, width / 2 * (1 + a), height / 2 * (1 - b), size=2, track="a")
        for k, (a, b) in enumerate(zip(x, up, strict=True))
    ]
    azimuth, elevation, sounding = paths(found, fov=fov, size=size).directions(np.arange(9) / FPS)[0].numpy()
    assert np.allclose(azimuth, x_to_azimuth(x, fov), atol=1e-4)
    assert np.allclose(azimuth_to_x(azimuth, fov), x, atol=1e-5)
    tilt = x_to_azimuth(up * height / width, fov)  # as the camera has it, with square pixels
    true = angles_of(positions_at(azimuth, tilt, 1.0))
    assert np.allclose(np.stack([azimuth, elevation]), true, atol=1e-4)
    assert (sounding == 1).all()


def test_directions_are_linear_between_detections_and_held_half_a_picture_beyond():
    found = [seen(1.0, 60, 45, sounding=0.2), seen(1.4, 75, 55, sounding=0.8)]
    there = paths(found)
    knots = there.directions(np.array([1.0, 1.4]))[0]
    between = there.directions(1 + 0.4 * np.linspace(0, 1, 9))[0]
    weight = torch.linspace(0, 1, 9)
    assert torch.allclose(between, knots[:, :1] * (1 - weight) + knots[:, 1:] * weight, atol=1e-5)
    assert knots[2].tolist() == pytest.approx([0.2, 0.8])
    beside = there.directions(np.array([0.94, 0.951, 1.449, 1.46]))[0]
    assert torch.equal(beside[:, 1:3], knots)
    assert not beside[:, [0, 3]].any()
    assert not there.directions(np.linspace(0, 3, 50))[1].any()


def test_the_time_of_a_query_alone_decides():
    """Any times in any order: streams and whole clips ask for other pieces."""
    there = paths([seen(k / FPS, 50 + 3 * k, track="a") for k in range(10)])
    times = np.linspace(-0.2, 1.3, 61)
    order = np.random.default_rng(0).permutation(61)
    assert torch.equal(there.directions(times)[..., order], there.directions(times[order]))


def recorded(found, fov=FOV):
    shown = [Image.new("RGB", SIZE, (k, 0, 0)) for k in range(12)]
    return RecordedFrames(shown, FPS, found, VIEW, fov=fov)


def test_a_windows_directions_lie_in_the_middle_of_its_mel_frames():
    found = [seen(k / FPS, 50 + 5 * k, track="a") for k in range(12)]
    source = recorded(found)
    window = source.window(0.25, 0.5)
    times = 0.25 + (np.arange(40) + 0.5) / 40 * 0.5
    assert window["directions"].shape == (2, 3, 40)
    assert torch.equal(window["directions"], source.paths.directions(times))
    scene = source.scene([0.25, 0.4], 0.5)
    assert torch.equal(scene["directions"][0], window["directions"])
    assert torch.equal(scene["directions"][1], source.window(0.4, 0.5)["directions"])


def test_a_slots_box_and_its_direction_are_of_one_source():
    """Also after one of two sources has gone: nothing moves up into its slot."""
    brief = [seen(k / FPS, 30, score=1.0) for k in range(8)]
    found = in_time(brief, [seen(k / FPS, 170, score=0.5) for k in range(12)])
    source = recorded(found)
    for k in range(12):
        box, mask = (source.picture(k)[name] for name in ("box", "mask"))
        azimuth, _, sounding = source.directions(np.array([k / FPS]))[:, :, 0].T
        assert mask.tolist() == [False, k >= 8, False]
        assert (sounding > 0).tolist() == [k < 8, True]
        there = sounding > 0
        assert np.allclose(x_to_azimuth(box[1:, 0][there].numpy(), FOV), azimuth[there], atol=1e-3)


def test_hidden_and_encoded_recordings_have_no_directions_and_the_same():
    source, times = recorded([seen(k / FPS, 60) for k in range(12)]), np.linspace(0, 1, 7)
    assert source.directions(times).any()
    assert not WithoutDetections(source).directions(times).any()
    assert WithoutDetections(source).window(0.0, 0.5)["directions"].shape == (2, 3, 40)
    pictures = source.stack(range(12))
    content = {"maps": torch.zeros(int((~pictures["mask"]).sum()), 2, 1, 1, 1), **pictures}
    encoded = EncodedFrames(content, FPS, VIEW, source.paths)
    assert torch.equal(encoded.window(0.1, 0.5)["directions"], source.window(0.1, 0.5)["directions"])


# --- the CSV ------------------------------------------------------------------------------------------------

HEADER = "video_id,frame,x1,y1,x2,y2,score"


def table(folder, header, *rows):
    path = folder / "found.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_columns_track_and_sounding_are_read_where_they_are(tmp_path):
    path = table(
        tmp_path,
        f"{HEADER},label,track,sounding",
        "v,1,0,0,9,9,0.5,person,7,0.25",
        "v,2,0,0,9,9,0.5,person,7,",
        "v,3,0,0,9,9,0.5,,,0",
        "v,4,0,0,9,9,0.5,,,1",
    )
    found = read_detections(path, FPS)["v"]
    assert [(d.label, d.track, d.sounding) for d in found] == [
        ("person", "7", 0.25),
        ("person", "7", 1.0),
        ("", "", 0.0),
        ("", "", 1.0),
    ]
    [plain] = read_detections(table(tmp_path, HEADER, "v,1,0,0,9,9,0.5"), FPS)["v"]
    assert (plain.track, plain.sounding) == ("", 1.0)


@pytest.mark.parametrize("value", ["-0.01", "1.01", "nan", "inf", "1e9", "yes"])
def test_a_sounding_that_is_no_probability_is_refused(tmp_path, value):
    path = table(tmp_path, f"{HEADER},sounding", "v,1,0,0,9,9,0.5,1", f"v,2,0,0,9,9,0.5,{value}")
    with pytest.raises(ValueError, match=r"found\.csv, line 3: sounding") as error:
        read_detections(path, FPS)
    assert "\n" not in str(error.value)


def test_one_that_does_not_sound_is_shown_but_not_heard():
    source = recorded([replace(seen(k / FPS, 60), sounding=0.0) for k in range(12)])
    assert not source.picture(3)["mask"][1]
    assert not source.directions(np.linspace(0, 1, 9))[0, 2].any()


# --- the simulator ------------------------------------------------------------------------------------------


def test_simulated_detections_give_back_the_true_azimuths(scenes):
    facts = json.loads((scenes / "scenes.json").read_text())
    detections = read_detections(scenes / DETECTIONS, FPS)
    compared = 0
    for split in ("train", "val", "test"):
        data = RealBinaural(scenes, split, MelConfig(), ViewConfig(image_size=16))
        for clip in data.clips:
            sources = facts[clip.video_id]["sources"]
            times = np.arange(len(sources[0]["azimuth"])) / data.fps
            azimuth, elevation, sounding = (
                data.frame_source(clip.video_id).directions(times).numpy().transpose(1, 0, 2)
            )
            assert (sounding[: len(sources)] == 1).all()
            assert not sounding[len(sources) :].any()
            for slot, source in enumerate(sources):
                assert np.abs(azimuth[slot] - source["azimuth"]).max() < 0.5
            assert np.abs(elevation).max() <= 16
            loose = [replace(d, track="") for d in detections[clip.video_id]]
            again = SourcePaths(loose, data.fps, FRAME, FOV, 3).directions(times)[:, 0].numpy()
            best = [min(np.abs(row - s["azimuth"]).max() for row in again) for s in sources]
            assert max(best) < 0.5, "also where tracks are not named"
            compared += len(sources)
    assert compared >= 5
