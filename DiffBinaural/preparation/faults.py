"""Comparison of a prepared dataset with what it was made of."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.dataset_real_binaural import BINAURAL, MONO, RATE
from DiffBinaural.dataset.recordings import FRAMES, FrameFolder
from DiffBinaural.preparation.clips import PATTERNS, SETTINGS, ClipFiles
from DiffBinaural.preparation.reading import checked_file
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.files import differences, partial_files, read_json

SOUND_TOLERANCE = 2 / 32768  # of a sample; other versions of the tools change less
PICTURE_TOLERANCE = 16.0  # mean difference of a picture in grey levels of 256; JPEG changes less


def finished_settings(root: Path, wanted: dict) -> dict:
    """A prepared dataset's dataset.json.

    Raises ValueError where the preparation has not come to its end, or had other settings.
    """
    path = root / SETTINGS
    done = read_json(path) if path.exists() else {}
    if "left_out" not in done:
        raise ValueError(f"{root}: is not prepared to the end; run the same command without --verify")
    if differ := differences(done, wanted):
        raise ValueError(f"{root}: holds another dataset: {differ}; give the options that made it")
    return done


def collect_faults(check: Callable[[], Iterator[str]]) -> list[str]:
    """Faults of a check, including the error that ended it."""
    found = []
    try:
        for fault in check():
            found.append(fault)
    except (ValueError, OSError) as error:
        found.append(str(error))
    return found


def folder_faults(root: Path, names: set[str], counted: int) -> Iterator[str]:
    """Stray and partial files of a dataset, and a wrong count."""
    for part in partial_files(root, *PATTERNS):
        yield f"{part}: is left from an interrupted run"
    for kind in (BINAURAL, MONO, FRAMES):
        if strays := sorted({path.stem for path in (root / kind).glob("[!.]*")} - names):
            yield f"{root / kind}: holds {', '.join(strays)}, which belongs to no clip of the lists"
    if counted != len(names):
        yield f"{root / SETTINGS}: counts {counted} clips; the lists have {len(names)}"


def sound_faults(files: ClipFiles, pair: np.ndarray, mono: np.ndarray | None = None) -> Iterator[str]:
    """Differences of a clip's wavs from what they should hold.

    pair  (2, N) at our rate
    mono  (1, N); None: exactly the mean of the ears
    """
    (ears, rate), (half, _) = (
        read_wav(checked_file(files.ears), channels=2),
        read_wav(checked_file(files.mono), channels=1),
    )
    if (rate, ears.shape) != (RATE, pair.shape):
        yield f"{files.ears}: {ears.shape[1]} samples at {rate} Hz; expected {pair.shape[1]} at {RATE} Hz"
    elif np.abs(ears - pair).max() > SOUND_TOLERANCE:
        yield f"{files.ears}: differs from the recording"
    if mono is None:
        if not np.array_equal(half, ears.mean(0, keepdims=True)):
            yield f"{files.mono}: is not (L+R)/2 of {files.ears}"
    elif half.shape != mono.shape or np.abs(half - mono).max() > SOUND_TOLERANCE:
        yield f"{files.mono}: differs from the mono recording"


def picture_faults(files: ClipFiles, shown: Iterator[np.ndarray]) -> Iterator[str]:
    """Differences of a clip's pictures from those of its video."""
    stills, count = FrameFolder(files.frames), 0
    for picture in shown:
        if count < len(stills):
            still = np.asarray(stills[count], dtype=np.int16)
            if still.shape != picture.shape or np.abs(still - picture).mean() > PICTURE_TOLERANCE:
                yield f"{stills.paths[count]}: differs from the video"
        count += 1
    if count != len(stills):
        yield f"{files.frames}: has {len(stills)} pictures; the video gives {count}"


def raise_faults(faults: Sequence[str], left_out: str, *, verified: bool) -> None:
    """Raise a ValueError that lists faults, one a line; nothing without any.

    left_out  what is said of those that a preparation found
    verified  they were found by a comparison
    """
    if faults:
        about = "fault(s) found; delete what is named and prepare again" if verified else left_out
        raise ValueError("\n  ".join([f"{len(faults)} {about}:", *faults]))
