"""The one training loop of stage 1."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig, from_dict
from DiffBinaural.dataset.base import BinauralDataset, WholeClips
from DiffBinaural.dataset.video_transforms import on_device
from DiffBinaural.generation import encoded, fill, load_config
from DiffBinaural.modules.models import BinauralModel, ModelBuilder
from DiffBinaural.training_stabilizer import EMA, SafeStep
from DiffBinaural.utils.distributed import World, world
from DiffBinaural.utils.files import (
    differences,
    discard,
    newest_readable,
    read_json,
    save_tensors,
    write_json,
)
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.runs import Budget, Memory, RunLog, Shuffled, Stop, rate_factor, read_all
from DiffBinaural.validation import draw, draw_noise, evaluate

# what may differ when a run goes on: lengths, from which the rates follow; places; and how the windows of a
# step, whose number may not change, are divided
FREE = (
    "num_epoch",
    "time_budget",
    "eval_epoch",
    "save_steps",
    "device",
    "workers",
    "ckpt",
    "data_root",
    "batch_size_per_gpu",
    "accumulate",
)


LATEST, PREVIOUS = "state_latest.pth", "state_previous.pth"


def loader(dataset: BinauralDataset, cfg: TrainConfig, job: World, start: int = 0) -> DataLoader:
    """Endless batches of this process's share of a dataset, from sample `start` of the run's order on."""
    order = Shuffled(len(dataset), cfg.seed, start, share=(job.rank, job.size))
    return DataLoader(
        dataset,
        cfg.batch_size_per_gpu,
        sampler=order,
        num_workers=cfg.workers,
        drop_last=True,
        pin_memory=job.device.type == "cuda",
        persistent_workers=cfg.workers > 0,
        multiprocessing_context="fork" if cfg.workers else None,
    )


def remember(data: BinauralDataset, model: BinauralModel, folder: Path, job: World) -> None:
    """Compute at the start what a run reads again and again; a broken file is named now, not in a week.

    Mels, and what a frozen trunk makes of every picture, plain and mirrored, are kept in `folder`; pictures
    that the trunk must see anew at every step are only looked through.
    """
    ids = list(dict.fromkeys(clip.video_id for clip in data.clips))
    keep = model.frame.frozen and data.encodable
    data.remember(Memory(folder), partial(encoded, model) if keep else None)
    if keep:  # one at a time: the trunk is busy with each
        for video_id in tqdm(job.share(ids), desc="encoding pictures", disable=not job.first):
            data.eyes(video_id)
    clips = {clip.span: i for i, clip in enumerate(data.clips)}  # each once, however often it is listed
    read_all("reading sounds", data.prepare, clips.values(), job)
    read_all("reading pictures", data.check_pictures, () if keep else ids, job)


class Run:
    """A run folder, and everything in memory that a resume must bring back.

    Nothing random needs a state: it follows from the seed and the number of the sample.

    windows  of an epoch
    """

    def __init__(self, model: BinauralModel, cfg: TrainConfig, job: World, windows: int):
        self.folder, self.cfg, self.model, self.job = Path(cfg.ckpt) / cfg.id, cfg, model, job
        states = [[path] for name in (LATEST, PREVIOUS) if (path := self.folder / name).exists()]
        self.resumed = bool(states)
        if cfg.init_from and not self.resumed:
            start_from(cfg.init_from, model, cfg)
        model.to(job.device, memory_format=torch.channels_last)
        self.step_samples = cfg.batch_size_per_gpu * cfg.accumulate * job.size
        self.epoch_steps = max(windows // self.step_samples, 1)
        self.total = cfg.num_epoch * self.epoch_steps
        self.ema, self.safe_step = EMA(model, cfg.ema_decay), SafeStep(cfg.clip_norm)
        groups = [
            {"params": [p for p in part.parameters() if p.requires_grad], "lr": lr, "base": lr}
            for part, lr in ((model.unet, cfg.lr_unet), (model.frame, cfg.lr_frame))
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=cfg.weight_decay, fused=True)
        self.progress = {
            "step": 0,
            "samples": 0,
            "step_samples": self.step_samples,
            "seconds": 0.0,
            "best": math.inf,
            "loss_sum": 0.0,
            "loss_count": 0,
        }
        if self.resumed:
            self._check_config()
            self._restore(*newest_readable(states), states[0][0])
        if job.first:
            write_json(self.folder / "config.json", asdict(cfg))

    def _check_config(self) -> None:
        """A run is resumed with the settings it was started with."""
        path, new = self.folder / "config.json", flat(asdict(self.cfg))
        old = flat(asdict(from_dict(TrainConfig, read_json(path), str(path))))  # with what is newer than it
        if wrong := [name for name in new if name not in FREE and old.get(name) != new[name]]:
            name = wrong[0]
            raise ValueError(
                f"{self.folder} holds a run with another --{name} ({old.get(name)}, "
                f"now {new[name]}); resume it with its own settings, or choose another --id"
            )

    def _parts(self) -> dict:
        return {
            "model": self.model,
            "ema": self.ema,
            "optimizer": self.optimizer,
            "safe_step": self.safe_step,
        }

    def _restore(self, state: dict, path: Path) -> None:
        try:
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.progress = {name: state["progress"][name] for name in self.progress} | state["progress"]
        except (RuntimeError, LookupError, TypeError, AttributeError) as error:
            why = str(error).splitlines()[-1].strip()
            raise ValueError(f"{path}: is not the state of a run like this ({why})") from None
        if self.progress["step_samples"] != self.step_samples:
            raise ValueError(
                f"{self.folder}: its steps take {self.progress['step_samples']} windows, now "
                f"{self.step_samples}; keep processes x --batch_size_per_gpu x --accumulate"
            )

    def budget(self) -> Budget:
        """How much of the run is over; a new one leaves out the time since the last."""
        return Budget(self.progress, self.total, self.cfg.time_budget)

    def set_rates(self, done: float) -> None:
        """Learning rates of the coming step: a function of the step, or of the time that a budget leaves."""
        factor = rate_factor(self.progress["step"], done, self.cfg.warmup_steps, self.cfg.lr_schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor

    def loss_so_far(self) -> float:
        """Mean training loss of this epoch."""
        return self.progress["loss_sum"] / max(self.progress["loss_count"], 1)

    def save_weights(self, which: str) -> None:
        """Write the averaged weights as unet_<which>.pth and frame_<which>.pth."""
        for name, part in (("unet", self.ema.shadow.unet), ("frame", self.ema.shadow.frame)):
            save_tensors(self.folder / f"{name}_{which}.pth", part.state_dict())

    def save(self) -> str:
        """Write the averaged weights as *_latest, then the whole state, from which a run goes on.

        -> words on what is kept
        """
        self.save_weights("latest")
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        save_tensors(
            self.folder / LATEST, {**parts, "progress": self.progress}, before=self.folder / PREVIOUS
        )
        return f"{self.folder} is saved at step {self.progress['step']}"


def start_from(run: str, model: BinauralModel, cfg: TrainConfig) -> None:
    """Give a new model the weights of a trained one; ValueError where the two are built differently."""
    theirs = load_config(run)
    was, wanted = (
        {
            "ears": part.ears,
            "arch_frame": part.arch_frame,
            "objective": part.diffusion.objective,
            **flat(asdict(part)["model"] | asdict(part)["mel"] | asdict(part)["view"]),
        }
        for part in (theirs, cfg)
    )
    if differ := differences(was, wanted):
        raise ValueError(f"--init_from {run}: that run has {differ}; give the same settings")
    fill(model, run)


def flat(config: dict) -> dict:
    """Settings and those of nested parts side by side, tuples as the lists that JSON makes of them."""
    plain = {}
    for name, value in config.items():
        plain |= (
            flat(value)
            if isinstance(value, dict)
            else {name: list(value) if isinstance(value, tuple) else value}
        )
    return plain


def train(windows: Callable, whole: type[WholeClips], cfg: TrainConfig) -> None:
    """Train, or go on with, the run that a command line describes.

    windows, whole  dataset classes of a layout: random windows to train on, whole clips to validate on
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
        phase=cfg.model.interaural_phase,
    )
    val = whole(
        cfg.data_root, cfg.list_val, cfg.mel, cfg.view, split=cfg.split, phase=cfg.model.interaural_phase
    )
    fit(ModelBuilder(cfg).build(), data, val, cfg)


