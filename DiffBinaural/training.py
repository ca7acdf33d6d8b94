"""The training loop of stage 1."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.dataset.base import BinauralDataset, WholeClips
from DiffBinaural.dataset.video_transforms import on_device
from DiffBinaural.diffusion_utils.training_noise import draw_noise
from DiffBinaural.modules.models import BinauralModel, ModelBuilder
from DiffBinaural.runs.loading import loader, precompute, step_batches
from DiffBinaural.runs.state import Run
from DiffBinaural.utils.distributed import World, world
from DiffBinaural.utils.files import discard
from DiffBinaural.utils.interruption import Stop
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.run_log import RunLog
from DiffBinaural.validation import draw, evaluate


def train(windows: Callable, whole: type[WholeClips], cfg: TrainConfig) -> None:
    """Train or resume the run that a command line describes.

    windows, whole  datasets of one layout: random windows to train on, whole clips to validate on
    """
    torch.manual_seed(cfg.seed)
    data = windows(
        cfg.data_root,
        cfg.list_train,
        cfg.mel,
        cfg.view,
        split=cfg.split,
        fold=cfg.fold,
        seed=cfg.seed,
        mirror=cfg.mirror,
        windows_per_clip=cfg.windows_per_clip,
        hide_detections=cfg.hide_detections,
        hide_sounding=cfg.hide_sounding,
        phasor=cfg.model.interaural_phase,
        spectra=cfg.model.direct_path,
        direct_path=cfg.model.direct_path,
    )
    val = whole(
        cfg.data_root, cfg.list_val, cfg.mel, cfg.view, split=cfg.split, phasor=cfg.model.interaural_phase
    )
    fit(ModelBuilder(cfg).build(), data, val, cfg)


def fit(model: BinauralModel, train: BinauralDataset, val: WholeClips, cfg: TrainConfig) -> None:
    """Train until the epochs or the time budget are used up; the same call again resumes a stopped run.

    Writes to <ckpt>/<id>: config.json, weights (latest, best), state_latest.pth, training_history.json, runs/
    """
    with world(cfg.device) as job, locked(Path(cfg.ckpt) / cfg.id, job):
        run = Run(model, cfg, job, len(train))
        cache = run.folder / "cache"
        if job.first and not run.resumed:  # of an abandoned start, perhaps with other data
            discard(cache)
        job.wait()
        log = RunLog(run.folder, "runs", step=run.progress["step"]) if job.first else None
        if run.budget().done(run.progress["step"], job.broadcast) < 1:
            for data in (train, val):
                precompute(data, run.model, cache, job)
            job.wait()
            _steps(run, train, val, log)
        validate(run, val, log)
        if job.first:
            log.close()
            discard(cache)


def _steps(run: Run, train: BinauralDataset, val: WholeClips, log: RunLog | None) -> None:
    cfg, job, progress, budget = run.cfg, run.job, run.progress, run.budget()
    net, batches = data_parallel(run.model.train(), job), iter(loader(train, cfg, job, progress["samples"]))
    with (
        Stop() as stop,
        Progress(
            total=run.total, initial=progress["step"], desc=cfg.id, unit="step", disable=not job.first
        ) as bar,
    ):
        while (done := budget.done(progress["step"], job.broadcast)) < 1:
            run.set_rates(done)
            # the gradient, averaged over batches and processes
            loss = sum(
                backward(net, batch, run, last=last) for batch, last in step_batches(batches, cfg.accumulate)
            )
            norm = run.safe_step(run.optimizer)
            if math.isfinite(norm):
                run.ema.update()
            progress["step"] += 1
            progress["samples"] += run.step_samples
            # record the loss
            value = job.mean(loss)
            if progress["step"] % run.epoch_steps == 1 % run.epoch_steps:
                progress["loss_sum"], progress["loss_count"] = 0.0, 0
            if math.isfinite(value):
                progress["loss_sum"] += value
                progress["loss_count"] += 1
            if job.first:
                log.scalars(
                    progress["step"],
                    **{
                        "train/loss": value,
                        "train/grad_norm": norm,
                        "lr/unet": run.optimizer.param_groups[0]["lr"],
                        "lr/frame": run.optimizer.param_groups[1]["lr"],
                    },
                )
            bar.set_postfix(loss=f"{run.loss_so_far():.4f}", refresh=False)
            bar.update()
            if progress["step"] % (cfg.eval_epoch * run.epoch_steps) == 0:
                validate(run, val, log)
            elif job.first and progress["step"] % cfg.save_steps == 0:
                run.save()
            stop.check(job, run.save)


def data_parallel(model: BinauralModel, job: World) -> nn.Module:
    """The model, wrapped in DistributedDataParallel where several processes train it."""
    if job.size == 1:
        return model
    return DistributedDataParallel(model, device_ids=[job.device] if job.device.type == "cuda" else None)


def backward(net: nn.Module, batch: dict, run: Run, *, last: bool) -> Tensor:
    """Add a batch's part to the step's gradient, which the last batch averages over processes.  -> loss"""
    cfg, device = run.cfg, run.job.device
    names = [f"sample {n}" for n in batch["n"].tolist()]
    shape = (len(run.model.rows), *batch["mono_mel"].shape[2:])
    noise = draw_noise(names, shape, run.model.diffusion, cfg.diffusion.drop_vision, cfg.seed)
    noise = {name: value.to(device, non_blocking=True) for name, value in noise.items()}
    with nullcontext() if last or run.job.size == 1 else net.no_sync():
        with torch.autocast(device.type, torch.bfloat16, enabled=cfg.amp == "bf16"):
            losses = net(on_device(batch, device), **noise)
        loss = sum(losses.values()) / cfg.accumulate
        loss.backward()
    return loss.detach()


def validate(run: Run, val: WholeClips, log: RunLog | None) -> None:
    """Evaluate the averaged weights, log it, save the run; the best weights so far are kept as *_best.

    The best are those of least mel_rmse; with a phasor, of least `stft` of the rendered sound.
    """
    progress, shadow = run.progress, run.ema.shadow
    if progress.get("validated") == progress["step"]:
        return
    figures = evaluate(shadow, val, run.cfg, run.job)
    error = figures["val/stft" if shadow.predicts_phasor else "val/mel_rmse"]
    better = error < progress["best"]
    progress |= {"best": min(progress["best"], error), "validated": progress["step"]}
    if run.job.first:
        draw(shadow, val, run.cfg, log, progress["step"])
        if better:
            run.save_weights("best")
        log(
            progress["step"],
            **{"train/loss_epoch": run.loss_so_far(), **figures, "train/skipped": run.safe_step.skipped},
        )
        run.save()
