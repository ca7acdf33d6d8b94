"""The index of a packed dataset: an SQLite file of its recordings, clips, detections."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.shards import shard_name

INDEX = "index.sqlite"  # in the folder of a packed dataset; written last
UNFINISHED = "index.partial"
FORMAT = 1  # of index and shards: PRAGMA user_version
APPLICATION = 0x44425041  # PRAGMA application_id: what tells our index from any other SQLite file
SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);         -- as JSON
CREATE TABLE shards (shard INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
CREATE TABLE recordings (                                                -- mono, ears if `ears`, pictures
    recording INTEGER PRIMARY KEY, video_id TEXT NOT NULL UNIQUE, shard INTEGER NOT NULL,
    mono INTEGER NOT NULL, ears INTEGER,                                 -- samples
    width INTEGER NOT NULL, height INTEGER NOT NULL, fov REAL NOT NULL, head TEXT NOT NULL,
    places BLOB NOT NULL, sums BLOB NOT NULL);                           -- offset and size <u8, CRC-32 <u4
CREATE TABLE lists (
    list INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, clips INTEGER NOT NULL, recordings INTEGER NOT NULL,
    one_eared TEXT);                                                     -- first id without binaural sound
CREATE TABLE clips (                                                     -- rank: of its recording in the list
    list INTEGER, k INTEGER, video_id TEXT NOT NULL, start REAL NOT NULL, stop REAL NOT NULL,
    label TEXT NOT NULL, rank INTEGER NOT NULL, PRIMARY KEY (list, k)) WITHOUT ROWID;
CREATE TABLE detections (
    video_id TEXT, k INTEGER, time REAL NOT NULL, x1 REAL NOT NULL, y1 REAL NOT NULL, x2 REAL NOT NULL,
    y2 REAL NOT NULL, score REAL NOT NULL, label TEXT NOT NULL, track TEXT NOT NULL, sounding REAL NOT NULL,
    PRIMARY KEY (video_id, k)) WITHOUT ROWID;
"""

DETECTED = (
    "SELECT time, x1, y1, x2, y2, score, label, track, sounding FROM detections WHERE video_id = ? ORDER BY k"
)


def by_time(rows: Iterable[tuple]) -> list[Detection]:
    """The detections of a recording, sorted by time, from the rows that answer DETECTED."""
    return sorted((Detection(row[0], row[1:5], *row[5:]) for row in rows), key=lambda d: d.time)


def is_packed(root: str | Path) -> bool:
    """Whether a dataset is packed, finished or not, and no folder of its files."""
    return any((Path(root) / name).is_file() for name in (INDEX, UNFINISHED))


@contextmanager
def index_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors in the block into ValueErrors that name the index."""
    try:
        yield
    except sqlite3.Error as error:
        raise ValueError(
            f"{path}: cannot be read or written ({error}); make room, or take another copy"
        ) from None


class PackedIndex:
    """The index of a packed dataset, read only: processes of any number of machines may share it.

    root  folder of the dataset
    Opening it reads nothing but the sizes of the shards.
    Raises ValueError or FileNotFoundError where the dataset is unfinished, of another version or damaged.
    """

    def __init__(self, root: str | Path):
        self.root, self.opened = Path(root), (0, None)
        self.index = self.root / INDEX
        if not self.index.is_file():
            raise FileNotFoundError(
                f"{self.root}: the packing is not finished; run pack_dataset.py again to go on with it"
            )
        ((application,),), ((version,),) = map(self.rows, ("PRAGMA application_id", "PRAGMA user_version"))
        if application != APPLICATION:
            raise ValueError(f"{self.index}: no index of a packed dataset")
        if version != FORMAT:
            raise ValueError(
                f"{self.index}: of format {version}, this version reads {FORMAT}; pack the dataset again"
            )
        self.facts = {name: json.loads(value) for name, value in self.rows("SELECT * FROM facts")}
        for number, size in self.rows("SELECT shard, bytes FROM shards"):
            path = self.root / shard_name(number)
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                there = "missing" if found is None else f"has {found} bytes"
                raise ValueError(
                    f"{path}: {there}, expected {size} bytes; take another copy, or pack the dataset again"
                )

    def __reduce__(self):
        return type(self), (self.root,)

    def rows(self, query: str, *values) -> list[tuple]:
        """All rows that answer a query."""
        process, connection = self.opened
        with index_errors(self.index):
            if process != os.getpid():  # a connection must not be taken into a fork
                place = f"{self.index.absolute().as_uri()}?mode=ro&immutable=1"  # without locks: also on NFS
                connection = sqlite3.connect(place, uri=True, check_same_thread=False)
                self.opened = os.getpid(), connection
            return connection.execute(query, values).fetchall()
