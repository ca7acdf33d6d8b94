"""The check of a dataset: every mistake that was made is found by name, and nothing else."""

import html
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.checking.config import CheckConfig
from DiffBinaural.checking.dataset import stored_checks
from DiffBinaural.checking.lists import shared_line, shared_recordings
from DiffBinaural.checking.remarks import CURES
from DiffBinaural.checking.sounds import best_match, sound_remarks
from DiffBinaural.checking.summary import starting_lines
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.dataset.recordings import BINAURAL, DETECTIONS, FRAMES, MONO
from DiffBinaural.inference.channel_pairs import one_sound
from DiffBinaural.utils.lists import Clip

RATE, SCRIPT = 22_050, "DiffBinaural.check_dataset"


def dry(seed=0, seconds=2.0):
    """Noise whose loudness changes, (N,)."""
    random = np.random.default_rng(seed)
    steps = np.repeat(random.random(round(seconds * 10)), RATE // 10)
    return (0.3 * random.standard_normal(len(steps)) * steps).astype(np.float32)


def ears(wave):
    """Louder and earlier on the left, in a room, (2, N), and their mean (1, N)."""
    room = 0.02 * np.random.default_rng(9).standard_normal((2, len(wave)))
    pair = (np.stack([wave, 0.5 * np.roll(wave, 12)]) + room).astype(np.float32)
    return pair.mean(0, keepdims=True), pair


def kinds(mono, pair):
    found = dict(sound_remarks(mono, pair, RATE))
    return {*found, *(["one sound"] if one_sound(pair, RATE) else [])}


SPOILT = {
    "good": (lambda mono, pair: pair, set()),
    "silent": (lambda mono, pair: 0 * pair, {"silent", "one sound"}),
    "dual mono": (lambda mono, pair: np.repeat(mono, 2, 0), {"one sound"}),
    "one empty": (lambda mono, pair: pair * [[1], [0]], {"one sound"}),
    "another's": (lambda mono, pair: ears(dry(1))[1], {"another sound"}),
    "late": (lambda mono, pair: np.roll(pair, 882, 1), {"late"}),
    "early": (lambda mono, pair: np.roll(pair, -882, 1), {"late"}),
    "softer": (lambda mono, pair: 0.1 * pair, {"level"}),
    "inverted": (lambda mono, pair: -pair, {"inverted"}),
    "a little softer, later": (lambda mono, pair: 0.8 * np.roll(pair, 44, 1), set()),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_with_a_sound_is_what_was_done_to_it(name):
    spoil, wanted = SPOILT[name]
    mono, pair = ears(dry())
    assert kinds(mono, spoil(mono, pair).astype(np.float32)) == wanted


@given(st.integers(-20_000, 20_000), st.floats(0.01, 10), st.sampled_from([-1, 1]))
@settings(max_examples=20, deadline=None)
def test_a_delay_is_measured_to_the_sample(late, gain, sign):
    wave = dry(2)
    match, delay = best_match(wave, sign * gain * np.roll(wave, late), RATE)
    assert round(delay * RATE) == late
    assert sign * match > 0.3


def test_of_a_tone_that_fits_at_many_delays_the_least_is_taken():
    tone = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert best_match(tone, tone, RATE)[1] == 0


# --- lists --------------------------------------------------------------------------------------------------


def test_lists_that_share_recordings_or_clips():
    train = [Clip("a", 0, 2), Clip("b", 0, 2), Clip("c", 0, 2)]
    val = [Clip("b", 2, 4), Clip("c", 1, 3), Clip("d")]
    found = {r.video_id: r.reason for r in shared_recordings({"train": train, "val": val})}
    assert found.keys() == {"b", "c"}
    assert "same part" in found["c"]
    assert "same part" not in found["b"]
    assert "share 2 recording(s), 1 of them clips too" in shared_line({"train": train, "val": val})
    assert shared_line({"train": train, "val": [Clip("d")]}) == ""


# --- a dataset ----------------------------------------------------------------------------------------------


@pytest.fixture
def data(scenes, tmp_path):
    """A copy whose files can be replaced, and its ids."""
    root = Path(shutil.copytree(scenes, tmp_path / "data"))
    return root, sorted(path.name for path in (root / FRAMES).iterdir())


def edit(path, change):
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    soundfile.write(path, change(wave), rate)


def lines_of(capsys):
    return {
        found[1]: found[2]
        for line in capsys.readouterr().out.splitlines()
        if (found := re.match(r"  (scene_\d+): (.*)", line))
    }


def test_a_simulated_dataset_is_not_suspect(data, scripts, capsys):
    root, ids = data
    scripts(SCRIPT, "--data_root", root, "--workers", 1)
    said = capsys.readouterr().out
    assert f"{len(ids)} recordings, 0 suspect" in said
    assert (root / "check/index.html").exists()


def missed(page):
    """The links within a page that lead nowhere; there are some links."""
    wanted, there = (
        set(map(html.unescape, re.findall(rf'{key}([^"]+)"', page))) for key in ('href="#', ' id="')
    )
    assert wanted
    return {unquote(link) for link in wanted} - there


def test_mistakes_are_found_and_shown_the_worst_first(data, scripts, capsys):
    root, ids = data
    edit(root / BINAURAL / f"{ids[0]}.wav", lambda wave: wave[:, :1].repeat(2, 1))
    edit(root / BINAURAL / f"{ids[1]}.wav", lambda wave: np.roll(wave, 1000, 0))
    for path in sorted((root / FRAMES / ids[2]).iterdir())[7:]:
        path.unlink()
    shutil.copy(root / MONO / f"{ids[4]}.wav", root / MONO / f"{ids[3]}.wav")
    shutil.copy(root / BINAURAL / f"{ids[4]}.wav", root / BINAURAL / f"{ids[3]}.wav")
    scripts(SCRIPT, "--data_root", root, "--workers", 1, "--no-ears")
    found = lines_of(capsys)
    assert list(found) == [ids[2], ids[0], ids[1], ids[4]]
    assert CURES["late"] in found[ids[1]]
    page = (root / "check/index.html").read_text()
    order = [page.index(f'id="{name}"') for name in found]
    assert order == sorted(order)
    for link in re.findall(r'src="([^"]+)"', page):
        assert (root / "check" / link).exists(), link
    assert "{{" not in page
    assert not missed(page)


def test_only_what_has_changed_is_checked_again(data, scripts, capsys):
    root, ids = data
    words = ("--data_root", root, "--workers", 1, "--no-ears")
    scripts(SCRIPT, *words)
    stored = json.loads((root / "check/check.json").read_text())
    for check in stored["checks"]:
        check["remarks"] = [["level", "as stored"]]
    (root / "check/check.json").write_text(json.dumps(stored))
    edit(root / BINAURAL / f"{ids[1]}.wav", lambda wave: 0 * wave)
    capsys.readouterr()
    scripts(SCRIPT, *words)
    found = lines_of(capsys)
    assert "silent" in found[ids[1]]
    assert all("as stored" in found[name] for name in ids if name != ids[1])
    (root / "check/check.json").write_text("{")
    assert stored_checks(CheckConfig(data_root=str(root)).folder) == {}


def test_a_name_with_markup_stays_text(data, scripts):
    root, ids = data
    strange = "<b onload=x> & {{MILD}} #1%"
    for path in (root / BINAURAL / f"{ids[0]}.wav", root / MONO / f"{ids[0]}.wav", root / FRAMES / ids[0]):
        os.rename(path, path.with_name(strange + path.suffix))
    for table in ("train", "val", "test"):
        path = root / f"splits/{table}.csv"
        path.write_text(path.read_text().replace(ids[0], strange))
    edit(root / BINAURAL / f"{strange}.wav", lambda wave: 0 * wave)
    scripts(SCRIPT, "--data_root", root, "--workers", 1, "--no-ears")
    page = (root / "check/index.html").read_text()
    assert "<b onload" not in page
    assert "&lt;b onload=x&gt; &amp; &#123;&#123;MILD}}" in page
    assert not missed(page)


def test_a_training_says_what_its_data_is(data, scripts):
    root, ids = data
    edit(root / BINAURAL / f"{ids[0]}.wav", lambda wave: wave[:, :1].repeat(2, 1))
    train = RealBinaural(root, "train", MelConfig(), ViewConfig(image_size=16))
    shared, line = starting_lines({"train": train, "val": train})
    assert "share 3 recording(s)" in shared
    assert f"3 recordings, 3 with detections; 1 of 3 checked are suspect: {ids[0]}" in line
    assert "check_dataset.py" in line
    scripts(SCRIPT, "--data_root", root, "--workers", 1)
    (line,) = starting_lines({"train": train})
    assert f"suspect: {ids[0]} (" in line
    assert "check/index.html" in line


# --- what a dataset folder refuses, in training and testing ------------------------------------------------


def rewrite(root, change):
    path = root / DETECTIONS
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *(",".join(change(row.split(","))) for row in rows)]) + "\n")


