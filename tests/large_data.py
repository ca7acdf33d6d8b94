"""Half a million clips in miniature: does a training on them begin at once, in bounded memory, as fast?

python tests/large_data.py --output_json large_data.json
"""

import io
import json
import os
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from tqdm import tqdm

from BigVGAN import training as stage2
from BigVGAN.env import VocoderConfig, load_config
from BigVGAN.meldataset import MelDataset
from BigVGAN.settings import TrueMelConfig
from BigVGAN.training_step import train_step
from DiffBinaural import training as stage1
from DiffBinaural.configs.advanced_diffusion_config import TrainConfig, preset_config
from DiffBinaural.configs.fields import option
from DiffBinaural.dataset.dataset_real_binaural import BINAURAL, MONO, RATE, RealBinaural
from DiffBinaural.dataset.packed_recordings import PackedRecordings
from DiffBinaural.dataset.recordings import FRAMES
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.runs.loading import loader
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.cache import Cache
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import load_tensors, write_json
from DiffBinaural.utils.lists import Clip, Detection
from DiffBinaural.utils.pack_writer import NewRecording, PackWriter
from DiffBinaural.utils.packed_index import INDEX
from DiffBinaural.utils.schedule import Shuffled

VOCODER = Path(__file__).parents[1] / "BigVGAN/configs/bigvgan_binaural_tiny.json"
DIFFERENT = 64  # contents of recordings, over and over
SAMPLES = 1102  # of a recording: 0.05 s
SIZE = (48, 24)  # pixels of its picture
VALIDATED = 100  # clips of the list val
MAX_START = 10.0  # seconds to the first batch
MAX_GROWTH = 0.05  # of a process's memory in the second half, when its caches are full
MIN_RATE = 0.9  # of the folder form's training steps a second


@dataclass(frozen=True)
class LargeConfig:
    """What is simulated."""

    output_json: str = option("large_data.json", "figures")
    clips: int = option(500_000, "clips, a recording each; 10 kB of disk space each")
    folder: str | None = option(None, "where to put them; default: a temporary folder, which is deleted")
    samples: int = option(20_000, "samples that the loader draws while memory is watched")
    compared: int = option(200, "samples of each form in each of the paired runs; clips of the folder form")
    steps: int = option(3, "training steps of each form in each of the paired runs")
    pairs: int = option(7, "paired runs, the medians of which count")


def contents() -> list[dict[str, bytes]]:
    """The files of some recordings: mono, binaural, picture."""
    random, made = np.random.default_rng(0), []
    for _ in range(DIFFERENT):
        pair = random.normal(0, 0.1, (SAMPLES, 2)).clip(-1, 1)
        files = {name: io.BytesIO() for name in (MONO, BINAURAL, FRAMES)}
        for name, wav in ((MONO, pair.mean(1)), (BINAURAL, pair)):
            soundfile.write(files[name], wav, RATE, "PCM_16", format="WAV")
        picture = random.integers(0, 255, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
        Image.fromarray(picture).resize(SIZE).save(files[FRAMES], "JPEG")
        made.append({name: file.getvalue() for name, file in files.items()})
    return made


def named(k: int) -> str:
    """Id of recording k."""
    return f"r{k:06d}"


def paths(name: str) -> dict[str, str]:
    """A recording's files in a dataset folder."""
    sounds = {kind: f"{kind}/{name}.wav" for kind in (MONO, BINAURAL)}
    return {**sounds, FRAMES: f"{FRAMES}/{name}/frame_000001.jpg"}


def write_packed(root: Path, clips: int) -> None:
    """Write so many tiny recordings as a packed dataset."""
    made = contents()

    def recordings() -> Iterator:
        for k in tqdm(range(clips), desc="writing", unit="clip", mininterval=10):
            files = made[k % DIFFERENT]
            places = paths(named(k))
            yield (
                NewRecording(named(k), SAMPLES, SAMPLES, SIZE, 120.0, "sphere"),
                ((places[kind], io.BytesIO(files[kind])) for kind in places),
            )

    root.mkdir(parents=True, exist_ok=True)
    writer = PackWriter(root, 1 << 30)
    writer.state(rate=RATE, fps=10, description=0)
    box = (10.0, 5.0, 20.0, 15.0)
    writer.write_detections((named(k), Detection(0.0, box, 0.9, "a", "1")) for k in range(clips))
    writer.write_shards(recordings())
    writer.write_list("train", (Clip(named(k)) for k in range(clips - VALIDATED)))
    writer.write_list("val", (Clip(named(k)) for k in range(clips - VALIDATED, clips)))
    writer.finish()


def write_folder(root: Path, clips: int) -> None:
    """Write the first so many of the same recordings as a folder."""
    made, names = contents(), [named(k) for k in range(clips)]
    for k, name in enumerate(names):
        for kind, place in paths(name).items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes(made[k % DIFFERENT][kind])
    table = root / "action_detection_results/detection_results.csv"
    for path, header, rows in (
        (root / "splits/train.csv", "video_id", names),
        (table, "video_id,frame,x1,y1,x2,y2,score,label,track", [f"{n},1,10,5,20,15,0.9,a,1" for n in names]),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *rows]) + "\n")
    (root / "dataset.json").write_text(json.dumps({"fps": 10}))


