"""Every command in a document, a script's docstring or the Makefile is one that the real parsers accept."""

import ast
import importlib
import re
import shlex
import subprocess
from pathlib import Path
from typing import get_type_hints

import pytest

from DiffBinaural.utils.arguments import parse

ROOT = Path(__file__).parents[2]
PAGES = [
    p
    for p in sorted(ROOT.rglob("*.md"))
    if not {".venv", "demo", "demo-train", "generated", "data"} & set(p.relative_to(ROOT).parts)
]
SCRIPTS = sorted(
    p
    for tree in ("DiffBinaural", "BigVGAN")
    for p in (ROOT / tree).rglob("*.py")
    if '\nif __name__ == "__main__":' in p.read_text()
)


def fenced(page):
    for block in re.findall(r"```(?:bash|sh)\n(.*?)```", page.read_text(), re.S):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                yield f"{page.name}: {line.strip()}"


def documented():
    for script in SCRIPTS:
        text = ast.get_docstring(ast.parse(script.read_text()))
        commands = re.findall(rf"python {script.relative_to(ROOT)}[^\n]*", text.replace("\\\n", " "))
        assert commands, f"{script}: no command in its docstring"
        yield from (f"{script.name}: {line}" for line in commands)


def demonstrated():
    make = ["make", "-n", "-o", ".venv/installed", "demo", "demo-train", "weights", "results"]
    shown = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    for line in re.sub(r"\$\([^)]*\)", "clip", shown.stdout.replace("\\\n", " ")).splitlines():
        for command in re.findall(r"\.venv/bin/(python .*?)(?: \|\| |$)", line):
            yield f"demo: {command}"


@pytest.mark.parametrize("command", [*[c for p in PAGES for c in fenced(p)], *documented(), *demonstrated()])
def test_command_parses(command):
    words = shlex.split(command.split(": ", 1)[1], comments=True)
    while "=" in words[0]:
        words.pop(0)
    if words[0] == "make":
        targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.M)
        assert set(w for w in words[1:] if "=" not in w) <= set(targets)
    elif words[0] == "torchrun":
        check_script(words[next(i for i, w in enumerate(words) if w.endswith(".py")) :])
    elif words[0] == "python" and words[1] != "-m":
        check_script(words[1:])
    else:
        assert words[0] in ("git", "cd", "pip", "pre-commit", "tensorboard", "python", "sed", "ffmpeg"), words


def check_script(words):
    module = importlib.import_module(words[0].removesuffix(".py").replace("/", "."))
    cfg = get_type_hints(module.main)["cfg"]
    assert parse(cfg, getattr(module, "PRESETS", None), words[1:])


def test_pages_name_only_files_that_exist():
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    names = {Path(name).name for name in files.stdout.split() if (ROOT / name).exists()}
    for page in PAGES:
        if page.name == "CHANGELOG.md":  # names what was removed, too
            continue
        for name in re.findall(r"\b([A-Za-z_]\w*\.(?:py|toml))\b", page.read_text()):
            assert name in names, f"{page.name} names {name}"