def boxes(factor):
    return lambda row: [*row[:2], *(str(float(side) * factor) for side in row[2:6]), *row[6:]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (boxes(1 / 240), "0..1"),
        (boxes(8), "lies outside"),
        (lambda row: [row[0], str(int(row[1]) * 3), *row[2:]], "come after"),
        (lambda row: [f"{row[0]}.mp4", *row[1:]], "none of its"),
    ],
)
def test_detections_that_do_not_fit_are_refused(data, change, said):
    root, _ = data
    rewrite(root, change)
    with pytest.raises(ValueError, match=said):
        RealBinaural(root, "train", MelConfig(), ViewConfig(image_size=16), truth=False)


def test_a_table_under_another_name_is_refused(data):
    root, _ = data
    (root / DETECTIONS).rename((root / DETECTIONS).with_name("detections.csv"))
    with pytest.raises(ValueError, match=r"detections\.csv: is not read"):
        RealBinaural(root, "train", MelConfig(), ViewConfig(image_size=16))


@pytest.mark.parametrize("fps", [3.3, 30])
def test_pictures_at_another_rate_are_refused(data, fps):
    root, _ = data
    facts = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**facts, "fps": fps}))
    with pytest.raises(ValueError, match=r"15 pictures last .* the sound 1\.50 s"):
        RealBinaural(root, "train", MelConfig(), ViewConfig(image_size=16), truth=False)


def test_clips_that_end_after_their_sound_are_said(data, capsys):
    root, ids = data
    path = root / "splits/train.csv"
    path.write_text(path.read_text() + f"{ids[0]},0:01,1:30,\n")
    RealBinaural(root, "train", MelConfig(), ViewConfig(image_size=16))
    assert f"train: 1 of 4 clips end after their sound, {ids[0]} at 90 s of 1.50 s" in capsys.readouterr().err
