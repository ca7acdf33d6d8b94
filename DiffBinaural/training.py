"""The one training loop of stage 1."""

import copy
import math
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig, TrainConfig
from DiffBinaural.dataset.base import BinauralDataset, WholeClips, cut, padded
from DiffBinaural.diffusion_utils.diffusion_pytorch import Diffusion
from DiffBinaural.generation import sample_clip
from DiffBinaural.metrics import MEL_METRICS, measure
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.training_stabilizer import SafeStep
from DiffBinaural.utils.helpers import (
    generator_for,
    load_tensors,
    pick_device,
    read_json,
    save_tensors,
    write_json,
)
from DiffBinaural.utils.runs import Budget, RunLog, Shuffled, rate_factor

FREE = ("num_epoch", "time_budget", "eval_epoch", "device", "workers", "ckpt", "data_root")   # free on resume
VALIDATION_METRICS = {name: MEL_METRICS[name] for name in ("mel_rmse", "mel_ild_error")}
VALIDATION_STEPS = 4                                   # DDIM steps of the validation's samples


def loader(dataset: Dataset, cfg: TrainConfig, start: int = 0) -> DataLoader:
    """Endless batches of a dataset, from sample `start` of the run's order on."""
    order = Shuffled(len(dataset), cfg.seed, start)
    return DataLoader(dataset, cfg.batch_size_per_gpu, sampler=order, num_workers=cfg.workers, drop_last=True,
                      pin_memory=torch.cuda.is_available(), persistent_workers=cfg.workers > 0)


