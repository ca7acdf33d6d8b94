"""RESULTS.md: its commands parse, its experiments resume, its pages hold the recorded figures."""

import importlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest

from DiffBinaural.experiments import page as results_page
from DiffBinaural.experiments import runner, summary
from DiffBinaural.experiments.catalogue import EXPERIMENTS, POOLED, RETIRED, chosen
from DiffBinaural.experiments.registry import SCALES, Experiment
from DiffBinaural.experiments.runner import ROOT, carry_out, finished, record_of
from DiffBinaural.utils.arguments import parse


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: str(e.folder(Path())))
def test_commands_are_ones_that_the_scripts_take(experiment, scale):
    for script, *words in experiment.words(Path("generated"), scale):
        words = [
            "kemar" if word in experiment.requires and word.endswith(".sofa") else word for word in words
        ]
        module = importlib.import_module(script.removesuffix(".py").replace("/", "."))
        parse(get_type_hints(module.main)["cfg"], getattr(module, "PRESETS", None), words)


def test_rows_and_folders_are_told_apart_and_parts_belong_to_rows():
    assert len({e.folder(Path()) for e in EXPERIMENTS}) == len(EXPERIMENTS)
    rows = {e.row for e in EXPERIMENTS if e.table == "parts"}
    for e in EXPERIMENTS:
        if e.against or e.decided_by:
            assert e.against in rows
            assert e.decided_by in summary.FIGURES["parts"]


def test_a_row_brings_what_it_needs_in_the_lists_order():
    for e in EXPERIMENTS:
        rows = {(one.table, one.row) for one in chosen((f"{e.table}/{e.row}",), Path("r"), "small")}
        assert not e.against or ("parts", e.against) in rows
    found = chosen(("parts/scheduled sampling, with", "steps"), Path("r"), "small")
    names = [str(e.folder(Path())) for e in found]
    assert names == [
        "quality/2_sources_room",
        "data/scenes",
        "parts/all",
        "parts/vocoder",
        "data/predicted",
        "parts/scheduled_sampling_with",
        "steps/shipped_models",
        "steps/rendered",
    ]
    with pytest.raises(ValueError, match="parts/nothing: no such table or row"):
        chosen(("parts/nothing",), Path("r"), "small")


@pytest.fixture
def note(tmp_path):
    """A command that adds a letter to a file, and fails where a file `stop` lies beside it."""
    script = tmp_path / "note.py"
    script.write_text(
        "import sys, pathlib as p\nhere = p.Path(sys.argv[1])\n"
        "if (here.parent / 'stop').exists() and sys.argv[2] == 'b': sys.exit('no b today')\n"
        "open(here / 'notes', 'a').write(sys.argv[2])\n"
    )
    return lambda *letters: Experiment("table", "row", tuple(f"{script} {{here}} {one}" for one in letters))


def test_what_is_done_is_not_done_again(note, tmp_path):
    (tmp_path / "table").mkdir()
    (tmp_path / "table/stop").touch()
    one, notes = note("a", "b", "c"), tmp_path / "table/row/notes"
    with pytest.raises(ValueError, match=r"log.txt: python .* b ended with status 1: no b today"):
        carry_out(one, tmp_path, "small")
    assert notes.read_text() == "a"
    assert not finished(one, tmp_path)
    (tmp_path / "table/stop").unlink()
    carry_out(one, tmp_path, "small")
    carry_out(one, tmp_path, "small")
    assert notes.read_text() == "abc"
    assert finished(one, tmp_path)
    assert len(record_of(one, tmp_path)["seconds"]) == 3
    carry_out(note("a", "x"), tmp_path, "small")  # another declaration starts anew
    assert notes.read_text() == "ax"


def test_what_a_first_command_has_saved_is_there_when_it_goes_on(note, tmp_path):
    (tmp_path / "table").mkdir()
    (tmp_path / "table/stop").touch()
    with pytest.raises(ValueError, match="no b today"):
        carry_out(note("b"), tmp_path, "small")
    (tmp_path / "table/row/half").touch()
    (tmp_path / "table/stop").unlink()
    carry_out(note("b"), tmp_path, "small")
    assert (tmp_path / "table/row/half").exists()


