"""One training step of the vocoder."""

import torch
from torch import Tensor

from BigVGAN.env import VocoderConfig
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
from BigVGAN.run import VocoderRun
from DiffBinaural.utils.helpers import generator_for


def train_step(run: VocoderRun, batch: dict, probability: float) -> dict[str, float]:
    """Update discriminators and generator on this process's two-eared segments.  -> named numbers

    probability  of a predicted mel; which segments get one follows from the seed and the step
    """
    random = generator_for(run.train.seed, f"step {run.progress['steps']}")
    predicted = torch.rand(run.pairs, generator=random) < probability
    predicted = predicted[run.job.rank :: run.job.size]  # this process's, as `loader` divides them
    mel = mixed_mels(batch, predicted).to(run.job.device)  # (B, 2, M, T)
    reference = batch["wav"].to(run.job.device)  # (B, 2, N)
    with run.autocast():
        flat = run.generator(mel.flatten(0, 1))  # (2B, 1, N)
    numbers, losses = {}, regression_losses(flat.view_as(reference), reference, run.cfg)
    if run.progress["steps"] >= run.train.freeze_step:
        real = reference.flatten(0, 1)[:, None]
        numbers |= discriminator_step(run, flat, real)
        losses |= adversarial_losses(run, flat, real)
    weights = loss_weights(run.cfg)
    total = sum(weights[name] * value for name, value in losses.items())
    total.backward()
    numbers |= losses | {"gen_loss_total": total, "grad_norm_g": run.update("g", run.generator)}
    return run.job.means(numbers)


def mixed_mels(batch: dict, predicted: Tensor) -> Tensor:
    """Predicted mels in the segments of a (B,) mask, true ones in the rest, for both ears: (B, 2, M, T)."""
    if "mel_pred" not in batch:
        return batch["mel"]
    return torch.where(predicted[:, None, None, None], batch["mel_pred"], batch["mel"])


def discriminator_step(run: VocoderRun, estimate: Tensor, reference: Tensor) -> dict[str, float | Tensor]:
    """Train the discriminators to tell generated from real sounds, (2B, 1, N) each."""
    numbers = {}
    for name, discriminator in run.discriminators.items():
        with run.autocast():
            (fake, _), (real, _) = discriminator(estimate.detach()), discriminator(reference)
        loss = discriminator_loss(fake, real)
        loss.backward()
        numbers |= {f"disc_loss_{name}": loss, f"grad_norm_{name}": run.update(name, discriminator)}
    return numbers


def adversarial_losses(run: VocoderRun, estimate: Tensor, reference: Tensor) -> dict[str, Tensor]:
    """The generator's terms that come from the discriminators, which get no gradients here."""
    losses = {}
    run.discriminators.requires_grad_(False)
    for name, discriminator in run.discriminators.items():
        with run.autocast():
            (scores, got), (_, wanted) = discriminator(estimate), discriminator(reference)
        losses[f"gen_loss_{name}"] = generator_loss(scores)
        losses[f"fm_loss_{name}"] = feature_loss(got, wanted)
    run.discriminators.requires_grad_(True)
    return losses


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
    """Weight of every term; mel_spec_error is only logged where the multi-scale loss replaces it."""
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
