"""The resumable state of a vocoder's training run."""

import math
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from tqdm import tqdm

from BigVGAN.bigvgan import BigVGAN, generator_file, read_generator
from BigVGAN.discriminators import MultiPeriodDiscriminator, MultiResolutionDiscriminator
from BigVGAN.env import CONFIG, VocoderConfig, load_config
from BigVGAN.settings import TrueMelConfig
from BigVGAN.utils import checkpoints, copy_config, latest, load_strict, save_run
from DiffBinaural.training_stabilizer import SafeStep
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import load_tensors, newest_readable
from DiffBinaural.utils.mel_files import same_mel
from DiffBinaural.utils.schedule import rate_factor

WARMUP_STEPS = 20  # of a run with a time budget, whose learning rates rise and fall


class VocoderRun:
    """A run folder with the networks, optimizers and progress that a resume restores.

    cfg    the vocoder's config.json
    train  settings of the command line
    job    the processes that train together
    """

    def __init__(self, cfg: VocoderConfig, train: TrueMelConfig, job: World):
        self.cfg, self.train, self.folder, self.job = cfg, train, Path(train.checkpoint_path), job
        self.pairs = max(cfg.batch_size // 2, 1)  # segments of two ears in a step, over all processes
        if self.pairs % job.size:
            raise ValueError(
                f"{train.config}: batch_size {cfg.batch_size} is {self.pairs} segments of two "
                f"ears, which {job.size} processes cannot divide equally"
            )
        self.micro_batch = train.micro_batch or self.pairs // job.size  # segments computed at once
        self.generator = BigVGAN(cfg)
        groups = {"mpd": MultiPeriodDiscriminator(cfg), "mrd": MultiResolutionDiscriminator(cfg)}
        self.discriminators = nn.ModuleDict(
            {name: group for name, group in groups.items() if group.discriminators}
        )
        self.progress = {"steps": 0, "epoch": 0, "seconds": 0.0, "best": math.inf}
        state = self._load_networks()
        self.generator.to(job.device), self.discriminators.to(job.device)
        nets = {"g": self.generator, **self.discriminators}
        shared_from_first(nets.values(), job)
        self.optim = {name: self._optimizer(net) for name, net in nets.items()}
        self.safe_step = {name: SafeStep(cfg.clip_grad_norm) for name in nets}
        if state:
            self._restore(state)
        elif job.first:
            copy_config(train.config, self.folder)

    def _optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        betas = (self.cfg.adam_b1, self.cfg.adam_b2)
        return torch.optim.AdamW(net.parameters(), self.cfg.learning_rate, betas=betas, fused=True)

    def _load_networks(self) -> dict | None:
        """Load this run's newest checkpoint, else --init_from.  -> state to resume from, if any"""
        if pairs := checkpoints(self.folder):
            if load_config(self.folder / CONFIG) != self.cfg:
                raise ValueError(
                    f"{self.folder} holds a run with another config than {self.train.config}; "
                    "resume it with its own config.json, or choose another --checkpoint_path"
                )
            weights, state = newest_readable(pairs)
            load_strict(self.generator, weights.get("generator", {}), pairs[0][0])
            for name, discriminator in self.discriminators.items():
                load_strict(discriminator, state.get(name, {}), f"{pairs[0][1]}, {name}")
            return state
        if self.train.init_from:
            self._start_from(Path(self.train.init_from))
        return None

    def _start_from(self, source: Path) -> None:
        """Load the generator of a run, NVIDIA folder or file, and the discriminators beside it."""
        file = generator_file(source) if source.is_dir() else source
        generator = read_generator(file)
        same_mel(generator.cfg.mel, self.cfg.mel, str(file))
        load_strict(self.generator, generator.state_dict(), file)
        before, now = (cfg.griffin_lim_iterations for cfg in (generator.cfg, self.cfg))
        if before != now and self.job.first:
            line = f"{file}: griffin_lim_iterations was {before}; {self.train.config} has {now}, which counts"
            tqdm.write(line, file=sys.stderr)
        found = (latest(source, "do_") or _published_discriminators(source)) if source.is_dir() else None
        state = load_tensors(found) if found else {}
        for name, discriminator in self.discriminators.items():
            if set(state.get(name, ())) == set(discriminator.state_dict()):
                load_strict(discriminator, state[name], f"{found}, {name}")
            elif self.job.first:
                tqdm.write(f"{source}: no {name} that fits; it starts from new weights", file=sys.stderr)

    def _restore(self, state: dict) -> None:
        for name, optimizer in self.optim.items():
            optimizer.load_state_dict(state["optim_g"] if name == "g" else state["optim_d"][name])
            self.safe_step[name].load_state_dict(state["safe_step"][name])
        self.progress = {name: state[name] for name in self.progress}

    def save(self) -> str:
        """Write g_<steps> and do_<steps>.  -> a message that says so"""
        states = {name: optimizer.state_dict() for name, optimizer in self.optim.items()}
        rest = {
            **{name: discriminator.state_dict() for name, discriminator in self.discriminators.items()},
            "optim_g": states.pop("g"),
            "optim_d": states,
            **self.progress,
            "safe_step": {name: safe.state_dict() for name, safe in self.safe_step.items()},
        }
        save_run(self.folder, self.progress["steps"], self.generator, rest, self.train.keep)
        return f"{self.folder} is saved at step {self.progress['steps']}"

    def set_rates(self, done: float) -> float:
        """Set the next step's learning rate: lr_decay per step, times the time budget's rise and fall."""
        steps = self.progress["steps"]
        rate = self.cfg.learning_rate * self.cfg.lr_decay**steps
        if self.train.time_budget:
            rate *= rate_factor(steps, done, WARMUP_STEPS)
        for optimizer in self.optim.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        return rate

    def autocast(self) -> torch.autocast:
        """The precision that networks run in: bfloat16 with --amp bf16."""
        return torch.autocast(self.job.device.type, torch.bfloat16, enabled=self.train.amp == "bf16")

    def update(self, name: str, net: nn.Module) -> float:
        """One optimizer step with the mean gradient of all processes.  -> its norm"""
        self.job.average_gradients(net.parameters())
        return self.safe_step[name](self.optim[name])


def shared_from_first(nets: Iterable[nn.Module], job: World) -> None:
    """Give every process the first one's weights: new ones depend on a process's own random numbers."""
    if job.size > 1:
        for net in nets:
            for tensor in net.state_dict().values():
                dist.broadcast(tensor, src=0)


def _published_discriminators(folder: Path) -> Path | None:
    path = folder / "bigvgan_discriminator_optimizer.pt"
    return path if path.is_file() else None
