"""Parsers return a value or raise their documented error; files survive a round trip."""

import json
import math
import string
from itertools import chain

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from BigVGAN.env import load_config
from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.configs.fields import from_dict
from DiffBinaural.dataset.cutting import covering, extract_windows, stitch
from DiffBinaural.position_utils import (
    azimuth_to_x,
    boxes_to_units,
    mirror_positions,
    units_to_boxes,
    x_to_azimuth,
    zoom,
)
from DiffBinaural.utils.audio import read_wav, write_wav
from DiffBinaural.utils.files import load_tensors, read_json, save_tensors, write_json, write_rows
from DiffBinaural.utils.lists import (
    checked_id,
    fold_of,
    folded,
    match,
    read_clips,
    read_detections,
)
from DiffBinaural.utils.media import pictures, read_picture
from DiffBinaural.utils.mel_files import load_array, load_mel_pair, save_mel_pair
from DiffBinaural.utils.tables import read_rows

many = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=12)
numbers = st.one_of(st.floats(), st.integers(-5, 10**13), cells, st.sampled_from("01234")).map(str)
ids = st.one_of(cells, st.sampled_from(["a", "b", "..", "../x", "/etc/x", "a/b", "a\\b", "."]))


def answers(read, path):
    """The value, or None where it is refused by name."""
    try:
        return read(path)
    except (ValueError, FileNotFoundError) as error:
        assert str(path) in str(error), error
        return None


# --- parsers ------------------------------------------------------------------------------------------------


@many
@given(st.binary(max_size=300))
@pytest.mark.parametrize(
    "read",
    [
        read_clips,
        lambda path: read_detections(path, 10),
        read_json,
        lambda path: load_config(path),
        load_array,
        load_tensors,
        read_picture,
        read_wav,
        lambda path: list(pictures(path, 10)),
    ],
    ids=["clips", "detections", "json", "vocoder config", "array", "tensors", "picture", "wav", "video"],
)
def test_any_bytes_are_refused_by_name_or_read(read, tmp_path, content):
    path = tmp_path / "some file"
    path.write_bytes(content)
    answers(read, path)


@many
@given(st.lists(st.tuples(ids, st.just("0") | numbers, st.just("9") | numbers, cells), max_size=2))
def test_any_list_of_clips_gives_clips_in_order_or_a_line(tmp_path, rows):
    write_rows(tmp_path / "list.csv", "video_id,start_time,end_time,action_label", rows)
    for clip in answers(read_clips, tmp_path / "list.csv") or ():
        assert 0 <= clip.start < clip.end
        assert clip.video_id == checked_id(clip.video_id, "")
        assert (tmp_path / clip.video_id).resolve().parent == tmp_path.resolve()


@many
@given(st.lists(st.tuples(ids, *[numbers] * 6), max_size=2))
def test_any_list_of_boxes_gives_finite_boxes_in_order_or_a_line(tmp_path, rows):
    write_rows(tmp_path / "boxes.csv", "video_id,frame,x1,y1,x2,y2,score", rows)
    for found in (answers(lambda path: read_detections(path, 10), tmp_path / "boxes.csv") or {}).values():
        assert all(math.isfinite(v) for one in found for v in (one.time, one.score, *one.box))
        assert [one.time for one in found] == sorted(one.time for one in found)


@many
@given(st.text(max_size=8))
def test_a_fold_is_two_numbers_or_a_line(text):
    try:
        k, n = fold_of(text)
    except ValueError as error:
        assert "--fold" in str(error)
    else:
        assert 1 <= k <= n >= 2


@many
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), min_size=1, max_size=20),
    st.integers(2, 5),
)
def test_folds_part_the_recordings(tmp_path, clips, n):
    write_rows(
        tmp_path / "list.csv",
        "video_id,start_time,end_time",
        [(name, start, start + 1) for name, start in clips],
    )
    every = read_clips(tmp_path / "list.csv")
    try:
        inside, outside = (
            [folded(every, f"{k}/{n}", inside=side) for k in range(1, n + 1)] for side in (True, False)
        )
    except ValueError as error:
        assert "too few" in str(error)
        return
    assert sorted(map(str, chain(*inside))) == sorted(map(str, every))
    for mine, others in zip(inside, outside, strict=True):
        assert not {clip.video_id for clip in mine} & {clip.video_id for clip in others}
        assert len(mine) + len(others) == len(every)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@many
@given(
    st.dictionaries(
        st.sampled_from(["id", "data_root", "mel", "model", "seed", "colour", "view"]), values, max_size=4
    )
)
def test_any_settings_are_refused_by_name_or_taken(content):
    try:
        from_dict(TrainConfig, {"id": "a", "data_root": "b", **content}, "some.json")
    except ValueError as error:
        assert str(error).startswith("some.json: ")


@many
@given(st.text(string.ascii_letters + "_-.0123456789", min_size=1, max_size=12), st.integers(0, 10**6))
def test_a_stamped_name_is_matched(name, stamp):
    assert match(f"{name}_{stamp:06d}", [name]) == (name, stamp / 1000)
    assert match(name, [name]) == (name, 0.0)


# --- windows and positions ----------------------------------------------------------------------------------