def fit(model: BinauralModel, train: BinauralDataset, val: WholeClips, cfg: TrainConfig) -> None:
    """Train until the epochs or the time budget are used up; the same call again goes on where it stopped.

    Leaves in <ckpt>/<id>: config.json, weights (latest, best), state_latest.pth, training_history.json, runs/
    """
    with world(cfg.device) as job, locked(Path(cfg.ckpt) / cfg.id, job):
        run = Run(model, cfg, job, len(train))
        cache = run.folder / "cache"
        if job.first and not run.resumed:  # of a start that was given up, perhaps with other data
            discard(cache)
        job.wait()
        log = RunLog(run.folder, "runs", step=run.progress["step"]) if job.first else None
        if run.budget().done(run.progress["step"], job.agree) < 1:
            for data in (train, val):
                remember(data, run.model, cache, job)
            job.wait()
            _steps(run, train, val, log)
        validate(run, val, log)
        if job.first:
            log.close()
            discard(cache)


def _steps(run: Run, train: BinauralDataset, val: WholeClips, log: RunLog | None) -> None:
    cfg, job, progress, budget = run.cfg, run.job, run.progress, run.budget()
    net, batches = parallel(run.model.train(), job), iter(loader(train, cfg, job, progress["samples"]))
    with (
        Stop() as stop,
        tqdm(
            total=run.total, initial=progress["step"], desc=cfg.id, unit="step", disable=not job.first
        ) as bar,
    ):
        while (done := budget.done(progress["step"], job.agree)) < 1:
            run.set_rates(done)
            # the gradient, averaged over batches and processes
            loss = sum(
                backward(net, batch, run, last=last) for batch, last in several(batches, cfg.accumulate)
            )
            norm = run.safe_step(run.optimizer)
            if math.isfinite(norm):
                run.ema.update()
            progress["step"] += 1
            progress["samples"] += run.step_samples
            # what happened
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
            stop.obey(job, run.save)


