"""A training run of the vocoder: its folder, networks, optimizers, steps."""

import math
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from BigVGAN.bigvgan import BigVGAN, generator_file, load_strict, read_generator
from BigVGAN.discriminators import MultiPeriodDiscriminator, MultiResolutionDiscriminator
from BigVGAN.env import CONFIG, VocoderConfig, load_config
from BigVGAN.loss import (
    discriminator_loss,
    feature_loss,
    generator_loss,
    interaural_loss,
    level_loss,
    mel_loss,
    multiscale_mel_loss,
    silence_loss,
)
from BigVGAN.settings import TrueMelConfig
from BigVGAN.utils import checkpoints, copy_config, latest, save_run
from DiffBinaural.training_stabilizer import SafeStep
from DiffBinaural.utils.distributed import World
from DiffBinaural.utils.files import load_tensors, newest_readable
from DiffBinaural.utils.helpers import generator_for
from DiffBinaural.utils.mel_files import same_mel
from DiffBinaural.utils.schedule import rate_factor

WARMUP_STEPS = 20  # of a run with a time budget, whose rates rise and fall


def mixed_mels(batch: dict, predicted: Tensor) -> Tensor:
    """True mels, predicted ones in the segments of a (B,) mask, both ears of one alike: (B, 2, M, T)."""
    if "mel_pred" not in batch:
        return batch["mel"]
    return torch.where(predicted[:, None, None, None], batch["mel_pred"], batch["mel"])


def regression_losses(estimate: Tensor, reference: Tensor, cfg: VocoderConfig) -> dict[str, Tensor]:
    """Terms that need no discriminator, unweighted.  estimate, reference: (B, 2, N)."""
    losses = {"mel_spec_error": mel_loss(estimate, reference, cfg.mel)}
    if cfg.use_multiscale_melloss:
        losses["multiscale_mel"] = multiscale_mel_loss(estimate, reference, cfg.sampling_rate)
    if cfg.lambda_silence:
        losses["silence"] = silence_loss(estimate, reference, cfg.mel, cfg.silence_threshold_db)
    if cfg.lambda_interaural:
        losses["interaural"] = interaural_loss(estimate, reference)
    if cfg.lambda_level:
        losses["level"] = level_loss(estimate, reference, cfg.sampling_rate)
    return losses


def loss_weights(cfg: VocoderConfig) -> dict[str, float]:
    """Weight of every term; mel_spec_error is only watched where the multi-scale loss takes its place."""
    return {
        "mel_spec_error": 0.0 if cfg.use_multiscale_melloss else cfg.lambda_melloss,
        "multiscale_mel": cfg.lambda_melloss,
        "silence": cfg.lambda_silence,
        "interaural": cfg.lambda_interaural,
        "level": cfg.lambda_level,
        "gen_loss_mpd": 1.0,
        "gen_loss_mrd": 1.0,
        "fm_loss_mpd": 1.0,
        "fm_loss_mrd": 1.0,
    }


