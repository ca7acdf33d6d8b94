"""Files of a vocoder: checkpoints in NVIDIA's names, and the wavs it makes."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from BigVGAN.env import CONFIG, VocodeConfig, VocodeMelsConfig
from DiffBinaural.metrics import PUBLISHED
from DiffBinaural.utils.files import replacing, save_tensors
from DiffBinaural.utils.helpers import read_part, resample, write_wav
from DiffBinaural.utils.lists import Clip, match


def latest(folder: str | Path, prefix: str) -> Path | None:
    """The newest checkpoint with a prefix, g_ or do_, and eight digits; None where there is none."""
    return max(Path(folder).glob(prefix + "[0-9]" * 8), default=None)


def save_run(folder: Path, steps: int, generator: nn.Module, rest: dict, keep: int) -> None:
    """Write g_<steps> and do_<steps>, and delete all but the newest `keep` of each.

    rest  what do_ holds: mpd, mrd, optim_g, optim_d, steps, epoch …
    """
    save_generator(folder / f"g_{steps:08d}", generator)
    save_tensors(folder / f"do_{steps:08d}", rest)          # last: a resume takes the newest do_ and its g_
    for prefix in ("g_", "do_"):
        for old in sorted(folder.glob(prefix + "[0-9]" * 8))[:-keep]:
            old.unlink()


def save_generator(path: Path, generator: nn.Module) -> None:
    """Write {"generator": state_dict}."""
    save_tensors(path, {"generator": generator.state_dict()})


def vocode_folder(vocoder, items: Iterable, cfg: VocodeConfig, write: Callable | None = None) -> None:
    """Synthesise every item, and write <name>.wav, stereo, where `write` does not do otherwise.

    items  (name, (2, M, T) mel, samples that it stands for)
    write  (name, (2, N) sound, rate in Hz)
    """
    device, rate = next(vocoder.parameters()).device, vocoder.cfg.sampling_rate
    write = write or (lambda name, wav, rate: write_wav(Path(cfg.output_dir) / f"{name}.wav", wav, rate))
    for name, mel, samples in tqdm(items, desc="vocoding", unit="clip"):
        wav = vocoder.vocode(torch.from_numpy(mel).to(device), cfg.chunk)[:, 0, :samples]
        write(name, wav.cpu().numpy(), rate)


def fairplay_writer(cfg: VocodeMelsConfig) -> Callable:
    """A `write` for :func:`vocode_folder` in the layout of FAIR-Play's own results, at its 16 kHz.

    <id>/predicted_binaural.wav, and as long as it input_binaural.wav, the truth, and mixed_mono.wav.  Clips
    that do not start their recording keep their milliseconds in the folder's name.
    """
    truths = {path.stem: path for path in sorted(Path(cfg.gt_dir).glob("*.wav"))}

    def write(name: str, wav: np.ndarray, rate: int) -> None:
        video_id, start = match(name, truths)
        clip = Clip(video_id, start, start + wav.shape[1] / rate)
        truth = read_part(truths[video_id], clip, rate, channels=2)
        mono = truth.mean(axis=0, keepdims=True)
        if cfg.mono_dir:
            mono = read_part(Path(cfg.mono_dir) / f"{video_id}.wav", clip, rate, channels=1)
        size = min(x.shape[1] for x in (wav, truth, mono))
        folder = Path(cfg.output_dir) / (name if start else video_id)
        for kind, sound in (("predicted_binaural", wav), ("input_binaural", truth), ("mixed_mono", mono)):
            resampled = resample(np.ascontiguousarray(sound[:, :size]), rate, PUBLISHED)
            write_wav(folder / f"{kind}.wav", resampled, PUBLISHED)
    return write


def copy_config(source: str | Path, folder: Path) -> None:
    """Put a config beside the checkpoints that it describes."""
    with replacing(folder / CONFIG) as partial:
        shutil.copyfile(source, partial)
