"""All videos that are on the page: made, found again, deleted."""

import ctypes
import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

from BinauralApp.config import AppConfig
from BinauralApp.conversion import Converter, place_voice
from BinauralApp.line import Line
from BinauralApp.session import Session
from BinauralApp.wanted import Wanted

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "talking.mp4"
EXAMPLE_WANTED = Wanted(fov=60.0)  # as it was filmed, about
VOICES = {"left": -90.0, "right": 90.0, "behind": 180.0}  # of the headphones check, degrees
VOICE_SECONDS = 3.0
SWEEP = 15.0  # seconds between two searches for videos whose visitors have gone


class Full(Exception):
    """As many videos are kept as may be."""


class Sessions:
    """The videos of all visitors, in one temporary folder, which goes when the page ends."""

    def __init__(self, cfg: AppConfig):
        self.cfg, self.line, self.converter = cfg, Line(), Converter(cfg)
        self.root = Path(tempfile.mkdtemp(prefix="binaural-"))
        self.open: dict[str, Session] = {}
        self.lock, self.count = threading.Lock(), 0
        self.example: Session | None = None
        self.ended = threading.Event()
        threading.Thread(target=self._sweep_at_times, daemon=True).start()

    def start(self) -> None:
        """Make the example, then the voices of the headphones check."""
        if EXAMPLE.is_file():
            self.example = self._new(EXAMPLE.name, EXAMPLE_WANTED)
            shutil.copyfile(EXAMPLE, self.example.film)
            self.make(self.example, EXAMPLE_WANTED)
            self.line.put("voices", self._place_voices)

    def _place_voices(self) -> None:
        for name, azimuth in VOICES.items():
            place_voice(self.converter, EXAMPLE, self.voice(name), azimuth, VOICE_SECONDS)

    def voice(self, name: str) -> Path:
        """A sound of the headphones check."""
        return self.root / f"{name}.wav"

    def _new(self, name: str, wanted: Wanted | None = None) -> Session:
        with self.lock:
            self.count += 1
            return Session(self.root / str(self.count), name, wanted)

    def add(self, name: str, wanted: Wanted | None = None) -> Session:
        """A new video, without its file yet.  Raises Full where too many are kept."""
        if len(self.open) >= self.cfg.visitors:
            raise Full(
                f"{self.cfg.visitors} videos are kept at a time, and that many are; try again in minutes"
            )
        session = self._new(name, wanted)
        self.open[session.id] = session
        return session

    def add_example(self) -> Session:
        """The example for a visitor: with all that was found and made, where that is done."""
        if self.example is None:
            raise FileNotFoundError("this installation has no example; drop a video of yours")
        known, session = self.example, self.add(self.example.film.name, EXAMPLE_WANTED)
        shutil.copyfile(known.film, session.film)
        if known.made_first:
            session.adopt(known)
        else:
            session.waits_for = known
            self.line.put(session.id, lambda: self._adopt(session), quick=True)
        return session

    def _adopt(self, session: Session) -> None:
        """Give a visitor what was made of the example in the meantime."""
        known = session.waits_for
        if session.closed or known is None:
            return
        if known.made_first:
            session.adopt(known)
        else:
            session.waits_for, session.error = None, known.error

    def make(self, session: Session, wanted: Wanted) -> None:
        """Put a wish into the line; a video whose sources are known goes before the others."""

        def work() -> None:
            if not session.closed:
                session.make(self.converter, wanted)
                release_memory()

        self.line.put(session.id, work, quick=session.found is not None)

    def close(self, session: Session) -> None:
        """Delete a video, wherever it is."""
        self.open.pop(session.id, None)
        self.line.leave(session.id)
        session.close()

    def end(self) -> None:
        """Delete everything."""
        self.ended.set()
        for session in list(self.open.values()):
            self.close(session)
        if self.example:
            self.example.close()
        self.line.end()
        shutil.rmtree(self.root, ignore_errors=True)

    def sweep(self) -> None:
        """Delete the videos whose visitors have gone."""
        latest = time.monotonic() - 60 * self.cfg.keep
        for session in [s for s in list(self.open.values()) if s.seen < latest]:
            self.close(session)

    def _sweep_at_times(self) -> None:
        while not self.ended.wait(SWEEP):
            self.sweep()


def release_memory() -> None:
    """Give what is free back to the system, where the C library can: it would keep it for the next video."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        gc.collect()
        trim(0)


class TooLarge(Exception):
    """More bytes than the page takes."""


async def receive(stream: AsyncIterator[bytes], path: Path, limit: float, what: str) -> None:
    """Write an upload piece by piece.  Raises TooLarge beyond `limit` bytes, ValueError for an empty one."""
    size = 0
    with open(path, "wb") as file:
        async for piece in stream:
            size += len(piece)
            if size > limit:
                raise TooLarge(
                    f"{what} is larger than {limit / 1e6:g} MB; make it smaller, or cut out a part"
                )
            file.write(piece)
    if not size:
        raise ValueError(f"{what} is empty; drop another file")
