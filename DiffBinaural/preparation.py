"""FAIR-Play's clips in our layout: made from the download, and checked against it."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.dataset_real_binaural import (
    BINAURAL,
    FRAMES,
    MONO,
    RATE,
    FrameFolder,
    write_sounds,
    write_split,
)
from DiffBinaural.fairplay import SLACK, Download, film, find, read_lists, two_ears, whole
from DiffBinaural.utils.distributed import ALONE
from DiffBinaural.utils.files import claim, differences, leftovers, read_json, replacing, write_json
from DiffBinaural.utils.helpers import read_wav, spread
from DiffBinaural.utils.lists import read_rows
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.media import write_picture

SETTINGS, PLACES = "dataset.json", ("processed/*/", "splits/*/")
TOOLS = ("av", "h5py", "numpy", "pillow", "soundfile", "torchaudio")
OTHER_SOUND = 2 / 32768  # more than other versions of the tools would change in a sample
OTHER_PICTURE = 16.0  # … and in a picture, JPEG included: mean difference in grey levels of 256


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
    return Job(find(source), Path(root), fps, size)


# --- making -------------------------------------------------------------------------------------------------


def prepare_clip(name: str, job: Job) -> Made:
    """Make what a clip still lacks; a product that is there is whole, since it appears at once or never."""
    ears, mono, frames = job.products(name)
    try:
        heard = ears.exists() and mono.exists()
        pair = read_wav(ears, channels=2)[0] if heard else two_ears(job.source.audios / f"{name}.wav")
        if not frames.exists():
            with replacing(frames) as folder:
                folder.mkdir()
                shown = film(job.source.videos / f"{name}.mp4", job.fps, job.size)
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
    with locked(job.root, ALONE, *PLACES):
        claim(job.root / SETTINGS, job.settings, "processed", "splits")
        made = spread(partial(prepare_clip, job=job), sorted(set(chain(*lists.values()))), workers)
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
    return summary(job, lists, made), [f"{name}: {fault}" for name, fault in broken.items()]


def summary(job: Job, lists: dict[str, list[str]], made: list[Made]) -> list[str]:
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


# --- checking -----------------------------------------------------------------------------------------------


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
    faults += chain(*spread(partial(clip_faults, job=job), sorted(names), workers))
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
    for part in leftovers(root, *PLACES):
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
    (pair, rate), (half, _) = read_wav(whole(ears), channels=2), read_wav(whole(mono), channels=1)
    if (rate, pair.shape) != (RATE, wanted.shape):
        yield f"{ears}: {pair.shape[1]} samples at {rate} Hz; expected {wanted.shape[1]} at {RATE} Hz"
    elif np.abs(pair - wanted).max() > OTHER_SOUND:
        yield f"{ears}: sounds otherwise than the download"
    if not np.array_equal(half, pair.mean(0, keepdims=True)):
        yield f"{mono}: is not (L+R)/2 of {ears}"


def picture_faults(name: str, job: Job) -> Iterator[str]:
    """Every picture against the downloaded video."""
    stills, count = FrameFolder(job.products(name)[2]), 0
    for picture in film(job.source.videos / f"{name}.mp4", job.fps, job.size):
        if count < len(stills):
            still = np.asarray(stills[count], dtype=np.int16)
            if still.shape != picture.shape or np.abs(still - picture).mean() > OTHER_PICTURE:
                yield f"{stills.paths[count]}: shows something else than the downloaded video"
        count += 1
    if count != len(stills):
        yield f"{stills.paths[0].parent}: has {len(stills)} pictures; the downloaded video gives {count}"
