"""Writer of simulated datasets in the layout of the FAIR-Play download."""

import struct
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from DiffBinaural.fairplay.download import DOWNLOADED_RATE, FOLDERS, SETS
from DiffBinaural.preparation.reading import sixteen_bits
from DiffBinaural.simulation.appearance import FRAME
from DiffBinaural.simulation.config import RATE, SimulateConfig
from DiffBinaural.simulation.scenes import Source, ground_truth
from DiffBinaural.simulation.writer import common_settings, recording_files, simulate_clip
from DiffBinaural.utils.audio import resample
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim, replacing, write_json, write_text
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.media_writing import write_video
from DiffBinaural.utils.processes import parallel_map

LENGTHS = (480_256, 479_232)  # samples per channel; every downloaded clip has one of these lengths
LIST_FOLDER = "/nowhere/but/on/the/disks/of/their/authors/audio/binaural16k/"


def write_download(cfg: SimulateConfig) -> None:
    """Simulate a FAIR-Play download; simulated.json, with the ground truth, is complete only at the end."""
    root = Path(cfg.out)
    settings = {
        **common_settings(cfg),
        "layout": cfg.layout,
        "frame_size": FRAME,
        "sample_rate": DOWNLOADED_RATE,
        "fov": cfg.fov[0],
    }
    work = partial(write_clip, cfg=cfg, files=recording_files(cfg))
    claim(root / "simulated.json", settings, *FOLDERS)
    with locked(root, SINGLE_PROCESS, "*/"):
        clips = parallel_map(work, range(cfg.clips), cfg.workers)
        write_lists(root, cfg.clips, cfg.seed)
        scenes = {file_name(number): ground_truth(sources) for number, sources in enumerate(clips)}
        write_json(root / "simulated.json", {**settings, "scenes": scenes})


def clip_length(number: int) -> int:
    """Samples per channel of a clip by its number, from 0 on: one in four is of the shorter kind."""
    return LENGTHS[number % 4 == 1]


def file_name(number: int) -> str:
    """Name of a clip by its number, from 0 on; files count from 1."""
    return f"{number + 1:06d}"


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk of a RIFF file: name, size, content."""
    return name + struct.pack("<I", len(body)) + body


def write_recording(path: Path, wav: np.ndarray) -> None:
    """Write (2, N) at 48 kHz as FFmpeg does: 16 bits, a header of 78 bytes that names the writer."""
    form = struct.pack("<HHIIHH", 1, 2, DOWNLOADED_RATE, 4 * DOWNLOADED_RATE, 4, 16)
    writer = b"INFO" + chunk(b"ISFT", b"Lavf58.29.100\0")
    samples = (sixteen_bits(wav) * 32768).astype("<i2").T.tobytes()
    pieces = chunk(b"fmt ", form) + chunk(b"LIST", writer) + chunk(b"data", samples)
    with replacing(path) as partial_path:
        partial_path.write_bytes(chunk(b"RIFF", b"WAVE" + pieces))


def write_clip(number: int, cfg: SimulateConfig, files: tuple[Path, ...]) -> tuple[Source, ...]:
    """Simulate a clip by its number, write its recording and video; return its sources.

    The sound track of the video is noise: whoever reads it instead of the recording notices.
    """
    root, name, samples = Path(cfg.out), file_name(number), clip_length(number)
    scene = simulate_clip(number, samples / DOWNLOADED_RATE, cfg, files)
    pair = resample(scene.binaural, RATE, DOWNLOADED_RATE)[:, :samples]
    write_recording(root / f"binaural_audios/{name}.wav", pair)
    noise = np.random.default_rng(number).normal(0, 0.05, (2, samples)).astype(np.float32)
    with replacing(root / f"videos/{name}.mp4") as partial_path:
        write_video(partial_path, scene.frames, cfg.fps, noise, DOWNLOADED_RATE)
    return scene.sources


def write_lists(root: Path, count: int, seed: int) -> None:
    """Write ten splits as h5 and five as txt, all random: every simulated clip has its own scene."""
    names, held_out = [file_name(number) for number in range(count)], max(1, round(count / 10))
    for family, kind, splits in (("splits", "h5", 10), ("new_splits", "txt", 5)):
        for split in range(1, splits + 1):
            order = np.random.default_rng((seed, splits, split)).permutation(names)
            for part, chosen in zip(SETS, np.split(order, [-2 * held_out, -held_out]), strict=True):
                write_list(root / f"{family}/split{split}/{part}.{kind}", chosen)


def write_list(path: Path, names: np.ndarray) -> None:
    """Write a list: h5 of byte strings of 71 characters, or txt without a final newline."""
    if path.suffix == ".txt":
        write_text(path, "\n".join(f"{name}.mp3" for name in names))
        return
    with replacing(path) as partial_path, h5py.File(partial_path, "w") as file:
        file["audio"] = np.array([f"{LIST_FOLDER}{name}.wav".encode() for name in names])