class EMA:
    """Running average of a network's weights; young averages forget faster.

    shadow  an eval-mode copy that holds the averages
    """

    def __init__(self, net: nn.Module, decay: float):
        self.net, self.decay, self.updates = net, decay, 0
        self.shadow = copy.deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self) -> None:
        """Blend the net's parameters in, copy its buffers."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for ours, theirs in zip(self.shadow.parameters(), self.net.parameters(), strict=True):
            ours.lerp_(theirs, 1 - decay)
        for ours, theirs in zip(self.shadow.buffers(), self.net.buffers(), strict=True):
            ours.copy_(theirs)

    def state_dict(self) -> dict:
        """What a resumed run must know."""
        return {"shadow": self.shadow.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        """Restore :meth:`state_dict`."""
        self.shadow.load_state_dict(state["shadow"])
        self.updates = state["updates"]


def draw_noise(batch: dict, diffusion: Diffusion, drop: float, random: torch.Generator) -> dict[str, Tensor]:
    """Everything random in a training step, drawn on the CPU.

    drop  chance that a window trains blind
    ->    t (B,) integer times; noise (B, 2, M, T); hidden (B,) bool, True = blind
    """
    size = len(batch["mono_mel"])
    return {"t": diffusion.training_times(size, random),
            "noise": torch.randn(batch["binaural_mel"].shape, generator=random),
            "hidden": torch.rand(size, generator=random) < drop}


def _to(batch: dict, device: torch.device) -> dict:
    return {k: v.to(device, non_blocking=True) for k, v in batch.items() if isinstance(v, Tensor)}


class Run:
    """A run folder, and everything in memory that a resume must bring back."""

    def __init__(self, model: BinauralModel, cfg: TrainConfig, device: torch.device):
        self.folder, self.cfg, self.model = Path(cfg.ckpt) / cfg.id, cfg, model.to(device)
        self.ema, self.safe_step = EMA(model, cfg.ema_decay), SafeStep(cfg.clip_norm)
        groups = [{"params": [p for p in part.parameters() if p.requires_grad], "lr": lr, "base": lr}
                  for part, lr in ((model.unet, cfg.lr_unet), (model.frame, cfg.lr_frame))]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=cfg.weight_decay)
        self.progress = {"step": 0, "seconds": 0.0, "best": math.inf}
        self.resumed = (self.folder / "state_latest.pth").exists()
        self._check_config()
        if self.resumed:
            self._restore(load_tensors(self.folder / "state_latest.pth"))
        write_json(self.folder / "config.json", asdict(cfg))

    def _check_config(self) -> None:
        """A run is resumed with the settings it was started with."""
        path = self.folder / "config.json"
        if not self.resumed or not path.exists():
            return
        old, new = read_json(path), asdict(self.cfg)
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in new.items() if not isinstance(v, dict)}
        if wrong := [k for k, v in plain.items() if k not in FREE and old.get(k) != v]:
            name = wrong[0]
            raise ValueError(f"{self.folder} holds a run with another --{name} ({old.get(name)}, "
                             f"now {plain[name]}); resume it with its own settings, or choose another --id")

    def _parts(self) -> dict:
        return {"model": self.model, "ema": self.ema,
                "optimizer": self.optimizer, "safe_step": self.safe_step}

    def _restore(self, state: dict) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.progress = state["progress"]

    def save(self, *, best: bool) -> None:
        """Write the averaged weights as *_latest (and *_best), and the whole state."""
        shadow = self.ema.shadow
        for which in ("latest", "best") if best else ("latest",):
            save_tensors(self.folder / f"unet_{which}.pth", shadow.unet.state_dict())
            save_tensors(self.folder / f"frame_{which}.pth", shadow.frame.state_dict())
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        save_tensors(self.folder / "state_latest.pth", {**parts, "progress": self.progress})


def fit(model: BinauralModel, train: BinauralDataset, val: WholeClips, cfg: TrainConfig) -> None:
    """Train until the epochs or the time budget are used up; the same call again goes on where it stopped.

    Leaves in <ckpt>/<id>: config.json, weights (latest, best), state_latest.pth, training_history.json, runs/
    """
    device = pick_device(cfg.device)
    run = Run(model, cfg, device)
    progress, log = run.progress, RunLog(run.folder, "runs", step=run.progress["step"])
    epoch_steps = max(len(train) // cfg.batch_size_per_gpu, 1)
    total = cfg.num_epoch * epoch_steps
    budget = Budget(progress, total, cfg.time_budget)
    bar = tqdm(total=total, initial=progress["step"], desc=cfg.id, unit="step")
    average, averaged, model = 0.0, 0, model.train()
    for batch in loader(train, cfg, progress["step"] * cfg.batch_size_per_gpu):
        if (done := budget.done(progress["step"])) >= 1:
            break
        # rates: a function of the step (or of the time that a budget leaves)
        factor = rate_factor(progress["step"], done, cfg.warmup_steps)
        for group in run.optimizer.param_groups:
            group["lr"] = group["base"] * factor
        # one step on one batch; what is random in it depends on the seed and the step alone
        random = generator_for(cfg.seed, f"step {progress['step']}")
        noise = draw_noise(batch, model.diffusion, cfg.diffusion.drop_vision, random)
        with torch.autocast(device.type, torch.bfloat16, enabled=cfg.amp == "bf16"):
            losses = model.loss(_to(batch, device), **_to(noise, device))
        sum(losses.values()).backward()
        norm = run.safe_step(run.optimizer)
        run.ema.update()
        progress["step"] += 1
        # what happened
        value = float(losses["diffusion"].detach())
        averaged = averaged + 1 if progress["step"] % epoch_steps != 1 else 1
        average += (value - average) / averaged
        log.scalars(progress["step"], **{"train/loss": value, "train/grad_norm": norm,
                                         "lr/unet": run.optimizer.param_groups[0]["lr"]})
        bar.set_postfix(loss=f"{average:.4f}", refresh=False)
        bar.update()
        if progress["step"] % (cfg.eval_epoch * epoch_steps) == 0:
            validate(run, val, log, average)
    validate(run, val, log, average)
    bar.close()
    log.close()


def validate(run: Run, val: WholeClips, log: RunLog, train_loss: float) -> None:
    """Judge the averaged weights, log it, save; the best so far by mel_rmse is kept as *_best."""
    if log.rows and log.rows[-1]["step"] == run.progress["step"]:
        return
    figures = evaluate(run.ema.shadow, val, run.cfg)
    best = figures["val/mel_rmse"] < run.progress["best"]
    run.progress["best"] = min(run.progress["best"], figures["val/mel_rmse"])
    run.save(best=best)
    log(run.progress["step"], **{"train/loss_epoch": train_loss, **figures,
                                 "train/skipped": run.safe_step.skipped})


@torch.inference_mode()
def evaluate(model: BinauralModel, val: WholeClips, cfg: TrainConfig) -> dict[str, float]:
    """Figures on a list of clips, with the same noise every time: diffusion loss, mel_rmse, mel_ild_error.

    -> {"val/…": mean over the clips that allow the figure}; val/mono_copy_…: those of the mono in both ears
    """
    device, rows = next(model.parameters()).device, []
    sampling = SamplingConfig(sampling_timesteps=VALIDATION_STEPS, seed=cfg.seed)
    for i in tqdm(range(len(val)), desc="validating", unit="clip", leave=False):
        clip = val[i]
        truth = clip["binaural_mel"].numpy()
        systems = {"": sample_clip(model, clip, sampling).numpy(),
                   "mono_copy_": clip["mono_mel"].expand(2, -1, -1).numpy()}
        rows.append({"val/loss": _loss_of_clip(model, clip, cfg, device)})
        for prefix, estimate in systems.items():
            figures = measure(VALIDATION_METRICS, estimate, truth, cfg.mel)
            rows[-1] |= {f"val/{prefix}{name}": value for name, value in figures.items()}
    known = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return {name: mean(values) for name, values in known.items() if values}


def _loss_of_clip(model: BinauralModel, clip: dict, cfg: TrainConfig, device: torch.device) -> float:
    """Diffusion loss over a clip's windows at fixed times and noise, nothing hidden."""
    size = cfg.view.window
    batch = {k: clip[k] for k in ("objects", "box", "mask")}
    batch |= {k: cut(padded(clip[k], size), clip["starts"], size) for k in ("mono_mel", "binaural_mel")}
    noise = draw_noise(batch, model.diffusion, 0.0, generator_for(cfg.seed, clip["stem"]))
    return float(model.loss(_to(batch, device), **_to(noise, device))["diffusion"])
