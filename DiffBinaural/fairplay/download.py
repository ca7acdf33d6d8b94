"""Reader of the FAIR-Play download."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.preparation.reading import checked_file, sixteen_bits
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.lists import checked_id

DOWNLOADED_RATE = 48_000  # Hz
FOLDERS = ("binaural_audios", "audios", "videos", "splits")
SETS = ("train", "val", "test")
FAMILIES = {"splits": "", "new_splits": "five_", "five_splits": "five_"}  # folder -> prefix in our layout


@dataclass(frozen=True)
class Download:
    """Folders of a download."""

    root: Path
    audios: Path
    videos: Path


def find_download(root: str | Path) -> Download:
    """Folders of a download.  Raises FileNotFoundError naming the one that is missing."""
    root = Path(root)
    return Download(root, subfolder(root, "binaural_audios", "audios"), subfolder(root, "videos"))


def subfolder(root: Path, *names: str) -> Path:
    """The first of these folders that exists."""
    for name in names:
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(
        f"{root}: has no {'/ or '.join(names)}/; expected FAIR-Play as downloaded, with "
        "binaural_audios/ (or audios/), videos/ and splits/"
    )


def entries(path: Path) -> list[str]:
    """Lines of a txt list, or the strings of an h5 list's one dataset."""
    if checked_file(path).suffix == ".txt":
        return [line.strip() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    try:
        # locking fails on disks that are mounted read-only
        with h5py.File(path, "r", locking=False) as file:
            if "audio" not in file:
                raise ValueError(f"{path}: has {', '.join(file) or 'nothing'}; expected a dataset `audio`")
            found = file["audio"][()].ravel()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as HDF5 ({error})") from None
    return [name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in found]


def read_ids(path: Path) -> list[str]:
    """Ids of a list: the file name of each entry, without its folder on the authors' disk and its extension.

    Raises ValueError where the rest is not a plain name.
    """
    return [checked_id(Path(entry.rpartition("/")[2]).stem, f"{path}: {entry!r}") for entry in entries(path)]


def read_lists(root: Path) -> dict[str, list[str]]:
    """Ids of every list by its name in our layout: split1/train … split10/test, five_split1/train …"""
    lists = {}
    for family, prefix in FAMILIES.items():
        for split in sorted((root / family).glob("split*/"), key=lambda folder: (len(folder.name), folder)):
            for part in SETS:
                lists[f"{prefix}{split.name}/{part}"] = read_ids(list_file(split, part))
    if not lists:
        raise FileNotFoundError(f"{root}: has no lists; expected splits/split1/train.h5 and so on")
    return lists


def list_file(split: Path, part: str) -> Path:
    """File of a list; h5 takes precedence over txt."""
    for path in (split / f"{part}.h5", split / f"{part}.txt"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{split}: has neither {part}.h5 nor {part}.txt")


def read_recording(path: Path) -> np.ndarray:
    """A downloaded recording, (2, N) at the sample rate of the mel, rounded to 16 bits."""
    return sixteen_bits(read_wav(checked_file(path), MelConfig().sample_rate, channels=2)[0])
