"""Lists of clips, detections, mel pairs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from DiffBinaural.utils.tables import each_row, number, seconds

MONO, BINAURAL = "processed/mono_audios_22050Hz", "processed/binaural_audios_22050Hz"  # of a dataset
SIDES = ("left", "right")
EARS = {"both": (0, 1), "left": (0,), "right": (1,)}  # indices on the ear axis
MAX_ID = 200  # characters; a file name has at most 255 bytes
CLIP_COLUMNS = ("video_id", "start_time", "end_time", "action_label")
BOX_COLUMNS = ("video_id", "x1", "y1", "x2", "y2", "score")
DETECTION_COLUMNS = (*BOX_COLUMNS, "frame", "time", "label", "track", "sounding")


@dataclass(frozen=True)
class Clip:
    """A row of a split: a span of a recording."""

    video_id: str
    start: float = 0.0  # seconds
    end: float = math.inf  # seconds; inf = to the end of the file
    label: str = ""

    @property
    def stem(self) -> str:
        """Name of the clip's outputs: <video_id>_<start in ms, at least six digits>."""
        return f"{self.video_id}_{round(self.start * 1000):06d}"

    @property
    def span(self) -> str:
        """A name unique to this span; two clips may have the same start and different ends."""
        return f"{self.stem}_{self.end}"

    def samples(self, rate: int, total: int) -> tuple[int, int]:
        """Its first sample in a sound of `total` samples at `rate` Hz, and the one behind its last."""
        return round(self.start * rate), round(min(self.end * rate, total))


@dataclass(frozen=True)
class Detection:
    """A detected source in a picture."""

    time: float  # seconds
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels
    score: float
    label: str = ""
    track: str = ""  # an id that it has in common with the same source's other detections; "": not known
    sounding: float = 1.0  # probability that it makes the sound


def checked_id(video_id: str, source: str | Path) -> str:
    """The id itself.  Raises ValueError when it is not a plain file name."""
    plain = video_id == Path(video_id).name and video_id.isprintable() and "\\" not in video_id
    if not plain or video_id in ("", ".", "..") or len(video_id) > MAX_ID:
        raise ValueError(f"{source}: {video_id[:80]!r} is not an id; expected a plain name without folders")
    return video_id


def split_path(data_root: str | Path, name: str, split: str = "") -> Path:
    """CSV file of a list: a name in <data_root>/splits/<split>, or a path."""
    named = Path(data_root) / "splits" / split / f"{name}.csv"
    if named.exists():
        return named
    if Path(name).is_file():
        return Path(name)
    raise FileNotFoundError(
        f"{name}: neither {named} nor a CSV file of that name exists; "
        "check the list's name, --split and --data_root"
    )


def read_clips(path: str | Path) -> list[Clip]:
    """Clips of a split file: CLIP_COLUMNS, of which only video_id is needed; times in seconds or mm:ss."""
    clips = list(each_clip(path))
    if not clips:
        raise ValueError(f"{path}: no clips below the header line")
    return clips


def each_clip(path: str | Path) -> Iterator[Clip]:
    """:func:`read_clips`, one at a time."""
    for line, row in enumerate(each_row(path, CLIP_COLUMNS[:1], CLIP_COLUMNS), start=2):
        where = f"{path}, line {line}"
        start, end = (
            seconds(row, name, where) if row.get(name) else default
            for name, default in (("start_time", 0.0), ("end_time", math.inf))
        )
        if not 0 <= start < end:
            raise ValueError(f"{where}: the clip runs from {start} s to {end} s; expected 0 <= start < end")
        yield Clip(checked_id(row["video_id"], where), start, end, row.get("action_label") or "")


def fold_of(text: str) -> tuple[int, int]:
    """'2/4', the second of four folds, as (2, 4)."""
    k, _, n = text.partition("/")
    if not (k.isdigit() and n.isdigit() and 1 <= int(k) <= int(n) >= 2):
        raise ValueError(f"--fold is {text!r}; expected K/N, the K-th of N parts, such as 2/4")
    return int(k), int(n)


