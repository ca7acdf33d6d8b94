"""Detections of videos, of folders of pictures, of whole datasets."""

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from DiffBinaural.configs.advanced_diffusion_config import FOV, MelConfig, ViewConfig
from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.dataset.dataset_real_binaural import MONO
from DiffBinaural.dataset.recordings import DETECTIONS, FRAMES, Recordings
from DiffBinaural.detection.finding import SourceFinder
from DiffBinaural.detection.names import DETECTOR_NAMES
from DiffBinaural.inference.audio_source import AudioSource
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.utils.audio import is_sound_file
from DiffBinaural.utils.destinations import check_destination, utf8_name
from DiffBinaural.utils.files import write_rows
from DiffBinaural.utils.lens import AUTO_FOV, FOV_HELP, check_fov, fov_or_auto
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.media import sound_rate
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.streams import open_media

COLUMNS = "video_id,time,x1,y1,x2,y2,score,label,track,sounding"


@dataclass(frozen=True, kw_only=True)
class FindConfig:
    """Search for sources."""

    input: str = required("a video, a folder of its pictures, or a dataset folder")
    output: str | None = option(
        None, f"CSV to write; of a dataset by default its {DETECTIONS}, else the video's name with .csv"
    )
    input_wav: str | None = option(None, "the sound of a single video; default: the video's own")
    detector: Literal[DETECTOR_NAMES] = option(  # type: ignore[valid-type]
        "ssd", "what finds sources"
    )
    fps: float = option(10.0, "pictures per second in a folder of pictures")
    audio_track: int | None = option(
        None, "number of the sound track, from 0, of a video with several; default: the one marked as such"
    )
    fov: float | str = option(
        AUTO_FOV, f"for the line that is printed: {FOV_HELP}", type=fov_or_auto, metavar="DEGREES"
    )

    def __post_init__(self):
        positive(self, "fps")
        check_fov(self.fov)


@dataclass(frozen=True)
class Film:
    """Pictures with their sound."""

    video_id: str
    pictures: Path  # a video, or a folder
    sound: Path | None  # None where there is none
    fps: float  # of a folder
    fov: float | str  # degrees, or auto


def films_of(cfg: FindConfig) -> list[Film]:
    """What is to be searched."""
    source = Path(cfg.input)
    if not (source / "dataset.json").is_file():
        sound = Path(cfg.input_wav) if cfg.input_wav else source if has_sound(source) else None
        if sound and cfg.audio_track and not is_sound_file(sound):
            sound_rate(sound, cfg.audio_track)  # refuses a track that is not there before the work
        return [Film(source.stem, source, sound, cfg.fps, cfg.fov)]
    if cfg.input_wav or cfg.audio_track is not None:
        flag = "--input_wav" if cfg.input_wav else "--audio_track"
        raise ValueError(f"{flag} is for a single video; {source} is a dataset, with sounds of its own")
    folders = sorted(path for path in (source / FRAMES).iterdir() if path.is_dir())
    if not folders:
        raise FileNotFoundError(f"{source / FRAMES}: no folders of pictures; expected one for each recording")
    fps, fovs, _ = Recordings.facts(source / "dataset.json")
    films = []
    for path in folders:
        sound = source / MONO / f"{path.name}.wav"
        stated = fovs.get(path.name, FOV) if isinstance(fovs, dict) else fovs
        fov = stated if cfg.fov == AUTO_FOV else cfg.fov
        films.append(Film(path.name, path, sound if sound.exists() else None, fps, fov))
    return films


def has_sound(path: Path) -> bool:
    """Whether a video has a sound track; a folder of pictures has none."""
    if path.is_dir():
        return False
    with open_media(path) as box:
        return bool(box.streams.audio)


def search(
    film: Film, detector: str, audio_track: int | None, say: Callable[[str], object]
) -> Iterator[list[Detection]]:
    """The sources of a film, a minute at a time.

    say  takes lines: what was done with the film; at the end what was found
    """
    finder, notices = SourceFinder(detector), []
    if film.sound:
        audio, last = AudioSource(film.sound, 0.0, math.inf, MelConfig.sample_rate, audio_track), False
        notices += audio.notices
        while not last:
            samples, last = audio.read()
            finder.hear(samples[0].numpy())
    frames = VideoFrames(film.pictures, ViewConfig(), fps=film.fps, fov=film.fov, finder=finder)
    for line in (*notices, *frames.notices):
        say(line)
    yield from frames.sources_found()
    if not film.sound:
        say(f"{film.pictures}: no sound, so which of them sounds is not known")
    say(f"{film.video_id}: {frames.sources.sentence()}")


def find_all(cfg: FindConfig) -> Path:
    """Write the detections of all films to a CSV; its path."""
    utf8_name(cfg.input)
    films = films_of(cfg)
    known = DETECTIONS if (Path(cfg.input) / "dataset.json").is_file() else None
    out = Path(cfg.output or (Path(cfg.input) / known if known else Path(cfg.input).with_suffix(".csv")))
    if out.exists() and not cfg.output:
        raise FileExistsError(f"{out}: is there already; give --output to write to it or elsewhere")
    check_destination(out)
    say = partial(print, file=sys.stderr)
    rows = [
        detection_row(film.video_id, d)
        for film in Progress(films, desc="finding sources", unit="film")
        for part in search(film, cfg.detector, cfg.audio_track, say)
        for d in part
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(out, COLUMNS, rows)
    return out


def detection_row(video_id: str, d: Detection) -> tuple:
    """A detection as a row of COLUMNS."""
    box = (round(side, 2) for side in d.box)
    return video_id, round(d.time, 3), *box, round(d.score, 4), d.label, d.track, round(d.sounding, 4)
