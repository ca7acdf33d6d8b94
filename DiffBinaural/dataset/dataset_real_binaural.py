"""RealBinaural's layout on disk, also that of prepared FAIR-Play, of simulated data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.dataset.recordings import FrameFolder, Recordings
from DiffBinaural.utils.audio import read_part, write_wav
from DiffBinaural.utils.files import write_rows
from DiffBinaural.utils.lists import Clip, Detection, folded, read_clips, split_path

MONO, BINAURAL = "processed/mono_audios_22050Hz", "processed/binaural_audios_22050Hz"
RATE = MelConfig().sample_rate


class RealBinaural(Recordings, BinauralDataset):
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
        Recordings.__init__(self, data_root)
        clips = folded(read_clips(split_path(data_root, name, split)), fold, inside=self.held_out)
        BinauralDataset.__init__(self, clips, mel, view, **options)
        for clip in self.clips:
            wanted = [self.root / kind / f"{clip.video_id}.wav" for kind in self.sounds[: 1 + truth]]
            for path in (*wanted, self.frames(clip.video_id)):
                if not path.exists():
                    raise FileNotFoundError(f"{path}: missing, but {name} lists {clip.video_id}")
        self.folders = {clip.video_id: FrameFolder(self.frames(clip.video_id)) for clip in self.clips}

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
