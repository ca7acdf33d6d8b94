"""Features of pictures by a frozen trunk, computed once for all runs that have the trunk in common."""

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.inference.features import PICTURES_A_CALL, encode_pictures
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import (
    UNREADABLE,
    discard,
    load_tensors,
    partial_files,
    save_tensors,
    wrong_checksum,
)
from DiffBinaural.utils.locks import LOCK
from DiffBinaural.utils.preload import ahead
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.tables import say_once

FORMAT = 1  # to be raised where other features are made of the same pictures


def encode_once(data: BinauralDataset, model: BinauralModel, ids: list[str], job: World) -> Path:
    """Encode the pictures of recordings, as far as no earlier run with this trunk has done so.

    A recording is encoded anew where the size or time of a picture's file, its detections or the field of
    view are others than before, and where its features are damaged.  The processes of the job divide the
    recordings; another job waits for it.

    data  whose frame sources are not encoded yet
    ->    folder of <id>.maps.pt: the content of an EncodedFrames, the fingerprint of what it was made of
    """
    folder = features_folder(model)
    with undisturbed(folder, job), ThreadPoolExecutor() as pool:
        sources: dict[Path, Any] = {
            folder / f"{video_id}.maps.pt": data.frame_source(video_id) for video_id in job.shard(ids)
        }
        prints = dict(zip(sources, pool.map(fingerprint, sources.values()), strict=True))
        known = pool.map(kept, prints, prints.values())
        missing = [path for path, there in zip(prints, known, strict=True) if not there]
        if count := sum(job.gather([len(sources) - len(missing)])):
            say_once(f"{folder}: the features of {count} of {len(ids)} recordings are there, and are reused")

        def save(made: tuple[Path, dict]) -> None:
            path, content = made
            save_tensors(path, {**content, "fingerprint": prints[path]})

        wanted = (sources[path] for path in missing)
        made = zip(missing, encoded(model, wanted, model.cfg.workers), strict=True)
        with Progress(total=len(missing), desc="encoding pictures", disable=not job.first) as bar:
            for _ in ahead(save, made, workers=1):
                bar.update()
    return folder


def features_folder(model: BinauralModel) -> Path:
    """<ckpt>/features/<…>: another one for another trunk, size of a slot's picture, number of slots, data."""
    cfg, known = model.cfg, blake2b(digest_size=8)
    told = (FORMAT, cfg.arch_frame, cfg.view.slots, cfg.view.image_size, str(Path(cfg.data_root).resolve()))
    known.update(repr(told).encode())
    for name, value in model.frame.trunk.state_dict().items():
        known.update(name.encode())
        known.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return Path(cfg.ckpt) / "features" / known.hexdigest()


def fingerprint(source: RecordedFrames) -> str:
    """What tells apart the pictures of recordings, and how they are divided into slots.

    "" where the pictures are no files: what is made of them is not kept for another run.
    """
    if not hasattr(source.pictures, "paths"):
        return ""
    facts = [(path.name, path.stat()) for path in source.pictures.paths]
    files = [(name, fact.st_size, fact.st_mtime_ns) for name, fact in facts]
    told = repr((source.fps, source.fov, source.detections, files))
    return blake2b(told.encode(), digest_size=16).hexdigest()


def kept(path: Path, wanted: str) -> bool:
    """Whether a file has the features with this fingerprint; a line says where it is damaged."""
    if not wanted or not path.exists():
        return False
    try:
        if load_tensors(path, mapped=True)["fingerprint"] != wanted:
            return False
        broken = wrong_checksum(path)
    except UNREADABLE:
        broken = "it"
    if broken:
        print(f"{path}: damaged; its recording is encoded again", file=sys.stderr)
    return not broken


@contextmanager
def undisturbed(folder: Path, job: World) -> Iterator[None]:
    """Lock a folder for one job, once others are through with it; files that they left half are deleted."""
    lock = FileLock(folder / LOCK)
    if job.first:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say_once(f"{folder}: another run encodes these pictures; waiting for it")
            lock.acquire()
        for part in partial_files(folder):
            discard(part)
    try:
        job.wait()
        yield
        job.wait()
    finally:
        lock.release()


def encoded(
    model: BinauralModel, sources: Iterable[RecordedFrames], workers: int
) -> Iterator[dict[str, Tensor]]:
    """The contents of EncodedFrames of recordings by a frozen trunk, in their order.

    While it encodes, threads read the pictures of its next calls: two for each thread, no more is held.
    """

    def read(call: tuple[RecordedFrames, range]) -> tuple[RecordedFrames, range, dict[str, Tensor]]:
        source, numbers = call
        return source, numbers, source.once(numbers)

    calls = (
        (source, range(first, min(first + PICTURES_A_CALL, source.count)))
        for source in sources
        for first in range(0, source.count, PICTURES_A_CALL)
    )
    parts = []
    for source, numbers, pictures in ahead(read, calls, max(workers, 1)):
        parts.append(encode_pictures(model, pictures))
        if numbers.stop == source.count:
            yield {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            parts = []
