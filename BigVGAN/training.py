"""The one GAN loop of stage 2a and 2b."""

import math
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from BigVGAN.bigvgan import BigVGAN, generator_file, load_strict, read_generator
from BigVGAN.discriminators import MultiPeriodDiscriminator, MultiResolutionDiscriminator
from BigVGAN.env import CONFIG, TrueMelConfig, VocoderConfig, load_config
from BigVGAN.loss import (
    discriminator_loss,
    feature_loss,
    generator_loss,
    interaural_loss,
    mel_loss,
    multiscale_mel_loss,
    silence_loss,
)
from BigVGAN.meldataset import MelDataset
from BigVGAN.utils import copy_config, latest, save_generator, save_run
from DiffBinaural.training_stabilizer import SafeStep
from DiffBinaural.utils.files import load_tensors
from DiffBinaural.utils.helpers import generator_for, mel_spectrogram, pick_device, same_mel
from DiffBinaural.utils.runs import Budget, RunLog, Shuffled, rate_factor

WARMUP_STEPS = 20                             # of a run with a time budget, whose rates rise and fall


def pred_mel_probability(step: int, start: int, end: int, most: float) -> float:
    """Chance that a segment's mel is a predicted one: 0 up to `start`, then linear up to `most` at `end`."""
    return most * min(max(step - start, 0) / (end - start), 1.0) if end > start else most * (step >= end)


def mixed_mels(batch: dict, probability: float, random: torch.Generator) -> Tensor:
    """True mels, predicted ones in a random share of segments: (B, 2, M, T), both ears of a segment alike."""
    if "mel_pred" not in batch:
        return batch["mel"]
    predicted = torch.rand(len(batch["mel"]), generator=random) < probability
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
    return losses


def loss_weights(cfg: VocoderConfig) -> dict[str, float]:
    """Weight of every term; mel_spec_error is only watched where the multi-scale loss takes its place."""
    return {"mel_spec_error": 0.0 if cfg.use_multiscale_melloss else cfg.lambda_melloss,
            "multiscale_mel": cfg.lambda_melloss,
            "silence": cfg.lambda_silence, "interaural": cfg.lambda_interaural,
            "gen_loss_mpd": 1.0, "gen_loss_mrd": 1.0, "fm_loss_mpd": 1.0, "fm_loss_mrd": 1.0}


