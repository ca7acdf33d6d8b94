"""The models at work for the page: a video converted, its sources moved, its film made."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from BigVGAN.batch import write_track
from BigVGAN.pipeline import Pipeline
from BigVGAN.request import E2EConfig
from BinauralApp.checks import check_length, film_name, output_name, trajectory_name
from BinauralApp.config import AppConfig
from BinauralApp.found import Found, KeepingStrip, trajectory
from BinauralApp.wanted import Wanted
from DiffBinaural.dataset.trajectories import Waypoint, write_trajectory
from DiffBinaural.inference.remarks import loudness_notice
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.utils.audio import WavWriter, read_wav, write_wav
from DiffBinaural.utils.files import replacing

FINDING = 0.7  # of the time that a video takes until it is heard, about; the rest is making its sound


class Dropped(Exception):
    """The visitor has gone."""


@dataclass
class Progress:
    """How far a conversion is: read by others while it runs."""

    total: float = 0.0  # seconds of sound
    made: float = 0.0  # of these
    video: VideoFrames | None = None

    def phase(self) -> tuple[str, float]:
        """What is being done, and how much of all is done, 0 to 1."""
        video = self.video
        if video is None or not self.total:
            return "reading the sound", 0.0
        made = min(self.made / self.total, 1.0)
        if not video.finder:
            return "making the sound", made
        seen = 1.0 if video.ended else min(video.count / video.fps / self.total, 1.0)
        what = "making the sound" if seen >= 1 else "finding sources in the picture"
        return what, FINDING * seen + (1 - FINDING) * made


@dataclass(frozen=True)
class Job:
    """A film with what is asked of it."""

    film: Path
    sound: Path | None  # None: the film's own
    out: Path  # wav
    wanted: Wanted
    head: str = "sphere"  # path of a .sofa, or a name
    csv: Path | None = None  # directions, where they are known


class Converter:
    """The pipelines of the command line, with the room and without, loaded when first used."""

    def __init__(self, cfg: AppConfig):
        self.cfg = cfg
        self.pipelines: dict[bool, Pipeline] = {}

    def pipeline(self, room: bool) -> Pipeline:
        """The pipeline with the room that the model makes, or that of directions alone."""
        if room not in self.pipelines:
            renderer = "auto" if room else "geometry"
            cfg = E2EConfig(input_video="", output="", renderer=renderer)
            self.pipelines[room] = Pipeline.from_config(cfg)
        return self.pipelines[room]

    def convert(
        self, job: Job, progress: Progress, gone: Callable[[], bool], strip: KeepingStrip | None = None
    ) -> str:
        """Write the binaural sound of a film, as inference_e2e.py does with the words of :func:`command`.

        gone   whether the visitor has left: then Dropped is raised, at the next block
        strip  keeps what is found; for a film whose directions are known, None
        ->     what is said of the result's level; empty where it is as it was made
        """
        pipe = self.pipeline(job.wanted.room)
        cfg = replace(pipe.cfg, **_settings(job))
        audio, video = pipe.sources(cfg)
        check_length(Path(job.sound or job.film), audio.expected / audio.output_rate, self.cfg)
        progress.total, progress.video, video.strip = audio.expected / audio.output_rate, video, strip
        with WavWriter(job.out, audio.output_rate) as out:
            for block in pipe.run(audio, video, cfg):
                if gone():
                    raise Dropped
                out.write(block.wav.cpu().numpy())
                progress.made = out.samples / audio.output_rate
        if strip:
            strip.found.fov, strip.found.seconds = video.fov, audio.seconds
            strip.found.sentence = video.sources.sentence()
        return loudness_notice(job.out.name, out.gain, True)


def _settings(job: Job) -> dict:
    """The settings of inference_e2e.py for a job."""
    wanted = job.wanted
    return dict(
        input_video=str(job.film),
        input_wav=job.sound and str(job.sound),
        output=str(job.out),
        fov=wanted.fov,
        strength=float(wanted.strength),
        mono=wanted.mono,
        head=job.head,
        trajectory_in=job.csv and str(job.csv),
    )


def command(job: Job) -> str:
    """The command that makes the same sound from the files that the visitor has: for a shell."""
    defaults, wanted = Wanted(), job.wanted
    words = ["diffbinaural", "--input_video", job.film.name]
    if job.sound:
        words += ["--input_wav", job.sound.name]
    if job.csv:
        words += ["--trajectory_in", trajectory_name(job.film)]
    for name in ("fov", "strength"):
        if getattr(wanted, name) != getattr(defaults, name):
            words += [f"--{name}", str(getattr(wanted, name)).removesuffix(".0")]
    for name in ("mono", "head"):
        if getattr(wanted, name) != getattr(defaults, name):
            words += [f"--{name}", getattr(wanted, name)]
    if not wanted.room:
        words += ["--renderer", "geometry"]
    words += ["--output", output_name(job.film), "--mux", film_name(job.film)]
    return shlex.join(words)


def write_film(film: Path, sound: Path, rate: int, path: Path) -> None:
    """Write a film with its binaural sound, as --mux does."""
    write_track(E2EConfig(input_video=str(film), output="", mux=str(path)), str(sound), rate, path)


def write_directions(path: Path, found: Found, wanted: Wanted) -> None:
    """Write where the sources are as a CSV, with what the visitor changed."""
    write_trajectory(path, trajectory(found, wanted))


def place_voice(converter: Converter, film: Path, out: Path, azimuth: float, seconds: float) -> None:
    """Write the first seconds of a film's sound in a direction (degrees), for the headphones check."""
    csv = out.with_suffix(".csv")
    write_trajectory(csv, [Waypoint(0.0, "voice", azimuth)])
    with replacing(out) as part:
        job = Job(film, None, part, Wanted(room=False), head="kemar", csv=csv)
        converter.convert(job, Progress(), lambda: False)
        wav, rate = read_wav(part)
        write_wav(part, wav[:, : round(seconds * rate)], rate)
