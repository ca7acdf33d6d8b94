"""Folders of mels or sounds through a vocoder, into folders of wavs."""

import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from BigVGAN.bigvgan import BigVGAN
from BigVGAN.env import VocodeConfig, VocodeMelsConfig
from BigVGAN.meldataset import MelFolder, WavFolder
from DiffBinaural.metrics import PUBLISHED
from DiffBinaural.utils.helpers import read_part, resample, write_wav
from DiffBinaural.utils.lists import Clip, match


class FlatWriter:
    """<output_dir>/<name>.wav, stereo, at the vocoder's rate."""

    def __init__(self, cfg: VocodeConfig):
        self.cfg, self.folder = cfg, Path(cfg.output_dir)
        self.subtype = {"pcm16": "PCM_16", "float": "FLOAT"}[cfg.wav_format]

    def paths(self, name: str) -> list[Path]:
        """Everything that is written for an item."""
        return [self.folder / f"{name}.wav"]

    def write(self, name: str, wav: np.ndarray, rate: int) -> None:
        """wav (2, N) at `rate` Hz"""
        write_wav(self.paths(name)[0], wav, rate, self.subtype)


class FairplayWriter(FlatWriter):
    """The layout of FAIR-Play's own results, at its 16 kHz.

    <id>/predicted_binaural.wav, and as long as it input_binaural.wav, the truth, and mixed_mono.wav.  Clips
    that do not start their recording keep their milliseconds in the folder's name.
    """

    def __init__(self, cfg: VocodeMelsConfig):
        super().__init__(cfg)
        self.truths = {path.stem: path for path in sorted(Path(cfg.gt_dir).glob("*.wav"))}

    def paths(self, name: str) -> list[Path]:
        """Prediction, truth and mono."""
        video_id, start = match(name, self.truths)
        folder = self.folder / (name if start else video_id)
        return [folder / f"{kind}.wav" for kind in ("predicted_binaural", "input_binaural", "mixed_mono")]

    def write(self, name: str, wav: np.ndarray, rate: int) -> None:
        """wav (2, N) at `rate` Hz"""
        video_id, start = match(name, self.truths)
        clip = Clip(video_id, start, start + wav.shape[1] / rate)
        truth = read_part(self.truths[video_id], clip, rate, channels=2)
        mono = truth.mean(axis=0, keepdims=True)
        if self.cfg.mono_dir:
            mono = read_part(Path(self.cfg.mono_dir) / f"{video_id}.wav", clip, rate, channels=1)
        size = min(x.shape[1] for x in (wav, truth, mono))
        for path, sound in zip(self.paths(name), (wav, truth, mono), strict=True):
            resampled = resample(np.ascontiguousarray(sound[:, :size]), rate, PUBLISHED)
            write_wav(path, resampled, PUBLISHED, self.subtype)


def vocode_folder(vocoder: BigVGAN, items: MelFolder | WavFolder, cfg: VocodeConfig,
                  writer: FlatWriter) -> None:
    """Synthesise every item that is not there yet, in order of name."""
    device, rate = next(vocoder.parameters()).device, vocoder.cfg.sampling_rate
    there = [not cfg.overwrite and all(p.is_file() for p in writer.paths(name)) for name in items.names]
    if any(there):
        tqdm.write(f"{cfg.output_dir}: {sum(there)} of {len(there)} are there already and are skipped; "
                   "--overwrite makes them again", file=sys.stderr)
    for i in tqdm([i for i, known in enumerate(there) if not known], desc="vocoding", unit="clip"):
        name, mel, samples = items[i]
        wav = vocoder.vocode(torch.from_numpy(mel).to(device), cfg.chunk)[:, 0, :samples]
        writer.write(name, wav.cpu().numpy(), rate)
