"""Names of files, checked before the work: can they be said, can they be written to?"""

import os
import tempfile
from pathlib import Path


def utf8_name(path: str | Path) -> str:
    """A path as text.  Raises ValueError for one that is not UTF-8, which no codec library opens."""
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = text.encode(errors="backslashreplace").decode()
        raise ValueError(f"{shown}: its name is not UTF-8; rename the file") from None
    return text


def check_destination(path: str | Path) -> None:
    """Whether a file can be made under a path, whose folders may be missing; nothing is left behind.

    Raises ValueError with the reason where it cannot: a file in place of a folder, no right to write.
    """
    utf8_name(path)
    if Path(path).is_dir():
        raise ValueError(f"{path}: is a folder; expected the name of a file to write")
    folder = next(parent for parent in Path(path).absolute().parents if os.path.lexists(parent))
    if not folder.is_dir():
        raise ValueError(f"{path}: {folder} is a file; expected a folder")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part"):
            pass
    except OSError as error:
        raise ValueError(
            f"{path}: nothing can be written to {folder} ({error.strerror}); give another place"
        ) from None
