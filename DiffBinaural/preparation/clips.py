"""The files of a clip in a dataset folder, written whole."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from DiffBinaural.dataset.dataset_real_binaural import BINAURAL, MONO
from DiffBinaural.dataset.recordings import FRAMES
from DiffBinaural.preparation.reading import TOLERANCE
from DiffBinaural.utils.files import discard, replacing, write_json
from DiffBinaural.utils.media_writing import write_picture

SETTINGS, PATTERNS = "dataset.json", ("processed/*/", "splits/", "splits/*/", "action_detection_results/")
TOOLS = ("av", "numpy", "pillow", "soundfile", "torchaudio")


@dataclass(frozen=True, kw_only=True)
class PreparedClip:
    """Result of the preparation of a clip."""

    name: str
    samples: int = 0  # per channel, at our rate
    pictures: int = 0
    fault: str = ""  # why the clip is left out


@dataclass(frozen=True)
class ClipFiles:
    """A clip's binaural wav, mono wav and folder of pictures."""

    ears: Path
    mono: Path
    frames: Path

    @classmethod
    def of(cls, root: Path, name: str) -> "ClipFiles":
        """Those of a name in a dataset folder."""
        return cls(root / BINAURAL / f"{name}.wav", root / MONO / f"{name}.wav", root / FRAMES / name)

    def are_there(self, pictures: int) -> bool:
        """Whether both wavs exist, and so many pictures."""
        sounds = self.ears.exists() and self.mono.exists()
        return sounds and self.frames.is_dir() and len(list(self.frames.iterdir())) == pictures

    def discard(self) -> None:
        """Delete them all."""
        for path in (self.ears, self.mono, self.frames):
            discard(path)


def write_frames(frames: Path, shown: Iterable[np.ndarray]) -> int:
    """Write pictures (H, W, 3) uint8 RGB as a folder of JPEGs, whole or not at all; their number."""
    number = 0
    with replacing(frames) as folder:
        folder.mkdir()
        for number, picture in enumerate(shown, start=1):
            write_picture(folder / f"frame_{number:06d}.jpg", picture)
    return number


def lengths_differ(sound: float, shown: float, fps: float) -> bool:
    """Whether sound and pictures (seconds) differ in length by more than what is usual."""
    return abs(sound - shown) > max(TOLERANCE, 1 / fps)


def write_settings(
    root: Path, settings: dict, made: Sequence[PreparedClip], splits: dict[str, int], *tools: str
) -> dict[str, str]:
    """Write the dataset.json that marks a complete dataset; the names that are left out, with the reason.

    settings  those of the preparation
    splits    list -> how many clips it has
    tools     packages whose versions count, beside TOOLS
    """
    broken = {clip.name: clip.fault for clip in made if clip.fault}
    write_json(
        root / SETTINGS,
        {
            **settings,
            "clips": len(made) - len(broken),
            "samples": sum(clip.samples for clip in made),
            "pictures": sum(clip.pictures for clip in made),
            "left_out": broken,
            "splits": splits,
            "versions": {tool: version(tool) for tool in sorted((*TOOLS, *tools))},
        },
    )
    return broken
