"""Writer of packed datasets, shard by shard."""

import itertools
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from DiffBinaural.utils.files import replacing
from DiffBinaural.utils.lists import Clip, Detection
from DiffBinaural.utils.packed_index import (
    APPLICATION,
    DETECTED,
    FORMAT,
    INDEX,
    SCHEMA,
    UNFINISHED,
    by_time,
    index_errors,
)
from DiffBinaural.utils.shards import Place, append, shard_name


@dataclass(frozen=True)
class NewRecording:
    """A recording to be packed, checked.

    mono, ears  samples of the sounds; ears: None without a binaural one
    size        (width, height) of its first picture, pixels
    fov         degrees
    head        name of the head that it was made with
    """

    video_id: str
    mono: int
    ears: int | None
    size: tuple[int, int]
    fov: float
    head: str


class PackWriter:
    """A packed dataset that is being written; what a process that was stopped has finished is kept.

    out          its folder
    shard_bytes  size at which a shard is closed
    """

    def __init__(self, out: Path, shard_bytes: int):
        self.out, self.shard_bytes, self.path = out, shard_bytes, out / UNFINISHED
        with index_errors(self.path):
            self.index = sqlite3.connect(self.path)
            (tables,) = self.index.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            if not tables:
                marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
                self.index.executescript(f"BEGIN; {marks} {SCHEMA} COMMIT;")

    def facts(self) -> dict:
        """The facts written so far."""
        with index_errors(self.path):
            return {name: json.loads(value) for name, value in self.index.execute("SELECT * FROM facts")}

    def state(self, **facts) -> None:
        """Write facts about the dataset: rate (Hz) of all sounds, fps of all pictures, and others."""
        with self._transaction():
            rows = [(name, json.dumps(value)) for name, value in facts.items()]
            self.index.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", rows)

    def packed(self) -> set[str]:
        """Ids of the recordings that are written."""
        with index_errors(self.path):
            return {video_id for (video_id,) in self.index.execute("SELECT video_id FROM recordings")}

    def lengths(self, video_id: str) -> tuple[int, int | None] | None:
        """Samples of a written recording's sounds, mono and ears; None where it is not written."""
        with index_errors(self.path):
            query = "SELECT mono, ears FROM recordings WHERE video_id = ?"
            return self.index.execute(query, (video_id,)).fetchone()

    def write_shards(
        self,
        recordings: Iterable[tuple[NewRecording, Iterator[tuple[str, BinaryIO]]]],
        first: Iterable[tuple[str, BinaryIO]] = (),
    ) -> None:
        """Write recordings, each with its files: mono sound, binaural sound where there is one, pictures.

        first  other files, to be written before those of the first shard
        """
        stream = iter(recordings)
        for one in stream:
            with index_errors(self.path):
                (number,) = self.index.execute("SELECT COALESCE(MAX(shard) + 1, 0) FROM shards").fetchone()
            extra = () if number else first
            self._write_shard(number, extra, itertools.chain([one], stream))

    def _write_shard(self, number: int, extra: Iterable, recordings: Iterator) -> None:
        path, rows = self.out / shard_name(number), []
        with replacing(path) as partial, closing(tarfile.open(partial, "w")) as tar:
            for name, file in extra:
                append(tar, name, file, number)
            for recording, files in recordings:
                places = [append(tar, name, file, number) for name, file in files]
                rows.append(_row(recording, places))
                if tar.offset >= self.shard_bytes:
                    break
        with self._transaction():
            self.index.execute("INSERT INTO shards VALUES (?, ?)", (number, path.stat().st_size))
            self.index.executemany("INSERT INTO recordings VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def write_detections(self, found: Iterable[tuple[str, Detection]]) -> None:
        """Write all detections, with their video ids, in any order; earlier ones are replaced."""
        rows = (
            (video_id, k, d.time, *d.box, d.score, d.label, d.track, d.sounding)
            for k, (video_id, d) in enumerate(found)
        )
        with self._transaction():
            self.index.execute("DELETE FROM detections")
            self.index.executemany("INSERT INTO detections VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def detections(self, video_id: str) -> list[Detection]:
        """Written detections of a recording, sorted by time."""
        with index_errors(self.path):
            return by_time(self.index.execute(DETECTED, (video_id,)))

    def write_list(self, name: str, clips: Iterable[Clip]) -> None:
        """Write a list of clips of written recordings, in order."""
        ranks: dict[str, int] = {}
        with self._transaction():
            values = (name, 0, 0)
            row = self.index.execute("INSERT INTO lists VALUES (NULL, ?, ?, ?, NULL)", values)
            number, count = row.lastrowid, 0
            for count, clip in enumerate(clips, start=1):
                rank = ranks.setdefault(clip.video_id, len(ranks))
                values = (number, count - 1, clip.video_id, clip.start, clip.end, clip.label, rank)
                self.index.execute("INSERT INTO clips VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            lacking = self.index.execute(
                "SELECT video_id FROM clips JOIN recordings USING (video_id)"
                " WHERE list = ? AND ears IS NULL ORDER BY k LIMIT 1",
                (number,),
            ).fetchone()
            values = (count, len(ranks), lacking and lacking[0], number)
            self.index.execute(
                "UPDATE lists SET clips = ?, recordings = ?, one_eared = ? WHERE list = ?", values
            )

    def clear_lists(self) -> None:
        """Delete the lists that an earlier process wrote."""
        with self._transaction():
            self.index.executescript("DELETE FROM lists; DELETE FROM clips")

    def finish(self) -> None:
        """Make the dataset readable: all of it is written."""
        self.close()
        os.replace(self.path, self.out / INDEX)

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with index_errors(self.path), self.index:
            yield


def _row(recording: NewRecording, places: list[Place]) -> tuple:
    spans = np.array([(place.offset, place.size) for place in places], "<u8")
    sums = np.concatenate([place.sums for place in places])
    return (
        recording.video_id,
        places[0].shard,
        recording.mono,
        recording.ears,
        *recording.size,
        recording.fov,
        recording.head,
        spans.tobytes(),
        sums.tobytes(),
    )
