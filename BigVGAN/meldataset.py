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
from DiffBinaural.utils.lists import SIDES, Clip, mel_pairs, read_clips
from DiffBinaural.utils.mel import FLOOR, interaural_phasor, mel_spectrogram, pad_to_hop
from DiffBinaural.utils.mel_files import check_mel_config, load_mel_pair, load_phasor, load_sources


class MelDataset(torch.utils.data.Dataset):
    """Random segments of a list's clips; both ears of a segment stay together.

    audio_dir  folder of <video_id>.wav, stereo
    listing    CSV of clips
    mel_dir    true mels to read instead of computing them from the sound
    pred_dir   stage 1's mels of the same clips, returned beside the true ones
    Raises FileNotFoundError or ValueError at once, naming a file that a clip lacks.

    Item n is a segment of clip n modulo the number of clips; n also seeds where it starts.
    """

    def __init__(
        self,
        audio_dir: str,
        listing: str,
        cfg: VocoderConfig,
        *,
        mel_dir: str | None = None,
        pred_dir: str | None = None,
        seed: int = 0,
    ):
        self.audio_dir, self.cfg, self.seed, self.clips = Path(audio_dir), cfg, seed, read_clips(listing)
        self.folders = {"mel": mel_dir, "mel_pred": pred_dir}
        for folder in filter(None, self.folders.values()):
            check_mel_config(folder, cfg.mel)
        for clip in self.clips:
            for path in (self.audio_dir / f"{clip.video_id}.wav", *self._mel_paths(clip)):
                if not path.is_file():
                    raise FileNotFoundError(f"{path}: missing, but {listing} lists {clip.stem}")
        self._clips: dict[int, dict[str, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        """-> wav (2, segment_size), mel (2, M, frames), and mel_pred like mel where there are predictions."""
        clip, hop = self.whole(n % len(self)), self.cfg.hop_size
        frames = self.cfg.segment_size // hop
        spare = max(clip["mel"].shape[-1] - frames, 0)
        start = int(np.random.default_rng([self.seed, n]).integers(spare + 1))
        piece = {k: _segment(mel, start, frames, math.log(FLOOR)) for k, mel in clip.items() if k != "wav"}
        return {**piece, "wav": _segment(clip["wav"], start * hop, frames * hop, 0.0)}

    def whole(self, i: int) -> dict[str, Tensor]:
        """The whole clip i: wav (2, T·hop), mel and mel_pred (2, M, T); read once."""
        if i not in self._clips:
            self._clips[i] = self._read(self.clips[i])
        return self._clips[i]

    def _read(self, clip: Clip) -> dict[str, Tensor]:
        sound = read_part(self.audio_dir / f"{clip.video_id}.wav", clip, self.cfg.sampling_rate, channels=2)
        wav = pad_to_hop(torch.from_numpy(sound), self.cfg.hop_size)
        mels = {k: self._read_mel(Path(folder), clip, wav) for k, folder in self.folders.items() if folder}
        with naming(f"clip {clip.stem}"):
            return {"mel": mel_spectrogram(wav, self.cfg.mel), **mels, "wav": wav}

    def _read_mel(self, folder: Path, clip: Clip, wav: Tensor) -> Tensor:
        paths = tuple(folder / f"{clip.stem}_{side}.npy" for side in SIDES)
        mel = torch.from_numpy(load_mel_pair(paths, self.cfg.num_mels))
        frames = wav.shape[1] // self.cfg.hop_size
        if mel.shape[-1] != frames:
            raise ValueError(
                f"{paths[0]}: {mel.shape[-1]} frames, {clip.video_id}.wav has {frames} "
                "in that clip; make the mels again from the same list"
            )
        return mel

    def _mel_paths(self, clip: Clip) -> list[Path]:
        return [
            Path(folder) / f"{clip.stem}_{side}.npy"
            for folder in self.folders.values()
            if folder
            for side in SIDES
        ]


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
