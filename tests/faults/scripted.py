"""The real scripts in processes that start quickly: forked from a server that has imported everything."""

import importlib
import json
import multiprocessing
import os
import resource
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "scripted",
        "DiffBinaural.train_realBinaural",
        "DiffBinaural.evaluate_binaural_22050",
        "BigVGAN.train_binaural_mel",
        "BigVGAN.inference_e2e",
        "torch.utils.tensorboard",
        "matplotlib.pyplot",
        "librosa",
        "numba",
        "torchaudio",
    ]
)


@dataclass
class Outcome:
    """Result of a script."""

    status: int
    output: str
    seconds: float
    peak_mb: float

    @property
    def line(self) -> str:
        """Last line of the output."""
        return self.output.strip().splitlines()[-1] if self.output.strip() else ""


def work(script: str, words: list[str], log: str, limits: dict[str, int]) -> None:
    """Run a script in the new process, in a session of its own."""
    os.setsid()
    multiprocessing.set_start_method("fork", force=True)  # as where a script is started by hand
    os.environ["OMP_NUM_THREADS"] = "1"
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1), os.dup2(file, 2)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))
    import torch

    from DiffBinaural.utils.arguments import run

    torch.set_num_threads(1)
    module = importlib.import_module(script)
    sys.argv = [script, *words]
    sys.modules["__main__"] = module
    status = 0
    try:
        run(module.main, getattr(module, "PRESETS", None))
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        traceback.print_exc()
        status = 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(f"{log}.end").write_text(json.dumps({"status": status, "peak_mb": peak}))
    sys.exit(status)


class Script:
    """A running script."""

    def __init__(self, script: str, *words, log: Path, **limits: int):
        self.log, self.began = log, time.monotonic()
        log.unlink(missing_ok=True)
        Path(f"{log}.end").unlink(missing_ok=True)
        self.process = SERVER.Process(
            target=work, args=(script, [str(word) for word in words], str(log), limits)
        )
        self.process.start()

    def kill(self, number: int) -> None:
        """Send a signal, if the process still exists."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def end(self, seconds: float = 120) -> Outcome:
        """Wait for the end.  Raises AssertionError when it takes longer."""
        self.process.join(seconds)
        if self.process.is_alive():
            os.killpg(self.process.pid, 9)
            raise AssertionError(f"still running after {seconds} s: {self.log.read_text()[-2000:]}")
        took, note = time.monotonic() - self.began, Path(f"{self.log}.end")
        peak = json.loads(note.read_text())["peak_mb"] if note.exists() else 0.0
        output = self.log.read_text(errors="replace") if self.log.exists() else ""
        return Outcome(self.process.exitcode, output, took, peak)


def wait_for(condition, process):
    for _ in range(600):
        if condition():
            return
        assert process.process.is_alive(), process.log.read_text()
        time.sleep(0.1)
    raise AssertionError("timed out")


def stop_at(process, path):
    """Kill a script as soon as a file exists."""
    wait_for(path.exists, process)
    process.kill(9)
    process.end()


class Lost(AssertionError):
    """A file under its final name is incomplete, or a result differs from that of an undisturbed run."""


class Traced(AssertionError):
    """A traceback instead of an error message."""


def stage1_words(scenes, ckpt, *more):
    """Tiny stage 1: a save after every step, a validation after every fourth."""
    return (
        "--preset",
        "tiny",
        "--id",
        "run",
        "--ckpt",
        ckpt,
        "--data_root",
        scenes,
        "--windows_per_clip",
        4,
        "--batch_size_per_gpu",
        2,
        "--num_epoch",
        2,
        "--eval_epoch",
        1,
        "--save_steps",
        1,
        *more,
    )


def vocoder_words(scenes, folder, config, *more):
    """Narrow stage 2a: a save after every second step, a validation after every third."""
    return (
        "--audio_dir",
        scenes / "processed/binaural_audios_22050Hz",
        "--list_train",
        scenes / "splits/train.csv",
        "--list_val",
        scenes / "splits/val.csv",
        "--checkpoint_path",
        folder,
        "--config",
        config,
        "--training_steps",
        6,
        "--freeze_step",
        1,
        "--checkpoint_interval",
        2,
        "--validation_interval",
        3,
        *more,
    )


def dump_words(run, data_root, out):
    """Generation of the mels of a list, in one denoising step."""
    return ("--run", run, "--data_root", data_root, "--output_dir", out, "--sampling_timesteps", 1)


def e2e_words(video, stage1, vocoder, out):
    """Conversion of a video, in one denoising step."""
    return (
        *("--input_video", video, "--output", out, "--sampling_timesteps", 1, "--detections", "none"),
        *("--run", stage1, "--checkpoint_file", vocoder / "g_best.pth"),
    )
