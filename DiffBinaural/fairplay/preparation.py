"""FAIR-Play's clips brought into our layout."""

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from DiffBinaural.dataset.dataset_real_binaural import (
    BINAURAL,
    FRAMES,
    MONO,
    RATE,
    FrameFolder,
    write_sounds,
    write_split,
)
from DiffBinaural.fairplay.download import SLACK, Download, find_download, read_frames, read_lists, two_ears
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim, replacing, write_json
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.media_writing import write_picture
from DiffBinaural.utils.processes import parallel_map

SETTINGS, PATTERNS = "dataset.json", ("processed/*/", "splits/*/")
TOOLS = ("av", "h5py", "numpy", "pillow", "soundfile", "torchaudio")


@dataclass(frozen=True)
class Made:
    """What became of a clip."""

    name: str
    samples: int = 0  # of an ear, at our rate
    pictures: int = 0
    fault: str = ""  # why there is nothing of it


@dataclass(frozen=True)
class Job:
    """From where to where, and how."""

    source: Download
    root: Path
    fps: int
    size: tuple[int, int]  # width, height in pixels

    @property
    def settings(self) -> dict:
        """What two preparations must share to be one."""
        return {"dataset": "FAIR-Play", "fps": self.fps, "frame_size": list(self.size), "sample_rate": RATE}

    def products(self, name: str) -> tuple[Path, Path, Path]:
        """A clip's binaural wav, mono wav and folder of pictures."""
        root, wav = self.root, f"{name}.wav"
        return root / BINAURAL / wav, root / MONO / wav, root / FRAMES / name


def plan(source: str | Path, root: str | Path, fps: int, size: tuple[int, int]) -> Job:
    """A job whose folders are found.  Raises ValueError for a place that would change the download."""
    inside, download = Path(root).resolve(), Path(source).resolve()
    if inside == download or download in inside.parents:
        raise ValueError(
            f"--out {root} lies in the download {source}, which is only read; give another folder"
        )
    return Job(find_download(source), Path(root), fps, size)


def prepare_clip(name: str, job: Job) -> Made:
    """Make what a clip still lacks; a product that is there is whole, since it appears at once or never."""
    ears, mono, frames = job.products(name)
    try:
        heard = ears.exists() and mono.exists()
        pair = read_wav(ears, channels=2)[0] if heard else two_ears(job.source.audios / f"{name}.wav")
        if not frames.exists():
            with replacing(frames) as folder:
                folder.mkdir()
                shown = read_frames(job.source.videos / f"{name}.mp4", job.fps, job.size)
                for number, picture in enumerate(shown, start=1):
                    write_picture(folder / f"frame_{number:06d}.jpg", picture)
        if not heard:
            write_sounds(job.root, name, pair)
        return Made(name, pair.shape[1], len(FrameFolder(frames)))
    except (ValueError, FileNotFoundError, PermissionError) as error:
        return Made(name, fault=str(error).replace(f"{job.source.root}/", ""))


def prepare(job: Job, workers: int) -> tuple[list[str], list[str]]:
    """Make every listed clip, then the lists: a folder whose dataset.json counts them is complete.

    -> lines to tell the user, and one line for each clip that is broken
    """
    lists = read_lists(job.source.root)
    with locked(job.root, SINGLE_PROCESS, *PATTERNS):
        claim(job.root / SETTINGS, job.settings, "processed", "splits")
        made = parallel_map(partial(prepare_clip, job=job), sorted(set(chain(*lists.values()))), workers)
        seconds = {clip.name: clip.samples / RATE for clip in made if not clip.fault}
        kept = {name: [(k, 0.0, seconds[k], "") for k in ids if k in seconds] for name, ids in lists.items()}
        for name, rows in kept.items():
            write_split(job.root, name, rows)
        broken = {clip.name: clip.fault for clip in made if clip.fault}
        write_json(
            job.root / SETTINGS,
            {
                **job.settings,
                "clips": len(seconds),
                "samples": sum(clip.samples for clip in made),
                "pictures": sum(clip.pictures for clip in made),
                "left_out": broken,
                "splits": {name: len(rows) for name, rows in kept.items()},
                "versions": {tool: version(tool) for tool in TOOLS},
            },
        )
    return preparation_summary(job, lists, made), [f"{name}: {fault}" for name, fault in broken.items()]


def preparation_summary(job: Job, lists: dict[str, list[str]], made: list[Made]) -> list[str]:
    """What was made, and what about it may surprise."""
    good = [clip for clip in made if not clip.fault]
    lines = [
        f"{job.root}: {len(good)} clips, {sum(clip.pictures for clip in good)} pictures, "
        f"{sum(clip.samples for clip in good) / RATE / 60:.1f} minutes, {len(lists)} lists"
    ]
    lengths = [(clip.name, clip.samples / RATE, clip.pictures / job.fps) for clip in good]
    if odd := [
        f"{name} ({heard:.1f} s, {seen:.1f} s)"
        for name, heard, seen in lengths
        if abs(heard - seen) > max(SLACK, 1 / job.fps)
    ]:
        lines.append(f"sound and pictures differ by more than {SLACK} s, and are kept: {', '.join(odd)}")
    if not any(name.startswith("five_") for name in lists):
        lines.append("no scene-disjoint lists there; they go into new_splits/ of the download")
    if spare := {path.stem for path in job.source.audios.glob("*.wav")} - {clip.name for clip in made}:
        lines.append(f"{len(spare)} recordings are in no list and are left alone, {min(spare)} for one")
    return lines
