"""The kit: recipes on a tiny corpus, its tools; rows without material are left out."""

import importlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from DiffBinaural.dataset.trajectories import read_trajectory
from DiffBinaural.experiments import figures, ingredients, kit, make_results, runner, summary
from DiffBinaural.experiments.choose_sounds import files_of_class
from DiffBinaural.experiments.cues import cue_lines, cues_by_second
from DiffBinaural.experiments.every_row import csv_rows
from DiffBinaural.experiments.kit import HEADS, KIT, MATERIAL, TOLD, VIDEO_ROW, kit_scenes, talking_video
from DiffBinaural.experiments.mono2binaural.config import TrainMono2BinauralConfig
from DiffBinaural.experiments.mono2binaural.training import BEST, CONFIG, build_network
from DiffBinaural.experiments.recipes import PEER_RUN
from DiffBinaural.experiments.registry import Experiment
from DiffBinaural.experiments.runner import ROOT, finished, lacking
from DiffBinaural.heads.sphere import high_frequency_itd, low_frequency_itd
from DiffBinaural.utils.audio import write_wav
from DiffBinaural.utils.files import save_tensors, write_json
from DiffBinaural.utils.media import pictures, read_sound

RATE = 22_050
# the last of a repeated flag counts
TINY = {
    "simulate_dataset": "--clips 3 --held_out 1 --seconds 1 --frame_size 128x72 --video_fps 10 --workers 1",
    "train_realBinaural": "--time_budget 0.5 --batch_size_per_gpu 2 --workers 0",
    "evaluate_binaural_22050": "--workers 1",
}


def noise(seconds, seed=0):
    return 0.2 * np.random.default_rng(seed).standard_normal((1, round(seconds * RATE))).astype(np.float32)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder in place of the project's, with a corpus of two classes, the clip, an untrained peer."""
    monkeypatch.chdir(tmp_path)
    for module in (runner, summary, figures):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for seed, kind in enumerate(("cat", "dog", "bell")):
        for number in range(2):
            write_wav(f"data/kit/sounds/{kind}/{kind}_{number}.wav", noise(1.5, 2 * seed + number), RATE)
        for folder, mode in ((f"cutouts/{kind}", "RGBA"), ("backgrounds", "RGB")):
            Path("data/kit", folder).mkdir(parents=True, exist_ok=True)
            size = (24, 32) if mode == "RGBA" else (200, 120)
            Image.new(mode, size, (200, 60 * seed, 40)).save(Path("data/kit", folder, f"{kind}.png"))
    shutil.copytree(ROOT / "examples", "examples")
    sizes = {"channels": 8, "image_height": 32, "trunk_stride": 16, "visual_weights": "random"}
    peer = TrainMono2BinauralConfig(run=PEER_RUN, data_root="d", **sizes)
    save_tensors(Path(PEER_RUN, BEST), build_network(peer, "random").state_dict())
    write_json(Path(PEER_RUN, CONFIG), asdict(peer))
    return tmp_path


def run_here(experiment, scripts):
    """The commands of an experiment in this process, on tiny data; its record as carry_out writes it."""
    here = experiment.folder(Path("results"))
    for script, *words in experiment.words(Path("results"), "small"):
        name = Path(script).stem
        scripts(script.removesuffix(".py").replace("/", "."), *words, *TINY.get(name, "").split())
    record = {"commands": [], "settings": {}, "seconds": [], "machine": runner.machine()}
    (here / runner.RECORD).write_text(json.dumps(record))


def test_a_row_measures_its_systems_on_scenes_of_the_material(project, scripts, monkeypatch):
    few = {name: kit.SYSTEMS[name] for name in ("model_none", "geometry_true")}  # no detector: for the time
    monkeypatch.setattr(kit, "SYSTEMS", few)
    row = kit_scenes("cats, dogs", "cat dog/dog_1.wav", "--room --seed 3")
    assert lacking(row, Path("results")) is None
    run_here(row, scripts)
    here = row.folder(Path("results"))
    assert sorted(p.name for p in (here / "sounds").rglob("*.wav")) == ["cat_0.wav", "cat_1.wav", "dog_1.wav"]
    systems = summary.collect([row], Path("results"))["kit/cats, dogs"]["systems"]
    assert {*few, "mono2binaural", "mono_copy", "oracle_mono_phase"} <= systems.keys()
    assert systems["geometry_true"]["itd_error"]["mean"] < systems["mono_copy"]["itd_error"]["mean"]
    shutil.rmtree("data/kit/backgrounds")
    assert MATERIAL[1] in lacking(replace(row, row="another"), Path("results"))


