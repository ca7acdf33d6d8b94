"""FAIR-Play as its download leaves it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.lists import checked_id
from DiffBinaural.utils.media import pictures, stated_seconds

DOWNLOADED_RATE = 48_000  # Hz
FOLDERS = ("binaural_audios", "audios", "videos", "splits")
SETS = ("train", "val", "test")
FAMILIES = {"splits": "", "new_splits": "five_", "five_splits": "five_"}  # folder -> prefix in our layout
POINTER = b"version https://git-lfs"
SLACK = 0.5  # seconds by which lengths may differ without a word
UNKNOWN = 2**32 - 1  # the size that a wav states which was written to a pipe


@dataclass(frozen=True)
class Download:
    """Where a download keeps its sounds and videos."""

    root: Path
    audios: Path
    videos: Path


def find_download(root: str | Path) -> Download:
    """A download's folders.  Raises FileNotFoundError naming what is missing."""
    root = Path(root)
    return Download(root, subfolder(root, "binaural_audios", "audios"), subfolder(root, "videos"))


def subfolder(root: Path, *names: str) -> Path:
    """The first of these folders that is there."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(
        f"{root}: has no {'/ or '.join(names)}/; expected FAIR-Play as downloaded, with "
        "binaural_audios/ (or audios/), videos/ and splits/"
    )


def checked_file(path: Path) -> Path:
    """The path itself, where its file is there and is neither a git-lfs pointer nor a wav that breaks off."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, "rb") as file:
        head, size = file.read(len(POINTER)), path.stat().st_size
    if head == POINTER:
        raise ValueError(
            f"{path}: is a git-lfs pointer, not the file itself; run `git lfs pull` in the download"
        )
    stated = int.from_bytes(head[4:8], "little")
    if head.startswith(b"RIFF") and stated != UNKNOWN and size < stated + 8:
        raise ValueError(f"{path}: breaks off after {size} of {stated + 8} bytes")
    return path


def entries(path: Path) -> list[str]:
    """Lines of a txt list, or the strings of an h5 list's one dataset."""
    if checked_file(path).suffix == ".txt":
        return [line.strip() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    try:
        # locks are for writers, and fail on disks that are mounted for reading
        with h5py.File(path, "r", locking=False) as file:
            if "audio" not in file:
                raise ValueError(f"{path}: has {', '.join(file) or 'nothing'}; expected a dataset `audio`")
            found = file["audio"][()].ravel()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as HDF5 ({error})") from None
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in found]


def read_ids(path: Path) -> list[str]:
    """Ids of a list: of each entry, the name after its last slash without the extension.

    What stands before that slash is a path on some other disk, ../ or not: it is dropped, never followed.
    Raises ValueError where what is left is no plain name.
    """
    return [checked_id(Path(entry.rpartition("/")[2]).stem, f"{path}: {entry!r}") for entry in entries(path)]


def read_lists(root: Path) -> dict[str, list[str]]:
    """Ids of every list, by its name in our layout: split1/train … split10/test, five_split1/train …"""
    lists = {}
    for family, prefix in FAMILIES.items():
        for split in sorted((root / family).glob("split*/"), key=lambda folder: (len(folder.name), folder)):
            for part in SETS:
                lists[f"{prefix}{split.name}/{part}"] = read_ids(list_file(split, part))
    if not lists:
        raise FileNotFoundError(f"{root}: has no lists; expected splits/split1/train.h5 and so on")
    return lists


def list_file(split: Path, part: str) -> Path:
    """A list's file, h5 before txt."""
    for path in (split / f"{part}.h5", split / f"{part}.txt"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{split}: has neither {part}.h5 nor {part}.txt")


def two_ears(path: Path) -> np.ndarray:
    """A downloaded recording, (2, N) at the mel's rate, in the 16 bits that will be written."""
    return sixteen_bits(read_wav(checked_file(path), MelConfig().sample_rate, channels=2)[0])


def read_frames(path: Path, fps: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """A downloaded video's pictures.  Raises ValueError at its end when that comes too early."""
    count = 0
    for picture in pictures(checked_file(path), fps, size, threads=1):
        yield picture
        count += 1
    if count / fps < stated_seconds(path) - SLACK:
        raise ValueError(
            f"{path}: breaks off after {count / fps:.1f} of {stated_seconds(path):.1f} s; download it again"
        )


def sixteen_bits(wav: np.ndarray) -> np.ndarray:
    """Samples rounded to what 16 bits hold: whole multiples of 2^-15 in [-1, 1)."""
    return np.round(np.clip(wav, -1, 1 - 2**-15) * 32768) / 32768
