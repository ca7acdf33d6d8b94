"""What RESULTS.md says of figures: gains that are proven, baselines that win, what was made with what."""

import json
import re
from dataclasses import replace

import pytest

from DiffBinaural.experiments import figures, made, questions, runner, summary, tables, verdicts
from DiffBinaural.experiments.registry import Experiment
from DiffBinaural.utils.files import save_tensors

ERRORS = {"levelled": 1.0, "geometry": 1.5, "mono2binaural": 0.5, "mono_copy": 2.0, "levelled_whole": 2.0}


def scenes(root, row, shift=0.0, table="quality"):
    """A finished experiment of five clips with errors near ERRORS."""
    e = Experiment(table, row, ("x",))
    e.folder(root).mkdir(parents=True)
    rows = [
        {"id": str(clip), "system": system} | {name: error + shift + 0.01 * clip for name in figures.HEADLINE}
        for system, error in ERRORS.items()
        for clip in range(5)
    ]
    record = {
        "commands": ["x"],
        "settings": {},
        "seconds": [1.0],
        "machine": runner.machine(),
        "bundled": None,
    }
    (e.folder(root) / "metrics.json").write_text(json.dumps({"clips": rows}))
    (e.folder(root) / "record.json").write_text(json.dumps(record))
    return e


@pytest.fixture
def known(tmp_path, monkeypatch):
    """Two kinds of scenes, where geometry is worse than ours and Mono2Binaural better."""
    rows = [scenes(tmp_path, "easy"), scenes(tmp_path, "hard", shift=1.0)]
    monkeypatch.setattr(summary, "EXPERIMENTS", tuple(rows))
    found = summary.updated({}, summary.collect(rows, tmp_path), tmp_path)
    return {
        "quality": {row: found[f"quality/{row}"] for row in ("easy", "hard")},
        "all": {"quality": found["all/quality"]},
    }


def test_ours_is_compared_with_every_baseline_clip_by_clip(known):
    compared = known["quality"]["easy"]["compared"]
    assert compared["geometry"]["stft"]["difference"] == pytest.approx(-0.5)
    assert compared["mono2binaural"]["stft"]["difference"] == pytest.approx(0.5)
    assert compared["geometry"]["stft"]["times"][0] == pytest.approx(1.02 / 1.52, rel=1e-3)


def test_pooled_figures_are_those_of_all_clips(known):
    ours = known["all"]["quality"]["systems"]["levelled"]["env"]
    assert (ours["n"], ours["mean"]) == (10, pytest.approx(1.52))
    assert ours["difference"] == pytest.approx(-1)


def test_pooled_figures_go_when_the_clips_of_a_row_are_not_here(known, tmp_path, monkeypatch):
    rows = summary.EXPERIMENTS
    before = {f"quality/{row}": entry for row, entry in known["quality"].items()}
    (rows[1].folder(tmp_path) / "record.json").unlink()
    after = summary.updated(before, {"quality/easy": before["quality/easy"]}, tmp_path)
    assert list(after) == list(before)


def test_a_baseline_has_its_column_where_its_figures_are_known(known):
    lines = questions.baseline_table(known, figures.HEADLINE).splitlines()
    assert lines[0] == "| error | model | the mono copy | geometry | Mono2Binaural |"
    assert re.search(r"\| 1\.52 \| 2\.52 \(\*\*Δ −1\*\* \[−1, −1\]\) \| 2\.02 \(\*\*Δ −0\.5\*\* ", lines[2])
    assert "1.02 (Δ +0.5 [" in lines[2]  # worse is not bold
    del known["all"]["quality"]["compared"]["mono2binaural"]
    assert questions.baseline_table(known).splitlines()[0].endswith("| the mono copy | geometry |")


def test_the_verdict_counts_gains_and_names_who_is_better(known):
    text = verdicts.baseline_verdict(known)
    assert "better than the mono copy in 8 of 8 (by 20 % or more in 8) and worse in 0" in text
    assert "better than geometry in 8 of 8 (by 20 % or more in 4) and worse in 0" in text
    assert "better than Mono2Binaural in 0 of 8 (by 20 % or more in 0) and worse in 8" in text
    assert "Mono2Binaural is better in *easy* (`stft`, `env`, `itd_error` and `ild_error`); *hard*" in text
    assert "Geometry is better" not in text


@pytest.mark.parametrize(
    ("name", "low", "high", "wanted"),
    [
        ("stft", -2, -1, 1),
        ("stft", 1, 2, -1),
        ("stft", -1, 1, 0),
        ("pesq_wb", 1, 2, 1),
        ("pesq_wb", -2, -1, -1),
    ],
)
def test_a_gain_is_proven_when_the_interval_lies_on_its_side(name, low, high, wanted):
    found = {"mean": 3.0, "difference": (low + high) / 2, "low": low, "high": high}
    assert tables.proven(found, name) == wanted
    for gain in (1, -1):
        assert ("**" in tables.cell(found, name, gain)) == (wanted == gain)


