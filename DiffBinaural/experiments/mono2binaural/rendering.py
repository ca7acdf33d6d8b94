"""Binaural sounds by a trained Mono2Binaural."""

from pathlib import Path

import torch
from torch import Tensor

from DiffBinaural.configs.fields import from_dict
from DiffBinaural.dataset.cutting import covering, extract_windows, stitch
from DiffBinaural.dataset.video_transforms import normalised
from DiffBinaural.experiments.mono2binaural.config import RenderMono2BinauralConfig, TrainMono2BinauralConfig
from DiffBinaural.experiments.mono2binaural.network import Mono2Binaural
from DiffBinaural.experiments.mono2binaural.spectra import (
    RATE,
    WINDOW,
    to_spectrogram,
    to_waveform,
    window_level,
)
from DiffBinaural.experiments.mono2binaural.training import BEST, CONFIG, build_network
from DiffBinaural.experiments.mono2binaural.windows import (
    FILE_RATE,
    PicturedClips,
    at_least_a_window,
    channels_last,
)
from DiffBinaural.utils.audio import resample, write_wav
from DiffBinaural.utils.files import load_tensors, read_json
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.lists import Clip
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.state_dicts import misfit


def load_network(run: str | Path, device: torch.device) -> tuple[Mono2Binaural, TrainMono2BinauralConfig]:
    """A trained network in eval mode, with the settings of its training.

    Raises FileNotFoundError or ValueError naming the file that is missing or does not fit.
    """
    path = Path(run) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; --run is the folder that train_mono2binaural.py wrote")
    cfg = from_dict(TrainMono2BinauralConfig, read_json(path), str(path))
    net, state = build_network(cfg, "random"), load_tensors(Path(run) / BEST)
    if why := misfit(state, net.state_dict()):
        raise ValueError(f"{Path(run) / BEST}: does not fit {path}: {why}")
    net.load_state_dict(state)
    return net.to(device, memory_format=torch.channels_last).eval(), cfg


def render_list(cfg: RenderMono2BinauralConfig) -> str:
    """Write <video_id>_<ms>.wav for every clip of a list.  -> the last line about it"""
    device = pick_device(cfg.device)
    net, trained = load_network(cfg.run, device)
    data = PicturedClips(cfg.data_root, cfg.list_test, cfg.split, trained.picture_size, channels=1)
    with locked(cfg.output_dir):
        for clip in Progress(data.clips, desc="rendering"):
            mono = torch.from_numpy(data.recordings.sound(clip, FILE_RATE, 1))
            apart = clip_difference(net, data, clip, mono, cfg)
            write_wav(Path(cfg.output_dir) / f"{clip.stem}.wav", both_ears(mono, apart).numpy(), FILE_RATE)
    return f"{cfg.output_dir}: {len(data.clips)} binaural wavs"


def both_ears(mono: Tensor, apart: Tensor) -> Tensor:
    """The ears (2, N) of mono (1, N), (L + R)/2, and of their difference L - R (1, N)."""
    return torch.cat([mono + apart / 2, mono - apart / 2])


@torch.inference_mode()
def clip_difference(
    net: Mono2Binaural, data: PicturedClips, clip: Clip, mono: Tensor, cfg: RenderMono2BinauralConfig
) -> Tensor:
    """L - R (1, N) of a clip's mono (1, N), both at FILE_RATE; nothing above half of RATE."""
    low = at_least_a_window(torch.from_numpy(resample(mono.numpy(), FILE_RATE, RATE)))[0]
    starts = covering(len(low), WINDOW, max(round(cfg.hop * RATE), 1))
    windows = []
    for k in range(0, len(starts), cfg.batch_windows):
        some = starts[k : k + cfg.batch_windows]
        picture = torch.stack([data.picture_at(clip, start) for start in some])
        windows.append(window_differences(net, extract_windows(low, some, WINDOW), picture, cfg))
    apart = stitch(torch.cat(windows), starts, len(low))
    return torch.from_numpy(resample(apart[None].numpy(), RATE, FILE_RATE))[:, : mono.shape[1]]


def window_differences(
    net: Mono2Binaural, mono: Tensor, picture: Tensor, cfg: RenderMono2BinauralConfig
) -> Tensor:
    """L - R (W, WINDOW) of windows of mono (W, WINDOW) at RATE, with pictures (W, 3, H, W) uint8."""
    device = next(net.parameters()).device
    level = window_level(mono)
    total = channels_last(to_spectrogram(2 * (mono / level).to(device)))
    picture = channels_last(normalised(picture.to(device)))
    apart = net(total, picture)
    if cfg.symmetric:
        apart = (apart - net(total, channels_last(picture.flip(-1)))) / 2
    return to_waveform(apart, WINDOW).cpu() * level
