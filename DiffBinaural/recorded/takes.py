"""Which video goes with which sound."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from DiffBinaural.recorded.config import RecordingsConfig
from DiffBinaural.utils.destinations import utf8_name
from DiffBinaural.utils.lists import checked_id
from DiffBinaural.utils.streams import VIDEOS
from DiffBinaural.utils.tables import read_rows

SOUND_KINDS = (".wav", ".w64", ".flac", ".aif", ".aiff", ".caf", ".ogg", ".opus", ".mp3", ".m4a", ".aac")
LISTS = ("train", "val", "test")
COLUMNS = ("input_video", "input_wav", "mono_wav", "video_id", "split")


@dataclass(frozen=True)
class Take:
    """A recording: a video with its binaural sound."""

    name: str
    video: Path
    sound: Path  # a file of two channels, or the video itself
    mono: Path | None = None
    split: str = ""  # the list that it is meant for
    fault: str = ""  # why it cannot be used


def takes_of(cfg: RecordingsConfig) -> tuple[list[Take], list[str]]:
    """The recordings that the settings name, by name, and what else is said of them.

    Raises ValueError for two of the same name, FileNotFoundError where there are none.
    """
    source = Path(utf8_name(cfg.input))
    if not source.exists():
        raise FileNotFoundError(f"{source}: no such folder or CSV file")
    takes, remarks = _found(source, cfg) if source.is_dir() else (_listed(source), [])
    taken: dict[str, Take] = {}
    for take in takes:
        # not every disk tells upper from lower case
        other = taken.setdefault(take.name.casefold(), take)
        if other is not take:
            raise ValueError(
                f"{source}: {other.video.name} and {take.video.name} would both be {take.name}; rename one, "
                "or give a CSV with a column video_id"
            )
    return sorted(takes, key=lambda take: take.name), remarks


def _found(source: Path, cfg: RecordingsConfig) -> tuple[list[Take], list[str]]:
    videos = _of_kind(source, VIDEOS)
    if not videos:
        raise FileNotFoundError(f"{source}: no videos in this folder; expected {' '.join(sorted(VIDEOS))}")
    sounds, monos = (_by_stem(folder) for folder in (cfg.sounds or source, cfg.monos))
    takes = []
    for video in videos:
        faults: list[str] = []
        name = checked_id(video.stem, source)
        sound = _only(
            sounds.get(name, []), video if not cfg.sounds else None, f"{cfg.sounds or source}", faults
        )
        mono = _only(monos.get(name, []), None, f"{cfg.monos}", faults) if cfg.monos else None
        takes.append(Take(name, video, sound or video, mono, fault="; ".join(faults)))
    return takes, _spare(videos, sounds) + _spare(videos, monos)


def _of_kind(folder: str | Path, kinds: Collection[str]) -> list[Path]:
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    files = (path for path in sorted(Path(folder).iterdir()) if path.is_file())
    return [path for path in files if path.suffix.lower() in kinds and not path.name.startswith(".")]


def _by_stem(folder: str | Path | None) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in _of_kind(folder, SOUND_KINDS) if folder else []:
        found.setdefault(path.stem, []).append(path)
    return found


def _only(found: Sequence[Path], default: Path | None, folder: str, faults: list[str]) -> Path | None:
    """The one file of a name; what is wrong with several, or with none, joins the faults."""
    if len(found) > 1:
        faults.append(f"{folder}: holds {' and '.join(path.name for path in found)}; keep one of them")
    elif not found and default is None:
        faults.append(f"{folder}: holds no sound of this name")
    return found[0] if len(found) == 1 else default


def _spare(videos: Sequence[Path], sounds: dict[str, list[Path]]) -> list[str]:
    names = {path.stem for path in videos}
    spare = [path for stem, paths in sounds.items() if stem not in names for path in paths]
    return [f"{len(spare)} sound(s) belong to no video, {spare[0]} for example"] if spare else []


def _listed(source: Path) -> list[Take]:
    takes = []
    for line, row in enumerate(read_rows(source, COLUMNS[:1], COLUMNS), start=2):
        where = f"{source}, line {line}"
        if not row["input_video"]:
            raise ValueError(f"{where}: names no video")
        video = source.parent / row["input_video"]
        sound, mono = (source.parent / row[column] if row.get(column) else None for column in COLUMNS[1:3])
        split = row.get("split") or ""
        if split not in ("", *LISTS):
            raise ValueError(f"{where}: split is {split!r}; expected {', '.join(LISTS)}")
        name = checked_id(row.get("video_id") or video.stem, where)
        takes.append(Take(name, video, sound or video, mono, split))
    if not takes:
        raise ValueError(f"{source}: no recordings below the header line")
    return takes
