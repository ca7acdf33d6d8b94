"""Rooms import downwards only, a module is short and does one job, a public name means one thing."""

import ast
import re
import runpy
import signal
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts): p
    for tree in ("DiffBinaural", "BigVGAN", "BinauralApp")
    for p in sorted((ROOT / tree).rglob("*.py"))
    if p.name != "__init__.py"
}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
SCRIPTS = [name for name, path in FILES.items() if '\nif __name__ == "__main__":' in path.read_text()]
# from the ground up: a room imports itself and those before it
STAGE_1 = [
    "configs",
    "utils",
    "position_utils",
    "heads",
    "spatial_filters",
    "training_stabilizer",
    "diffusion_utils",
    "modules",
    "dataset",
    "detection",
    "simulation",
    "preparation",
    "fairplay",
    "corpus",
    "modules.models",
    "inference",
    "recorded",
    "checking",
    "evaluation",
    "validation",
    "runs",
    "training",
    "experiments",
]
STAGE_2 = [
    "env",
    "settings",
    "request",
    "convolutions",
    "griffin_lim",
    "activations",
    "kernels",
    "alias_free_activation",
    "discriminators",
    "loss",
    "utils",
    "bigvgan",
    "meldataset",
    "synthesis",
    "batch",
    "pipeline",
    "validation",
    "run",
    "training_step",
    "training",
]
PAGE = [
    "config",
    "wanted",
    "found",
    "checks",
    "listening",
    "conversion",
    "line",
    "session",
    "sessions",
    "answers",
    "uploads",
    "server",
    "running",
]
ROOMS = {"DiffBinaural": STAGE_1, "BigVGAN": STAGE_2, "BinauralApp": PAGE}
# what both stages share, and what only BigVGAN/pipeline.py takes, to run stage 1
SHARED = [
    "configs",
    "utils",
    "detection.names",
    "training_stabilizer",
    "modules.kernels.compiled",
    "evaluation.metric",
    "evaluation.metrics",
    "heads.named",
    "inference.config",
    "inference.rendering",
]
TO_RUN = ["inference", "detection.finding", "dataset.trajectories", "modules.models"]
# public names that several modules may define
SAME_MEANING = {"main"}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import of {node.module}"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


GRAPH = {name: {target for target in imported(tree) if target in FILES} for name, tree in TREES.items()}


def inside(name, rooms, tree="DiffBinaural"):
    """The innermost of these rooms that a module is in; None where it is in none."""
    found = [room for room in rooms if f"{name}.".startswith(f"{tree}.{room}.")]
    return max(found, key=len, default=None)


def level(name):
    """How many rooms lie below a module's; scripts are on top."""
    tree = name.split(".")[0]
    rooms = ROOMS[tree]
    if name in SCRIPTS:
        return len(rooms)
    room = inside(name, rooms, tree)
    assert room, f"{name}: in no room of {Path(__file__).name}"
    return rooms.index(room)


def edges(kind):
    return [(a, b) for a in GRAPH for b in GRAPH[a] if kind(a, b)]


def test_no_cycles():
    TopologicalSorter(GRAPH).prepare()


def test_rooms_import_downwards():
    assert not edges(lambda a, b: a.split(".")[0] == b.split(".")[0] and level(b) > level(a))


def test_no_tree_imports_one_above_it():
    order = [*ROOMS]
    assert not edges(lambda a, b: order.index(b.split(".")[0]) > order.index(a.split(".")[0]))


def test_stage_2_takes_from_stage_1_only_what_they_share():
    def beyond(a, b):
        allowed = SHARED + (TO_RUN if a == "BigVGAN.pipeline" else [])
        return a.startswith("BigVGAN") and b.startswith("DiffBinaural") and not inside(b, allowed)

    assert not edges(beyond)


def test_nobody_imports_a_script():
    assert not edges(lambda a, b: b in SCRIPTS)


def test_networks_data_and_diffusion_meet_only_in_models():
    parts = ("modules", "dataset", "diffusion_utils")

    def meet(a, b):
        here, there = inside(a, parts), inside(b, parts)
        return here and there and here != there and a != "DiffBinaural.modules.models"

    assert not edges(meet)


def test_every_file_has_an_importer_or_is_a_script():
    used = set().union(*GRAPH.values())
    assert not [name for name in FILES if name not in used and name not in SCRIPTS]


@pytest.mark.parametrize("name", ["configs.advanced_diffusion_config", "configs.fields", "utils.arguments"])
def test_settings_need_only_the_standard_library(name):
    ours = {"DiffBinaural"} if name == "configs.advanced_diffusion_config" else set()
    roots = {module.split(".")[0] for module in imported(TREES[f"DiffBinaural.{name}"])}
    assert not roots - set(sys.stdlib_module_names) - ours


def test_the_root_of_stage_1_holds_what_a_user_runs():
    assert len(list((ROOT / "DiffBinaural").glob("*.py"))) <= 25


@pytest.mark.parametrize("name", FILES)
def test_a_module_is_short_and_does_one_job(name):
    assert FILES[name].read_text().count("\n") <= 250
    first = ast.get_docstring(TREES[name]).partition("\n")[0]
    assert not re.search(r"\band\b", first), first


@pytest.mark.parametrize("tree", ROOMS)
def test_a_public_name_means_one_thing(tree):
    names = Counter(
        node.name
        for name in FILES
        if name.startswith(tree)
        for node in TREES[name].body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    )
    assert not {name for name, count in names.items() if count > 1} - SAME_MEANING


def test_scripts_have_no_classes_and_fit_on_a_screen():
    for name in SCRIPTS:
        assert not [n for n in ast.walk(TREES[name]) if isinstance(n, ast.ClassDef)], name
        assert FILES[name].read_text().count("\n") <= 80, name


@pytest.mark.parametrize("name", ["DiffBinaural.train_realBinaural", "BigVGAN.inference_e2e"])
def test_scripts_run_from_another_directory(name, tmp_path):
    words = [sys.executable, FILES[name], "--help"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_answers_help(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(FILES[name]), "--help"])
    monkeypatch.setattr(signal, "signal", lambda *given: None)
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(FILES[name]), run_name="__main__")
    assert left.value.code == 0
    assert f"usage: {FILES[name].name}" in capsys.readouterr().out
