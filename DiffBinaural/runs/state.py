"""The resumable state of a training run of stage 1."""

import math
from dataclasses import asdict
from pathlib import Path

import torch

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.inference.loading import fill
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.runs.compatibility import check_resumable, check_same_model
from DiffBinaural.training_stabilizer import EMA, SafeStep
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import newest_readable, save_tensors, write_json
from DiffBinaural.utils.schedule import Budget, rate_factor

LATEST, PREVIOUS = "state_latest.pth", "state_previous.pth"


def states_of(folder: Path) -> list[Path]:
    """States from which a run can go on, the newest first."""
    return [path for name in (LATEST, PREVIOUS) if (path := folder / name).exists()]


def check_start(cfg: TrainConfig) -> None:
    """Raise ValueError for settings with which neither the run's folder nor --init_from can be taken."""
    folder = Path(cfg.ckpt) / cfg.id
    if states_of(folder):
        check_resumable(folder, cfg)
    elif cfg.init_from:
        check_same_model(cfg.init_from, cfg)


class Run:
    """A run folder with the model, optimizer, averages and progress that a resume restores.

    Random generators have no state to restore: each follows from the seed and the number of a sample.

    job      the processes that train together
    windows  number of windows in an epoch
    """

    def __init__(self, model: BinauralModel, cfg: TrainConfig, job: World, windows: int):
        self.folder, self.cfg, self.model, self.job = Path(cfg.ckpt) / cfg.id, cfg, model, job
        check_start(cfg)
        states = states_of(self.folder)
        self.resumed = bool(states)
        if cfg.init_from and not self.resumed:
            fill(model, cfg.init_from)
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
            self._restore(*newest_readable([[path] for path in states]), states[0])
        if job.first:
            write_json(self.folder / "config.json", asdict(cfg))

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
        """The run's budget, whose clock starts now, on top of the seconds in its progress."""
        return Budget(self.progress, self.total, self.cfg.time_budget)

    def set_rates(self, done: float) -> None:
        """Set the next step's learning rates.  done: fraction of the run that is over."""
        factor = rate_factor(self.progress["step"], done, self.cfg.warmup_steps, self.cfg.lr_schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor

    def add_loss(self, step: int, value: float) -> None:
        """Count a step's loss into its epoch's mean, unless it is not finite."""
        if step % self.epoch_steps == 1 % self.epoch_steps:
            self.progress["loss_sum"], self.progress["loss_count"] = 0.0, 0
        if math.isfinite(value):
            self.progress["loss_sum"] += value
            self.progress["loss_count"] += 1

    def loss_so_far(self) -> float:
        """Mean training loss of this epoch."""
        return self.progress["loss_sum"] / max(self.progress["loss_count"], 1)

    def save_weights(self, which: str) -> None:
        """Write the averaged weights as unet_<which>.pth and frame_<which>.pth."""
        for name, part in (("unet", self.ema.shadow.unet), ("frame", self.ema.shadow.frame)):
            save_tensors(self.folder / f"{name}_{which}.pth", part.state_dict())

    def save(self) -> str:
        """Write the averaged weights as *_latest, then the whole state, from which a run is resumed.

        -> a message that says so
        """
        self.save_weights("latest")
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        save_tensors(
            self.folder / LATEST, {**parts, "progress": self.progress}, before=self.folder / PREVIOUS
        )
        return f"{self.folder} is saved at step {self.progress['step']}"