class VocoderRun:
    """A run folder, and everything in memory that a resume must bring back."""

    def __init__(self, cfg: VocoderConfig, train: TrueMelConfig, job: World):
        self.cfg, self.train, self.folder, self.job = cfg, train, Path(train.checkpoint_path), job
        self.pairs = max(cfg.batch_size // 2, 1)  # segments of two ears, all processes'
        if self.pairs % job.size:
            raise ValueError(
                f"{train.config}: batch_size {cfg.batch_size} is {self.pairs} segments of two "
                f"ears; they do not divide among {job.size} processes"
            )
        self.generator = BigVGAN(cfg)
        groups = {"mpd": MultiPeriodDiscriminator(cfg), "mrd": MultiResolutionDiscriminator(cfg)}
        self.discriminators = nn.ModuleDict(
            {name: group for name, group in groups.items() if group.discriminators}
        )
        self.progress = {"steps": 0, "epoch": 0, "seconds": 0.0, "best": math.inf}
        state = self._load_networks()
        self.generator.to(job.device), self.discriminators.to(job.device)
        nets = {"g": self.generator, **self.discriminators}
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
        """Weights of this run's newest checkpoint, else of --init_from.  -> state to resume from, if any."""
        if pairs := checkpoints(self.folder):
            if load_config(self.folder / CONFIG) != self.cfg:
                raise ValueError(
                    f"{self.folder} holds a run with another config than {self.train.config}; "
                    "resume it with its own config.json, or choose another --checkpoint_path"
                )
            weights, state = newest_readable(pairs)
            load_strict(self.generator, weights.get("generator", {}), pairs[0][0])
            for name, judge in self.discriminators.items():
                load_strict(judge, state.get(name, {}), f"{pairs[0][1]}, {name}")
            return state
        if self.train.init_from:
            self._start_from(Path(self.train.init_from))
        return None

    def _start_from(self, source: Path) -> None:
        """Take the generator of a run, NVIDIA folder or file, and the discriminators that lie beside it."""
        file = generator_file(source) if source.is_dir() else source
        generator = read_generator(file)
        same_mel(generator.cfg.mel, self.cfg.mel, str(file))
        load_strict(self.generator, generator.state_dict(), file)
        found = (latest(source, "do_") or _published_discriminators(source)) if source.is_dir() else None
        state = load_tensors(found) if found else {}
        for name, judge in self.discriminators.items():
            if set(state.get(name, ())) == set(judge.state_dict()):
                load_strict(judge, state[name], f"{found}, {name}")
            elif self.job.first:
                tqdm.write(f"{source}: no {name} of our kind there; ours starts anew", file=sys.stderr)

    def _restore(self, state: dict) -> None:
        for name, optimizer in self.optim.items():
            optimizer.load_state_dict(state["optim_g"] if name == "g" else state["optim_d"][name])
            self.safe_step[name].load_state_dict(state["safe_step"][name])
        self.progress = {name: state[name] for name in self.progress}

    def save(self) -> str:
        """Write g_<steps> and do_<steps>.  -> words on what is kept"""
        states = {name: optimizer.state_dict() for name, optimizer in self.optim.items()}
        rest = {
            **{name: judge.state_dict() for name, judge in self.discriminators.items()},
            "optim_g": states.pop("g"),
            "optim_d": states,
            **self.progress,
            "safe_step": {name: safe.state_dict() for name, safe in self.safe_step.items()},
        }
        save_run(self.folder, self.progress["steps"], self.generator, rest, self.train.keep)
        return f"{self.folder} is saved at step {self.progress['steps']}"

    def set_rates(self, done: float) -> float:
        """The rate of the coming step: lr_decay per step; with a time budget it also rises and anneals."""
        steps = self.progress["steps"]
        rate = self.cfg.learning_rate * self.cfg.lr_decay**steps
        if self.train.time_budget:
            rate *= rate_factor(steps, done, WARMUP_STEPS)
        for optimizer in self.optim.values():
            for group in optimizer.param_groups:
                group["lr"] = rate
        return rate

    def narrow(self) -> torch.autocast:
        """Where networks run: in bfloat16, if that was asked for."""
        return torch.autocast(self.job.device.type, torch.bfloat16, enabled=self.train.amp == "bf16")

    def update(self, name: str, net: nn.Module) -> float:
        """One step with the gradient of all processes; -> its norm."""
        self.job.average_gradients(net.parameters())
        return self.safe_step[name](self.optim[name])

    def discriminator_step(self, estimate: Tensor, reference: Tensor) -> dict[str, float | Tensor]:
        """Teach the judges to tell (2B, 1, N) generated from real."""
        numbers = {}
        for name, judge in self.discriminators.items():
            with self.narrow():
                (fake, _), (real, _) = judge(estimate.detach()), judge(reference)
            loss = discriminator_loss(fake, real)
            loss.backward()
            numbers |= {f"disc_loss_{name}": loss, f"grad_norm_{name}": self.update(name, judge)}
        return numbers

    def adversarial_losses(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """What the judges say to the generator; their own gradients are not taken."""
        losses = {}
        self.discriminators.requires_grad_(False)
        for name, judge in self.discriminators.items():
            with self.narrow():
                (scores, got), (_, wanted) = judge(estimate), judge(reference)
            losses[f"gen_loss_{name}"] = generator_loss(scores)
            losses[f"fm_loss_{name}"] = feature_loss(got, wanted)
        self.discriminators.requires_grad_(True)
        return losses

    def step(self, batch: dict, probability: float) -> dict[str, float]:
        """One step of judges and generator on this process's two-eared segments.  -> named numbers

        probability  of a predicted mel; which segments get one follows from the seed and the step
        """
        random = generator_for(self.train.seed, f"step {self.progress['steps']}")
        predicted = torch.rand(self.pairs, generator=random) < probability
        predicted = predicted[self.job.rank :: self.job.size]  # as `loader` shares
        mel = mixed_mels(batch, predicted).to(self.job.device)  # (B, 2, M, T)
        wanted = batch["wav"].to(self.job.device)  # (B, 2, N)
        with self.narrow():
            flat = self.generator(mel.flatten(0, 1))  # (2B, 1, N)
        numbers, losses = {}, regression_losses(flat.view_as(wanted), wanted, self.cfg)
        if self.progress["steps"] >= self.train.freeze_step:
            real = wanted.flatten(0, 1)[:, None]
            numbers |= self.discriminator_step(flat, real)
            losses |= self.adversarial_losses(flat, real)
        weights = loss_weights(self.cfg)
        total = sum(weights[name] * value for name, value in losses.items())
        total.backward()
        numbers |= losses | {"gen_loss_total": total, "grad_norm_g": self.update("g", self.generator)}
        return self.job.means(numbers)


def _published_discriminators(folder: Path) -> Path | None:
    path = folder / "bigvgan_discriminator_optimizer.pt"
    return path if path.is_file() else None
