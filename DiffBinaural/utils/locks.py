"""Locks on output folders."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from DiffBinaural.utils.distributed import SINGLE_PROCESS, World
from DiffBinaural.utils.files import alive, discard, partial_files, write_json

ORPHANS = 15.0  # seconds within which the workers of a killed process, which hold its lock, end too
LOCK, HOLDER = ".lock", ".in_use.json"  # the locked file, and a file that tells people who holds it


@contextmanager
def locked(folder: str | Path, job: World = SINGLE_PROCESS, *patterns: str) -> Iterator[None]:
    """Lock a folder for one job, and delete the partial files of earlier jobs.

    The operating system releases the lock of a process that dies.
    patterns  subfolders in which partial files are deleted too
    Raises ValueError naming the holder when another job has the lock.
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
            for part in partial_files(folder, *patterns):
                discard(part)
            for name in (LOCK, HOLDER):  # before the lock is released; other tools read these folders
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
    """Description of the process that uses a folder, and whether it is known to be dead."""
    try:
        who = json.loads((folder / HOLDER).read_text())
        described = f"process {who['pid']} on {who['host']} since {who['since']}"
        return described, who["host"] == socket.gethostname() and not alive(int(who["pid"]))
    except (OSError, ValueError, LookupError, TypeError):  # not written yet
        return "another process", False