class VocoderRun:
    """A run folder, and everything in memory that a resume must bring back."""

    def __init__(self, cfg: VocoderConfig, train: TrueMelConfig, device: torch.device):
        self.cfg, self.train, self.folder, self.device = cfg, train, Path(train.checkpoint_path), device
        self.generator = BigVGAN(cfg)
        judges = {"mpd": MultiPeriodDiscriminator(cfg), "mrd": MultiResolutionDiscriminator(cfg)}
        self.judges = nn.ModuleDict(judges)
        self.progress = {"steps": 0, "epoch": 0, "seconds": 0.0, "best": math.inf}
        state = self._load_networks()
        self.generator.to(device), self.judges.to(device)
        self.optim = {"g": self._optimizer(self.generator), "d": self._optimizer(self.judges)}
        self.safe_step = {"g": SafeStep(cfg.clip_grad_norm), "d": SafeStep(cfg.clip_grad_norm)}
        if state:
            for which, optimizer in self.optim.items():
                optimizer.load_state_dict(state[f"optim_{which}"])
            self.progress = {name: state.get(name, start) for name, start in self.progress.items()}
        if not state:
            copy_config(train.config, self.folder)

    def _optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        betas = (self.cfg.adam_b1, self.cfg.adam_b2)
        return torch.optim.AdamW(net.parameters(), self.cfg.learning_rate, betas=betas)

    def _load_networks(self) -> dict | None:
        """Weights of this run's newest checkpoint, else of --init_from.  -> state to resume from, if any."""
        if newest := latest(self.folder, "do_"):
            if load_config(self.folder / CONFIG) != self.cfg:
                raise ValueError(f"{self.folder} holds a run with another config than {self.train.config}; "
                                 "resume it with its own config.json, or choose another --checkpoint_path")
            weights = load_tensors(self.folder / newest.name.replace("do_", "g_"))["generator"]
            load_strict(self.generator, weights, newest)
            state = load_tensors(newest)
            for name, judge in self.judges.items():
                load_strict(judge, state[name], f"{newest}, {name}")
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
        found = (latest(source, "do_") or _published_judges(source)) if source.is_dir() else None
        state = load_tensors(found) if found else {}
        for name, judge in self.judges.items():
            if set(state.get(name, ())) == set(judge.state_dict()):
                load_strict(judge, state[name], f"{found}, {name}")
            else:
                tqdm.write(f"{source}: no {name} of our kind there; ours starts anew", file=sys.stderr)

    def save(self) -> None:
        """Write g_<steps> and do_<steps>."""
        rest = {**{name: judge.state_dict() for name, judge in self.judges.items()},
                **{f"optim_{which}": optimizer.state_dict() for which, optimizer in self.optim.items()},
                **self.progress}
        save_run(self.folder, self.progress["steps"], self.generator, rest, self.train.keep)

    def set_rates(self, done: float) -> None:
        """Rates of the coming step: lr_decay per step; with a time budget they also rise and anneal."""
        steps = self.progress["steps"]
        factor = self.cfg.lr_decay**steps
        if self.train.time_budget:
            factor *= rate_factor(steps, done, WARMUP_STEPS)
        for optimizer in self.optim.values():
            for group in optimizer.param_groups:
                group["lr"] = self.cfg.learning_rate * factor

    def judge_step(self, estimate: Tensor, reference: Tensor) -> dict[str, float]:
        """Teach the judges to tell (2B, 1, N) generated from real."""
        losses = {f"disc_loss_{name}": discriminator_loss(judge(estimate.detach())[0], judge(reference)[0])
                  for name, judge in self.judges.items()}
        sum(losses.values()).backward()
        return {**_floats(losses), "grad_norm_d": self.safe_step["d"](self.optim["d"])}

    def adversarial_losses(self, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """What the judges say to the generator; their own gradients are not taken."""
        losses = {}
        self.judges.requires_grad_(False)
        for name, judge in self.judges.items():
            (scores, got), (_, wanted) = judge(estimate), judge(reference)
            losses[f"gen_loss_{name}"] = generator_loss(scores)
            losses[f"fm_loss_{name}"] = feature_loss(got, wanted)
        self.judges.requires_grad_(True)
        return losses

    def step(self, batch: dict, probability: float) -> dict[str, float]:
        """One step of judges and generator on a batch of two-eared segments.  -> named numbers"""
        random = generator_for(self.train.seed, f"step {self.progress['steps']}")
        mel = mixed_mels(batch, probability, random).to(self.device)                     # (B, 2, M, T)
        wanted = batch["wav"].to(self.device)                                            # (B, 2, N)
        flat = self.generator(mel.flatten(0, 1))                                         # (2B, 1, N)
        numbers, losses = {}, regression_losses(flat.view_as(wanted), wanted, self.cfg)
        if self.progress["steps"] >= self.train.freeze_step:
            real = wanted.flatten(0, 1)[:, None]
            numbers |= self.judge_step(flat, real)
            losses |= self.adversarial_losses(flat, real)
        weights = loss_weights(self.cfg)
        total = sum(weights[name] * value for name, value in losses.items())
        total.backward()
        return {**numbers, **_floats(losses), "gen_loss_total": float(total.detach()),
                "grad_norm_g": self.safe_step["g"](self.optim["g"])}


def _floats(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in losses.items()}


def _published_judges(folder: Path) -> Path | None:
    path = folder / "bigvgan_discriminator_optimizer.pt"
    return path if path.is_file() else None


def fit(run: VocoderRun, train: MelDataset, val: MelDataset, probability) -> None:
    """Train until the steps or the time budget are used up; the same call again goes on where it stopped.

    probability  step -> chance of a predicted mel
    """
    cfg, progress = run.train, run.progress
    pairs, log = max(run.cfg.batch_size // 2, 1), RunLog(run.folder, "logs", step=progress["steps"])
    order = Shuffled(len(train), cfg.seed, progress["steps"] * pairs)
    batches = DataLoader(train, pairs, sampler=order,
                         num_workers=cfg.workers, persistent_workers=cfg.workers > 0)
    budget = Budget(progress, cfg.training_steps, cfg.time_budget)
    bar = tqdm(total=cfg.training_steps, initial=progress["steps"], desc=run.folder.name, unit="step")
    for batch in batches:
        if (done := budget.done(progress["steps"])) >= 1:
            break
        run.set_rates(done)
        share = probability(progress["steps"])
        numbers = run.step(batch, share)
        progress["steps"] += 1
        progress["epoch"] = progress["steps"] * pairs // len(train)
        skipped = sum(safe.skipped for safe in run.safe_step.values())
        log.scalars(progress["steps"], **{f"training/{name}": value for name, value in numbers.items()},
                    **{"training/pred_mel_probability": share, "training/epoch": progress["epoch"],
                       "training/learning_rate_g": run.optim["g"].param_groups[0]["lr"],
                       "training/skipped": skipped})
        bar.set_postfix(mel=f"{numbers['mel_spec_error']:.3f}", refresh=False)
        bar.update()
        if progress["steps"] % cfg.validation_interval == 0:
            validate(run, val, log)
        if progress["steps"] % cfg.checkpoint_interval == 0:
            run.save()
    validate(run, val, log)
    run.save()
    bar.close()
    log.close()


def validate(run: VocoderRun, val: MelDataset, log: RunLog) -> None:
    """Mel L1 over the whole list, from true and predicted mels; the best generator is kept as g_best.pth.

    Where there are predicted mels, it is they that decide what is best.
    """
    if log.rows and log.rows[-1]["step"] == run.progress["steps"]:
        return
    figures = evaluate(run.generator, val, run.device)
    judged = list(figures.values())[-1]
    if judged < run.progress["best"]:
        run.progress["best"] = judged
        save_generator(run.folder / "g_best.pth", run.generator)
    log(run.progress["steps"], **figures)


@torch.inference_mode()
def evaluate(generator: BigVGAN, val: MelDataset, device: torch.device) -> dict[str, float]:
    """Mean over the clips of the mel L1 in nepers between sound and synthesis, by kind of mel put in."""
    sums: dict[str, float] = {}
    for i in tqdm(range(len(val)), desc="validating", unit="clip", leave=False):
        clip = val.whole(i)
        for name in sorted(set(clip) - {"wav"}):
            wav = generator.vocode(clip[name].to(device))[:, 0].cpu()
            error = (mel_spectrogram(wav, val.cfg.mel) - clip["mel"]).abs().mean()
            kind = {"mel": "validation_true", "mel_pred": "validation_predicted"}[name]
            sums[f"{kind}/mel_spec_error"] = sums.get(f"{kind}/mel_spec_error", 0.0) + float(error) / len(val)
    return sums


def train_vocoder(cfg: VocoderConfig, train: TrueMelConfig, *, pred_dir: str | None = None,
                  probability=lambda step: 0.0) -> None:
    """Stage 2a (no pred_dir) or 2b: data, networks and the loop."""
    data = (MelDataset(train.audio_dir, listing, cfg,
                       mel_dir=train.mel_dir, pred_dir=pred_dir, seed=train.seed)
            for listing in (train.list_train, train.list_val))
    fit(VocoderRun(cfg, train, pick_device(train.device)), *data, probability)