def test_a_training_without_an_ingredient_is_compared_with_that_of_all_of_them(project, scripts):
    shutil.copytree("data/kit", ingredients.TRAINING)
    films = kit.film_commands("cat dog/dog_1.wav", "--seed 3", ingredients.HEAD, clips=3)
    every, row = ingredients.trained_on(ingredients.EVERY), ingredients.without("real sounds", "stft")
    rows = [replace(ingredients.TEST, commands=films, requires=()), row]
    for each in rows:
        run_here(each, scripts)
    shutil.copytree(row.folder(Path("results")), every.folder(Path("results")))  # for the time
    found = summary.collect(rows, Path("results"))["parts/real sounds"]
    assert found["part_of"] == ingredients.EVERY
    assert {"with", "without"} == found["systems"].keys()
    assert found["systems"]["without"]["stft"]["n"] == 1
    assert not summary.undecided([ingredients.without("box noise", "stft")], Path("results"))


def test_each_row_lacks_the_one_ingredient_that_it_names():
    _, whole, *others = ingredients.INGREDIENT_ROWS
    assert [row.row for row in others] == list(ingredients.INGREDIENTS)
    for row in (whole, *others):
        (words,) = [set(words.split()) for words in row.commands if "simulate_dataset" in words]
        lacking_here = {
            name for name, given in ingredients.INGREDIENTS.items() if not set(given.split()[::2]) & words
        }
        assert lacking_here == {row.row} - {ingredients.EVERY}
        assert ("--cutouts" in words) == (row.row not in ("varied looks", "real sounds"))
        assert set(ingredients.TEST.requires) < set(row.requires)


def test_rows_whose_material_is_missing_are_left_out_with_a_line(tmp_path, monkeypatch, capsys):
    script = tmp_path / "touch.py"
    script.write_text("import sys, pathlib\npathlib.Path(sys.argv[1]).touch()\n")
    rows = [
        Experiment("t", name, (f"{script} {{here}}/made",), requires=needed)
        for name, needed in (("one", ()), ("two", ("data/gone", "data/here")), ("three", ("data/here",)))
    ]
    (tmp_path / "data/here").mkdir(parents=True)
    monkeypatch.setattr(runner, "ROOT", tmp_path)
    make_results.carry_out_all(rows, Path("results"), "small")
    assert [finished(row, Path("results")) for row in rows] == [True, False, True]
    said = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(said) == 1
    assert said[0].startswith("t/two: left out, data/gone is missing")
    (tmp_path / "data/gone").mkdir()
    make_results.carry_out_all(rows, Path("results"), "small")
    assert finished(rows[1], Path("results"))
    (tmp_path / "data/gone").rmdir()
    assert lacking(rows[1], Path("results")) is None  # it is done


def test_rows_of_measured_heads_need_their_files_and_all_rows_their_sounds():
    for row in KIT:
        words = " ".join(row.commands)
        assert [path for path in row.requires if path.endswith(".sofa")] == sorted(
            {word for word in words.split() if word.startswith(HEADS)}
        )
        assert ("simulate_dataset" in words) == bool(row.requires)


