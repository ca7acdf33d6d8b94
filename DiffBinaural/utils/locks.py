"""One process at a time in a folder that it writes."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from DiffBinaural.utils.distributed import SINGLE_PROCESS, World
from DiffBinaural.utils.files import alive, discard, leftovers, write_json

ORPHANS = 15.0  # seconds in which the helpers of a killed process, which hold its lock, notice
LOCK, HOLDER = ".lock", ".in_use.json"  # what the system locks, and who holds it, for people to read


@contextmanager
def locked(folder: str | Path, job: World = SINGLE_PROCESS, *places: str) -> Iterator[None]:
    """Keep other jobs out of a folder; they refuse to start in it while this one lives.

    The system drops the lock of a process that died, by whatever death: what that leaves is no hindrance, and
    what it has left half-written goes, in the folder and in those below it that the patterns `places` match.
    Raises ValueError that names the holder when there is one.
    """
    folder = Path(folder)
    with ExitStack() as stack:
        if job.first:
            folder.mkdir(parents=True, exist_ok=True)
            who, dead = holder(folder)
            try:
                stack.enter_context(FileLock(folder / LOCK, timeout=ORPHANS if dead else 0))
            except Timeout:
                raise ValueError(
                    f"{folder}: in use by {who}; wait for it or stop it, or give another folder"
                ) from None
            for part in leftovers(folder, *places):
                discard(part)
            for name in (LOCK, HOLDER):  # while it is locked; other tools read some of these folders
                stack.callback(discard, folder / name)
            write_json(
                folder / HOLDER,
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "since": datetime.now().isoformat(timespec="seconds"),
                },
            )
        job.wait()
        yield


def holder(folder: Path) -> tuple[str, bool]:
    """Who has said that a folder is in use, and whether it is known to be dead."""
    try:
        who = json.loads((folder / HOLDER).read_text())
        said = f"process {who['pid']} on {who['host']} since {who['since']}"
        return said, who["host"] == socket.gethostname() and not alive(int(who["pid"]))
    except (OSError, ValueError, LookupError, TypeError):  # nobody, or it has not said so yet
        return "another process", False