def folded(clips: list[Clip], fold: str, *, inside: bool) -> list[Clip]:
    """Clips of the K-th of N folds, or of all other folds; clips of a recording stay together.

    fold    "K/N"; "" returns all clips
    inside  return the fold, else the rest
    Raises ValueError where nothing is left.
    """
    if not fold:
        return clips
    ids = list(dict.fromkeys(clip.video_id for clip in clips))
    k, n = fold_among(fold, len(ids))
    chosen = set(ids[k - 1 :: n])
    return [clip for clip in clips if (clip.video_id in chosen) == inside]


def fold_among(fold: str, recordings: int) -> tuple[int, int]:
    """:func:`fold_of`, where so many recordings can be divided like this: one in the fold, one outside it."""
    k, n = fold_of(fold)
    if not 0 < len(range(k - 1, recordings, n)) < recordings:
        raise ValueError(f"--fold {fold}: the list has {recordings} recordings, too few for {n} folds")
    return k, n


def read_detections(path: str | Path, fps: float) -> dict[str, list[Detection]]:
    """Detections by video id, sorted by time.

    fps  pictures a second, to convert the 1-based column `frame` to seconds; a column `time` takes precedence

    Columns label, track and sounding may be missing.
    """
    found: dict[str, list[Detection]] = {}
    for video_id, detection in each_detection(path, fps):
        found.setdefault(video_id, []).append(detection)
    return {video_id: sorted(rows, key=lambda d: d.time) for video_id, rows in found.items()}


def each_detection(path: str | Path, fps: float) -> Iterator[tuple[str, Detection]]:
    """Detections with their video ids, one at a time in the file's order: see :func:`read_detections`."""
    for line, row in enumerate(each_row(path, BOX_COLUMNS, DETECTION_COLUMNS), start=2):
        where = f"{path}, line {line}"
        time = seconds(row, "time", where) if row.get("time") else (number(row, "frame", where) - 1) / fps
        if time < 0:
            raise ValueError(f"{where}: lies before the start; frames count from 1, times from 0")
        *box, score = (number(row, name, where) for name in ("x1", "y1", "x2", "y2", "score"))
        if not (all(map(math.isfinite, (time, score, *box))) and box[0] < box[2] and box[1] < box[3]):
            raise ValueError(
                f"{where}: box {tuple(box)} is empty or endless; expected numbers with x1 < x2 "
                "and y1 < y2 in pixels"
            )
        sounding = number(row, "sounding", where) if row.get("sounding") else 1.0
        if not 0 <= sounding <= 1:
            raise ValueError(f"{where}: sounding is {sounding:g}; expected a probability, 0 to 1")
        named = {name: row.get(name) or "" for name in ("label", "track")}
        yield row["video_id"], Detection(time, tuple(box), score, **named, sounding=sounding)


def mel_pairs(folder: str | Path) -> dict[str, tuple[Path, Path]]:
    """Mel pairs of a folder: stem -> (left file, right file).  Raises ValueError when an ear is missing."""
    left, right = (
        {path.name[: -len(f"_{side}.npy")]: path for path in sorted(Path(folder).glob(f"*_{side}.npy"))}
        for side in SIDES
    )
    if not left and not right:
        raise FileNotFoundError(f"{folder}: no <name>_left.npy and <name>_right.npy files there")
    if odd := sorted(set(left) ^ set(right)):
        raise ValueError(f"{folder}: {odd[0]} has only one ear; expected {odd[0]}_left.npy and _right.npy")
    return {stem: (left[stem], right[stem]) for stem in left}


def match(stem: str, names) -> tuple[str, float]:
    """Find the reference recording of a prediction.

    stem   <name> of the reference, or <video_id>_<milliseconds>
    names  stems of the reference files
    ->     name, and where the prediction starts in it, in seconds
    Raises ValueError when there is none.
    """
    if stem in names:
        return stem, 0.0
    video_id, _, stamp = stem.rpartition("_")
    if video_id in names and stamp.isdigit():
        return video_id, int(stamp) / 1000
    raise ValueError(f"{stem}: no reference is named {stem} or {video_id or stem}")
