"""Qt's binary resource files (.rcc), read as data."""

import struct
import zlib
from collections.abc import Iterator

COMPRESSED, FOLDER, ZSTD = 1, 2, 4  # flags of an entry
ENTRY = 22  # bytes of an entry of the tree, formats 2 and 3
MAX_ENTRIES = 100_000
MAX_SIZE = 1 << 28  # bytes of one resource


def resources(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Files of a resource file of format 2 or 3: (path, content).

    The format is that of Qt's own tool: a header; a tree of entries, breadth first; names in UTF-16; data,
    each with its length in front (qtbase/src/tools/rcc/rcc.cpp).
    Raises ValueError where it is another format, or damaged.
    """
    try:
        magic, version, tree, data, names = struct.unpack_from(">4s4I", content)
        if magic != b"qres" or version not in (2, 3):
            raise ValueError(f"starts with {magic!r}, format {version}; expected b'qres', format 2 or 3")
        pending, seen = [(0, "")], 0
        while pending:
            number, path = pending.pop()
            seen += 1
            if seen > MAX_ENTRIES:
                raise ValueError(f"more than {MAX_ENTRIES} entries")
            entry = tree + number * ENTRY
            name, flags = struct.unpack_from(">IH", content, entry)
            path += "/" + _name(content, names + name) if number else ""
            if flags & FOLDER:
                count, first = struct.unpack_from(">II", content, entry + 6)
                if first <= number or count > MAX_ENTRIES:  # the tree is breadth first, so that it ends
                    raise ValueError(f"a folder's content is at {first}, before the folder itself, {number}")
                pending += [(child, path) for child in range(first, first + count)]
            else:
                (where,) = struct.unpack_from(">I", content, entry + 10)
                yield path.lstrip("/"), _data(content, data + where, flags)
    except (struct.error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"damaged resource file ({error})") from None


def _name(content: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">H", content, at)  # a hash of four bytes follows it
    return content[at + 6 : at + 6 + 2 * length].decode("utf-16-be")


def _data(content: bytes, at: int, flags: int) -> bytes:
    (length,) = struct.unpack_from(">I", content, at)
    held = content[at + 4 : at + 4 + length]
    if len(held) < length:
        raise ValueError("damaged resource file (cut off)")
    if flags & ZSTD:
        raise ValueError("a resource is compressed by zstd, which is not read here")
    if flags & COMPRESSED:  # four bytes of size, then a zlib stream
        unpacker = zlib.decompressobj()
        held = unpacker.decompress(held[4:], MAX_SIZE)
        if not unpacker.eof:
            raise ValueError(f"a resource is cut off, or has more than {MAX_SIZE} bytes")
    return held
