"""What a machine with a card shows of the project in nine minutes, without a network:

PYTHONPATH=. python tests/on_gpu.py --wheels generated/wheels --out generated/gpu

What is imported here needs the standard library alone; the parts, which need the wheels, are processes.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from DiffBinaural.configs.fields import option, positive
from DiffBinaural.utils.arguments import run

ROOT = Path(__file__).parents[1]
SHARES = {
    "tests": 110,
    "checks": 100,
    "bench": 60,
    "train": 220,
    "export": 30,
}  # of 540 s; the rest starts it
RESERVE = 60  # seconds of the trainings' for starting, validating, saving
KILLED_AFTER = 10  # seconds that a part has for saving, once it is asked to stop
LARGEST = 16 * 2**20  # bytes of a file that is brought home
SPARE_CORES = 4  # for what is measured while scenes are simulated
DONE, CUT, FAILED = "done", "cut", "failed"

Group = dict[str, list[str]]  # commands that run side by side, by the names of their logs
# the bundled model's scenes and objective, as `make weights` trains it
SCENES = (
    "--sources 1..3 --bystanders 0..2 --sounding --video_fps 25 --dry_fraction 0.2 --head_radius 7..10.5 "
    "--eared_fraction 0.6 --fov 60..120 --seed 7"
)
OBJECTIVE = (
    "--preset small --direct_path --time_shift 100 --hide_detections 0.15 --heard_weight 0.5 "
    "--cue_weight 0.05 --warmup_steps 60"
)
VOCODER = {  # of 3.6 million parameters, in place of the 112 million of the config that it is made from
    "upsample_rates": [8, 8, 2, 2],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 256,
    "segment_size": 8192,
}
SMALLEST = {"upsample_initial_channel": 32, "discriminator_channel_mult": 0.0625, "batch_size": 2}


@dataclass(frozen=True)
class OnGpuConfig:
    """The parts, and the time that they have."""

    out: str = option("generated/gpu", "folder of all that is made; parts that were done there are kept")
    home: str = option("", "folder for the files to bring home, under 16 MiB each; default: <out>/home")
    wheels: str = option(
        "generated/wheels", "folder of the packages that this Python lacks, if there are any"
    )
    parts: tuple[str, ...] = option((), f"of {', '.join(SHARES)}; default: all")
    seconds: float = option(
        540, "time for all: a part that takes more than its share and what is left over is cut"
    )
    scenes: int = option(2000, "scenes to simulate, for the trainings")
    dry: bool = option(False, "everything in the smallest sizes, on the CPU")

    def __post_init__(self):
        positive(self, "seconds", "scenes")
        if unknown := sorted(set(self.parts) - set(SHARES)):
            raise ValueError(f"--parts {' '.join(unknown)}: no such part; there are {', '.join(SHARES)}")


# --- processes ----------------------------------------------------------------------------------------------


def unpacked(wheels: Path, site: Path) -> Path:
    """Put packages on the path of what is started: wheels as they are, sources compiled where that works."""
    site.mkdir(parents=True, exist_ok=True)
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(site)  # noqa: S202 - zipfile keeps to the folder
    for source in sorted(wheels.glob("*.tar.gz")):
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade"]
        made = subprocess.run(
            [*pip, "--no-build-isolation", "--target", site, source],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            reason = made.stderr.strip().rpartition("\n")[2]
            print(f"{source.name} is not compiled ({reason}); what needs it will fail", flush=True)
    return site


class Processes:
    """Processes with a log file each, in groups of their own so that all of one can be stopped."""

    def __init__(self, logs: Path, environment: dict[str, str]):
        self.logs, self.environment, self.started = logs, environment, {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: list[str]) -> subprocess.Popen:
        """The process of that name, started now unless it was before."""
        if name not in self.started:
            with open(self.logs / f"{name}.txt", "a") as log:
                self.started[name] = subprocess.Popen(
                    command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
                )
        return self.started[name]

    def run(self, groups: Iterable[Group], deadline: float) -> str:
        """Run one group after the other until a deadline in time.monotonic().  -> done, cut, failed"""
        for group in groups:
            for name, command in group.items():
                self.start(name, command)
            with suppress(subprocess.TimeoutExpired):
                for name in group:
                    self.started[name].wait(max(deadline - time.monotonic(), 0))
            cut = self.stop(*group)
            codes = [self.started.pop(name).returncode for name in group]
            if cut or any(codes):
                return CUT if cut else FAILED
        return DONE

    def stop(self, *names: str) -> bool:
        """Ask those that still run to stop, then end them.  -> whether any did"""
        running = [self.started[name] for name in names if self.started[name].poll() is None]
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        patience = time.monotonic() + KILLED_AFTER
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(patience - time.monotonic(), 0))
        for name in names:  # what is left of a group, too, as a loader whose parent was killed
            with suppress(ProcessLookupError):
                os.killpg(self.started[name].pid, signal.SIGKILL)
            self.started[name].wait()
        return bool(running)


def run_parts(
    parts: dict[str, Callable], shares: dict[str, float], seconds: float, before: dict
) -> Iterator[tuple[str, dict]]:
    """Run parts in order, each for its share and what those before it left at the most.

    parts    name -> (deadline in time.monotonic() -> done, cut, failed)
    shares   seconds of each;  seconds: of all of them, from now on
    before   what this gave the last time: parts that were done are left out
    ->       one by one: name, {"status", "seconds"}
    """
    end = time.monotonic() + seconds
    waiting = [name for name in parts if before.get(name, {}).get("status") != DONE]
    while waiting:
        name, began = waiting.pop(0), time.monotonic()
        deadline = max(end - sum(shares[other] for other in waiting), began)
        result = {"status": parts[name](deadline), "seconds": round(time.monotonic() - began, 1)}
        print(f"{name}: {result['status']} after {result['seconds']} s", flush=True)
        yield name, result


# --- the parts ----------------------------------------------------------------------------------------------


def script(path: str, words: str = "") -> list[str]:
    """The command of a script of the project, with these words."""
    return [sys.executable, str(ROOT / path), *words.split()]


def tests(out: Path, cfg: OnGpuConfig, deadline: float) -> list[Group]:
    """The tests that need a card; without one, all of them are skipped."""
    files = [str(path) for path in sorted((ROOT / "tests").glob("*/test_on_gpu*.py"))]
    how = ["-m", "gpu", "-p", "no:cacheprovider", "--basetemp", str(out / "tests")]
    return [{"tests": [sys.executable, "-m", "pytest", *how, *files]}]


def checks(out: Path, cfg: OnGpuConfig, deadline: float) -> list[Group]:
    """Questions that only a card answers."""
    return [{"checks": script("tests/gpu_checks.py", f"--output_json {out}/checks.json {'--dry' * cfg.dry}")}]


def bench(out: Path, cfg: OnGpuConfig, deadline: float) -> list[Group]:
    """Rows of the benchmark, each beside its plain form."""
    words = "--only layers --repeats 1" if cfg.dry else "--only layers vocoder training unet"
    return [{"bench": script("tests/benchmark.py", f"--output_json {out}/bench.json {words}")}]


def scenes(out: Path, cfg: OnGpuConfig) -> Group:
    """Scenes for the trainings, simulated by the cores that nothing else needs."""
    workers = max((os.cpu_count() or 1) - SPARE_CORES, 1)
    size = "--seconds 1.5 --clips 6" if cfg.dry else f"--seconds 4 --held_out 8 --clips {cfg.scenes}"
    words = f"--out {out}/scenes {size} {SCENES} --workers {workers}"
    return {"scenes": script("DiffBinaural/simulate_dataset.py", words)}


def vocoder_config(out: Path, cfg: OnGpuConfig) -> Path:
    """Write the config of the vocoder to train.  -> the file"""
    source = ROOT / "BigVGAN/configs/bigvgan_binaural_22khz_80band_256x.json"
    sizes = json.loads(source.read_text()) | VOCODER | (SMALLEST if cfg.dry else {})
    path = out / "vocoder.json"
    path.write_text(json.dumps(sizes, indent=2))
    return path


def train(out: Path, cfg: OnGpuConfig, deadline: float) -> Iterator[Group]:
    """Once there are scenes, both trainings side by side on the same card."""
    yield scenes(out, cfg)
    data, config = out / "scenes", vocoder_config(out, cfg)
    seconds = max(deadline - time.monotonic() - RESERVE, 1)
    first = f"{OBJECTIVE} --id stage1 --ckpt {out}/runs --data_root {data} --eval_epoch 1000 "
    second = (
        f"--config {config} --audio_dir {data}/processed/binaural_audios_22050Hz "
        f"--list_train {data}/splits/train.csv --list_val {data}/splits/val.csv "
        f"--checkpoint_path {out}/runs/vocoder --validation_interval 1000000 "
    )
    if cfg.dry:
        first += "--batch_size_per_gpu 4 --windows_per_clip 1 --num_epoch 2"
        second += "--training_steps 2"
    else:
        both = f"--time_budget {seconds:.0f} --workers 6 --amp bf16"
        first += f"{both} --batch_size_per_gpu 64"
        second += f"{both} --checkpoint_interval 1000 --keep 1"
    yield {
        "stage1": script("DiffBinaural/train_realBinaural.py", first),
        "vocoder": script("BigVGAN/train_binaural_mel.py", second),
    }


def export(out: Path, cfg: OnGpuConfig, deadline: float) -> list[Group]:
    """The trained weights in half precision, and what they make of a scene."""
    newest_as_best(out / "runs")
    weights, scene = out / "weights", out / "scenes"
    test = next(iter((scene / "splits/test.csv").read_text().splitlines()[1:]), "").partition(",")[0]
    half = f"--run {out}/runs/stage1 --checkpoint_file {out}/runs/vocoder/g_best.pth --out {weights}"
    words = (
        f"--input_video {scene}/videos/{test}.mp4 "
        f"--input_wav {scene}/processed/mono_audios_22050Hz/{test}.wav "
        f"--detections {scene}/action_detection_results/detection_results.csv --run {weights}/stage1 "
        f"--checkpoint_file {weights}/vocoder/g_best.pth --output {out}/scene.wav --mux {out}/scene.mp4"
    )
    return [
        {"export": script("DiffBinaural/export_weights.py", half)},
        {"scene": script("BigVGAN/inference_e2e.py", words)},
    ]


def newest_as_best(runs: Path) -> None:
    """Of trainings that were cut before they validated, the weights saved last count as the best."""
    saved = {f"stage1/{part}_best.pth": [runs / f"stage1/{part}_latest.pth"] for part in ("unet", "frame")}
    saved["vocoder/g_best.pth"] = sorted((runs / "vocoder").glob("g_[0-9]*"))[-1:]
    for best, newest in saved.items():
        if not (runs / best).exists() and newest and newest[0].exists():
            shutil.copyfile(newest[0], runs / best)


def brought_home(out: Path, home: Path) -> list[str]:
    """Put what was made and measured into a few files.  -> those that are too large, which stay"""
    home.mkdir(parents=True, exist_ok=True)
    packs = {
        "logs.tar.gz": [*sorted(out.glob("logs/*.txt")), *sorted(out.glob("runs/*/training_history.json"))],
        "stage1.tar.gz": sorted(out.glob("weights/stage1/*")),
        "vocoder.tar.gz": sorted(out.glob("weights/vocoder/*")),
    }
    made = [
        path
        for name in ("summary.json", "checks.json", "bench.json", "scene.mp4")
        if (path := out / name).exists()
    ]
    for name, files in packs.items():
        if files:
            with tarfile.open(out / name, "w:gz") as packed:
                for path in files:
                    packed.add(path, path.relative_to(out))
            made.append(out / name)
    for path in made:
        if path.stat().st_size <= LARGEST:
            shutil.copyfile(path, home / path.name)
    return [f"{path} has {path.stat().st_size} bytes" for path in made if path.stat().st_size > LARGEST]


def environment(site: Path, out: Path, *, dry: bool) -> dict[str, str]:
    """What the parts run in: the wheels and the project on their path, compiled code kept."""
    paths = [str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    # processes that run side by side, each with threads for all cores, would wait for one another
    own = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    kept = {"TORCHINDUCTOR_CACHE_DIR": f"{out}/compiled", "TRITON_CACHE_DIR": f"{out}/compiled/triton"}
    return {**os.environ, **own, **kept, **({"CUDA_VISIBLE_DEVICES": ""} if dry else {})}


PARTS = {"tests": tests, "checks": checks, "bench": bench, "train": train, "export": export}


def main(cfg: OnGpuConfig) -> None:
    """Run the parts, keep what each says of itself in summary.json, bring the results home."""
    began, out = time.monotonic(), Path(cfg.out).resolve()
    site = unpacked(Path(cfg.wheels), out / "site")
    processes = Processes(out / "logs", environment(site, out, dry=cfg.dry))
    chosen = [name for name in SHARES if name in (cfg.parts or SHARES)]
    shares = {name: SHARES[name] * cfg.seconds / 540 for name in chosen}
    summary = out / "summary.json"
    results = json.loads(summary.read_text()) if summary.exists() else {}

    def part(make: Callable, deadline: float) -> str:
        return processes.run(make(out, cfg, deadline), deadline)

    parts = {name: partial(part, PARTS[name]) for name in chosen}
    if "train" in chosen and results.get("train", {}).get("status") != DONE:
        for name, command in scenes(out, cfg).items():
            processes.start(name, command)
    try:
        left = cfg.seconds - (time.monotonic() - began)
        for name, result in run_parts(parts, shares, left, results):
            results[name] = result
            summary.write_text(json.dumps(results, indent=2))
    finally:
        processes.stop(*processes.started)
    for line in brought_home(out, Path(cfg.home or out / "home")):
        print(f"left there: {line}", flush=True)
    if bad := [name for name in chosen if results[name]["status"] != DONE]:
        raise ValueError(f"{', '.join(bad)}: not done; {out}/logs says why, the same command goes on")


if __name__ == "__main__":
    run(main)
