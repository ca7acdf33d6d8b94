"""RealBinaural's layout on disk, which prepared FAIR-Play and simulated data share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.utils.helpers import read_json, read_part
from DiffBinaural.utils.lists import Clip, Detection, read_clips, read_detections, split_path

FRAMES = "processed/frames"
MONO, BINAURAL = "processed/mono_audios_22050Hz", "processed/binaural_audios_22050Hz"
DETECTIONS = "action_detection_results/detection_results.csv"


class FrameFolder(Sequence):
    """The pictures of a folder, frame_000001.jpg first, read on demand."""

    def __init__(self, folder: Path):
        self.paths = sorted(folder.glob("frame_*.jpg"))
        if not self.paths:
            raise FileNotFoundError(f"{folder}: no frame_000001.jpg … there")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, k: int) -> Image.Image:
        try:
            return Image.open(self.paths[k]).convert("RGB")
        except UnidentifiedImageError:
            raise ValueError(f"{self.paths[k]}: cannot be read as a picture") from None


class RealBinaural(BinauralDataset):
    """Random windows of a split.

    data_root  dataset folder
    split      name of a list in <data_root>/splits, or a CSV file
    options    see :class:`BinauralDataset`
    Raises FileNotFoundError at once, naming the first file that a clip lacks.
    """

    def __init__(self, data_root: str | Path, split: str, mel, view, **options):
        self.root = Path(data_root)
        super().__init__(read_clips(split_path(data_root, split)), mel, view, **options)
        self.fps = float(read_json(self.root / "dataset.json")["fps"])
        table = self.root / DETECTIONS
        self.detections = read_detections(table, self.fps) if table.exists() else {}
        for clip in self.clips:
            for path in (self.root / MONO / f"{clip.video_id}.wav", self.root / FRAMES / clip.video_id):
                if not path.exists():
                    raise FileNotFoundError(f"{path}: missing, but {split} lists {clip.video_id}")

    def sound(self, clip: Clip) -> tuple[np.ndarray, np.ndarray | None]:
        """Mono, and binaural where there is a file."""
        binaural = self.root / BINAURAL / f"{clip.video_id}.wav"
        mono = read_part(self.root / MONO / f"{clip.video_id}.wav", clip, self.mel.sample_rate, 1)
        return mono, read_part(binaural, clip, self.mel.sample_rate, 2) if binaural.exists() else None

    def recording(self, video_id: str) -> tuple[Sequence[Image.Image], float, list[Detection]]:
        """Pictures, their rate and detections."""
        return FrameFolder(self.root / FRAMES / video_id), self.fps, self.detections.get(video_id, [])