def test_with_an_experiment_go_those_that_need_it(tmp_path, monkeypatch):
    first = Experiment("t", "first", ("x",))
    second = Experiment("t", "second", ("x {root}/t/first/file",))
    third = Experiment("t", "third", ("x",), against="second")
    other = Experiment("t", "other", ("x",))
    monkeypatch.setattr(runner, "EXPERIMENTS", (first, second, third, other))
    for e in (first, second, third, replace(third, seed=2), other):
        e.folder(tmp_path).mkdir(parents=True)
        (e.folder(tmp_path) / "record.json").write_text('{"commands": ["x"], "seconds": [1.0]}')
    runner.clear(first, tmp_path, "small")
    left = [e.row for e in (first, second, third, replace(third, seed=2), other) if finished(e, tmp_path)]
    assert left == ["other"]


def finished_part(root, row, values, **about):
    """A finished experiment of the parts, whose clips have these figures."""
    e = Experiment("parts", row, ("x",), **about)
    folder = e.folder(root)
    folder.mkdir(parents=True)
    rows = [
        {"id": str(clip), "system": system, "mel_rmse": value}
        for clip, value in enumerate(values)
        for system in ("model", "mono_copy")
    ]
    (folder / "metrics.json").write_text(json.dumps({"clips": rows}))
    (folder / "record.json").write_text(
        json.dumps({"commands": ["x"], "settings": {}, "seconds": [1.0], "machine": runner.machine()})
    )
    return e


def test_a_parts_worth_is_the_paired_difference_over_the_seeds(tmp_path):
    clips = [0.2, 0.9, 0.4, 0.7]
    whole = finished_part(tmp_path, "all", clips)
    worse = finished_part(
        tmp_path,
        "worse",
        [v + d for v, d in zip(clips, (0.1, 0.2, 0.1, 0.2))],
        against="all",
        decided_by="mel_rmse",
    )
    close = finished_part(
        tmp_path,
        "close",
        [v + d for v, d in zip(clips, (0.1, -0.1, 0.2, -0.2))],
        against="all",
        decided_by="mel_rmse",
        decision="kept",
    )
    found = summary.part(worse, tmp_path)["systems"]["without"]["mel_rmse"]
    assert found["difference"] == pytest.approx(0.15)  # though clips differ by far more than the systems
    assert 0.1 <= found["low"] < 0.15 < found["high"] <= 0.2
    every = [whole, worse, close]
    harmful = finished_part(
        tmp_path, "harmful", [v - 0.1 for v in clips], against="all", decided_by="mel_rmse"
    )
    assert not summary.unproved(summary.part(worse, tmp_path))
    assert summary.unproved(summary.part(close, tmp_path))
    assert summary.unproved(summary.part(harmful, tmp_path))  # sure, but of the contrary
    again = summary.undecided(every, tmp_path)
    assert sorted((e.row, e.seed) for e in again) == [("all", 1), ("all", 2), ("close", 1), ("close", 2)]

    finished_part(tmp_path, "all", clips, seed=1)
    assert summary.part(close, tmp_path)["systems"]["without"]["mel_rmse"]["difference"] == pytest.approx(0)
    finished_part(tmp_path, "close", [v + 0.2 for v in clips], against="all", decided_by="mel_rmse", seed=1)
    both = summary.part(close, tmp_path)["systems"]["without"]["mel_rmse"]
    assert both["difference"] == pytest.approx(0.1)  # the mean over both seeds, clip by clip
    assert summary.undecided(every, tmp_path) == again  # repeats do not change what is repeated

    known = summary.collect(every, tmp_path)
    assert known["parts/close"]["seeds"] == [0, 1]
    assert known["parts/worse"]["seeds"] == [0]
    page = results_page.page(known, results_page.REPRODUCE)
    assert "| worse | `mel_rmse`" not in page  # it is decided
    assert "*Not run yet.*" in page
    assert "2 of 2 parts" in results_page.page(known)
    about = dict(against="all", decided_by="mel_rmse", decision="kept: it costs nothing")
    tie = finished_part(tmp_path, "tie", [v + d for v, d in zip(clips, (1, -1, 1.5, -1))], **about)
    page = results_page.page(summary.collect([*every, tie], tmp_path), results_page.REPRODUCE)
    row = r"\| tie \| `mel_rmse` \| \(Δ \+0\.12 \[−1, \+1\.\d\]\) \| kept: it costs nothing \|"
    assert re.search(row, page)


