"""Conversion of the FAIR-Play download to our layout."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.dataset_real_binaural import RATE, write_sounds, write_split
from DiffBinaural.dataset.recordings import FrameFolder
from DiffBinaural.fairplay.download import Download, find_download, read_lists, read_recording
from DiffBinaural.preparation.clips import (
    PATTERNS,
    SETTINGS,
    ClipFiles,
    PreparedClip,
    lengths_differ,
    write_frames,
    write_settings,
)
from DiffBinaural.preparation.reading import TOLERANCE, read_frames
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.processes import parallel_map


@dataclass(frozen=True)
class Job:
    """Source, target and settings of a preparation."""

    source: Download
    root: Path
    fps: int
    size: tuple[int, int]  # width, height in pixels

    @property
    def settings(self) -> dict:
        """Settings that another preparation of the same folder must have too."""
        return {"dataset": "FAIR-Play", "fps": self.fps, "frame_size": list(self.size), "sample_rate": RATE}

    def recording(self, name: str) -> np.ndarray:
        """A clip's two ears, (2, N) at our rate, as downloaded."""
        return read_recording(self.source.audios / f"{name}.wav")

    def frames(self, name: str) -> Iterator[np.ndarray]:
        """A clip's pictures as downloaded."""
        return read_frames(self.source.videos / f"{name}.mp4", self.fps, self.size)


def plan(source: str | Path, root: str | Path, fps: int, size: tuple[int, int]) -> Job:
    """Find the folders of a job.  Raises ValueError for an output folder within the download."""
    inside, download = Path(root).resolve(), Path(source).resolve()
    if inside == download or download in inside.parents:
        raise ValueError(
            f"--out {root} lies in the download {source}, which is only read; give another folder"
        )
    return Job(find_download(source), Path(root), fps, size)


def prepare_clip(name: str, job: Job) -> PreparedClip:
    """Write the missing files of a clip; files that exist are complete, because writes are atomic."""
    files = ClipFiles.of(job.root, name)
    try:
        has_sound = files.ears.exists() and files.mono.exists()
        pair = read_wav(files.ears, channels=2)[0] if has_sound else job.recording(name)
        if not files.frames.exists():
            write_frames(files.frames, job.frames(name))
        if not has_sound:
            write_sounds(job.root, name, pair)
        return PreparedClip(name=name, samples=pair.shape[1], pictures=len(FrameFolder(files.frames)))
    except (ValueError, FileNotFoundError, PermissionError) as error:
        return PreparedClip(name=name, fault=str(error).replace(f"{job.source.root}/", ""))


def prepare(job: Job, workers: int) -> tuple[list[str], list[str]]:
    """Write every listed clip, then the lists; a dataset.json with counts marks a complete dataset.

    -> lines for the user, and one line for each clip that is broken
    """
    lists = read_lists(job.source.root)
    with locked(job.root, SINGLE_PROCESS, *PATTERNS):
        claim(job.root / SETTINGS, job.settings, "processed", "splits")
        made = parallel_map(partial(prepare_clip, job=job), sorted(set(chain(*lists.values()))), workers)
        seconds = {clip.name: clip.samples / RATE for clip in made if not clip.fault}
        kept = {name: [(k, 0.0, seconds[k], "") for k in ids if k in seconds] for name, ids in lists.items()}
        for name, rows in kept.items():
            write_split(job.root, name, rows)
        counts = {name: len(rows) for name, rows in kept.items()}
        broken = write_settings(job.root, job.settings, made, counts, "h5py")
    return preparation_summary(job, lists, made), [f"{name}: {fault}" for name, fault in broken.items()]


def preparation_summary(job: Job, lists: dict[str, list[str]], made: list[PreparedClip]) -> list[str]:
    """Lines for the user: counts, and unusual properties of the download."""
    good = [clip for clip in made if not clip.fault]
    lines = [
        f"{job.root}: {len(good)} clips, {sum(clip.pictures for clip in good)} pictures, "
        f"{sum(clip.samples for clip in good) / RATE / 60:.1f} minutes, {len(lists)} lists"
    ]
    lengths = [(clip.name, clip.samples / RATE, clip.pictures / job.fps) for clip in good]
    if odd := [
        f"{name} ({sound:.1f} s, {video:.1f} s)"
        for name, sound, video in lengths
        if lengths_differ(sound, video, job.fps)
    ]:
        lines.append(f"sound and pictures differ by more than {TOLERANCE} s, and are kept: {', '.join(odd)}")
    if not any(name.startswith("five_") for name in lists):
        lines.append("no scene-disjoint lists found; they go into new_splits/ of the download")
    if spare := {path.stem for path in job.source.audios.glob("*.wav")} - {clip.name for clip in made}:
        lines.append(f"{len(spare)} recordings are in no list and are ignored, {min(spare)} for example")
    return lines
