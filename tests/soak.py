"""A long run in miniature: does a process that converts clip after clip grow, or change its results?

python tests/soak.py --output_json soak.json --minutes 45
"""

import gc
import io
import os
import resource
import tempfile
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event, Thread

import numpy as np
import soundfile
from tqdm import tqdm

from BigVGAN.pipeline import Pipeline
from DiffBinaural import simulate_dataset
from DiffBinaural.configs.fields import option
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.audio import WavWriter, read_wav
from DiffBinaural.utils.files import write_json

CLIPS = 20  # different ones, over and over
WARM_UP = 0.5  # fraction of the samples in which caches fill
MAX_SLOPE = 1.0  # MB per 100 clips, or per minute of the long file
RATE = 22_050


@dataclass(frozen=True)
class SoakConfig:
    """The soak."""

    output_json: str = option("soak.json", "figures")
    clips: int = option(1000, "short clips to convert")
    minutes: float = option(45, "minutes to go on with clips at least")
    long_minutes: float = option(30, "length of the long file, converted after the clips")
    sampling_timesteps: int = option(2, "denoising steps")


def resident_mb() -> float:
    """What the process holds in memory now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def handles() -> int:
    """How many files the process has open."""
    return len(os.listdir("/proc/self/fd"))


def slope(values: list[float]) -> float:
    """Rise from one sample to the next by least squares, the first ones left out."""
    kept = np.asarray(values[int(WARM_UP * len(values)) :])
    return float(np.polyfit(np.arange(len(kept)), kept, 1)[0])


def long_file(path: Path, clips: list[Path], minutes: float) -> int:
    """Write a file of the clips one after the other, never in memory at once.  -> samples"""
    count, k = int(minutes * 60 * RATE), 0
    with WavWriter(path, RATE) as file:
        while file.samples < count:
            sound = read_wav(clips[k % len(clips)])[0][:, : count - file.samples]
            file.write(sound.repeat(2, axis=0))
            k += 1
    return count


def watched(work) -> list[float]:
    """Memory once a second while a function runs."""
    seen, over = [], Event()

    def watch():
        while not over.wait(1):
            seen.append(resident_mb())

    watcher = Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        over.set()
        watcher.join()
    return seen


def main(cfg: SoakConfig) -> None:
    """Convert, measure, compare; ValueError where memory or handles grow, or a clip's result changes."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        simulate_dataset.main(SimulateConfig(out=str(data), clips=CLIPS, seconds=2, seed=40))
        videos, sounds = (
            sorted((data / "videos").iterdir()),
            sorted((data / "processed/mono_audios_22050Hz").iterdir()),
        )
        pipe = Pipeline.from_pretrained(sampling_timesteps=cfg.sampling_timesteps, device="cpu")
        memory, opened = [], []

        def convert(wav: Path, video: Path, output: str) -> None:
            with redirect_stderr(io.StringIO()):  # a line and a bar for each
                pipe.convert(wav, video, output=f"{folder}/{output}.wav")

        def one(k: int, name: str) -> None:
            convert(sounds[k % CLIPS], videos[k % CLIPS], name)

        one(0, "first")
        with tqdm(total=cfg.clips, desc="clips", unit="clip") as bar:
            while len(memory) < cfg.clips or time.monotonic() - began < 60 * cfg.minutes:
                one(len(memory), "again")
                gc.collect()
                memory.append(resident_mb())
                opened.append(handles())
                bar.update()
        size = long_file(Path(folder, "long.wav"), sounds, cfg.long_minutes)
        stream = watched(partial(convert, Path(folder, "long.wav"), videos[0], "long_out"))
        one(0, "last")
        same = Path(folder, "first.wav").read_bytes() == Path(folder, "last.wav").read_bytes()
        whole = soundfile.info(f"{folder}/long_out.wav").frames == size
    tenths = [round(stream[k * (len(stream) - 1) // 10]) for k in range(11)]
    report = {
        "clips": len(memory),
        "minutes": (time.monotonic() - began) / 60,
        "mb_per_100_clips": 100 * slope(memory),
        "mb_at_the_end": memory[-1],
        "handles_at_start_and_end": [opened[0], opened[-1]],
        "long_minutes": cfg.long_minutes,
        "mb_per_minute_of_the_long_file": slope(stream) * len(stream) / cfg.long_minutes,
        "mb_at_tenths_of_the_long_file": tenths,
        "same_output_at_start_and_end": same,
        "long_output_whole": whole,
    }
    write_json(cfg.output_json, report)
    print(*(f"{name:32} {value}" for name, value in report.items()), sep="\n")
    if (
        report["mb_per_100_clips"] > MAX_SLOPE
        or report["mb_per_minute_of_the_long_file"] > MAX_SLOPE
        or opened[-1] > opened[0]
        or not same
        or not whole
    ):
        raise ValueError(f"{cfg.output_json}: memory or handles grow, or a result changes")


if __name__ == "__main__":
    run(main)