def parallel(model: BinauralModel, job: World) -> nn.Module:
    """The model, wrapped where several processes train it together."""
    if job.size == 1:
        return model
    return DistributedDataParallel(model, device_ids=[job.device] if job.device.type == "cuda" else None)


def several(batches: Iterator, count: int) -> Iterator[tuple[dict, bool]]:
    """The next batches of one step, and of each whether it is the last."""
    return ((next(batches), part == count - 1) for part in range(count))


def backward(net: nn.Module, batch: dict, run: Run, *, last: bool) -> Tensor:
    """Add a batch's part to the step's gradient; after the last, processes exchange theirs.  -> loss."""
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
    """Judge the averaged weights, log it, save; the best so far is kept as *_best.

    By mel_rmse; where the model makes the phase between the ears, by the `stft` of the rendered sound.
    """
    progress, shadow = run.progress, run.ema.shadow
    if progress.get("validated") == progress["step"]:
        return
    figures = evaluate(shadow, val, run.cfg, run.job)
    judged = figures["val/stft" if shadow.phase else "val/mel_rmse"]
    better = judged < progress["best"]
    progress |= {"best": min(progress["best"], judged), "validated": progress["step"]}
    if run.job.first:
        draw(shadow, val, run.cfg, log, progress["step"])
        if better:
            run.save_weights("best")
        log(
            progress["step"],
            **{"train/loss_epoch": run.loss_so_far(), **figures, "train/skipped": run.safe_step.skipped},
        )
        run.save()
