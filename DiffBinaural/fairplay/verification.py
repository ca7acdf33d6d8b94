"""Comparison of a prepared dataset with the FAIR-Play download."""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from DiffBinaural.fairplay.download import read_lists
from DiffBinaural.fairplay.preparation import Job
from DiffBinaural.preparation.clips import ClipFiles
from DiffBinaural.preparation.faults import (
    collect_faults,
    finished_settings,
    folder_faults,
    picture_faults,
    sound_faults,
)
from DiffBinaural.utils.processes import parallel_map
from DiffBinaural.utils.tables import read_rows


def verify(job: Job, workers: int) -> tuple[list[str], list[str]]:
    """Compare a dataset with the download, except for the clips that are left out; write nothing.

    -> lines for the user, and one line for each fault
    """
    lists, done = read_lists(job.source.root), finished_settings(job.root, job.settings)
    names = set(chain(*lists.values())) - set(done["left_out"])
    faults = collect_faults(partial(folder_faults, job.root, names, done["clips"]))
    for name, ids in lists.items():
        kept = [k for k in ids if k in names]
        faults += collect_faults(partial(list_faults, job.root / f"splits/{name}.csv", kept))
    faults += chain(*parallel_map(partial(clip_faults, job=job), sorted(names), workers))
    left_out = [f"left out when they were made: {', '.join(done['left_out'])}"] if done["left_out"] else []
    return [
        f"{job.root}: {len(names)} clips and {len(lists)} lists compared with {job.source.root}",
        *left_out,
    ], faults


def list_faults(path: Path, ids: list[str]) -> Iterator[str]:
    """A list without the clips of the download in their order."""
    if [row["video_id"] for row in read_rows(path, ("video_id",))] != ids:
        yield f"{path}: has other clips than the download's list"


def clip_faults(name: str, job: Job) -> list[str]:
    """Differences of a clip's wavs, of its pictures from the download."""
    files = ClipFiles.of(job.root, name)
    return [
        *collect_faults(lambda: sound_faults(files, job.recording(name))),
        *collect_faults(lambda: picture_faults(files, job.frames(name))),
    ]
