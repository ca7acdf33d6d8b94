"""Comparison of a prepared dataset with the FAIR-Play download."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.dataset_real_binaural import BINAURAL, MONO, RATE
from DiffBinaural.dataset.recordings import FRAMES, FrameFolder
from DiffBinaural.fairplay.download import checked_file, read_frames, read_lists, read_recording
from DiffBinaural.fairplay.preparation import PATTERNS, SETTINGS, Job
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.files import differences, partial_files, read_json
from DiffBinaural.utils.lists import read_rows
from DiffBinaural.utils.processes import parallel_map

SOUND_TOLERANCE = 2 / 32768  # of a sample; other versions of the tools change less
PICTURE_TOLERANCE = 16.0  # mean difference of a picture in grey levels of 256; JPEG changes less


def verify(job: Job, workers: int) -> tuple[list[str], list[str]]:
    """Compare a dataset with the download, except for the clips that are left out; write nothing.

    -> lines for the user, and one line for each fault
    """
    path, lists = job.root / SETTINGS, read_lists(job.source.root)
    done = read_json(path) if path.exists() else {}
    if "left_out" not in done:
        raise ValueError(f"{job.root}: is not prepared to the end; run the same command without --verify")
    if differ := differences(done, job.settings):
        raise ValueError(f"{job.root}: holds another dataset: {differ}; give the options that made it")
    names = set(chain(*lists.values())) - set(done["left_out"])
    faults = collect_faults(folder_faults(job.root, names, done["clips"]))
    for name, ids in lists.items():
        faults += collect_faults(list_faults(job.root / f"splits/{name}.csv", [k for k in ids if k in names]))
    faults += chain(*parallel_map(partial(clip_faults, job=job), sorted(names), workers))
    left_out = [f"left out when they were made: {', '.join(done['left_out'])}"] if done["left_out"] else []
    return [
        f"{job.root}: {len(names)} clips and {len(lists)} lists compared with {job.source.root}",
        *left_out,
    ], faults


def collect_faults(faults: Iterator[str]) -> list[str]:
    """Faults of a check, including the error that ended it."""
    found = []
    try:
        for fault in faults:
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


def list_faults(path: Path, ids: list[str]) -> Iterator[str]:
    """A list without the clips of the download in their order."""
    if [row["video_id"] for row in read_rows(path, ("video_id",))] != ids:
        yield f"{path}: has other clips than the download's list"


def clip_faults(name: str, job: Job) -> list[str]:
    """Faults of the files of a clip."""
    return collect_faults(sound_faults(name, job)) + collect_faults(picture_faults(name, job))


def sound_faults(name: str, job: Job) -> Iterator[str]:
    """Differences of both wavs from the download."""
    ears, mono, _ = job.products(name)
    wanted = read_recording(job.source.audios / f"{name}.wav")
    (pair, rate), (half, _) = (
        read_wav(checked_file(ears), channels=2),
        read_wav(checked_file(mono), channels=1),
    )
    if (rate, pair.shape) != (RATE, wanted.shape):
        yield f"{ears}: {pair.shape[1]} samples at {rate} Hz; expected {wanted.shape[1]} at {RATE} Hz"
    elif np.abs(pair - wanted).max() > SOUND_TOLERANCE:
        yield f"{ears}: differs from the recording in the download"
    if not np.array_equal(half, pair.mean(0, keepdims=True)):
        yield f"{mono}: is not (L+R)/2 of {ears}"


def picture_faults(name: str, job: Job) -> Iterator[str]:
    """Differences of the pictures from the downloaded video."""
    stills, count = FrameFolder(job.products(name)[2]), 0
    for picture in read_frames(job.source.videos / f"{name}.mp4", job.fps, job.size):
        if count < len(stills):
            still = np.asarray(stills[count], dtype=np.int16)
            if still.shape != picture.shape or np.abs(still - picture).mean() > PICTURE_TOLERANCE:
                yield f"{stills.paths[count]}: differs from the downloaded video"
        count += 1
    if count != len(stills):
        yield f"{stills.paths[0].parent}: has {len(stills)} pictures; the downloaded video gives {count}"