def resident(process: int) -> float:
    """MB that a process holds in memory, without what it maps of files."""
    _, all_pages, shared = Path(f"/proc/{process}/statm").read_text().split()[:3]
    return (int(all_pages) - int(shared)) * resource.getpagesize() / 2**20


def windows(root: Path, cfg: TrainConfig, *, direct: bool) -> RealBinaural:
    """Stage 1's windows, as a training has them."""
    kinds = {"phasor": direct, "spectra": direct, "direct_path": direct}
    return RealBinaural(
        root, "train", cfg.mel, cfg.view, windows_per_clip=cfg.windows_per_clip, mirror=True, **kinds
    )


def watched_loader(root: Path, samples: int) -> dict:
    """Seconds to the first batch; memory of both processes at tenths of the samples."""
    cfg = preset_config("tiny", id="large", data_root=str(root), workers=1)
    began = time.monotonic()
    data = windows(root, cfg, direct=True)
    opened = time.monotonic() - began
    batches = iter(loader(data, cfg, SINGLE_PROCESS))
    next(batches)
    first = time.monotonic() - began
    (worker,) = (process.pid for process in batches._workers)
    memory, began = [], time.monotonic()
    steps = samples // cfg.batch_size_per_gpu
    for k in tqdm(range(steps), desc="watching", mininterval=10):
        next(batches)
        if k % max(steps // 100, 1) == 0:
            memory.append((resident(os.getpid()), resident(worker)))
    used = np.array(memory)
    return {
        "clips": len(data.clips),
        "seconds_to_open": opened,
        "seconds_to_the_first_batch": first,
        "samples": steps * cfg.batch_size_per_gpu,
        "mb_at_tenths_main": used[:: len(used) // 10, 0].round(1).tolist(),
        "mb_at_tenths_worker": used[:: len(used) // 10, 1].round(1).tolist(),
        "growth_in_the_second_half": (used[-1] / used[len(used) // 2] - 1).tolist(),
        "samples_per_second": steps * cfg.batch_size_per_gpu / (time.monotonic() - began),
    }


def watched_reading(root: Path, count: int) -> list[float]:
    """MB of this process at tenths, while it reads all that there is of so many clips."""
    packed, random, memory = PackedRecordings(root), np.random.default_rng(0), []
    clips = packed.clips("train")
    for k in range(count):
        clip = clips[int(random.integers(len(clips)))]
        packed.sound(clip, RATE, 1), packed.sound(clip, RATE, 2)
        packed.pictures(clip.video_id)[0], packed.detected(clip.video_id)
        if k % (count // 10) == 0:
            memory.append(round(resident(os.getpid()), 1))
    return memory


def paired(pairs: int, calls: int, folder: Callable, packed: Callable) -> dict:
    """Calls of both per second of processor time, medians of runs in turns; the first does not count.

    folder, packed  n -> anything
    """
    rates: list[list[float]] = [[], []]
    for run_number in range(pairs + 1):
        for found, draw in zip(rates, (folder, packed), strict=True):
            began = time.process_time()
            for n in range(run_number * calls, (run_number + 1) * calls):
                draw(n)
            found.append(calls / (time.process_time() - began))
    ratios = [b / a for a, b in zip(*rates, strict=True)][1:]
    medians = [statistics.median(found[1:]) for found in rates]
    return {"folder": medians[0], "packed": medians[1], "ratio": statistics.median(ratios)}


def without_hits(data: RealBinaural, clips: int) -> RealBinaural:
    """A folder's windows with caches that hit as rarely as they would with so many clips."""
    data.recording_count = clips
    data.frame_source = lru_cache(1)(data._frame_source)
    data.cache.mapped = lru_cache(1)(partial(load_tensors, mapped=True))
    return data


def compared(root: Path, folder: Path, cfg: LargeConfig) -> dict:
    """Samples, and training steps, per second of processor time: :func:`paired` for both stages."""
    write_folder(folder, cfg.compared)
    found: dict[str, dict] = {}
    for name, direct in (("stage 1", False), ("stage 1, direct paths", True)):
        settings = preset_config("tiny", id="large", data_root=str(root), ckpt=str(folder))
        if direct:
            settings = replace(settings, model=replace(settings.model, direct_path=True))
        forms = [windows(place, settings, direct=direct) for place in (folder, root)]
        forms[0].use_cache(Cache(folder / f"cache {name}"), None)
        for n in range(cfg.compared):
            forms[0].prepare(n)
        without_hits(forms[0], cfg.clips)
        found[f"samples of {name}"] = paired(cfg.pairs, cfg.compared, *map(shuffled, forms))
        steps = [stage1_step(data, settings) for data in forms]
        found[f"steps of {name}"] = paired(cfg.pairs, cfg.steps, *steps)
    train = TrueMelConfig(
        audio_dir="", config=str(VOCODER), list_train="", list_val="", checkpoint_path=str(folder / "vocoder")
    )
    voc = load_config(VOCODER)
    places = ((folder / BINAURAL, folder / "splits/train.csv"), (root, "train"))
    data = [MelDataset(*place, voc) for place in places]
    found["samples of stage 2"] = paired(cfg.pairs, cfg.compared, *map(shuffled, data))
    found["steps of stage 2"] = paired(cfg.pairs, cfg.steps, *(stage2_step(one, voc, train) for one in data))
    return found


def shuffled(data) -> Callable[[int], dict]:
    """A function from n to the n-th sample of a training."""
    order = iter(Shuffled(len(data), seed=0))
    return lambda n: data[next(order)]


def stage1_step(data: RealBinaural, cfg: TrainConfig) -> Callable[[int], None]:
    """A function that makes a training step of stage 1."""
    torch.manual_seed(0)
    training = stage1.Run(ModelBuilder(cfg).build().train(), cfg, SINGLE_PROCESS, len(data))
    batches = iter(loader(stage1.noisy(data, training.model), cfg, SINGLE_PROCESS))

    def step(n):
        stage1.backward(training.model, next(batches), training, last=True)
        training.safe_step(training.optimizer)

    return step


def stage2_step(data: MelDataset, cfg: VocoderConfig, train: TrueMelConfig) -> Callable[[int], None]:
    """A function that makes a training step of stage 2."""
    torch.manual_seed(0)
    training = stage2.VocoderRun(cfg, train, SINGLE_PROCESS)
    batches = iter(stage2.loader(data, training))
    return lambda n: train_step(training, next(batches), 0.0)


def main(cfg: LargeConfig) -> None:
    """Simulate, measure; ValueError where the start is slow, memory grows, or the packed form is slower."""
    with tempfile.TemporaryDirectory(dir=cfg.folder) as place:
        root = Path(cfg.folder or place, "large.packed")
        if not (root / INDEX).exists():
            shutil.rmtree(root, ignore_errors=True)
            write_packed(root, cfg.clips)
        report = watched_loader(root, cfg.samples)
        report["bytes"] = sum(path.stat().st_size for path in root.iterdir())
        report["mb_at_tenths_reading"] = watched_reading(root, cfg.samples)
        write_json(cfg.output_json, report)
        report["rates"] = compared(root, Path(place, "folder"), cfg)
    write_json(cfg.output_json, report)
    print(*(f"{name:28} {value}" for name, value in report.items()), sep="\n")
    slow = [name for name, rate in report["rates"].items() if "steps" in name and rate["ratio"] < MIN_RATE]
    if (
        report["seconds_to_the_first_batch"] > MAX_START
        or max(report["growth_in_the_second_half"]) > MAX_GROWTH
    ):
        raise ValueError(f"{cfg.output_json}: a slow start, or memory grows")
    if slow:
        raise ValueError(f"{cfg.output_json}: slower than from a folder: {'; '.join(slow)}")


if __name__ == "__main__":
    run(main)
