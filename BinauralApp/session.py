"""One visitor's video: its files, what was found in it, what was made of it."""

import secrets
import shutil
import time
from pathlib import Path

from BinauralApp import listening
from BinauralApp.checks import trajectory_name
from BinauralApp.conversion import Converter, Dropped, Job, Progress, command, write_directions
from BinauralApp.found import Found, KeepingStrip, trajectory
from BinauralApp.wanted import Wanted
from DiffBinaural.utils.audio import read_wav

UNEXPECTED = (
    "this went wrong in a way that nobody foresaw; the terminal in which the page was started says how"
)


class Session:
    """A video from its upload to the day it is deleted; all of its files lie in one folder.

    folder    is made here
    wanted    how it is made first
    """

    def __init__(self, folder: Path, name: str, wanted: Wanted | None = None):
        self.id, self.folder = secrets.token_urlsafe(16), folder
        self.folder.mkdir()
        for part in ("in", "out"):
            (folder / part).mkdir()
        self.film = folder / "in" / name
        self.sound: Path | None = None  # where it is not the film's own
        self.needs_sound = False
        self.first = wanted or Wanted()
        self.found: Found | None = None
        self.made: dict | None = None  # the newest result, as the page shows it
        self.made_first: dict | None = None
        self.version, self.error = 0, ""
        self.progress: Progress | None = None  # of what runs
        self.waits_for: Session | None = None  # that makes what this one takes over
        self.heads: dict[str, Path] = {}  # that were uploaded
        self.seen, self.closed = time.monotonic(), False
        self.levels: dict[str, float] = {}  # root mean squares of what is compared

    def adopt(self, other: "Session") -> None:
        """Take over what was found, made of the same film by another, who is done."""
        shutil.copytree(other.folder / "out", self.folder / "out", dirs_exist_ok=True)
        self.waits_for, self.found, self.levels = None, other.found, dict(other.levels)
        self.version, self.made, self.made_first = 1, other.made_first, other.made_first

    def phase(self) -> tuple[str, float]:
        """What is being done, and how much of it is done, 0 to 1; empty where nothing is."""
        progress = self.progress or (self.waits_for and self.waits_for.progress)
        return progress.phase() if progress else ("", 0.0)

    def touch(self) -> None:
        """The visitor is there."""
        self.seen = time.monotonic()

    def close(self) -> None:
        """Delete all that was kept."""
        self.closed = True
        shutil.rmtree(self.folder, ignore_errors=True)

    def file(self, name: str) -> Path:
        """A file that was made."""
        return self.folder / "out" / name

    def job_for(self, wanted: Wanted, version: int) -> Job:
        """What is to be done for a wish; the first one finds the sources."""
        head = str(self.heads[wanted.head]) if wanted.head in self.heads else wanted.head
        job = Job(self.film, self.sound, self.file(f"made-{version}.wav"), wanted, head)
        if self.found is None:
            return job
        return Job(**{**vars(job), "csv": self.file(f"directions-{version}.csv")})

    def make(self, converter: Converter, wanted: Wanted) -> None:
        """Do what is wanted, in the worker's thread; what went wrong is kept in `error`, as a sentence."""
        self.error, self.progress = UNEXPECTED, Progress()
        try:
            self._make(converter, wanted)
            self.error = ""
        except Dropped:
            pass
        except (ValueError, OSError) as error:
            self.error = self.told(error)
        finally:
            self.progress = None
            if self.closed:  # files that were made meanwhile
                self.close()

    def _make(self, converter: Converter, wanted: Wanted) -> None:
        if self.made_first and wanted == self.first:
            self.made = self.made_first
            return
        version, first = self.version + 1, self.found is None
        job, found = self.job_for(wanted, version), self.found or Found()
        if job.csv:
            write_directions(job.csv, found, wanted)
        strip = KeepingStrip(found, self.folder / "out") if first else None
        notice = converter.convert(job, self.progress, lambda: self.closed, strip)
        wav, rate = read_wav(job.out)
        if first:
            self._write_references(rate)
            self.found = found
            write_directions(self.file(f"directions-{version}.csv"), found, wanted)
        self.made = self._result(job, version, wav, rate, notice)
        self.made_first = self.made_first or self.made
        self._forget(version)
        self.version = version

    def _write_references(self, rate: int) -> None:
        """Write what the result is compared with."""
        source = self.sound or self.film
        self.levels["mono"] = listening.write_mono(source, self.file("mono.wav"), rate)
        own = listening.write_own_stereo(source, self.file("own.wav"), rate)
        self.levels |= {"own": own} if own is not None else {}

    def _result(self, job: Job, version: int, wav, rate: int, notice: str) -> dict:
        names = ("mono", "made", "own")
        levels = self.levels | {"made": listening.level(wav)}
        gains = listening.matching_gains({name: levels[name] for name in names if name in levels})
        small = {"made": listening.resample(wav, rate, listening.RATE)}
        listening.write_spectrograms(
            small["made"], self.file(f"left-{version}.png"), self.file(f"right-{version}.png")
        )
        if "own" in levels:
            small["own"] = listening.resample(read_wav(self.file("own.wav"))[0], rate, listening.RATE)
        return {
            "version": version,
            "seconds": wav.shape[1] / rate,
            "rate": rate,
            "gains": gains,
            "notice": notice,
            "sentence": self.found.sentence,
            "command": command(job),
            "csv": trajectory_name(self.film),
            "uses_csv": job.csv is not None,
            "fov": self.found.fov if job.wanted.fov == "auto" else job.wanted.fov,
            "tracks": self._tracks(job.wanted),
            "cues": listening.differences(small),
        }

    def _tracks(self, wanted: Wanted) -> list[dict]:
        """The sources for the page: where they are over time, their boxes in fractions of the picture."""
        found, ways = self.found, {}
        for p in trajectory(found, wanted):
            ways.setdefault(p.track, []).append((round(p.time, 2), round(p.azimuth, 1), round(p.sounding, 3)))
        wide, high = found.size
        boxes = {
            name: [
                [round(d.time, 2), *(round(v / of, 4) for v, of in zip(d.box, (wide, high) * 2))]
                for d in track
            ]
            for name, track in found.tracks().items()
        }
        labels = {d.track: d.label for d in found.detections}
        tracks = []
        for name, way in ways.items():
            there = [sounding for *_, sounding in way if sounding > 0] or [0.0]
            tracks.append(
                {
                    "name": name,
                    "label": labels.get(name, "source"),
                    "sounding": sum(there) / len(there),
                    "way": way,
                    "boxes": boxes.get(name, []),
                }
            )
        return tracks

    def _forget(self, version: int) -> None:
        """Delete old results: the first is kept, the last but one may still be read by the page."""
        for path in (self.folder / "out").glob("*-*.*"):
            number = path.stem.rpartition("-")[2]
            if not path.stem.startswith("still") and number.isdigit() and 1 < int(number) < version - 1:
                path.unlink(missing_ok=True)

    def told(self, error: Exception) -> str:
        """An error for the visitor: without the folders of this machine."""
        text = str(error)
        for part in ("in", "out", ""):
            text = text.replace(f"{self.folder / part}/", "")
        return text
