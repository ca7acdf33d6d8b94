"""RealBinaural's layout on disk, also that of prepared FAIR-Play, of simulated data."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.configs.fields import fits
from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.audio import read_part, write_wav
from DiffBinaural.utils.files import read_json, write_rows
from DiffBinaural.utils.lists import Clip, Detection, folded, read_clips, read_detections, split_path
from DiffBinaural.utils.media import read_picture

FRAMES = "processed/frames"
MONO, BINAURAL = "processed/mono_audios_22050Hz", "processed/binaural_audios_22050Hz"
PICTURE = re.compile(r"(?:frame_)?(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
DETECTIONS = "action_detection_results/detection_results.csv"
RATE = MelConfig().sample_rate


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


class RealBinaural(BinauralDataset):
    """Random windows of a list's clips.

    data_root  dataset folder
    name       of a list in <data_root>/splits/<split>, or a CSV file
    truth      every clip must have its binaural sound; generation does without
    fold       K/N: windows to train on are those of all but the K-th of N parts of the list, whole clips
               those of that part
    options    see :class:`BinauralDataset`
    Raises FileNotFoundError at once, naming the first file that a clip lacks.
    """

    sounds = (MONO, BINAURAL)  # that are read, where they are there

    def __init__(
        self,
        data_root: str | Path,
        name: str,
        mel,
        view,
        *,
        split: str = "",
        truth: bool = True,
        fold: str = "",
        **options,
    ):
        self.root = Path(data_root)
        clips = folded(read_clips(split_path(data_root, name, split)), fold, inside=self.held_out)
        super().__init__(clips, mel, view, **options)
        self.fps, self.fovs = self.facts(self.root / "dataset.json")
        table = self.root / DETECTIONS
        self.detections = read_detections(table, self.fps) if table.exists() else {}
        for clip in self.clips:
            wanted = [self.root / kind / f"{clip.video_id}.wav" for kind in self.sounds[: 1 + truth]]
            for path in (*wanted, self.frames(clip.video_id)):
                if not path.exists():
                    raise FileNotFoundError(f"{path}: missing, but {name} lists {clip.video_id}")
        self.folders = {clip.video_id: FrameFolder(self.frames(clip.video_id)) for clip in self.clips}

    @staticmethod
    def facts(path: Path) -> tuple[float, float | dict[str, float]]:
        """Pictures a second, and fields of view in degrees, by dataset.json: one, or one for each id."""
        facts = read_json(path)
        fps, fov = (facts.get("fps"), facts.get("fov") or FOV) if isinstance(facts, dict) else (None, FOV)
        if not fits(fps, float) or fps <= 0:
            raise ValueError(f"{path}: no fps; expected pictures a second, as in 10")
        fovs = fov.values() if isinstance(fov, dict) else [fov]
        if not all(fits(one, float) and 0 < one < 180 for one in fovs):
            raise ValueError(f"{path}: fov {str(fov)[:80]}; expected degrees below 180, or {{id: degrees}}")
        return fps, fov

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

    def sound(self, clip: Clip) -> tuple[np.ndarray, np.ndarray | None]:
        """Mono, and binaural where there is a file; lengths that differ by less than a frame are trimmed."""
        binaural = self.root / BINAURAL / f"{clip.video_id}.wav"
        mono = read_part(self.root / MONO / f"{clip.video_id}.wav", clip, self.mel.sample_rate, 1)
        if BINAURAL not in self.sounds or not binaural.exists():
            return mono, None
        pair = read_part(binaural, clip, self.mel.sample_rate, 2)
        samples = min(mono.shape[1], pair.shape[1])
        if max(mono.shape[1], pair.shape[1]) - samples > self.mel.hop:
            raise ValueError(
                f"{binaural}: {pair.shape[1]} samples in {clip.stem}, its mono has "
                f"{mono.shape[1]}; expected the same recording"
            )
        return mono[:, :samples], pair[:, :samples]

    def recording(self, video_id: str) -> tuple[Sequence[Image.Image], float, list[Detection]]:
        """Pictures, their rate and detections."""
        return self.folders[video_id], self.fps, self.detections.get(video_id, [])


def write_sounds(root: Path, name: str, pair: np.ndarray) -> None:
    """Write a clip's two ears, and its mono: exactly (L+R)/2, in one bit more than 16.

    pair  (2, N) at our rate, whole multiples of 2^-15
    """
    write_wav(root / BINAURAL / f"{name}.wav", pair, RATE)
    write_wav(root / MONO / f"{name}.wav", pair.mean(0, keepdims=True), RATE, subtype="PCM_24")


def write_split(root: Path, name: str, rows: Sequence[tuple[str, float, float, str]]) -> None:
    """Write a list of clips: id, start and end in seconds, label."""
    write_rows(root / f"splits/{name}.csv", "video_id,start_time,end_time,action_label", rows)
