"""Files of a vocoder: checkpoints in NVIDIA's names, and the wavs it makes."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from BigVGAN.env import CONFIG, VocodeConfig
from DiffBinaural.utils.helpers import replacing, save_tensors, write_wav


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


def vocode_folder(vocoder, items: Iterable, cfg: VocodeConfig) -> None:
    """Write <name>.wav, stereo, for every item.

    vocoder  a generator, see bigvgan.load_generator
    items    (name, (2, M, T) log mel, number of samples to write) each
    """
    device = next(vocoder.parameters()).device
    for name, pair, samples in tqdm(items, desc="vocoding", unit="clip"):
        wav = vocoder.vocode(torch.from_numpy(pair).to(device), cfg.chunk)[:, 0, :samples]
        write_wav(Path(cfg.output_dir) / f"{name}.wav", wav.cpu().numpy(), vocoder.cfg.sampling_rate)


def copy_config(source: str | Path, folder: Path) -> None:
    """Put a config beside the checkpoints that it describes."""
    with replacing(folder / CONFIG) as partial:
        shutil.copyfile(source, partial)
