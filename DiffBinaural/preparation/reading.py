"""Sounds, videos of other people, read with a look at whether they are whole."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from DiffBinaural.utils.media import picture_seconds, pictures, stated_seconds

POINTER = b"version https://git-lfs"
TOLERANCE = 0.5  # seconds by which lengths may differ
UNKNOWN = 2**32 - 1  # size in the header of a wav that was written to a pipe


def checked_file(path: Path) -> Path:
    """The path itself.  Raises an error for a missing file, a git-lfs pointer or a truncated wav."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, "rb") as file:
        head, size = file.read(len(POINTER)), path.stat().st_size
    if head == POINTER:
        raise ValueError(
            f"{path}: is a git-lfs pointer, not the file itself; run `git lfs pull` in the download"
        )
    stated = int.from_bytes(head[4:8], "little")
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE" and stated != UNKNOWN and size < stated + 8:
        raise ValueError(f"{path}: breaks off after {size} of {stated + 8} bytes")
    return path


def read_frames(
    path: Path, fps: float, size: tuple[int, int], zero: float | None = None
) -> Iterator[np.ndarray]:
    """Pictures of a video, as of :func:`pictures`.  Raises ValueError at the end of a truncated one."""
    count = 0
    for picture in pictures(checked_file(path), fps, size, zero=zero, threads=1):
        yield picture
        count += 1
    stated = stated_seconds(path) - TOLERANCE
    # the last picture of a video may be meant to stay: its packet says so
    if count / fps < stated and picture_seconds(path) < stated:
        raise ValueError(
            f"{path}: breaks off after {count / fps:.1f} of {stated_seconds(path):.1f} s; download it again"
        )


def sixteen_bits(wav: np.ndarray) -> np.ndarray:
    """Samples rounded to 16 bits: multiples of 2^-15 in [-1, 1)."""
    return np.round(np.clip(wav, -1, 1 - 2**-15) * 32768) / 32768
