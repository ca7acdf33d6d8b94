"""Hours of work in miniature: does a process that converts clip after clip grow, or forget?

python tests/soak.py --output_json soak.json --minutes 45
"""

import gc
import io
import os
import resource
import tempfile
import time
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event, Thread

import numpy as np
import soundfile
from tqdm import tqdm

from BigVGAN import inference_e2e
from BigVGAN.bigvgan import wanted_generator
from BigVGAN.settings import E2EConfig
from DiffBinaural import simulate_dataset
from DiffBinaural.configs.fields import option
from DiffBinaural.inference.loading import load_models
from DiffBinaural.simulation.config import SimulateConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.audio import read_wav, write_wav_blocks
from DiffBinaural.utils.files import write_json
from DiffBinaural.utils.helpers import pick_device

CLIPS = 20  # different ones, over and over
WARM = 0.5  # part of the samples that caches take to fill
MOST_SLOPE = 1.0  # MB per 100 clips, or per minute of the long file
RATE = 22_050


@dataclass(frozen=True)
class SoakConfig:
    """The soak."""

    output_json: str = option("soak.json", "figures")
    clips: int = option(1000, "short clips to convert")
    minutes: float = option(45, "go on with clips until so much time is over")
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
    kept = np.asarray(values[int(WARM * len(values)) :])
    return float(np.polyfit(np.arange(len(kept)), kept, 1)[0])


def long_file(path: Path, clips: list[Path], minutes: float) -> int:
    """The clips one after the other for so long, never in memory at once.  -> samples"""
    count = int(minutes * 60 * RATE)

    def blocks():
        left, k = count, 0
        while left:
            sound = read_wav(clips[k % len(clips)])[0][:, :left]
            yield sound.repeat(2, axis=0)
            left, k = left - sound.shape[1], k + 1

    write_wav_blocks(path, blocks(), RATE)
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
    """Convert, watch, compare; ValueError where memory or handles grow, or a clip comes out otherwise."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        simulate_dataset.main(SimulateConfig(out=str(data), clips=CLIPS, seconds=2, seed=40))
        videos, sounds = (
            sorted((data / "videos").iterdir()),
            sorted((data / "processed/mono_audios_22050Hz").iterdir()),
        )
        job = E2EConfig(
            input_video=str(videos[0]),
            output=f"{folder}/first.wav",
            sampling_timesteps=cfg.sampling_timesteps,
        )
        models = load_models(job.run, pick_device("cpu"))
        job = replace(job, renderer=inference_e2e.chosen_renderer(job, models[0].phase))
        vocoder, _ = wanted_generator(job)
        bar = tqdm(total=cfg.clips, desc="clips", unit="clip")
        memory, opened = [], []

        def convert(job: E2EConfig) -> None:
            with redirect_stderr(io.StringIO()):  # a line and three bars for each
                inference_e2e.convert(models, vocoder, job)

        def one(k: int, name: str) -> None:
            convert(
                replace(
                    job,
                    input_video=str(videos[k % CLIPS]),
                    input_wav=str(sounds[k % CLIPS]),
                    output=f"{folder}/{name}.wav",
                )
            )

        one(0, "first")
        with bar:
            while len(memory) < cfg.clips or time.monotonic() - began < 60 * cfg.minutes:
                one(len(memory), "again")
                gc.collect()
                memory.append(resident_mb())
                opened.append(handles())
                bar.update()
        size = long_file(Path(folder, "long.wav"), sounds, cfg.long_minutes)
        long_job = replace(job, input_wav=f"{folder}/long.wav", output=f"{folder}/long_out.wav")
        stream = watched(partial(convert, long_job))
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
        report["mb_per_100_clips"] > MOST_SLOPE
        or report["mb_per_minute_of_the_long_file"] > MOST_SLOPE
        or opened[-1] > opened[0]
        or not same
        or not whole
    ):
        raise ValueError(f"{cfg.output_json}: something grows, or comes out otherwise")


if __name__ == "__main__":
    run(main)