def entry_with(*commands, unet="0", steps=1):
    bundled = {"unet": unet, "steps": steps}
    machine = {"cores": 2, "processor": "P", "gpu": None, "torch": "2"}
    return {"commands": list(commands), "bundled": bundled, "machine": machine}


def test_what_a_figure_was_made_with_is_read_from_its_commands():
    now = runner.bundled_hash()
    plain = made.settings({"a": entry_with("x", unet=now), "b": entry_with("x", unet=now)})
    assert (
        plain == f"the bundled models ({now}); 1 denoising step; without `--symmetric`; 2 cores, P, torch 2"
    )
    by_vocoder = entry_with("x weights/vocoder/g_best.pth", unet=now)
    for known, said in (({"vocoder": "0ld"}, "0ld"), ({}, "of version 0.2.0")):
        older = made.settings({"a": {**by_vocoder, **known}})
        assert f"**an earlier vocoder** ({said}; bundled now: {runner.vocoder_hash()})" in older
    assert "vocoder" not in made.settings({"a": {**by_vocoder, "vocoder": runner.vocoder_hash()}})
    other = made.settings({"a": entry_with("x --symmetric --sampling_timesteps 8", unet="0ld")})
    assert f"**earlier models** (0ld; bundled now: {now}); 8 denoising steps; `--symmetric`" in other


def test_new_bundled_models_start_an_experiment_again(tmp_path, monkeypatch):
    script = tmp_path / "count.py"
    script.write_text("import sys\nopen(sys.argv[1], 'a').write('x')\n")
    e = Experiment("table", "row", (f"{script} {{here}}/notes weights/stage1",))
    for digest in ("first", "first", "second"):
        monkeypatch.setattr(runner, "bundled_hash", lambda digest=digest: digest)
        runner.carry_out(e, tmp_path, "small")
        assert runner.record_of(e, tmp_path)["bundled"]["unet"] == digest
    assert (e.folder(tmp_path) / "notes").read_text() == "x"
    assert len((e.folder(tmp_path) / "log.txt").read_text()) == 0
    assert runner.finished(replace(e, row="row"), tmp_path)


def test_a_new_bundled_vocoder_starts_an_experiment_again(tmp_path, monkeypatch):
    for name in ("g_best.pth", "config.json"):
        (tmp_path / "vocoder").mkdir(exist_ok=True)
        (tmp_path / "vocoder" / name).write_text("first")
    monkeypatch.setattr(runner, "BUNDLED", tmp_path)
    script = tmp_path / "count.py"
    script.write_text("import sys\nopen(sys.argv[1], 'a').write('x')\n")
    rows = {"uses it": "weights/vocoder/g_best.pth", "does not": "no"}
    steps = (
        ("g_best.pth", "first"),
        ("config.json", "second"),
        ("config.json", "second"),
        ("g_best.pth", "third"),
    )
    for name, content in steps:
        (tmp_path / "vocoder" / name).write_text(content)
        for row, words in rows.items():  # what a command writes outside its folder is not cleared
            e = Experiment("table", row, (f"{script} {tmp_path / row.split()[0]} {words}",))
            runner.carry_out(e, tmp_path, "small")
            assert (runner.record_of(e, tmp_path)["vocoder"] is None) == (words == "no")
    assert (tmp_path / "uses").read_text() == "xxx"
    assert (tmp_path / "does").read_text() == "x"


def test_what_uses_the_bundled_stage_1_is_seen_from_its_commands():
    assert runner.bundled_stage1([["DiffBinaural/test_realBinaural.py", "--run", "weights/stage1"]])
    assert runner.bundled_stage1([["BigVGAN/inference_e2e.py", "--input_video", "a.mp4"]])
    assert not runner.bundled_stage1([["DiffBinaural/test_realBinaural.py", "--run", "checkpoints/own"]])
    assert not runner.bundled_stage1([["DiffBinaural/simulate_dataset.py", "--out", "data"]])


def test_of_the_peers_training_the_best_validation_and_no_place_is_kept(tmp_path):
    errors = [(100, 2.0), (200, 1.5), (300, 1.6)]
    rows = [{"step": n, "val/difference_mse": e, "val/mono_copy_difference_mse": 2.2} for n, e in errors]
    (tmp_path / "training_history.json").write_text(json.dumps(rows))
    given = {"run": "a", "data_root": "b", "device": "cpu", "time_budget": 1200.0, "batch_size": 16}
    (tmp_path / "config.json").write_text(json.dumps(given))
    save_tensors(tmp_path / "state_latest.pth", {"progress": {"step": 300, "seconds": 1200.4, "best": 1.5}})
    found = made.training_of_peer(tmp_path)
    assert found["config"] == {"time_budget": 1200.0, "batch_size": 16}
    assert (found["best"], found["last"]) == (rows[1], rows[2])
    said = verdicts.peer_verdict(found)
    assert all(word in said for word in ("20 minutes", "300 steps", "step 200", "1.5", "2.2", "1.6"))
