"""The compass of imports: DESIGN's levels, one way, no cycles, scripts imported by nobody."""

import ast
import runpy
import signal
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts): p
    for tree in ("DiffBinaural", "BigVGAN")
    for p in sorted((ROOT / tree).rglob("*.py"))
    if p.name != "__init__.py"
}
SCRIPT = ("train_", "test_", "evaluate_", "export_", "make_", "prepare_", "simulate_", "inference_")
SCRIPTS = [name for name in FILES if name.split(".")[-1].startswith(SCRIPT)]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


GRAPH = {name: {target for target in imported(path) if target in FILES} for name, path in FILES.items()}
STAGE_1 = {
    "configs": 0,
    "utils.arguments": 0,
    "utils": 1,
    "position_utils": 1,
    "training_stabilizer": 1,
    "diffusion_utils": 1,
    "dataset": 2,
    "modules": 2,
    "metrics": 2,
    "rendering": 2,
    "evaluation": 2,
    "scenes": 2,
    "sounds": 2,
    "speech": 2,
    "looks": 2,
    "fairplay": 2,
    "preparation": 2,
    "experiments": 2,
    "modules.models": 3,
    "paired": 3,
    "report": 3,
    "results": 4,
    "results_page": 4,
    "generation": 4,
    "validation": 4,
    "streaming": 4,
    "placement": 4,
    "training": 4,
}
STAGE_2 = {
    "env": 1,
    "batch": 2,
    "activations": 2,
    "alias_free_activation": 2,
    "convolutions": 1,
    "loss": 2,
    "discriminators": 2,
    "utils": 2,
    "bigvgan": 3,
    "meldataset": 3,
    "synthesis": 4,
    "validation": 4,
    "training": 4,
}


def level(name):
    tree, _, rest = name.partition(".")
    table = STAGE_1 if tree == "DiffBinaural" else STAGE_2
    if name in SCRIPTS:
        return 5
    parts = rest.split(".")
    return next(table[key] for k in range(len(parts), 0, -1) if (key := ".".join(parts[:k])) in table)


def edges(kind):
    return [(a, b) for a in GRAPH for b in GRAPH[a] if kind(a, b)]


def test_no_cycles():
    TopologicalSorter(GRAPH).prepare()


def test_imports_never_point_upwards():
    assert not edges(lambda a, b: a.split(".")[0] == b.split(".")[0] and level(b) > level(a))


def test_stage_1_never_imports_stage_2():
    assert not edges(lambda a, b: a.startswith("DiffBinaural") and b.startswith("BigVGAN"))


def test_stage_2_takes_from_stage_1_only_what_they_share():
    shared = (
        "DiffBinaural.configs.",
        "DiffBinaural.utils.",
        "DiffBinaural.training_stabilizer",
        "DiffBinaural.metrics",
        "DiffBinaural.rendering",
    )
    e2e = (
        "DiffBinaural.generation",
        "DiffBinaural.streaming",
        "DiffBinaural.dataset.",
        "DiffBinaural.position_utils",
    )
    assert not edges(
        lambda a, b: (
            a.startswith("BigVGAN")
            and b.startswith("DiffBinaural")
            and not b.startswith(shared + (e2e if a == "BigVGAN.inference_e2e" else ()))
        )
    )


def test_nobody_imports_a_script():
    assert not edges(lambda a, b: b in SCRIPTS)


def test_networks_data_and_diffusion_meet_only_in_models():
    models = "DiffBinaural.modules.models"
    parts = ("DiffBinaural.modules", "DiffBinaural.dataset", "DiffBinaural.diffusion_utils")

    def part(name):
        return next((p for p in parts if name.startswith(p)), None)

    assert not edges(lambda a, b: part(a) and part(b) and part(a) != part(b) and a != models)


def test_every_file_has_an_importer_or_is_a_script():
    used = set().union(*GRAPH.values())
    assert not [name for name in FILES if name not in used and name not in SCRIPTS]


def test_bottom_level_is_standard_library_only():
    for name in ("DiffBinaural.configs.advanced_diffusion_config", "DiffBinaural.utils.arguments"):
        outside = {m.split(".")[0] for m in imported(FILES[name])} - set(sys.stdlib_module_names)
        assert not outside, (name, outside)


def test_scripts_have_no_classes_and_fit_on_a_screen():
    for name in SCRIPTS:
        text = FILES[name].read_text()
        assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)], name
        assert text.count("\n") <= 80, name


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
