"""Whole clips of a dataset, generated."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, TrainConfig
from DiffBinaural.dataset.base import WINDOW_HOP, WholeClips, extract_windows, padded, scene, stitch
from DiffBinaural.dataset.video_transforms import WithoutDetections
from DiffBinaural.inference.config import ClipsConfig, GenerateConfig
from DiffBinaural.inference.loading import load_models
from DiffBinaural.inference.sampler import BLOCK, stream
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.lists import EARS, SIDES, Clip
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.mel import DB_PER_NEPER
from DiffBinaural.utils.mel_files import save_mel_pair, write_mel_config


def parts_of(clip: dict, cfg: TrainConfig, count: int) -> Iterator[dict]:
    """A clip, an item of a WholeClips dataset or one with its eyes closed, as parts of `count` windows."""
    starts, size, frames = clip["starts"], cfg.view.window, max(clip["mono_mel"].shape[-1], cfg.view.window)
    for first in range(0, len(starts), count):
        mine = slice(first, first + count)
        if "eyes" in clip:
            seen = scene(clip["eyes"], clip["times"][mine], cfg.mel)
        else:
            shown, which = torch.unique(clip["which"][mine], return_inverse=True)
            seen = {name: clip[name][shown] for name in ("objects", "maps", "box", "mask") if name in clip}
            seen["which"] = which
        until = starts[first + count] if first + count < len(starts) else frames
        yield {
            "starts": starts[mine],
            "until": until,
            "frames": frames,
            **seen,
            "mono": extract_windows(padded(clip["mono_mel"], size), starts[mine], size),
        }


def generate(
    model: BinauralModel, clip: dict, cfg: SamplingConfig, count: int = BLOCK // WINDOW_HOP
) -> Tensor:
    """Sample a whole clip: windows share one noise and are merged at every denoising step.

    The noise is the clip's own: its name and cfg.seed give the same sound in any company.

    clip   item of a WholeClips dataset, or its `unseen`
    count  windows of a block, by default 60 s; changes memory, not the result
    ->     (rows, M, T) on the CPU: each ear's log mel in nepers, then the phasor where the model makes it
    """
    mel = torch.cat(list(stream(model, parts_of(clip, model.cfg, count), cfg, clip["stem"])), dim=-1)
    return mel[..., : clip["mono_mel"].shape[-1]]


def generate_apart(model: BinauralModel, clip: dict, cfg: SamplingConfig) -> Tensor:
    """As :func:`generate`, but each window by itself, with a noise of its own, and merged at the end only."""
    size, total = model.cfg.view.window, clip["mono_mel"].shape[-1]
    alone = [
        {
            **clip,
            "stem": f"{clip['stem']} {start}",
            "starts": [0],
            "times": clip["times"][w : w + 1],
            "mono_mel": clip["mono_mel"][..., start : start + size],
        }
        for w, start in enumerate(clip["starts"])
    ]
    return stitch(torch.stack([generate(model, window, cfg) for window in alone]), clip["starts"], total)


def generate_pair(
    models: list[BinauralModel], clip: dict, cfg: SamplingConfig, how: Callable = generate
) -> Tensor:
    """A clip from one model of both ears, or from one of each: (2 or, with a phasor, 4, M, T)."""
    return torch.cat([how(model, clip, cfg) for model in models])


def clips_of(dataset_class: type[WholeClips], cfg: ClipsConfig, trained: TrainConfig) -> WholeClips:
    """The clips of --list_test, in the split of the run where --split does not say otherwise."""
    return dataset_class(
        cfg.data_root,
        cfg.list_test,
        trained.mel,
        trained.view,
        truth=False,
        fold=cfg.fold,
        split=trained.split if cfg.split is None else cfg.split,
    )


def generate_all(dataset_class: type[WholeClips], cfg: GenerateConfig):
    """Generate every clip of a list and write its mels; yields (clip item, generate_pair's) as it goes.

    Under torchrun the processes share the clips out.
    """
    with world(cfg.device) as job:
        models = load_models(cfg.run, job.device, cfg.weights_unet, cfg.weights_frame)
        data = clips_of(dataset_class, cfg, models[0].cfg)
        with locked(cfg.output_dir, job):
            write_mel_config(cfg.output_dir, data.mel)
            numbers = job.shard(range(len(data))[: cfg.limit])
            for i in tqdm(numbers, desc=f"generating {cfg.list_test}", unit="clip", disable=not job.first):
                clip = data.unseen(i)
                if cfg.shuffle_vision:
                    clip = with_vision_of(clip, data.unseen(next_video(data.clips, i)))
                if not cfg.detections:
                    clip["eyes"] = WithoutDetections(clip["eyes"])
                mel = generate_pair(models, clip, cfg, generate if cfg.joint else generate_apart)
                save_mel_pair(cfg.output_dir, clip["stem"], mel.numpy())
                yield clip, mel


def next_video(clips: list[Clip], i: int) -> int:
    """Number of the next clip after clip i, going round, that is of another recording."""
    order = [*range(i + 1, len(clips)), *range(i)]
    other = next((k for k in order if clips[k].video_id != clips[i].video_id), None)
    if other is None:
        raise ValueError("--shuffle_vision needs a list with at least two recordings")
    return other


def with_vision_of(clip: dict, other: dict) -> dict:
    """A clip's sound with another clip's pictures, repeated where the other is shorter; eyes closed."""
    times = [other["times"][w % len(other["times"])] for w in range(len(clip["starts"]))]
    return {**clip, "eyes": other["eyes"], "times": times}


def comparison(clip: dict, mel: Tensor, ears=EARS["both"]) -> list[tuple[str, np.ndarray]]:
    """Rows of a picture: mono, these ears predicted and, where known, true, and the difference in dB."""
    rows = [("mono", clip["mono_mel"][0])]
    for ear, made in zip(ears, mel[: len(ears)], strict=True):
        rows.append((f"{SIDES[ear]}, predicted", made))
        if "binaural_mel" in clip:
            truth = clip["binaural_mel"][ear]
            rows += [
                (f"{SIDES[ear]}, true", truth),
                (f"{SIDES[ear]}, predicted - true, dB", (made - truth) * DB_PER_NEPER),
            ]
    return [(title, values.numpy()) for title, values in rows]
