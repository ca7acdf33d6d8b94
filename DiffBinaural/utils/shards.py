"""Files inside tar shards, read at random, every block compared with its checksum."""

import io
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

BLOCK = 1 << 16  # bytes that have one CRC-32
MOST_OPEN = 256  # shards that a process holds open; a system allows 1,024 files


@dataclass(frozen=True)
class Place:
    """Where a file lies.

    sums  (ceil(size / BLOCK),) uint32, the CRC-32 of each block of the file
    """

    shard: int
    offset: int  # bytes
    size: int  # bytes
    sums: np.ndarray


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"shard_{number:05d}.tar"


def append(tar: tarfile.TarFile, name: str, file: BinaryIO, shard: int) -> Place:
    """Append a file, from its beginning, to an open shard that is its `shard`-th."""
    assert tar.fileobj is not None
    info = tarfile.TarInfo(name)  # owner and time are 0: the same data give the same bytes
    info.size = file.seek(0, io.SEEK_END)
    file.seek(0)
    summed = _Summed(file)
    tar.addfile(info, summed)
    offset = tar.fileobj.tell() - -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return Place(shard, offset, info.size, summed.finished())


class _Summed:
    """A file that keeps the CRC-32 of each block that is read from it."""

    def __init__(self, file: BinaryIO):
        self.file, self.sums, self.rest = file, [], b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data = self.file.read(size)
        self.rest += data
        while len(self.rest) >= BLOCK:
            self.sums.append(zlib.crc32(self.rest[:BLOCK]))
            self.rest = self.rest[BLOCK:]
        return data

    def finished(self) -> np.ndarray:
        """The checksums (n,) uint32 of all that was read."""
        return np.array([*self.sums, *([zlib.crc32(self.rest)] if self.rest else [])], "<u4")


class Shards:
    """The shards of a folder, for one thread; forked processes may go on reading: no position is shared."""

    def __init__(self, folder: Path):
        self.folder, self.handles = folder, {}

    def read(self, place: Place, name: str, first: int = 0, stop: int | None = None) -> bytes:
        """The bytes of a file from block `first` to before block `stop`.

        name  of the file, for messages
        Raises ValueError where they are not those that were written.
        """
        stop = len(place.sums) if stop is None else min(stop, len(place.sums))
        begin, end = first * BLOCK, min(stop * BLOCK, place.size)
        data = os.pread(self._handle(place.shard), end - begin, place.offset + begin)
        for k in range(first, stop):
            block = data[(k - first) * BLOCK : (k + 1 - first) * BLOCK]
            if zlib.crc32(block) != place.sums[k]:
                raise ValueError(
                    f"{self.folder / shard_name(place.shard)}: damaged, {name} has a wrong checksum; "
                    "take another copy of the shard, or pack the dataset again"
                )
        return data

    def _handle(self, number: int) -> int:
        if number not in self.handles:
            if len(self.handles) >= MOST_OPEN:
                self.close()
            self.handles[number] = os.open(self.folder / shard_name(number), os.O_RDONLY)
        return self.handles[number]

    def close(self) -> None:
        """Close the shards; a later read opens them again."""
        while self.handles:
            os.close(self.handles.popitem()[1])

    def __del__(self):
        self.close()


class Member(io.RawIOBase):
    """A file in a shard, as a file object.

    fault  the error of a reader that a C library called, which loses it; None while all is well
    """

    def __init__(self, shards: Shards, place: Place, name: str):
        self.shards, self.place, self.name = shards, place, name
        self.position, self.held, self.fault = 0, (0, b""), None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Position of the next byte."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.place.size}[whence]
        self.position = max(start + offset, 0)
        return self.position

    def readinto(self, buffer) -> int:
        """Fill a buffer with the next bytes.  -> how many; 0 at the end, and where they are damaged"""
        end = min(self.position + len(buffer), self.place.size)
        if end <= self.position or self.fault:
            return 0
        begin, data = self.held
        if not begin <= self.position <= end <= begin + len(data):
            first = self.position // BLOCK
            try:
                data = self.shards.read(self.place, self.name, first, -(-end // BLOCK))
            except (OSError, ValueError) as error:
                self.fault = error
                return 0
            begin = first * BLOCK
            self.held = begin, data
        count = end - self.position
        buffer[:count] = data[self.position - begin : end - begin]
        self.position = end
        return count
