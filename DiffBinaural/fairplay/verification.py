"""A prepared dataset compared with FAIR-Play's download."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.dataset_real_binaural import (
    BINAURAL,
    FRAMES,
    MONO,
    RATE,
    FrameFolder,
)
from DiffBinaural.fairplay.download import checked_file, read_frames, read_lists, two_ears
from DiffBinaural.fairplay.preparation import PATTERNS, SETTINGS, Job
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.files import differences, leftovers, read_json
from DiffBinaural.utils.lists import read_rows
from DiffBinaural.utils.processes import parallel_map

OTHER_SOUND = 2 / 32768  # more than other versions of the tools would change in a sample
OTHER_PICTURE = 16.0  # … and in a picture, JPEG included: mean difference in grey levels of 256


def verify(job: Job, workers: int) -> tuple[list[str], list[str]]:
    """Compare everything with the download, except clips that had to be left out of it; write nothing.

    -> lines to tell the user, and one line for each fault
    """
    path, lists = job.root / SETTINGS, read_lists(job.source.root)
    done = read_json(path) if path.exists() else {}
    if "left_out" not in done:
        raise ValueError(f"{job.root}: is not prepared to the end; run the same command without --verify")
    if differ := differences(done, job.settings):
        raise ValueError(f"{job.root}: holds another dataset: {differ}; give the options that made it")
    names = set(chain(*lists.values())) - set(done["left_out"])
    faults = gather(folder_faults(job.root, names, done["clips"]))
    for name, ids in lists.items():
        faults += gather(list_faults(job.root / f"splits/{name}.csv", [k for k in ids if k in names]))
    faults += chain(*parallel_map(partial(clip_faults, job=job), sorted(names), workers))
    left_out = [f"left out when they were made: {', '.join(done['left_out'])}"] if done["left_out"] else []
    return [
        f"{job.root}: {len(names)} clips and {len(lists)} lists compared with {job.source.root}",
        *left_out,
    ], faults


def gather(faults: Iterator[str]) -> list[str]:
    """A check's faults, the error that ended it included."""
    found = []
    try:
        for fault in faults:
            found.append(fault)
    except (ValueError, OSError) as error:
        found.append(str(error))
    return found


def folder_faults(root: Path, names: set[str], counted: int) -> Iterator[str]:
    """What lies in a folder that should not, and what it miscounts."""
    for part in leftovers(root, *PATTERNS):
        yield f"{part}: is left from an interrupted run"
    for kind in (BINAURAL, MONO, FRAMES):
        if strays := sorted({path.stem for path in (root / kind).glob("[!.]*")} - names):
            yield f"{root / kind}: holds {', '.join(strays)}, which belongs to no clip of the lists"
    if counted != len(names):
        yield f"{root / SETTINGS}: counts {counted} clips; the lists have {len(names)}"


def list_faults(path: Path, ids: list[str]) -> Iterator[str]:
    """Whether a list has the download's clips, in their order."""
    if [row["video_id"] for row in read_rows(path, ("video_id",))] != ids:
        yield f"{path}: has other clips than the download's list"


def clip_faults(name: str, job: Job) -> list[str]:
    """What is wrong with a clip's products."""
    return gather(sound_faults(name, job)) + gather(picture_faults(name, job))


def sound_faults(name: str, job: Job) -> Iterator[str]:
    """Both wavs against the downloaded one."""
    ears, mono, _ = job.products(name)
    wanted = two_ears(job.source.audios / f"{name}.wav")
    (pair, rate), (half, _) = (
        read_wav(checked_file(ears), channels=2),
        read_wav(checked_file(mono), channels=1),
    )
    if (rate, pair.shape) != (RATE, wanted.shape):
        yield f"{ears}: {pair.shape[1]} samples at {rate} Hz; expected {wanted.shape[1]} at {RATE} Hz"
    elif np.abs(pair - wanted).max() > OTHER_SOUND:
        yield f"{ears}: sounds otherwise than the download"
    if not np.array_equal(half, pair.mean(0, keepdims=True)):
        yield f"{mono}: is not (L+R)/2 of {ears}"


def picture_faults(name: str, job: Job) -> Iterator[str]:
    """Every picture against the downloaded video."""
    stills, count = FrameFolder(job.products(name)[2]), 0
    for picture in read_frames(job.source.videos / f"{name}.mp4", job.fps, job.size):
        if count < len(stills):
            still = np.asarray(stills[count], dtype=np.int16)
            if still.shape != picture.shape or np.abs(still - picture).mean() > OTHER_PICTURE:
                yield f"{stills.paths[count]}: shows something else than the downloaded video"
        count += 1
    if count != len(stills):
        yield f"{stills.paths[0].parent}: has {len(stills)} pictures; the downloaded video gives {count}"
