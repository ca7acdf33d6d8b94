"""Runs experiments, resumably."""

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, steps_of
from DiffBinaural.experiments.catalogue import EXPERIMENTS
from DiffBinaural.experiments.registry import SCALES, SEEDS, Experiment, needs
from DiffBinaural.inference.loading import load_config
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.files import read_json, write_json
from DiffBinaural.utils.locks import locked

ROOT = Path(__file__).parents[2]
RECORD = "record.json"
# scripts that use the bundled stage 1 where --run does not name another
BY_DEFAULT = ("DiffBinaural/test_realBinaural.py", "DiffBinaural/test_pos.py", "BigVGAN/inference_e2e.py")


def machine() -> dict:
    """The machine that runs the commands."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.*)", told)
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cores": os.cpu_count(),
        "processor": model[1] if model else platform.processor(),
        "gpu": gpu,
        "torch": torch.__version__.split("+")[0],
    }


def bundled_stage1(words: list[list[str]]) -> dict | None:
    """What identifies the bundled stage 1 where commands use it; None where they do not.

    words  arguments of python, command by command
    ->     {"unet": the first digits of its hash, "steps": denoising steps by default}
    """
    default = [command for command in words if command[0] in BY_DEFAULT and "--run" not in command]
    if not default and not any("weights/stage1" in command for command in words):
        return None
    return {"unet": bundled_hash(), "steps": steps_of(SamplingConfig(), load_config(BUNDLED / "stage1"))}


def bundled_hash() -> str:
    """The first digits of the SHA-256 of the bundled UNet, which weights/MODEL_CARD.md names."""
    return hashlib.sha256((BUNDLED / "stage1/unet_best.pth").read_bytes()).hexdigest()[:8]


def bundled_vocoder(words: list[list[str]]) -> str | None:
    """:func:`vocoder_hash` where commands name the bundled vocoder; None where they do not."""
    return vocoder_hash() if any("weights/vocoder/g_best.pth" in command for command in words) else None


def vocoder_hash() -> str:
    """The first digits of the SHA-256 of the bundled vocoder's weights and config."""
    parts = [(BUNDLED / "vocoder" / name).read_bytes() for name in ("g_best.pth", "config.json")]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:8]


def record_of(experiment: Experiment, root: Path) -> dict | None:
    """What is done of an experiment; None before its first command.

    -> {"commands", "settings", "bundled", "vocoder", "seconds": of each command that is done, "machine"}
    """
    path = ROOT / experiment.folder(root) / RECORD
    return read_json(path) if path.exists() else None


def finished(experiment: Experiment, root: Path) -> bool:
    """Whether all its commands are done."""
    record = record_of(experiment, root)
    return record is not None and len(record["seconds"]) == len(record["commands"])


def lacking(experiment: Experiment, root: Path) -> str | None:
    """A line on what is missing for an experiment that is not finished; None where nothing is."""
    gone = next((path for path in experiment.requires if not (ROOT / path).exists()), None)
    if gone is None or finished(experiment, root):
        return None
    where = "docs/reproduce.md says where it comes from"
    return f"{experiment.folder(Path())}: left out, {gone} is missing; {where}"


def carry_out(experiment: Experiment, root: Path, scale: str) -> None:
    """Run the commands that are not done yet.

    Where the record has other commands or other bundled models, this experiment and all that need it start
    again.  Raises ValueError with the last line of output where a command fails.
    """
    with locked(here := ROOT / experiment.folder(root)):
        words = experiment.words(root, scale)
        declared = {
            "commands": [shlex.join(["python", *command]) for command in words],
            "settings": dict(experiment.settings or ()),
            "bundled": bundled_stage1(words),
            "vocoder": bundled_vocoder(words),
        }
        record = record_of(experiment, root)
        if record and any(record.get(name) != declared[name] for name in declared):
            clear(experiment, root, scale)
            record = None
        record = record or {**declared, "seconds": []}
        if experiment.settings is not None:
            plain = read_json(ROOT / "BigVGAN/configs" / SCALES[scale]["vocoder"])
            write_json(here / "vocoder.json", plain | dict(experiment.settings))
        for command in words[len(record["seconds"]) :]:
            begun = perf_counter()
            call(command, here / "log.txt")
            record["seconds"].append(round(perf_counter() - begun, 1))
            write_json(here / RECORD, {**record, "machine": machine()})


def clear(experiment: Experiment, root: Path, scale: str) -> None:
    """Remove the output, except locks, of an experiment with all its seeds, and of all that need it."""
    for seed in (0, *SEEDS) if experiment.seed == 0 else (experiment.seed,):
        for path in (ROOT / replace(experiment, seed=seed).folder(root)).glob("*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif not path.name.startswith("."):
                path.unlink()
    for other in EXPERIMENTS:
        if needs(other, experiment, root, scale) and record_of(other, root):
            clear(other, root, scale)


def call(command: list[str], log: Path) -> None:
    """Run a command in the project's folder; a signal is passed on once, so that trainings save."""
    with (
        open(log, "ab") as file,
        subprocess.Popen(  # noqa: S603
            [sys.executable, *command],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
        raise ValueError(f"{log}: python {shlex.join(command)} ended with status {code}: {last[0]}")
