"""Validation of stage 1 during training."""

from statistics import mean

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, TrainConfig
from DiffBinaural.dataset.base import WholeClips
from DiffBinaural.diffusion_utils.training_noise import draw_noise
from DiffBinaural.evaluation.interaural import phasor_error
from DiffBinaural.evaluation.mel_metrics import MEL_METRICS
from DiffBinaural.evaluation.metric import measure
from DiffBinaural.evaluation.metrics import WAV_METRICS
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.features import visual_features, window_batch
from DiffBinaural.inference.generation import clip_directions, comparison, generate
from DiffBinaural.inference.rendering import render
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.plots import mel_picture
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.run_log import RunLog

FIGURES = {name: MEL_METRICS[name] for name in ("mel_rmse", "mel_ild_error")}
ONE_EAR = {"mel_rmse": MEL_METRICS["mel_rmse"]}
RENDERED_METRICS = {
    name: WAV_METRICS[name] for name in ("stft", "env", "itd_error", "ild_error")
}  # of the rendered sound
DRAWN = 3  # clips


@torch.inference_mode()
def evaluate(model: BinauralModel, val: WholeClips, cfg: TrainConfig, job: World) -> dict[str, float]:
    """Diffusion loss, mel_rmse and mel_ild_error on a list of clips, divided among the job's processes.

    The networks run in the precision that they are trained in.

    -> {"val/…": mean over the clips for which it is defined}; val/mono_copy_…: of the mono in both ears.
       One ear has no mel_ild_error.  With a phasor also phasor_error, and stft and itd_error of the sound
       that is rendered with it
    """
    sampling, rows, ears = SamplingConfig(seed=cfg.seed), [], list(model.ears)
    mine = job.shard(range(len(val)))
    for i in Progress(mine, desc="validating", unit="clip", leave=False, disable=not job.first):
        clip = val[i]
        made, loss = generate(model, clip, sampling), loss_of_clip(model, clip, cfg)
        truth = clip["binaural_mel"][ears]
        systems = {"": made[: len(ears)], "mono_copy_": clip["mono_mel"].expand_as(truth)}
        rows.append({"val/loss": loss})
        for prefix, estimate in systems.items():
            pair = (mel if len(ears) == 2 else mel.expand(2, -1, -1) for mel in (estimate, truth))
            figures = measure(FIGURES if len(ears) == 2 else ONE_EAR, *pair, cfg.mel)
            rows[-1] |= {f"val/{prefix}{name}": value for name, value in figures.items()}
        if model.predicts_phasor:
            rows[-1] |= rendered_figures(made, clip, val.sound(val.clips[i]), cfg)
    rows = job.gather(rows)
    known = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return {name: mean(values) for name, values in known.items() if values}


def rendered_figures(
    made: Tensor, clip: dict, sounds: tuple[np.ndarray, np.ndarray], cfg: TrainConfig
) -> dict:
    """Errors of the phasor and of the sound rendered with it.

    made    (4 + S, M, T)  mels, phasor, shares
    clip    item of a WholeClips dataset
    sounds  its mono (1, N), its ears (2, N)
    ->      {"val/…": figure}, and "val/mono_copy_…" of the mono in both ears
    """
    mono, pair = sounds
    places = clip_directions(clip, cfg) if cfg.model.direct_path else None
    how = {"directions": places, "head": head_named(clip["head"])}
    rendered = render(torch.from_numpy(mono[0]), made, cfg.mel, **how).numpy()[:, : mono.shape[1]]
    systems = {"": rendered, "mono_copy_": mono.repeat(2, axis=0)}
    found = {
        f"val/{prefix}{name}": value
        for prefix, sound in systems.items()
        for name, value in measure(RENDERED_METRICS, sound, pair, cfg.mel.sample_rate).items()
    }
    return {"val/phasor_error": phasor_error(made[2:4], clip["phasor"], clip["mono_mel"]), **found}


def loss_of_clip(model: BinauralModel, clip: dict, cfg: TrainConfig) -> float:
    """Diffusion loss over a clip's windows at fixed times and noise, with vision."""
    maps, total, starts = visual_features(model, clip), 0.0, clip["starts"]
    for group in torch.arange(len(starts)).split(cfg.batch_size_per_gpu):
        batch = window_batch(clip, maps, group, cfg)
        batch["binaural_mel"] = batch["binaural_mel"][:, list(model.ears)]
        names = [f"{clip['stem']} {starts[w]}" for w in group]
        shape = (len(model.rows), *batch["mono_mel"].shape[2:])
        noise = draw_noise(names, shape, model.diffusion, 0.0, cfg.seed)
        noise = {name: value.to(maps.device) for name, value in noise.items()}
        total += float(model(batch, **noise)["diffusion"]) * len(group)
    return total / len(starts)


def draw(model: BinauralModel, val: WholeClips, cfg: TrainConfig, log: RunLog, step: int) -> None:
    """Draw prediction and truth of the first clips for TensorBoard."""
    for i in range(min(len(val), DRAWN)):
        clip = val[i]
        mel = generate(model, clip, SamplingConfig(seed=cfg.seed))
        log.picture(step, f"val/{clip['stem']}", mel_picture(comparison(clip, mel, model.ears), cfg.mel))
