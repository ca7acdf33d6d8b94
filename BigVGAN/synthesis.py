"""Folders of mels or sounds through a vocoder, into folders of wavs."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from BigVGAN.bigvgan import BigVGAN, vocoder_chunk
from BigVGAN.meldataset import MelFolder, WavFolder
from BigVGAN.settings import VocodeConfig, VocodeMelsConfig
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.evaluation.metric import OFFICIAL_RATE
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.rendering import GEOMETRY, MonoPhaseRenderer
from DiffBinaural.utils.audio import read_part, resample, write_wav
from DiffBinaural.utils.blocks import Pieces
from DiffBinaural.utils.closing import ending
from DiffBinaural.utils.distributed import SINGLE_PROCESS
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.lists import Clip, match
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.progress import Progress

EVALUATE = "DiffBinaural/evaluate_binaural_22050.py"


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
            resampled = resample(np.ascontiguousarray(sound[:, :size]), rate, OFFICIAL_RATE)
            write_wav(path, resampled, OFFICIAL_RATE, self.subtype)


class VocoderRenderer:
    """Renders each ear by the vocoder, block by block, with a phase of its own.

    chunk  mel frames a network call; changes speed and memory, not the result; default: by the device
    amp    "bf16": convolutions in bfloat16
    """

    def __init__(self, vocoder: BigVGAN, chunk: int | None = None, amp: str = "off"):
        self.vocoder, self.amp, self.device = vocoder, amp, next(vocoder.parameters()).device
        self.pieces = Pieces(chunk or vocoder_chunk(self.device), vocoder.overlap)

    def push(
        self, mono: Tensor | None, mel: Tensor, directions: Tensor | None = None, *, last: bool = False
    ) -> Tensor:
        """As of :class:`MonoPhaseRenderer`; the mono is not needed, nor is more than the mels."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp == "bf16"):
            return self.vocoder.vocode_pieces(self.pieces.push(mel[:2], last=last), mel[:2])[:, 0]


def make_renderer(
    name: str,
    mel: MelConfig,
    vocoder: BigVGAN | None,
    *,
    head: str,
    exact_downmix: bool,
    microphone: bool = False,
    strength: float = 1.0,
    chunk: int | None = None,
    amp: str = "off",
):
    """The renderer of a name: its push(mono, mel, directions, last=…) gives samples (2, n).

    vocoder  needed by "vocoder" alone, as amp is
    head     name of the listener's, where directions of sources are given
    chunk    frames at once; default: the renderer's own
    exact_downmix, microphone, strength: of :class:`MonoPhaseRenderer`
    """
    if name == "vocoder":
        return VocoderRenderer(vocoder, chunk, amp)
    size = {"chunk": chunk} if chunk else {}
    how = dict(exact_downmix=exact_downmix, microphone=microphone, strength=strength, **size)
    return MonoPhaseRenderer(mel, name, head=head_named(head), **how)


def mono_reader(folder: str | Path, rate: int) -> Callable[[str, int], Tensor]:
    """A function (name, samples) -> (N,), a clip's mono, N <= samples, from a folder of wavs."""
    files = {path.stem: path for path in sorted(Path(folder).glob("*.wav"))}

    def read(name: str, samples: int) -> Tensor:
        try:
            video_id, start = match(name, files)
        except ValueError:
            raise FileNotFoundError(
                f"{folder}: no mono of {name}; expected {name}.wav, or <id>.wav of <id>_<milliseconds>"
            ) from None
        mono = read_part(files[video_id], Clip(video_id, start), rate, None).mean(axis=0)[:samples]
        if samples - len(mono) >= MelConfig.hop:
            raise ValueError(
                f"{files[video_id]}: {len(mono)} samples from {start:g} s on, the mels of "
                f"{name} stand for {samples}; expected the sound that they were made from"
            )
        return torch.from_numpy(mono)

    return read


def vocode_folder(
    vocoder: BigVGAN | None,
    items: MelFolder | WavFolder,
    cfg: VocodeConfig,
    writer: FlatWriter,
    mono_of: Callable | None = None,
    truth: str | None = None,
) -> None:
    """Make the sound of every item that is not there yet, in order of name; print where they are.

    vocoder  None with another renderer: then the items hold a phasor, and mono_of gives their mono
    mono_of  as of :func:`mono_reader`
    truth    folder of true sounds, with which to compare them
    """
    device, rate = pick_device(cfg.device), items.cfg.sample_rate
    with locked(cfg.output_dir, SINGLE_PROCESS, "*/"):
        there = [not cfg.overwrite and all(p.is_file() for p in writer.paths(name)) for name in items.names]
        if any(there):
            Progress.write(
                f"{cfg.output_dir}: {sum(there)} of {len(there)} are there already and are skipped; "
                "--overwrite makes them again",
                file=sys.stderr,
            )
        for i in Progress([i for i, known in enumerate(there) if not known], desc=cfg.renderer, unit="clip"):
            name, mel, samples = items[i]
            mono = mono_of(name, samples).to(device) if mono_of else torch.empty(0, device=device)
            mono = F.pad(mono, (0, mel.shape[-1] * items.cfg.hop - len(mono)))
            found, places, head = mono_of and items.sources(name, mel.shape[1:]), None, "sphere"
            if found:
                shares, directions, head = found
                mel, places = np.concatenate([mel, shares]), torch.from_numpy(directions)
            elif cfg.renderer == GEOMETRY:
                raise ValueError(f"--renderer geometry: {name} comes without the directions of its sources")
            renderer = make_renderer(
                cfg.renderer,
                items.cfg,
                vocoder,
                head=head,
                exact_downmix=cfg.exact_downmix,
                chunk=cfg.chunk,
                amp=cfg.amp,
            )
            known = torch.from_numpy(mel).to(device)
            wav = renderer.push(mono, known, places, last=True)[:, :samples]
            writer.write(name, wav.cpu().numpy(), rate)
    line, script = f"sounds of {len(there)} clips", EVALUATE if truth else ""
    print(ending(cfg.output_dir, line, script, pred_dir=cfg.output_dir, gt_dir=truth))
