"""The recordings of a dataset folder: what its dataset.json states, their pictures, their detections."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.fields import fits
from DiffBinaural.dataset.detections import check_boxes, check_times, held_between, rows_used
from DiffBinaural.dataset.tracks import SourcePaths
from DiffBinaural.heads.named import head_named
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.audio import read_part, sound_seconds
from DiffBinaural.utils.files import naming, read_json
from DiffBinaural.utils.lists import (
    BINAURAL,
    MONO,
    Clip,
    Detection,
    folded,
    read_clips,
    read_detections,
    split_path,
)
from DiffBinaural.utils.media import read_picture, stated_size
from DiffBinaural.utils.tables import say_once

SOUNDS = {1: MONO, 2: BINAURAL}  # folders, by the number of channels
FRAMES = "processed/frames"
PICTURE = re.compile(r"(?:frame_)?(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
DETECTIONS = "action_detection_results/detection_results.csv"
LATE = 0.05  # seconds after its sound that a clip may end: times are rounded
LENGTHS = 0.1  # fraction of the longer one by which sound and pictures may differ in length


class FrameFolder(Sequence):
    """The pictures of a folder, from number 1 on without a gap, read on demand.

    Names are numbers, padded with zeros or not, with or without `frame_` before them, as .jpg, .jpeg or .png.
    """

    def __init__(self, folder: Path):
        numbered = sorted(
            (int(found[1]), path) for path in folder.iterdir() if (found := PICTURE.fullmatch(path.name))
        )
        self.paths = [path for _, path in numbered]
        if not self.paths:
            raise FileNotFoundError(f"{folder}: no pictures; expected frame_000001.jpg … or 000001.png …")
        for expected, (number, path) in enumerate(numbered, start=1):
            if number != expected:
                raise ValueError(
                    f"{folder}: {path.name} follows picture {expected - 1}; "
                    f"expected number {expected}: numbers start at 1, each once, without a gap"
                )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, k: int) -> Image.Image:
        return read_picture(self.paths[k])


class Recordings:
    """The recordings of a dataset folder.

    detections  whether to read them
    packed      whether the recordings lie in shards: see PackedRecordings
    Raises FileNotFoundError without a dataset.json, ValueError where that or the detections are wrong.
    """

    packed = False

    def __init__(self, root: str | Path, *, detections: bool = True):
        self.root, self.folders, self.table = Path(root), {}, {}
        self.fps, self.fovs, self.heads = self.facts(self.root / "dataset.json")
        self.detections = self._read_detections() if detections else {}

    def _read_detections(self) -> dict[str, list[Detection]]:
        """The rows of the table by recording; what its rows leave between them is filled in."""
        table = self.root / DETECTIONS
        if not table.exists():
            others = [*table.parent.glob("*.csv"), *self.root.glob("*detect*.csv")]
            if others:
                raise ValueError(f"{others[0]}: is not read; detections are expected in {table}")
            return {}
        self.table = read_detections(table, self.fps)
        return {video_id: held_between(rows, self.fps) for video_id, rows in self.table.items()}

    @staticmethod
    def facts(path: Path) -> tuple[float, float | dict[str, float], str | dict[str, str]]:
        """Pictures a second, fields of view in degrees, heads by dataset.json: one, or one for each id."""
        facts = read_json(path)
        fps, fov = (facts.get("fps"), facts.get("fov") or FOV) if isinstance(facts, dict) else (None, FOV)
        if not fits(fps, float) or fps <= 0:
            raise ValueError(f"{path}: no fps; expected pictures a second, as in 10")
        fovs = fov.values() if isinstance(fov, dict) else [fov]
        if not all(fits(one, float) and 0 < one < 180 for one in fovs):
            raise ValueError(f"{path}: fov {str(fov)[:80]}; expected degrees below 180, or {{id: degrees}}")
        heads = facts.get("head") or "sphere"
        names = heads.values() if isinstance(heads, dict) else [heads]
        for name in names:
            if not isinstance(name, str):
                raise ValueError(f"{path}: head {str(name)[:80]}; expected a name, or {{id: name}}")
            with naming(path):
                head_named(name)
        return fps, fov, heads

    def clips(self, name: str, split: str = "", fold: str = "", *, inside: bool = False) -> Sequence[Clip]:
        """Clips of a list, a name in <root>/splits/<split> or a CSV file: as of lists.folded."""
        return folded(read_clips(split_path(self.root, name, split)), fold, inside=inside)

    def check(self, clips: Sequence[Clip], name: str, channels: Sequence[int]) -> None:
        """Check the recordings of a list's clips, and say what is doubtful about them.

        Raises FileNotFoundError for the first sound, of so many channels, or picture that a clip lacks,
        ValueError as of :meth:`check_recording`, and where none of the detections is of a recording.
        """
        seconds: dict[str, float] = {}
        for video_id in dict.fromkeys(clip.video_id for clip in clips):
            for path in (*(self.sound_file(video_id, c) for c in channels), self.frames(video_id)):
                if not path.exists():
                    raise FileNotFoundError(f"{path}: missing, but {name} lists {video_id}")
            seconds[video_id] = self.check_recording(video_id)
        for line in (self.rows_used(), late_ends(name, clips, seconds)):
            if line:
                say_once(line)

    def check_recording(self, video_id: str) -> float:
        """The length of a recording's sound in seconds, of mono and ears the longer.

        Raises ValueError where sound, pictures and detections do not fit each other.
        """
        sounds = (self.sound_file(video_id, channels) for channels in SOUNDS)
        folder, seconds = self.frames(video_id), max(sound_seconds(path) for path in sounds if path.exists())
        self.folders[video_id] = FrameFolder(folder)
        shown = len(self.folders[video_id]) / self.fps
        check_lengths(folder, len(self.folders[video_id]), self.fps, seconds)
        if found := self.detections.get(video_id):
            source = f"{self.root / DETECTIONS}, {video_id}"
            check_boxes(source, found, stated_size(self.folders[video_id].paths[0]))
            check_times(source, found, max(shown, seconds))
        return seconds

    def rows_used(self) -> str:
        """Which of the detections belong to no recording: as of detections.rows_used."""
        return rows_used(self.root / DETECTIONS, self.table, self.ids())

    def ids(self) -> set[str]:
        """Ids of all recordings that have pictures, in lists or not."""
        return {path.name.removesuffix(".mp4") for path in (self.root / FRAMES).glob("*")}

    def count(self, clips: Sequence[Clip]) -> int:
        """How many recordings the clips are of."""
        return len({clip.video_id for clip in clips})

    def sound_file(self, video_id: str, channels: int) -> Path:
        """A recording's mono (1 channel) or binaural (2) sound."""
        return self.root / SOUNDS[channels] / f"{video_id}.wav"

    def has_ears(self, video_id: str) -> bool:
        """Whether a recording has a binaural sound."""
        return self.sound_file(video_id, 2).exists()

    def sound(
        self, clip: Clip, rate: int, channels: int, first: int = 0, stop: int | None = None
    ) -> np.ndarray:
        """Samples [first, stop) of a clip's sound, (C, N) float32 at `rate` Hz."""
        return read_part(self.sound_file(clip.video_id, channels), clip, rate, channels)[:, first:stop]

    def pictures(self, video_id: str) -> Sequence[Image.Image]:
        """The pictures of a checked clip's recording."""
        return self.folders[video_id]

    def detected(self, video_id: str) -> list[Detection]:
        """Detections of a recording, sorted by time."""
        return self.detections.get(video_id, [])

    def head(self, video_id: str) -> str:
        """Name of the head that a recording was made with."""
        return self.heads.get(video_id, "sphere") if isinstance(self.heads, dict) else self.heads

    def fov(self, video_id: str) -> float:
        """Degrees that a recording's pictures show from edge to edge."""
        return self.fovs.get(video_id, FOV) if isinstance(self.fovs, dict) else self.fovs

    def frames(self, video_id: str) -> Path:
        """A recording's folder of pictures; its name may end in .mp4, as some tools have it."""
        folder = self.root / FRAMES / video_id
        return (
            folder
            if folder.exists() or not folder.with_name(f"{video_id}.mp4").exists()
            else folder.with_name(f"{video_id}.mp4")
        )

    def source_directions(self, video_id: str, count: int) -> Callable[[np.ndarray], Tensor]:
        """A function of times (T,) in seconds: SourcePaths.directions of a recording, in so many slots."""
        pictures = FrameFolder(self.frames(video_id))
        found, size = self.detections.get(video_id, []), pictures[0].size
        paths = SourcePaths(found, self.fps, size, self.fov(video_id), count)
        return partial(paths.directions, end=(len(pictures) - 1) / self.fps)


def check_lengths(folder: Path, pictures: int, fps: float, seconds: float) -> None:
    """Raise ValueError where so many pictures in a folder last shorter or longer than their sound (s)."""
    shown = pictures / fps
    if abs(shown - seconds) > max(LENGTHS * max(shown, seconds), 1.5 / fps):
        raise ValueError(
            f"{folder}: {pictures} pictures last {shown:.2f} s at {fps:g} a second, the sound "
            f"{seconds:.2f} s; is `fps` in dataset.json theirs? Else cut the longer of the two"
        )


def late_ends(name: str, clips: Sequence[Clip], seconds: Mapping[str, float]) -> str:
    """Which clips of a list end after their sound, of so many seconds, in a line; "" where none does."""
    late = [c for c in clips if math.isfinite(c.end) and c.end > seconds[c.video_id] + LATE]
    if not late:
        return ""
    one = late[0]
    return (
        f"{name}: {len(late)} of {len(clips)} clips end after their sound, {one.video_id} at {one.end:g} s "
        f"of {seconds[one.video_id]:.2f} s; they end with it"
    )
