"""Datasets of stage 2: binaural sounds with their true or predicted mels."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from BigVGAN.env import VocoderConfig
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.audio import read_part, read_wav
from DiffBinaural.utils.files import naming
from DiffBinaural.utils.lists import SIDES, Clip, mel_pairs, read_clips, split_path
from DiffBinaural.utils.mel import FLOOR, interaural_phasor, mel_spectrogram, pad_to_hop
from DiffBinaural.utils.mel_files import check_mel_config, load_mel_pair, load_phasor, load_sources
from DiffBinaural.utils.packed import Packed, piece_start
from DiffBinaural.utils.packed_index import is_packed


class MelDataset(torch.utils.data.Dataset):
    """Random segments of a list's clips; both ears of a segment stay together.

    audio_dir  folder of <video_id>.wav, stereo, or a packed dataset: the segments are the same
    listing    CSV of clips, or the name of a list of the dataset that the sounds are of
    mel_dir    true mels to read instead of computing them from the sound
    pred_dir   stage 1's mels of the same clips, returned beside the true ones
    Raises FileNotFoundError or ValueError at once, naming a file that a clip lacks.

    Item n is a segment of clip n modulo the number of clips; n also seeds where it starts.  Clips of a folder
    are kept in memory, those of a packed dataset read anew for every item.
    """

    def __init__(
        self,
        audio_dir: str | Path,
        listing: str | Path,
        cfg: VocoderConfig,
        *,
        mel_dir: str | None = None,
        pred_dir: str | None = None,
        seed: int = 0,
    ):
        self.audio_dir, self.cfg, self.seed = Path(audio_dir), cfg, seed
        self.packed = Packed(audio_dir) if is_packed(audio_dir) else None
        if not self.audio_dir.is_dir():
            raise FileNotFoundError(
                f"{audio_dir}: no such folder of sounds; --data_root takes that of a dataset, --audio_dir any"
            )
        root = self.audio_dir.absolute().parent.parent  # where the folder is that of a dataset
        self.clips = (
            self.packed.clips(str(listing)) if self.packed else read_clips(split_path(root, str(listing)))
        )
        self.folders = {k: Path(path) for k, path in (("mel", mel_dir), ("mel_pred", pred_dir)) if path}
        for folder in self.folders.values():
            check_mel_config(folder, cfg.mel)
        if self.packed:
            self.packed.check_ears(self.clips)
        else:
            self._check_files(listing)
        self._clips: dict[int, dict[str, Tensor]] = {}

    def _check_files(self, listing: str | Path) -> None:
        for clip in self.clips:
            mels = (path for folder in self.folders.values() for path in mel_paths(folder, clip))
            for path in (self.audio_dir / f"{clip.video_id}.wav", *mels):
                if not path.is_file():
                    raise FileNotFoundError(f"{path}: missing, but {listing} lists {clip.stem}")

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        """-> wav (2, segment_size), mel (2, M, frames), and mel_pred like mel where there are predictions."""
        i, hop = n % len(self), self.cfg.hop_size
        frames = self.cfg.segment_size // hop
        spare = max(self.frame_count(i) - frames, 0)
        start = int(np.random.default_rng([self.seed, n]).integers(spare + 1))
        clip, first = self._around(i, start, frames)
        at, silence = start - first, math.log(FLOOR)
        piece = {k: _segment(mel, at, frames, silence) for k, mel in clip.items() if k != "wav"}
        return {**piece, "wav": _segment(clip["wav"], at * hop, frames * hop, 0.0)}

    def frame_count(self, i: int) -> int:
        """Mel frames of clip i."""
        if self.packed:
            return -(-self.packed.samples(self.clips[i], 2) // self.cfg.hop_size)
        return self.whole(i)["mel"].shape[-1]

    def whole(self, i: int) -> dict[str, Tensor]:
        """The whole clip i: wav (2, T·hop), mel and mel_pred (2, M, T); of a folder, read once."""
        if self.packed:
            return self._around(i, 0, self.frame_count(i))[0]
        if i not in self._clips:
            clip, rate = self.clips[i], self.cfg.sampling_rate
            sound = read_part(self.audio_dir / f"{clip.video_id}.wav", clip, rate, channels=2)
            wav = pad_to_hop(torch.from_numpy(sound), self.cfg.hop_size)
            self._clips[i] = self._with_mels(clip, wav, 0, wav.shape[1] // self.cfg.hop_size)
        return self._clips[i]

    def _around(self, i: int, start: int, frames: int) -> tuple[dict[str, Tensor], int]:
        """Clip i, at least where a segment from frame `start` on lies, and its first frame.

        The mels of this piece are those of the whole clip: see packed.piece_start.
        """
        if not self.packed:
            return self.whole(i), 0
        clip, hop = self.clips[i], self.cfg.hop_size
        first, stop = piece_start(start, self.cfg.mel), (start + frames) * hop + self.cfg.mel.n_fft
        sound = self.packed.sound(clip, self.cfg.sampling_rate, 2, first * hop, stop)
        wav = pad_to_hop(torch.from_numpy(sound), hop)
        return self._with_mels(clip, wav, first, self.frame_count(i)), first

    def _with_mels(self, clip: Clip, wav: Tensor, first: int, frames: int) -> dict[str, Tensor]:
        """A clip's sound from frame `first` on, with its mels; the whole clip has so many frames."""
        cut = slice(first, first + wav.shape[1] // self.cfg.hop_size)
        mels = {k: self._read_mel(folder, clip, frames)[..., cut] for k, folder in self.folders.items()}
        if "mel" not in mels:
            with naming(f"clip {clip.stem}"):
                mels["mel"] = mel_spectrogram(wav, self.cfg.mel)
        return {**mels, "wav": wav}

    def _read_mel(self, folder: Path, clip: Clip, frames: int) -> Tensor:
        paths = mel_paths(folder, clip)
        mel = torch.from_numpy(load_mel_pair(paths, self.cfg.num_mels))
        if mel.shape[-1] != frames:
            raise ValueError(
                f"{paths[0]}: {mel.shape[-1]} frames, {clip.video_id}.wav has {frames} "
                "in that clip; make the mels again from the same list"
            )
        return mel


def mel_paths(folder: Path, clip: Clip) -> tuple[Path, Path]:
    """A clip's mel pair in a folder."""
    left, right = (folder / f"{clip.stem}_{side}.npy" for side in SIDES)
    return left, right


def _segment(x: Tensor, start: int, size: int, fill: float) -> Tensor:
    """x[..., start : start + size], padded with silence where x is shorter."""
    piece = x[..., start : start + size]
    return F.pad(piece, (0, size - piece.shape[-1]), value=fill)


class MelFolder(Sequence):
    """Mel pairs of a folder in order of name: items (name, (2, M, T) mel, its number of samples).

    listing  CSV of clips; where given, only these
    phasor   the mels come with the phasor between the ears, (4, M, T)
    """

    def __init__(self, folder: str, cfg: MelConfig, listing: str | None = None, *, phasor: bool = False):
        check_mel_config(folder, cfg)
        stems = {clip.stem for clip in read_clips(listing)} if listing else None
        self.pairs = [pair for pair in mel_pairs(folder).items() if stems is None or pair[0] in stems]
        self.names, self.cfg = [name for name, _ in self.pairs], cfg
        self.folder, self.phasor = folder, phasor
        if not self.pairs:
            raise FileNotFoundError(f"{folder}: no mel pairs of the clips in {listing}")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, i: int) -> tuple[str, np.ndarray, int]:
        name, paths = self.pairs[i]
        mel = load_mel_pair(paths, self.cfg.n_mels)
        if self.phasor:
            mel = np.concatenate([mel, load_phasor(name, self.folder, mel.shape[1:])])
        return name, mel, mel.shape[-1] * self.cfg.hop

    def sources(self, name: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, str] | None:
        """What stage 1 wrote of an item's sources: of mel_files.load_sources."""
        return load_sources(name, self.folder, shape)


