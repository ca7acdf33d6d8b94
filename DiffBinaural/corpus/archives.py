"""Contents of packages, read as data: nothing is unpacked to disk, so that no name in a package is a path."""

import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from DiffBinaural.utils.files import naming

Wanted = Callable[[str, int], bool]  # name, size in bytes
MAX_MEMBER = 1 << 28  # bytes: of one file


def members(path: Path, *patterns: str) -> Iterator[tuple[str, bytes]]:
    """Regular files of a .deb or wheel whose name matches one of the patterns of fnmatch: (name, content).

    Raises ValueError naming the package where it is damaged, or has a file of more than MAX_MEMBER.
    """

    def wanted(name: str, size: int) -> bool:
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            return False
        if size > MAX_MEMBER:
            raise ValueError(f"{name} has {size} bytes; expected at most {MAX_MEMBER}")
        return True

    with naming(path.name):
        yield from (_of_deb if path.suffix == ".deb" else _of_wheel)(path, wanted)


def _of_deb(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    # dpkg-deb knows every compression that a .deb may have; it writes the tar, and we read it
    if not shutil.which("dpkg-deb"):
        raise ValueError("dpkg-deb is not on this machine")
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpacking:  # noqa: S603
        try:
            with tarfile.open(fileobj=unpacking.stdout, mode="r|") as tar:
                for member in tar:
                    name = member.name.removeprefix("./")
                    if member.isreg() and wanted(name, member.size):
                        held = tar.extractfile(member)
                        yield name, held.read() if held else b""
            if unpacking.wait():
                raise ValueError("damaged (dpkg-deb cannot unpack it)")
        except (tarfile.TarError, EOFError) as error:
            raise ValueError(f"damaged ({error})") from None
        finally:
            unpacking.kill()  # the reader may have stopped before the end


def _of_wheel(path: Path, wanted: Wanted) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(path) as wheel:
            for member in wheel.infolist():
                if not member.is_dir() and wanted(member.filename, member.file_size):
                    yield member.filename, wheel.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(f"damaged ({error})") from None