def test_told_where_the_talking_man_is_his_cues_are_those_of_that_direction(project, scripts):
    row = talking_video()
    *_, told, cues = row.words(Path("results"), "small")
    cues = [word for word in cues if "=" not in word or word.startswith(f"{TOLD}=")]
    for script, *words in (told, cues):
        scripts(script.removesuffix(".py").replace("/", "."), *words)
    found = json.loads((row.folder(Path("results")) / "cues.json").read_text())
    (point,) = read_trajectory("examples/speaker.csv")
    itd, ild = (np.array(values, dtype=float) for values in found[TOLD].values())
    low, high = (1e6 * bound(point.azimuth) for bound in (high_frequency_itd, low_frequency_itd))
    assert np.isfinite(itd).sum() >= 7
    assert low < np.nanmin(itd) < np.nanmax(itd) < high
    assert np.nanmin(ild) > 1
    rows = csv_rows({"kit": {VIDEO_ROW: {"cues": found}}})["talking_video"]
    assert [value for sound, cue, _, value in rows if cue.startswith("ITD")] == found[TOLD][rows[0][1]]


def test_cues_by_second_are_the_delay_and_gain_of_each_second():
    sound, lag = noise(3.0)[0], 8
    left, right = np.zeros((2, 3 * RATE), np.float32)
    begin = RATE + 1200  # no frame of the first second reaches it
    left[begin + lag : 2 * RATE], right[begin : 2 * RATE] = sound[begin + lag : 2 * RATE], 0
    right[begin : 2 * RATE - lag] = 2 * sound[begin + lag : 2 * RATE]
    left[2 * RATE :], right[2 * RATE :] = sound[:RATE], sound[:RATE]
    itd, ild = cues_by_second(np.stack([left, right]), RATE).values()
    assert itd[0] is None
    assert ild[0] is None
    assert itd[1:] == pytest.approx([1e6 * lag / RATE, 0], abs=0.5)
    assert ild[1:] == pytest.approx([20 * np.log10(2), 0], abs=0.05)


def test_the_reference_is_drawn_with_its_mirror_image():
    lines = cue_lines({"made": {"ITD": [1.0, None]}, "told": {"ITD": [2.0, -3.0]}}, "told")
    assert list(lines) == ["told", "told_mirrored", "made"]
    seconds, values = lines["told_mirrored"]["ITD"]
    assert (seconds.tolist(), values.tolist()) == ([0.5, 1.5], [-2.0, 3.0])
    assert np.isnan(lines["made"]["ITD"][1][1])


def test_a_mirrored_video_shows_the_mirror_image_with_the_same_sound(project, scripts):
    scripts(
        "DiffBinaural.experiments.mirror_video",
        *("--input_video", "examples/talking.mp4", "--output_dir", "films"),
    )
    film, image = Path("films/talking.mp4"), Path("films/talking_mirrored.mp4")
    assert film.read_bytes() == (ROOT / "examples/talking.mp4").read_bytes()
    pairs = list(zip(pictures(film, 12), pictures(image, 12), strict=True))
    assert len(pairs) > 100
    for theirs, ours in pairs[::20]:
        assert np.abs(theirs[:, ::-1].astype(int) - ours).mean() < 4  # encoded again
        assert np.abs(theirs.astype(int) - ours).mean() > 20
    (one, rate), (other, same) = read_sound(film), read_sound(image)
    size = min(one.shape[1], other.shape[1])
    assert rate == same
    assert abs(one.shape[1] - other.shape[1]) < rate / 10
    assert np.corrcoef(one[0, :size], other[0, :size])[0, 1] > 0.95


def test_sounds_that_a_corpus_lacks_are_named(project):
    sounds = Path("data/kit/sounds")
    assert [path.name for path in files_of_class(sounds, "cat")] == ["cat_0.wav", "cat_1.wav"]
    for name in ("cow", "cat/cat_2.wav"):
        with pytest.raises(FileNotFoundError, match=f"{name}: no such sounds; gather_corpus"):
            files_of_class(sounds, name)


def test_cues_want_named_binaural_files(project):
    config = importlib.import_module("DiffBinaural.experiments.config").CuesConfig
    assert config(wavs=("a=b.wav", "c=d=e.wav")).files == {"a": "b.wav", "c": "d=e.wav"}
    for wrong in ("b.wav", "=b.wav", "a="):
        with pytest.raises(ValueError, match=f"--wavs {wrong}: expected NAME=FILE"):
            config(wavs=(wrong,))