class WavFolder(Sequence):
    """Stereo sounds of a folder in order of name: items (name, (2, M, T) mel, number of samples).

    listing  CSV of clips; where given, only sounds of its ids
    phasor   the mels come with the phasor between the ears, (4, M, T)
    """

    def __init__(self, folder: str, cfg: MelConfig, listing: str | None = None, *, phasor: bool = False):
        ids = {clip.video_id for clip in read_clips(listing)} if listing else None
        self.paths = [path for path in sorted(Path(folder).glob("*.wav")) if ids is None or path.stem in ids]
        self.names, self.cfg = [path.stem for path in self.paths], cfg
        self.phasor = phasor
        if not self.paths:
            raise FileNotFoundError(f"{folder}: no wav files{f' of clips in {listing}' if listing else ''}")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> tuple[str, np.ndarray, int]:
        wav, _ = read_wav(self.paths[i], self.cfg.sample_rate, channels=2)
        pair = pad_to_hop(torch.from_numpy(wav), self.cfg.hop)
        with naming(self.paths[i]):
            mel = mel_spectrogram(pair, self.cfg)
        if self.phasor:
            mel = torch.cat((mel, interaural_phasor(pair, self.cfg)))
        return self.paths[i].stem, mel.numpy(), wav.shape[1]

    def sources(self, name: str, shape: tuple[int, int]) -> None:
        """A sound does not tell its sources."""