def recorded(known):
    """The experiments, without those that a machine without their material has left out."""
    return [e for e in EXPERIMENTS if f"{e.table}/{e.row}" in known or not e.requires]


def documented():
    return json.loads((ROOT / "docs/results.json").read_text())


def test_the_pages_are_what_the_figures_make(tmp_path):
    known = documented()
    shutil.copy(ROOT / "README.md", tmp_path)
    results_page.write_pages(known, tmp_path)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")]
    assert len(made) >= 20
    for path in made:
        assert (ROOT / path).exists(), path
        if path.suffix != ".png":  # a picture's bytes depend on fonts
            assert (ROOT / path).read_text() == (tmp_path / path).read_text(), path
    assert {path.name for path in (ROOT / "docs/results").iterdir()} == {
        p.name for p in made if p.suffix == ".csv"
    }
    assert list(known) == [*(f"{e.table}/{e.row}" for e in recorded(known)), *POOLED, *RETIRED]
    for entry in known.values():
        assert "part_of" not in entry or entry["decision"] or not summary.unproved(entry)


def test_the_page_is_seven_screens():
    text = (ROOT / "RESULTS.md").read_text()
    assert len(text.encode()) <= 20_000
    _, *sections = re.split("^## ", text, flags=re.M)
    assert [section[0] for section in sections] == list("1234567")
    for section in sections:
        lines = [line for line in section.splitlines() if line.startswith("|")]
        assert 3 <= len(lines) - 2 <= 6, section
        assert {line.count(" | ") + 1 for line in lines} <= {4, 5, 6}, section
        (picture,) = re.findall(r"!\[[^]]+\]\((.*)\)", section)
        assert (ROOT / picture).stat().st_size > 10_000


def test_commands_of_the_page_are_those_of_the_list():
    known, root = documented(), Path("generated/results")
    for e in recorded(known):
        words = [command.split() for command in known[f"{e.table}/{e.row}"]["commands"]]
        assert words == [["python", *command] for command in e.words(root, "small")]


def test_figures_in_the_readmes_tables_are_rows_of_the_results():
    rows = set((ROOT / "RESULTS.md").read_text().splitlines())
    figure = re.compile(r"\d\.\d|\d %|\d \[")
    for line in (ROOT / "README.md").read_text().splitlines():
        if line.startswith("|") and figure.search(line):
            assert line in rows, line


def test_the_readmes_table_has_four_rows():
    rows = [
        line for line in (ROOT / "README.md").read_text().splitlines() if "(**Δ " in line or "(Δ " in line
    ]
    assert len(rows) == 4


def test_new_figures_replace_old_ones_in_the_lists_order(tmp_path):
    old = {RETIRED[0]: {"v": 1}, "parts/all": {"v": 1}, "quality/1 source, room": {"v": 1}, "parts/gone": {}}
    assert list(
        summary.updated(old, {"parts/vision": {"v": 2}, "parts/all": {"v": 2}}, tmp_path).items()
    ) == [
        ("quality/1 source, room", {"v": 1}),
        ("parts/all", {"v": 2}),
        ("parts/vision", {"v": 2}),
        (RETIRED[0], {"v": 1}),
    ]


def test_a_retired_row_stays_on_the_page_but_nothing_runs_it():
    assert not {f"{e.table}/{e.row}" for e in EXPERIMENTS} & set(RETIRED)
    text, figures = ((ROOT / "docs" / name).read_text() for name in ("reproduce.md", "results/parts.csv"))
    for title in RETIRED:
        row = title.split("/")[1]
        assert re.search(rf"^{row},without,mel_rmse,", figures, re.M)
        assert re.search(rf"^# {row}: .*, with an earlier version$", text, re.M)
        with pytest.raises(ValueError, match="no such table or row"):
            chosen((title,), Path("r"), "small")


def test_a_seed_has_a_folder_of_its_own():
    e = EXPERIMENTS[-1]
    assert replace(e, seed=1).folder(Path()) != e.folder(Path())
