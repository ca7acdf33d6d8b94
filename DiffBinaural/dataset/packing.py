"""Packing of a dataset folder."""

import os
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.dataset.detections import rows_used
from DiffBinaural.dataset.packing_checks import checked, clip_fault
from DiffBinaural.dataset.recordings import DETECTIONS, Recordings, late_ends
from DiffBinaural.utils.lists import Clip, each_clip, each_detection, read_clips
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.pack_writer import PackWriter
from DiffBinaural.utils.packed import Packed
from DiffBinaural.utils.packed_index import INDEX
from DiffBinaural.utils.preload import ahead
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.tables import say_once

MEGABYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class PackConfig:
    """Packing of a dataset folder."""

    data_root: str = required("dataset folder to pack; it is only read")
    out: str = required("folder for the packed dataset, which becomes --data_root of the trainings")
    shard_mb: int = option(1024, "megabytes at which a shard is closed; a recording is never divided")
    workers: int = option(0, "threads that read and check recordings; 0: one per core")

    def __post_init__(self):
        positive(self, "shard_mb")
        if Path(self.out).resolve() == Path(self.data_root).resolve():
            raise ValueError(f"--out {self.out} is --data_root; give another folder")


def pack(cfg: PackConfig) -> tuple[str, list[str]]:
    """Check all recordings and clips of a dataset's lists and pack them, or go on with it.

    -> a line about the packed dataset, and faults of what cannot be packed: until there are none, the
       dataset stays unfinished
    """
    root, out = Path(cfg.data_root), Path(cfg.out)
    source = Recordings(root, detections=False)
    lists = {path: str(path.relative_to(root / "splits").with_suffix("")) for path in list_files(root)}
    wanted = clips_by_id(lists)
    described = {"description": zlib.crc32((root / "dataset.json").read_bytes())}
    with locked(out):
        if not (out / INDEX).exists():
            with closing(PackWriter(out, cfg.shard_mb * MEGABYTE)) as writer:
                same_dataset(writer.facts() or described, described, cfg)
                writer.state(**described, fps=source.fps)
                pack_detections(writer, source, wanted)
                faults = pack_recordings(writer, source, wanted, cfg.workers or os.cpu_count() or 1)
                faults += pack_lists(writer, lists)
                if faults:
                    return "", faults
                writer.finish()
        packed = Packed(out)
        same_dataset(packed.facts, described, cfg)
    return describe_packed(packed), []


def list_files(root: Path) -> list[Path]:
    """CSV files of a dataset's lists.  Raises FileNotFoundError where there are none."""
    if found := sorted((root / "splits").rglob("*.csv")):
        return found
    raise FileNotFoundError(f"{root / 'splits'}: no lists of clips; expected train.csv, val.csv, …")


def clips_by_id(lists: Iterable[Path]) -> dict[str, list[tuple[str, Clip]]]:
    """Clips of all lists by recording, each with its list's file name.  ValueError for an empty one."""
    found: dict[str, list[tuple[str, Clip]]] = {}
    for path in lists:
        for clip in read_clips(path):
            found.setdefault(clip.video_id, []).append((path.name, clip))
    return found


def same_dataset(found: dict, described: dict, cfg: PackConfig) -> None:
    """Raise ValueError where --out holds another dataset, or this one with another dataset.json."""
    if found["description"] != described["description"]:
        raise ValueError(
            f"{cfg.out}: holds a dataset with another dataset.json than {cfg.data_root}; "
            "give another --out or delete it"
        )


def describe_packed(packed: Packed) -> str:
    """A line about a packed dataset."""
    ((count, size),) = packed.rows("SELECT COUNT(*), SUM(bytes) FROM shards")
    ((recordings,),) = packed.rows("SELECT COUNT(*) FROM recordings")
    lists = ", ".join(f"{name} {clips}" for name, clips in packed.rows("SELECT name, clips FROM lists"))
    return f"{packed.root}: {recordings} recordings in {count} shards of {size / 1e9:.2f} GB; clips: {lists}"


def pack_detections(writer: PackWriter, source: Recordings, wanted: Container[str]) -> None:
    """Write the detections of the wanted recordings, and say which rows of the table belong to none."""
    table, counts = source.root / DETECTIONS, Counter[str]()
    if not table.exists():
        return

    def counted():
        for video_id, detection in each_detection(table, source.fps):
            counts[video_id] += 1
            if video_id in wanted:
                yield video_id, detection

    writer.write_detections(counted())
    if line := rows_used(table, {video_id: range(count) for video_id, count in counts.items()}, source.ids()):
        say_once(line)


def pack_recordings(
    writer: PackWriter, source: Recordings, wanted: dict[str, list[tuple[str, Clip]]], workers: int
) -> list[str]:
    """Write the recordings that are not written yet.  -> faults of those that cannot be

    wanted  clips of all lists by id, each with its list's name
    """
    missing, faults = sorted(wanted.keys() - writer.packed()), []

    def check(item):
        video_id, found = item
        try:
            return checked(source, video_id, wanted[video_id], found)
        except (ValueError, FileNotFoundError) as error:
            return f"{video_id}, in {wanted[video_id][0][0]}: {error}"

    def sound_ones():
        rate = writer.facts().get("rate")
        items = ((video_id, writer.detections(video_id)) for video_id in missing)
        for made in Progress(ahead(check, items, workers), total=len(missing), desc="packing"):
            if not isinstance(made, str):
                recording, files, own = made
                if rate is None:
                    writer.state(rate=own)
                rate = rate or own
                if own == rate:
                    yield recording, open_files(source.root, files)
                    continue
                made = (
                    f"{recording.video_id}: {files[0]}: has {own} Hz, others have {rate} Hz; "
                    "convert it to that, which is cheaper once than in every sample"
                )
            faults.append(made)

    tables = [source.root / "dataset.json", *list_files(source.root), source.root / DETECTIONS]
    writer.write_shards(sound_ones(), open_files(source.root, [path for path in tables if path.exists()]))
    return faults


def pack_lists(writer: PackWriter, lists: dict[Path, str]) -> list[str]:
    """Write all lists anew.  -> faults of clips whose recordings were written for other ones"""
    faults, rate = [], writer.facts().get("rate", 1)

    writer.clear_lists()
    for path, name in lists.items():
        clips, seconds = [], {}
        for clip in each_clip(path):
            if lengths := writer.lengths(clip.video_id):
                clips.append(clip)
                seconds[clip.video_id] = lengths[0] / rate
                if fault := clip_fault(clip, rate, *lengths):
                    faults.append(f"{path.name}, clip {clip.stem}: {fault}")
        writer.write_list(name, clips)
        if line := late_ends(path.name, clips, seconds):
            say_once(line)
    return faults


def open_files(root: Path, files: Iterable[Path]) -> Iterator[tuple[str, BinaryIO]]:
    """Files, open, with their names in the dataset folder."""
    for path in files:
        with open(path, "rb") as file:
            yield path.relative_to(root).as_posix(), file
