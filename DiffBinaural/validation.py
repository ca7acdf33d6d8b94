"""How good a model is while it trains: figures and pictures of some clips, always with the same noise."""

from collections import defaultdict
from statistics import mean
from time import perf_counter

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, SamplingConfig, StepsConfig, TrainConfig
from DiffBinaural.dataset.base import WholeClips
from DiffBinaural.diffusion_utils.diffusion_pytorch import Diffusion
from DiffBinaural.evaluation import summary
from DiffBinaural.generation import comparison, generate, look, windows
from DiffBinaural.metrics import MEL_METRICS, WAV_METRICS, measure, phasor_error
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.rendering import render
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.helpers import generator_for
from DiffBinaural.utils.plots import mel_picture
from DiffBinaural.utils.runs import RunLog

FIGURES = {name: MEL_METRICS[name] for name in ("mel_rmse", "mel_ild_error")}
ONE_EAR = {"mel_rmse": MEL_METRICS["mel_rmse"]}
HEARD = {name: WAV_METRICS[name] for name in ("stft", "itd_error")}  # of the rendered sound
STEPS = 4  # of DDIM, for the samples
DRAWN = 3  # clips that are drawn


def draw_noise(
    names: list[str], shape: tuple[int, ...], diffusion: Diffusion, drop: float, seed: int
) -> dict[str, Tensor]:
    """Everything random in a training step, for each named window from a source of its own, on the CPU.

    shape  (rows, M, T)
    drop   chance that a window trains blind
    ->     t (B,) integer times; noise (B, rows, M, T); hidden (B,) bool, True = blind
    """
    drawn = []
    for name in names:
        random = generator_for(seed, name)
        drawn.append(
            (
                diffusion.training_times(1, random)[0],
                torch.randn(shape, generator=random),
                torch.rand((), generator=random) < drop,
            )
        )
    return dict(zip(("t", "noise", "hidden"), map(torch.stack, zip(*drawn)), strict=True))


@torch.inference_mode()
def evaluate(model: BinauralModel, val: WholeClips, cfg: TrainConfig, job: World) -> dict[str, float]:
    """Diffusion loss, mel_rmse and mel_ild_error on a list of clips, shared out among the job's processes.

    -> {"val/…": mean over the clips that allow the figure}; val/mono_copy_…: those of the mono in both ears.
       One ear has no mel_ild_error.  With the phase between the ears also phasor_error, and stft and
       itd_error of the sound that is rendered with it
    """
    sampling, rows, ears = SamplingConfig(sampling_timesteps=STEPS, seed=cfg.seed), [], list(model.ears)
    mine = job.share(range(len(val)))
    for i in tqdm(mine, desc="validating", unit="clip", leave=False, disable=not job.first):
        clip = val[i]
        truth, made = clip["binaural_mel"][ears], generate(model, clip, sampling)
        systems = {"": made[: len(ears)], "mono_copy_": clip["mono_mel"].expand_as(truth)}
        rows.append({"val/loss": loss_of_clip(model, clip, cfg)})
        for prefix, estimate in systems.items():
            pair = (mel if len(ears) == 2 else mel.expand(2, -1, -1) for mel in (estimate, truth))
            figures = measure(FIGURES if len(ears) == 2 else ONE_EAR, *pair, cfg.mel)
            rows[-1] |= {f"val/{prefix}{name}": value for name, value in figures.items()}
        if model.phase:
            rows[-1] |= heard(made, clip, val.sound(val.clips[i]), cfg.mel)
    rows = job.gather(rows)
    known = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return {name: mean(values) for name, values in known.items() if values}


def heard(made: Tensor, clip: dict, sounds: tuple[np.ndarray, np.ndarray], cfg: MelConfig) -> dict:
    """Figures of the phase between the ears, and of the sound rendered with it.

    made    (4, M, T)  mels and phasor
    clip    item of a WholeClips dataset;  sounds: its mono (1, N) and its ears (2, N)
    ->      {"val/…": figure}, and "val/mono_copy_…" of the mono in both ears
    """
    mono, pair = sounds
    rendered = render(torch.from_numpy(mono[0]), made, cfg).numpy()[:, : mono.shape[1]]
    systems = {"": rendered, "mono_copy_": mono.repeat(2, axis=0)}
    found = {
        f"val/{prefix}{name}": value
        for prefix, sound in systems.items()
        for name, value in measure(HEARD, sound, pair, cfg.sample_rate).items()
    }
    return {"val/phasor_error": phasor_error(made[2:], clip["phasor"], clip["mono_mel"]), **found}


