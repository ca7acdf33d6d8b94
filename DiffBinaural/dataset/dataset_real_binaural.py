"""RealBinaural's layout on disk, also that of prepared FAIR-Play, of simulated data."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.analysis import analysed
from DiffBinaural.dataset.base import BinauralDataset
from DiffBinaural.dataset.cutting import MARGIN
from DiffBinaural.dataset.packed_recordings import recordings_of
from DiffBinaural.dataset.recordings import BINAURAL, MONO
from DiffBinaural.utils.audio import write_wav
from DiffBinaural.utils.files import naming, write_rows
from DiffBinaural.utils.lists import Clip, Detection
from DiffBinaural.utils.mel import pad_to_hop
from DiffBinaural.utils.packed import piece_start

RATE = MelConfig().sample_rate


class RealBinaural(BinauralDataset):
    """Random windows of a list's clips.

    data_root  dataset folder, or one that pack_dataset.py has packed: the samples are the same
    name       of a list in <data_root>/splits/<split>, or a CSV file
    truth      every clip must have its binaural sound; generation does without
    fold       K/N: windows to train on are those of all but the K-th of N parts of the list, whole clips
               those of that part
    options    see :class:`BinauralDataset`
    Raises FileNotFoundError at once, naming the first file that a clip lacks.
    """

    channels = (1, 2)  # of the sounds that are read, where they are there: mono, binaural

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
        self.recordings = recordings_of(data_root)
        self.fps, self.kept = self.recordings.fps, not self.recordings.packed
        clips = self.recordings.clips(name, split, fold, inside=self.held_out)
        BinauralDataset.__init__(self, clips, mel, view, **options)
        self.recordings.check(self.clips, name, self.channels[: 1 + truth])

    def sound(
        self, clip: Clip, first: int = 0, stop: int | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Mono, and binaural where there is a file; lengths that differ by less than a frame are trimmed.

        first, stop  samples of the clip to read; default: all
        """
        rate = self.mel.sample_rate
        mono = self.recordings.sound(clip, rate, 1, first, stop)
        if 2 not in self.channels or not self.recordings.has_ears(clip.video_id):
            return mono, None
        return in_step(mono, self.recordings.sound(clip, rate, 2, first, stop), clip, self.mel.hop)

    def frame_count(self, i: int) -> int:
        """As of BinauralDataset; of packed recordings by the index."""
        if self.kept:
            return super().frame_count(i)
        samples = min(self.recordings.samples(self.clips[i], channels) for channels in self.channels)
        return -(-samples // self.mel.hop)

    def sound_piece(self, i: int, first: int, stop: int) -> Tensor:
        """As of BinauralDataset; of packed recordings only this piece is read."""
        if self.kept:
            return super().sound_piece(i, first, stop)
        mono, pair = self.sound(self.clips[i], first, stop)
        return pad_to_hop(torch.from_numpy(np.concatenate([mono, pair])), self.mel.hop)

    def mels_around(self, i: int, start: int) -> tuple[dict[str, Tensor], int]:
        """As of BinauralDataset; of packed recordings the mels of a window and its margins, computed anew.

        They are those of the whole clip: see packed.piece_start.
        """
        if self.kept:
            return super().mels_around(i, start)
        hop, first = self.mel.hop, piece_start(start, self.mel)
        piece = self.sound_piece(i, first * hop, (start + self.view.window + MARGIN) * hop)
        with naming(f"clip {self.clips[i].stem}"):
            return analysed(piece[:1], piece[1:], self.mel, phasor=self.phasor), first

    def recording(self, video_id: str) -> tuple[Sequence[Image.Image], float, list[Detection]]:
        """Pictures, their rate and detections."""
        return self.recordings.pictures(video_id), self.fps, self.recordings.detected(video_id)

    def count_recordings(self) -> int:
        """As of BinauralDataset."""
        return self.recordings.count(self.clips)

    def fov(self, video_id: str) -> float:
        """Degrees that a recording's pictures show from edge to edge."""
        return self.recordings.fov(video_id)

    def head(self, video_id: str) -> str:
        """Name of the head that a recording was made with."""
        return self.recordings.head(video_id)


def in_step(mono: np.ndarray, pair: np.ndarray, clip: Clip, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """A clip's two sounds, trimmed to the shorter one.  Raises ValueError where they differ by over a hop."""
    samples = min(mono.shape[1], pair.shape[1])
    if max(mono.shape[1], pair.shape[1]) - samples > hop:
        raise ValueError(
            f"{BINAURAL}/{clip.video_id}.wav: {pair.shape[1]} samples in {clip.stem}, its mono has "
            f"{mono.shape[1]}; expected the same recording"
        )
    return mono[:, :samples], pair[:, :samples]


def write_sounds(root: Path, name: str, pair: np.ndarray) -> None:
    """Write a clip's two ears, and its mono: exactly (L+R)/2, in one bit more than 16.

    pair  (2, N) at our rate, whole multiples of 2^-15
    """
    write_wav(root / BINAURAL / f"{name}.wav", pair, RATE)
    write_wav(root / MONO / f"{name}.wav", pair.mean(0, keepdims=True), RATE, subtype="PCM_24")


def write_split(root: Path, name: str, rows: Sequence[tuple[str, float, float, str]]) -> None:
    """Write a list of clips: id, start and end in seconds, label."""
    write_rows(root / f"splits/{name}.csv", "video_id,start_time,end_time,action_label", rows)
