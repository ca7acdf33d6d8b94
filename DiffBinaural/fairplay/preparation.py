"""Conversion of the FAIR-Play download to our layout."""

from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path

from DiffBinaural.dataset.dataset_real_binaural import BINAURAL, MONO, RATE, write_sounds, write_split
from DiffBinaural.dataset.recordings import FRAMES, FrameFolder
from DiffBinaural.fairplay.download import (
    TOLERANCE,
    Download,
    find_download,
    read_frames,
    read_lists,
    read_recording,
)
from DiffBinaural.utils.audio import read_wav
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.files import claim, replacing, write_json
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.media_writing import write_picture
from DiffBinaural.utils.processes import parallel_map

SETTINGS, PATTERNS = "dataset.json", ("processed/*/", "splits/*/")
TOOLS = ("av", "h5py", "numpy", "pillow", "soundfile", "torchaudio")


@dataclass(frozen=True)
class PreparedClip:
    """Result of the preparation of a clip."""

    name: str
    samples: int = 0  # per channel, at our rate
    pictures: int = 0
    fault: str = ""  # why the clip is left out


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

    def products(self, name: str) -> tuple[Path, Path, Path]:
        """A clip's binaural wav, mono wav and folder of pictures."""
        root, wav = self.root, f"{name}.wav"
        return root / BINAURAL / wav, root / MONO / wav, root / FRAMES / name


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
    ears, mono, frames = job.products(name)
    try:
        has_sound = ears.exists() and mono.exists()
        pair = (
            read_wav(ears, channels=2)[0] if has_sound else read_recording(job.source.audios / f"{name}.wav")
        )
        if not frames.exists():
            with replacing(frames) as folder:
                folder.mkdir()
                shown = read_frames(job.source.videos / f"{name}.mp4", job.fps, job.size)
                for number, picture in enumerate(shown, start=1):
                    write_picture(folder / f"frame_{number:06d}.jpg", picture)
        if not has_sound:
            write_sounds(job.root, name, pair)
        return PreparedClip(name, pair.shape[1], len(FrameFolder(frames)))
    except (ValueError, FileNotFoundError, PermissionError) as error:
        return PreparedClip(name, fault=str(error).replace(f"{job.source.root}/", ""))


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
        if abs(sound - video) > max(TOLERANCE, 1 / job.fps)
    ]:
        lines.append(f"sound and pictures differ by more than {TOLERANCE} s, and are kept: {', '.join(odd)}")
    if not any(name.startswith("five_") for name in lists):
        lines.append("no scene-disjoint lists found; they go into new_splits/ of the download")
    if spare := {path.stem for path in job.source.audios.glob("*.wav")} - {clip.name for clip in made}:
        lines.append(f"{len(spare)} recordings are in no list and are ignored, {min(spare)} for example")
    return lines
