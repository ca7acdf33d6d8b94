"""The recordings of a dataset folder: what its dataset.json states, their pictures, their detections."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.fields import fits
from DiffBinaural.dataset.tracks import SourcePaths
from DiffBinaural.heads.named import head_named
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.files import naming, read_json
from DiffBinaural.utils.lists import read_detections
from DiffBinaural.utils.media import read_picture

FRAMES = "processed/frames"
PICTURE = re.compile(r"(?:frame_)?(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
DETECTIONS = "action_detection_results/detection_results.csv"


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

    Raises FileNotFoundError without a dataset.json, ValueError where that or the detections are wrong.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.fps, self.fovs, self.heads = self.facts(self.root / "dataset.json")
        table = self.root / DETECTIONS
        self.detections = read_detections(table, self.fps) if table.exists() else {}

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
