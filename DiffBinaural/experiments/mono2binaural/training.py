"""Training of Mono2Binaural."""

import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from DiffBinaural.experiments.mono2binaural.config import SIZES, TrainMono2BinauralConfig
from DiffBinaural.experiments.mono2binaural.network import Mono2Binaural
from DiffBinaural.experiments.mono2binaural.windows import (
    EvenWindows,
    PicturedClips,
    RandomWindows,
    network_inputs,
)
from DiffBinaural.training_stabilizer import EMA, SafeStep
from DiffBinaural.utils.cache import Cache
from DiffBinaural.utils.closing import closing_line
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import differences, discard, load_tensors, read_json, save_tensors, write_json
from DiffBinaural.utils.helpers import pick_device
from DiffBinaural.utils.interruption import Stop
from DiffBinaural.utils.locks import locked
from DiffBinaural.utils.preload import read_all
from DiffBinaural.utils.progress import Progress
from DiffBinaural.utils.run_log import RunLog
from DiffBinaural.utils.schedule import Budget, Shuffled, rate_factor

BEST, STATE, CONFIG = "best.pth", "state_latest.pth", "config.json"
ERROR, COPY = "val/difference_mse", "val/mono_copy_difference_mse"


class Mono2BinauralRun:
    """A run folder with the network, optimizer, averages and progress that a resume restores.

    Raises ValueError where the folder holds a run of another size.
    """

    def __init__(self, cfg: TrainMono2BinauralConfig, job: World):
        self.folder, self.cfg, self.job = Path(cfg.run), cfg, job
        state = load_tensors(self.folder / STATE) if (self.folder / STATE).exists() else None
        if state:
            wanted = {name: getattr(cfg, name) for name in SIZES}
            if differ := differences(read_json(self.folder / CONFIG), wanted):
                raise ValueError(f"{self.folder}: holds a run with {differ}; give another --run or delete it")
        net = build_network(cfg, "random" if state else cfg.visual_weights)
        self.net = net.to(job.device, memory_format=torch.channels_last)
        self.ema, self.safe_step = EMA(self.net, cfg.ema_decay), SafeStep(cfg.clip_norm)
        visual = [*net.trunk.parameters(), *net.reduce.parameters()]
        audio = [*net.down.parameters(), *net.up.parameters(), *net.last.parameters()]
        groups = [
            {"params": part, "lr": lr, "base": lr} for part, lr in ((audio, cfg.lr), (visual, cfg.lr_visual))
        ]
        self.optimizer = torch.optim.Adam(groups, weight_decay=cfg.weight_decay, fused=True)
        self.progress = {"step": 0, "seconds": 0.0, "best": math.inf}
        if state:
            self._restore(state)
        write_json(self.folder / CONFIG, asdict(cfg))

    def _parts(self) -> dict:
        return {"net": self.net, "ema": self.ema, "optimizer": self.optimizer, "safe_step": self.safe_step}

    def _restore(self, state: dict) -> None:
        try:
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.progress = {name: state["progress"][name] for name in self.progress}
        except (RuntimeError, LookupError, TypeError, AttributeError) as error:
            why = str(error).splitlines()[-1].strip()
            raise ValueError(f"{self.folder / STATE}: is not the state of a run like this ({why})") from None

    def set_rates(self, done: float) -> None:
        """Set the next step's learning rates.  done: fraction of the run that is over"""
        factor = rate_factor(self.progress["step"], done, self.cfg.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor

    def save(self) -> str:
        """Write the state, from which a run is resumed.  -> a message that says so"""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        save_tensors(self.folder / STATE, {**parts, "progress": self.progress})
        return f"{self.folder} is saved at step {self.progress['step']}"


def build_network(cfg: TrainMono2BinauralConfig, trunk: str) -> Mono2Binaural:
    """The network of a run.  trunk: as of Mono2Binaural"""
    return Mono2Binaural(cfg.channels, cfg.picture_size, trunk, cfg.trunk_stride)


def fit_network(cfg: TrainMono2BinauralConfig) -> str:
    """Train until the steps or the time budget are used up; the same call again resumes a stopped run.

    Writes to the run's folder: config.json, best.pth, state_latest.pth, training_history.json, runs/
    -> the last line about it
    """
    torch.manual_seed(cfg.seed)
    with locked(cfg.run):
        job, cache = World(pick_device(cfg.device)), Path(cfg.run) / "cache"
        data, val = (
            PicturedClips(cfg.data_root, name, cfg.split, cfg.picture_size, channels=2)
            for name in (cfg.list_train, cfg.list_val)
        )
        run = Mono2BinauralRun(cfg, job)
        log = RunLog(run.folder, "runs", step=run.progress["step"])
        discard(cache)  # of an abandoned start, perhaps with other data
        for clips in (data, val):
            read_once(clips, cache, job)
        windows = RandomWindows(data, mirror=cfg.mirror, jitter=cfg.jitter, seed=cfg.seed)
        fixed = list(DataLoader(EvenWindows(val, cfg.val_windows), cfg.batch_size))
        why = _steps(run, windows, fixed, log)
        log.close()
        discard(cache)
        return closing_line(run.folder, why, log.rows, ERROR, COPY)


def read_once(clips: PicturedClips, cache: Path, job: World) -> None:
    """Check every file of a list; its sounds are kept in a folder, at the network's rate.

    A packed dataset was checked when it was packed, and is too large for a cache.
    """
    if clips.recordings.packed:
        return
    clips.cache = Cache(cache)
    each = {clip.span: i for i, clip in enumerate(clips.clips)}  # once, even where listed repeatedly
    read_all("reading sounds", clips.pair, each.values(), job)
    read_all("reading pictures", clips.check_pictures, {clip.video_id for clip in clips.clips}, job)


def _steps(run: Mono2BinauralRun, data: RandomWindows, val: list[dict], log: RunLog) -> str:
    cfg, progress, device = run.cfg, run.progress, run.job.device
    budget = Budget(progress, cfg.steps, cfg.time_budget)
    batches, done = iter(endless(data, cfg, progress["step"], device)), budget.done(progress["step"])
    with (
        Stop() as stop,
        Progress(
            total=budget.total,
            initial=budget.position(progress["step"]),
            desc=run.folder.name,
            unit=budget.unit,
        ) as bar,
    ):
        while done < 1:
            run.set_rates(done)
            loss = batch_errors(run.net.train(), next(batches), cfg, device).mean()
            loss.backward()
            norm, value = run.safe_step(run.optimizer), loss.item()
            if math.isfinite(norm):
                run.ema.update()
            progress["step"] += 1
            log.scalars(progress["step"], **{"train/loss": value, "train/grad_norm": norm})
            bar.set_postfix(loss=f"{value:.4f}", refresh=False)
            bar.update(budget.position(progress["step"]) - bar.n)
            before, done = done, budget.done(progress["step"])
            if validations_until(done, cfg) > validations_until(before, cfg):
                validate_network(run, val, log)
            stop.check(run.job, run.save)
    return budget.why(progress["step"])


def validations_until(done: float, cfg: TrainMono2BinauralConfig) -> int:
    """How many validations belong to a fraction of a training."""
    return math.floor(min(done, 1) * cfg.validations)


def endless(
    data: RandomWindows, cfg: TrainMono2BinauralConfig, step: int, device: torch.device
) -> DataLoader:
    """Endless batches, from that of a step on."""
    return DataLoader(
        data,
        cfg.batch_size,
        sampler=Shuffled(len(data), cfg.seed, step * cfg.batch_size),
        num_workers=cfg.workers,
        pin_memory=device.type == "cuda",
        persistent_workers=cfg.workers > 0,
        multiprocessing_context="fork" if cfg.workers else None,
    )


def batch_errors(
    net: nn.Module, batch: dict[str, Tensor], cfg: TrainMono2BinauralConfig, device: torch.device
) -> Tensor:
    """Squared error (B,) of the predicted spectrograms of L - R, the paper's objective."""
    total, picture, apart = network_inputs(batch, device)
    with torch.autocast(device.type, torch.bfloat16, enabled=cfg.amp == "bf16"):
        estimate = net(total, picture)
    return (estimate - apart).square().mean((1, 2, 3))


@torch.no_grad()
def validate_network(run: Mono2BinauralRun, val: list[dict], log: RunLog) -> None:
    """Error of the averaged weights, logged beside that of L = R; the best weights so far are kept.

    val  batches
    """
    device, errors, copies = run.job.device, [], []
    for batch in val:
        errors.append(batch_errors(run.ema.shadow, batch, run.cfg, device))
        copies.append(network_inputs(batch, device)[2].square().mean((1, 2, 3)))
    error, copy = (torch.cat(values).mean().item() for values in (errors, copies))
    if error < run.progress["best"]:
        run.progress["best"] = error
        save_tensors(run.folder / BEST, run.ema.shadow.state_dict())
    log(run.progress["step"], **{ERROR: error, COPY: copy, "train/skipped": run.safe_step.skipped})
    run.save()