@many
@given(st.integers(1, 400), st.integers(1, 90), st.data())
def test_windows_cover_and_stitch_back(n, size, data):
    hop, n = data.draw(st.integers(1, size)), max(n, size)
    starts = covering(n, size, hop)
    assert sorted({k for start in starts for k in range(start, start + size)}) == list(range(n))
    x = torch.arange(2.0 * n).view(2, n)
    assert torch.allclose(stitch(extract_windows(x, starts, size), starts, n), x, rtol=1e-5)


fovs = st.floats(20, 150)


@many
@given(st.floats(-89, 89), fovs)
def test_directions_and_positions_convert_into_one_another(azimuth, fov):
    x = azimuth_to_x(azimuth, fov)
    assert float(x_to_azimuth(x, fov)) == pytest.approx(azimuth, abs=1e-6)
    assert (x > 0) == (azimuth > 0) or abs(azimuth) < 1e-300
    assert float(x_to_azimuth(x * zoom(fov), 120)) == pytest.approx(azimuth, abs=1e-5)


@many
@given(arrays(np.float64, (3, 4), elements=st.floats(-2000, 2000)), st.floats(1, 4000), st.floats(1, 4000))
def test_boxes_come_back_and_mirror(boxes, width, height):
    units = boxes_to_units(boxes, width, height)
    assert np.allclose(units_to_boxes(units, width, height), boxes, atol=1e-6)
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = width - boxes[:, [2, 0]]
    wanted = mirror_positions(torch.from_numpy(units))
    assert np.allclose(boxes_to_units(mirrored, width, height), wanted.numpy(), atol=1e-6)


# --- files --------------------------------------------------------------------------------------------------


@many
@given(st.lists(st.tuples(cells, cells), max_size=5))
def test_rows_come_back(tmp_path, rows):
    write_rows(tmp_path / "a.csv", "one,two", rows)
    kept = [(row["one"], row["two"]) for row in read_rows(tmp_path / "a.csv", ("one", "two"))]
    assert kept == rows


finite = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | cells,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(cells, inner, max_size=3),
)


@many
@given(finite)
def test_json_comes_back(tmp_path, content):
    write_json(tmp_path / "a.json", content)
    assert read_json(tmp_path / "a.json") == content


@many
@given(
    arrays(
        np.float32, array_shapes(max_dims=3, max_side=5), elements=st.floats(-(2.0**99), 2.0**99, width=32)
    ),
    finite,
)
def test_tensors_come_back(tmp_path, array, more):
    save_tensors(tmp_path / "a.pth", {"weight": torch.from_numpy(array), "more": more})
    kept = load_tensors(tmp_path / "a.pth")
    assert torch.equal(kept["weight"], torch.from_numpy(array))
    assert kept["more"] == more


@many
@given(st.integers(1, 90), st.integers(1, 40), st.integers(0, 99))
def test_mels_come_back(tmp_path, bands, frames, seed):
    pair = np.random.default_rng(seed).normal(size=(2, bands, frames)).astype(np.float32)
    save_mel_pair(tmp_path, "a", pair)
    assert np.array_equal(load_mel_pair((tmp_path / "a_left.npy", tmp_path / "a_right.npy"), bands), pair)


@many
@given(
    arrays(
        np.float32, st.tuples(st.integers(1, 3), st.integers(1, 300)), elements=st.floats(-2, 2, width=32)
    ),
    st.sampled_from([("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("FLOAT", 0.0)]),
)
def test_sounds_come_back_within_half_a_step(tmp_path, wav, kind):
    write_wav(tmp_path / "a.wav", wav, 22_050, kind[0])
    kept, rate = read_wav(tmp_path / "a.wav")
    assert rate == 22_050
    assert np.abs(kept - np.clip(wav, -1, 1)).max() <= kind[1] + 1e-9


# --- damage -------------------------------------------------------------------------------------------------


def whole_files(folder):
    soundfile.write(folder / "a.wav", np.zeros((500, 2)), 22_050)
    soundfile.write(folder / "a.flac", np.random.default_rng(0).normal(size=(500, 2)) * 0.1, 22_050)
    Image.effect_noise((40, 30), 50).convert("RGB").save(folder / "a.jpg")
    Image.effect_noise((40, 30), 50).save(folder / "a.png")
    np.save(folder / "a.npy", np.ones((4, 5), np.float32))
    (folder / "a.csv").write_text("video_id,start_time,end_time\na,0,1\nb,0.5,2\n")
    (folder / "a.json").write_text(json.dumps({"a": [1, 2.5, None], "b": {"c": "d"}}))


READ = {
    "a.wav": read_wav,
    "a.flac": read_wav,
    "a.jpg": read_picture,
    "a.png": read_picture,
    "a.npy": load_array,
    "a.csv": read_clips,
    "a.json": read_json,
}


@many
@given(st.integers(0, 10**9), st.integers(0, 255), st.integers(0, 10**9))
@pytest.mark.parametrize("name", READ)
def test_a_damaged_file_is_refused_by_name_or_read(name, tmp_path, at, value, end):
    """A byte is changed, and the file may be truncated."""
    whole_files(tmp_path)
    path = tmp_path / name
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    path.write_bytes(data[: end % (3 * len(data)) + 1])
    answers(READ[name], path)