def loss_of_clip(model: BinauralModel, clip: dict, cfg: TrainConfig) -> float:
    """Diffusion loss over a clip's windows at fixed times and noise, nothing hidden."""
    maps, total, starts = look(model, clip), 0.0, clip["starts"]
    for group in torch.arange(len(starts)).split(cfg.batch_size_per_gpu):
        batch = windows(clip, maps, group, cfg.view.window)
        batch["binaural_mel"] = batch["binaural_mel"][:, list(model.ears)]
        names = [f"{clip['stem']} {starts[w]}" for w in group]
        shape = (len(model.rows), *batch["mono_mel"].shape[2:])
        noise = draw_noise(names, shape, model.diffusion, 0.0, cfg.seed)
        noise = {name: value.to(maps.device) for name, value in noise.items()}
        total += float(model(batch, **noise)["diffusion"]) * len(group)
    return total / len(starts)


def draw(model: BinauralModel, val: WholeClips, cfg: TrainConfig, log: RunLog, step: int) -> None:
    """Draw the first clips, prediction against truth, for TensorBoard."""
    for i in range(min(len(val), DRAWN)):
        clip = val[i]
        mel = generate(model, clip, SamplingConfig(sampling_timesteps=STEPS, seed=cfg.seed))
        log.picture(step, f"val/{clip['stem']}", mel_picture(comparison(clip, mel, model.ears), cfg.mel))


def steps_figures(model: BinauralModel, test: WholeClips, cfg: StepsConfig) -> tuple[list[dict], list[dict]]:
    """The first clips of a list with every number of steps: means, and each clip's figures.

    -> rows {"step": steps, "<sampler>/mel_rmse", "<sampler>/mel_ild_error", "<sampler>/seconds a second":
       time to generate a second of sound}, and "mono copy/…" in each;
       clips {"id", "system": "<sampler>, <steps>" or "mono copy", metric: value}
    """
    clips = [test[i] for i in range(min(len(test), cfg.limit))]
    copies = [
        measure(FIGURES, clip["mono_mel"].expand(2, -1, -1), clip["binaural_mel"], test.mel) for clip in clips
    ]
    seconds = sum(clip["mono_mel"].shape[-1] for clip in clips) * test.mel.hop / test.mel.sample_rate
    rows, known = [], _named("mono copy", clips, copies)
    for count in tqdm(cfg.steps, desc="sampling"):
        rows.append({"step": count, **_means("mono copy", copies)})
        for sampler in cfg.samplers:
            how = SamplingConfig(sampling_timesteps=count, sampler=sampler, seed=cfg.seed)
            start = perf_counter()
            made = [generate(model, clip, how)[:2] for clip in clips]
            rows[-1][f"{sampler}/seconds a second"] = (perf_counter() - start) / seconds
            figures = [
                measure(FIGURES, mel, clip["binaural_mel"], test.mel)
                for mel, clip in zip(made, clips, strict=True)
            ]
            rows[-1] |= _means(sampler, figures)
            known += _named(f"{sampler}, {count}", clips, figures)
    return rows, known


def _named(system: str, clips: list[dict], figures: list[dict]) -> list[dict]:
    return [{"id": clip["stem"], "system": system, **each} for clip, each in zip(clips, figures, strict=True)]


def _means(system: str, figures: list[dict]) -> dict[str, float]:
    return {f"{system}/{name}": summary([each[name] for each in figures])["mean"] for name in figures[0]}


def sample_figures(
    model: BinauralModel, test: WholeClips, steps: tuple[int, ...], limit: int
) -> dict[str, dict[str, float]]:
    """Means over the first clips of a list, for samples of so many DDIM steps and for the mono copy.

    -> {"25": {"mel_rmse", "mel_ild_error", "spread": mel_rmse between samples of two noises}, "mono copy": …}
    """
    found = defaultdict(lambda: defaultdict(list))
    for i in tqdm(range(min(len(test), limit)), desc="sampling", unit="clip"):
        clip = test[i]
        systems = {"mono copy": [clip["mono_mel"].expand(2, -1, -1)] * 2}
        for count in steps:
            how = [SamplingConfig(sampling_timesteps=count, seed=seed) for seed in (0, 1)]
            systems[str(count)] = [generate(model, clip, cfg)[:2] for cfg in how]
        for name, (first, second) in systems.items():
            figures = measure(FIGURES, first, clip["binaural_mel"], test.mel)
            figures["spread"] = MEL_METRICS["mel_rmse"].figure(first, second, test.mel)
            for key, value in figures.items():
                found[name][key].append(value)
    return {
        name: {key: summary(values)["mean"] for key, values in each.items()} for name, each in found.items()
    }
