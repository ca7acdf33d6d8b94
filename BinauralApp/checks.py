"""Checks of what is dropped on the page, before any work: each refusal in a sentence, with its cure."""

import shlex
from pathlib import Path

from BinauralApp.config import AppConfig
from DiffBinaural.inference.discovery import has_sound
from DiffBinaural.utils.audio import is_sound_file, sound_info
from DiffBinaural.utils.lists import checked_id
from DiffBinaural.utils.media import picture_seconds, sound_rate
from DiffBinaural.utils.streams import open_media, picture_stream


def plain_name(name: str, default: str) -> str:
    """The name of an uploaded file without folders; `default` where it is none that a folder can hold."""
    last = name.replace("\\", "/").rpartition("/")[2]
    try:
        return checked_id(last, "upload")
    except ValueError:
        return default


def minutes(seconds: float) -> str:
    """Seconds as minutes: 3:05."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def check_video(path: Path, cfg: AppConfig) -> bool:
    """Whether a video has sound.  Raises ValueError for a file that the page does not take."""
    try:
        with open_media(path) as box:
            picture_stream(box, path)
        sound = has_sound(path)
        seconds = max(picture_seconds(path), sound_rate(path)[1] if sound else 0.0)
    except ValueError as error:
        if "cannot be read" not in str(error):
            raise
        raise ValueError(
            f"{path.name} cannot be read as a video, or is damaged; save it anew as an mp4, then drop that"
        ) from None
    check_length(path, seconds, cfg)
    return sound


def check_length(path: Path, seconds: float, cfg: AppConfig) -> None:
    """Raises ValueError for a film that is longer than the page takes."""
    if seconds > cfg.longest + 1:
        raise ValueError(
            f"{path.name} lasts {minutes(seconds)} minutes, this page takes up to {minutes(cfg.longest)}; "
            f"cut out a part of it, or use the command, which takes any length: "
            f"diffbinaural --input_video {shlex.quote(path.name)} --output {shlex.quote(output_name(path))}"
        )


def check_sound(path: Path, cfg: AppConfig) -> None:
    """Raises ValueError for a file that has no sound, or too much."""
    try:
        seconds = sound_info(path)[1] if is_sound_file(path) else sound_rate(path)[1]
    except ValueError:
        raise ValueError(
            f"{path.name} cannot be read as sound; drop a wav, flac, mp3 or m4a, or another video"
        ) from None
    check_length(path, seconds, cfg)


def output_name(film: Path) -> str:
    """What the binaural sound of a film is called."""
    return f"{film.stem}_binaural.wav"


def trajectory_name(film: Path) -> str:
    """What the CSV with the directions of a film's sources is called."""
    return f"{film.stem}_directions.csv"


def film_name(film: Path) -> str:
    """What a film with the binaural sound is called; its container holds the picture as it is."""
    kind = ".mkv" if film.suffix.lower() in (".mkv", ".webm") else ".mp4"
    return f"{film.stem}_binaural{kind}"
