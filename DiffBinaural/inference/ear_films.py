"""Videos whose two channels are checked: one, a list, a dataset."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from DiffBinaural.configs.fields import option, positive, required
from DiffBinaural.dataset.recordings import SOUNDS, Recordings
from DiffBinaural.detection.names import DETECTOR_NAMES
from DiffBinaural.heads.named import HEAD_HELP, head_named
from DiffBinaural.inference.discovery import Film, FindConfig, films_of
from DiffBinaural.utils.lens import AUTO_FOV, FOV_HELP, check_fov, fov_or_auto
from DiffBinaural.utils.streams import VIDEOS
from DiffBinaural.utils.tables import number, read_rows

AUTO = "auto"
COLUMNS = ("input_video", "input_wav", "detections", "fov")


@dataclass(frozen=True, kw_only=True)
class EarsConfig:
    """Check of the two channels of videos against their pictures."""

    input: str = required(
        "a video, or a folder of its pictures; a folder of videos or a CSV with a column input_video and "
        "optionally input_wav, detections, fov; or a dataset folder, whose binaural sounds are checked"
    )
    output: str | None = option(None, "CSV to write, too, a row for each video")
    input_wav: str | None = option(None, "the two-channel sound of a single video; default: the video's own")
    detections: str = option(
        AUTO,
        "where the sources are: auto, found in the video itself, in a dataset its own detections of those "
        "recordings that it has some of; or a CSV of detected sources",
    )
    detector: Literal[DETECTOR_NAMES] = option(  # type: ignore[valid-type]
        "ssd", "with --detections auto: what finds sources"
    )
    fps: float = option(10.0, "pictures per second in a folder of pictures")
    fov: float | str = option(AUTO_FOV, FOV_HELP, type=fov_or_auto, metavar="DEGREES")
    audio_track: int | None = option(
        None, "number of the sound track, from 0, of a video with several; default: the one marked as such"
    )
    head: str | None = option(None, f"{HEAD_HELP}; default: that of the dataset, else sphere")

    def __post_init__(self):
        positive(self, "fps")
        check_fov(self.fov)
        head_named(self.head or "sphere")


@dataclass(frozen=True)
class EarFilm:
    """A video whose ears are checked."""

    film: Film
    pair: Path  # the two-channel sound, or a video with it
    head: str
    detections: str  # auto, or a CSV
    dataset: Recordings | None = None  # that has detections of it


def ear_films(cfg: EarsConfig) -> list[EarFilm]:
    """What is to be checked.  Raises ValueError, FileNotFoundError where there is nothing."""
    source = Path(cfg.input)
    if (source / "dataset.json").is_file():
        return _of_dataset(cfg, source)
    if source.suffix.lower() == ".csv":
        if cfg.input_wav:
            raise ValueError(f"--input_wav is for a single video; {source} has a column input_wav")
        return [_of_row(cfg, source, row) for row in read_rows(source, COLUMNS[:1], COLUMNS)]
    inside = sorted(source.iterdir()) if source.is_dir() else []
    videos = [path for path in inside if path.suffix.lower() in VIDEOS]
    if cfg.input_wav and videos:
        raise ValueError(f"--input_wav is for a single video; {source} has {len(videos)}; list them in a CSV")
    return [_of_video(cfg, path) for path in videos or [source]]


def _of_video(cfg: EarsConfig, video: Path, **given) -> EarFilm:
    pair = given.get("input_wav") or cfg.input_wav or video
    if Path(pair).is_dir():
        raise ValueError(f"{pair}: has no videos; of a folder of pictures, give the sound with --input_wav")
    film = Film(video.stem, video, Path(pair), cfg.fps, given.get("fov", cfg.fov))
    return EarFilm(film, Path(pair), cfg.head or "sphere", given.get("detections") or cfg.detections)


def _of_row(cfg: EarsConfig, source: Path, row: dict) -> EarFilm:
    given: dict = {name: source.parent / row[name] for name in ("input_wav", "detections") if row.get(name)}
    if row.get("detections") == AUTO:
        given["detections"] = AUTO
    if row.get("fov"):
        given["fov"] = AUTO_FOV if row["fov"] == AUTO_FOV else number(row, "fov", str(source))
        check_fov(given["fov"])
    return _of_video(cfg, source.parent / row["input_video"], **given)


def _of_dataset(cfg: EarsConfig, root: Path) -> list[EarFilm]:
    recordings = Recordings(root)
    if cfg.input_wav or cfg.audio_track is not None:
        raise ValueError(f"--input_wav, --audio_track: {root} is a dataset, with sounds of its own")
    films = films_of(FindConfig(input=str(root), fov=cfg.fov))
    found = [
        EarFilm(
            film if film.sound else replace(film, sound=recordings.sound_file(film.video_id, 2)),
            recordings.sound_file(film.video_id, 2),
            cfg.head or recordings.head(film.video_id),
            cfg.detections,
            recordings if film.video_id in recordings.detections else None,
        )
        for film in films
        if recordings.has_ears(film.video_id)
    ]
    if not found:
        raise FileNotFoundError(f"{root / SOUNDS[2]}: no sound of a recording there; expected <video_id>.wav")
    return found
