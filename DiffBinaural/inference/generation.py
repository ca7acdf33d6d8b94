"""Whole clips of a dataset, generated."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, TrainConfig
from DiffBinaural.dataset.base import WholeClips
from DiffBinaural.dataset.cutting import WINDOW_HOP, extract_windows, padded
from DiffBinaural.dataset.frame_sources import WithoutDetections
from DiffBinaural.dataset.recordings import SOUNDS
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.config import ClipsConfig, GenerateConfig
from DiffBinaural.inference.loading import load_models
from DiffBinaural.inference.sampler import Sampler
from DiffBinaural.inference.windows import WindowBatch
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.closing import ending
from DiffBinaural.utils.distributed import world
from DiffBinaural.utils.lists import EARS, SIDES, Clip
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.mel import DB_PER_NEPER
from DiffBinaural.utils.mel_files import save_mel_pair, write_mel_config
from DiffBinaural.utils.mel_stream import BLOCK
from DiffBinaural.utils.progress import Progress


def batches_of(clip: dict, cfg: TrainConfig, count: int) -> Iterator[tuple[WindowBatch, dict[str, Tensor]]]:
    """A clip in batches of `count` windows, each with the pictures that it shows.

    clip  item of a WholeClips dataset, or its `without_pictures`
    """
    starts, size, frames = clip["starts"], cfg.view.window, max(clip["mono_mel"].shape[-1], cfg.view.window)
    for first in range(0, len(starts), count):
        mine = slice(first, first + count)
        times = clip["times"][mine] if "times" in clip else []
        if "source" in clip:
            visual = clip["source"].scene(times, clip["seconds"])
        else:
            shown, which = torch.unique(clip["which"][mine], return_inverse=True)
            visual = {name: clip[name][shown] for name in ("objects", "maps", "box", "mask") if name in clip}
            visual |= {"which": which, "directions": clip["directions"][mine]}
        until = starts[first + count] if first + count < len(starts) else frames
        mono = extract_windows(padded(clip["mono_mel"], size), starts[mine], size)
        yield WindowBatch(starts[mine], until, frames, mono, times), visual


def generate(
    model: BinauralModel, clip: dict, cfg: SamplingConfig, count: int = BLOCK // WINDOW_HOP
) -> Tensor:
    """Sample a whole clip: windows have one noise in common and are merged at every denoising step.

    The noise is the clip's own: its sound and cfg.seed give the same result, whatever else is generated.

    clip   item of a WholeClips dataset, or its `without_pictures`
    count  windows of a batch, by default 60 s; changes memory, not the result
    ->     (rows, M, T) on the CPU: each ear's log mel in nepers, then the phasor where the model predicts it,
           then the slots' shares where it knows their direct paths
    """
    sampler = Sampler(model, cfg, head_named(clip["head"]))
    mel = torch.cat([sampler.push(*batch) for batch in batches_of(clip, model.cfg, count)], dim=-1)
    return mel[..., : clip["mono_mel"].shape[-1]]


def clip_directions(clip: dict, cfg: TrainConfig) -> Tensor:
    """Where a clip's detected sources are in its mel frames: (S - 1, 3, T), as of SourcePaths.

    clip  item of a WholeClips dataset, or its `without_pictures`
    """
    if "source" in clip:
        found = [clip["source"].frame_directions(time, clip["seconds"]) for time in clip["times"]]
    else:
        found = list(clip["directions"])
    whole = torch.zeros(cfg.view.slots - 1, 3, clip["starts"][-1] + cfg.view.window)
    for start, directions in zip(clip["starts"], found, strict=True):
        whole[..., start : start + cfg.view.window] = directions
    return whole[..., : clip["mono_mel"].shape[-1]]


def generate_pair(models: list[BinauralModel], clip: dict, cfg: SamplingConfig) -> Tensor:
    """A clip from one model of both ears, or from one of each: (2 or, with a phasor, 4 and more, M, T)."""
    return torch.cat([generate(model, clip, cfg) for model in models])


def clips_of(dataset_class: Callable[..., WholeClips], cfg: ClipsConfig, trained: TrainConfig) -> WholeClips:
    """The clips of --list_test, in the split of --split, else in that of the run."""
    return dataset_class(
        cfg.data_root,
        cfg.list_test,
        trained.mel,
        trained.view,
        truth=False,
        fold=cfg.fold,
        split=trained.split if cfg.split is None else cfg.split,
    )


def generate_all(
    dataset_class: Callable[..., WholeClips], cfg: GenerateConfig
) -> Iterator[tuple[dict, Tensor]]:
    """Generate every clip of a list and write its mels; yields (clip, mel) one by one.

    Under torchrun every process takes its shard of the clips.
    """
    with world(cfg.device) as job:
        models = load_models(cfg.run, job.device, cfg.weights_unet, cfg.weights_frame, amp=cfg.amp)
        data = clips_of(dataset_class, cfg, models[0].cfg)
        with locked(cfg.output_dir, job):
            write_mel_config(cfg.output_dir, data.mel)
            numbers = job.shard(range(len(data))[: cfg.limit])
            for i in Progress(
                numbers, desc=f"generating {cfg.list_test}", unit="clip", disable=not job.first
            ):
                clip = data.without_pictures(i)
                if cfg.shuffle_vision:
                    clip = with_pictures_of(clip, data.without_pictures(next_video(data.clips, i)))
                if not cfg.detections:
                    clip["source"] = WithoutDetections(clip["source"])
                mel = generate_pair(models, clip, cfg)
                places = clip_directions(clip, models[0].cfg).numpy() if models[0].slots else None
                save_mel_pair(cfg.output_dir, clip["stem"], mel.numpy(), places, clip["head"])
                yield clip, mel
            if job.first:
                print(ended(cfg, len(range(len(data))[: cfg.limit])))


def ended(cfg: ClipsConfig, count: int) -> str:
    """The last lines about the mels of so many clips: compare them where the truth is there, else listen."""
    line, (mono, truth) = f"mels of {count} clips", (Path(cfg.data_root, SOUNDS[k]) for k in (1, 2))
    if truth.is_dir():
        script = "DiffBinaural/evaluate_mel_spectrogram_rmse.py"
        return ending(cfg.output_dir, line, script, pred_dir=cfg.output_dir, gt_dir=truth)
    script, wavs = "BigVGAN/inference_diffbinaural_mels.py", f"{cfg.output_dir}_wavs"
    places = {"mels_dir": cfg.output_dir, "mono_dir": mono.is_dir() and mono, "output_dir": wavs}
    return ending(cfg.output_dir, line, script, **places)


def next_video(clips: list[Clip], i: int) -> int:
    """Number of the next clip after clip i, going round, that is of another recording."""
    order = [*range(i + 1, len(clips)), *range(i)]
    other = next((k for k in order if clips[k].video_id != clips[i].video_id), None)
    if other is None:
        raise ValueError("--shuffle_vision needs a list with at least two recordings")
    return other


def with_pictures_of(clip: dict, other: dict) -> dict:
    """A clip's sound with another clip's pictures, repeated where the other is shorter."""
    times = [other["times"][w % len(other["times"])] for w in range(len(clip["starts"]))]
    return {**clip, "source": other["source"], "times": times}


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
