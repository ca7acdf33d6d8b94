"""Simulated clips written in the form of FAIR-Play's download."""

import struct
from pathlib import Path

import h5py
import numpy as np

from DiffBinaural.fairplay.download import DOWNLOADED_RATE, SETS, sixteen_bits
from DiffBinaural.utils.audio import resample
from DiffBinaural.utils.files import replacing, write_text
from DiffBinaural.utils.media_writing import write_video

LENGTHS = (480_256, 479_232)  # samples of an ear; a downloaded clip has the one or the other
FOREIGN = "/nowhere/but/on/the/disks/of/their/authors/audio/binaural16k/"


def length(number: int) -> int:
    """Samples of a simulated clip by its number, from 0 on: one in four is of the shorter kind."""
    return LENGTHS[number % 4 == 1]


def seconds(number: int) -> float:
    """How long that clip lasts."""
    return length(number) / DOWNLOADED_RATE


def chunk(name: bytes, body: bytes) -> bytes:
    """A piece of a RIFF file: name, size, content."""
    return name + struct.pack("<I", len(body)) + body


def write_recording(path: Path, wav: np.ndarray) -> None:
    """Write (2, N) at 48 kHz as ffmpeg does: 16 bits, under 78 bytes that name the writer."""
    form = struct.pack("<HHIIHH", 1, 2, DOWNLOADED_RATE, 4 * DOWNLOADED_RATE, 4, 16)
    writer = b"INFO" + chunk(b"ISFT", b"Lavf58.29.100\0")
    samples = (sixteen_bits(wav) * 32768).astype("<i2").T.tobytes()
    pieces = chunk(b"fmt ", form) + chunk(b"LIST", writer) + chunk(b"data", samples)
    with replacing(path) as partial:
        partial.write_bytes(chunk(b"RIFF", b"WAVE" + pieces))


def write_clip(root: Path, number: int, wav: np.ndarray, rate: int, frames: np.ndarray, fps: int) -> None:
    """Write a clip under its six digits; the video's own sound is a hiss that the ears know nothing of.

    number  from 0 on; files count from 1
    wav     (2, N) at `rate` Hz, lasting seconds(number)
    frames  (K, H, W, 3) uint8 RGB, `fps` a second
    """
    samples = length(number)
    write_recording(
        root / f"binaural_audios/{number + 1:06d}.wav", resample(wav, rate, DOWNLOADED_RATE)[:, :samples]
    )
    hiss = np.random.default_rng(number).normal(0, 0.05, (2, samples)).astype(np.float32)
    with replacing(root / f"videos/{number + 1:06d}.mp4") as partial:
        write_video(partial, frames, fps, hiss, DOWNLOADED_RATE)


def write_lists(root: Path, count: int, seed: int) -> None:
    """Write ten splits as h5 and five as txt, all random: no two simulated clips share a scene."""
    names, held_out = [f"{number + 1:06d}" for number in range(count)], max(1, round(count / 10))
    for family, kind, splits in (("splits", "h5", 10), ("new_splits", "txt", 5)):
        for split in range(1, splits + 1):
            order = np.random.default_rng((seed, splits, split)).permutation(names)
            for part, chosen in zip(SETS, np.split(order, [-2 * held_out, -held_out]), strict=True):
                write_list(root / f"{family}/split{split}/{part}.{kind}", chosen)


def write_list(path: Path, names: np.ndarray) -> None:
    """Write a list as its suffix says: byte strings of 71 characters, or lines, the last without an end."""
    if path.suffix == ".txt":
        write_text(path, "\n".join(f"{name}.mp3" for name in names))
        return
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        file["audio"] = np.array([f"{FOREIGN}{name}.wav".encode() for name in names])
