"""One training step of the vocoder."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from BigVGAN.env import VocoderConfig
from BigVGAN.loss import (
    discriminator_loss,
    feature_loss,
    generator_loss,
    interaural_loss,
    level_loss,
    multiscale_mel_loss,
    silence_loss,
)
from BigVGAN.run import VocoderRun
from DiffBinaural.utils.helpers import generator_for
from DiffBinaural.utils.mel import mel_l1


@contextmanager
def repeated_shapes() -> Iterator[None]:
    """Let cuDNN try its algorithms on every new shape and keep the fastest: for shapes that come again."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@repeated_shapes()
def train_step(run: VocoderRun, batch: dict, probability: float) -> dict[str, float]:
    """Update discriminators and generator on this process's two-eared segments.  -> named numbers

    probability  of a predicted mel; which segments get one follows from the seed and the step

    The segments are computed run.micro_batch at once, one group after the other: the same gradients in less
    memory.  Then the generator runs twice, for its networks' updates come after one another.
    """
    random = generator_for(run.train.seed, f"step {run.progress['steps']}")
    predicted = torch.rand(run.pairs, generator=random) < probability
    predicted = predicted[run.job.rank :: run.job.size]  # this process's, as `loader` divides them
    mel = mixed_mels(batch, predicted).to(run.job.device, non_blocking=True)  # (B, 2, M, T)
    reference = batch["wav"].to(run.job.device, non_blocking=True)  # (B, 2, N)
    parts = list(zip(mel.split(run.micro_batch), reference.split(run.micro_batch), strict=True))
    shares = [len(part) / len(mel) for part, _ in parts]
    adversarial = run.progress["steps"] >= run.train.freeze_step
    sound = synthesis(run, mel) if len(parts) == 1 else None
    numbers: dict[str, float | Tensor] = {}
    if adversarial:
        for (piece, truth), share in zip(parts, shares, strict=True):
            with torch.no_grad():
                estimate = synthesis(run, piece) if sound is None else sound
            add(numbers, discriminator_gradients(run, estimate, truth, share), share)
        numbers |= {f"grad_norm_{name}": run.update(name, net) for name, net in run.discriminators.items()}
    for (piece, truth), share in zip(parts, shares, strict=True):
        estimate = synthesis(run, piece) if sound is None else sound
        add(numbers, generator_gradients(run, estimate, truth, share, adversarial=adversarial), share)
    numbers["grad_norm_g"] = run.update("g", run.generator)
    return run.job.means(numbers)


def add(numbers: dict[str, float | Tensor], part: dict[str, Tensor], share: float) -> None:
    """Add a part's named means to those of the whole, of which it is this share."""
    for name, value in part.items():
        numbers[name] = numbers.get(name, 0.0) + share * value.detach()


def synthesis(run: VocoderRun, mel: Tensor) -> Tensor:
    """The generator's sounds (2B, 1, N) of mels (B, 2, M, T)."""
    with run.autocast():
        return run.generator(mel.flatten(0, 1))


def mixed_mels(batch: dict, predicted: Tensor) -> Tensor:
    """Predicted mels in the segments of a (B,) mask, true ones in the rest, for both ears: (B, 2, M, T)."""
    if "mel_pred" not in batch:
        return batch["mel"]
    return torch.where(predicted[:, None, None, None], batch["mel_pred"], batch["mel"])


def discriminator_gradients(
    run: VocoderRun, estimate: Tensor, reference: Tensor, share: float = 1.0
) -> dict[str, Tensor]:
    """Add to the discriminators' gradients those of telling generated from real sounds.

    estimate   (2B, 1, N)
    reference  (B, 2, N)
    share      of the step's segments that these are
    """
    losses = {}
    for name, discriminator in run.discriminators.items():
        with run.autocast():
            fake, real = scores_of_both(discriminator, estimate.detach(), reference.flatten(0, 1)[:, None])
        losses[f"disc_loss_{name}"] = discriminator_loss(fake, real)
        (share * losses[f"disc_loss_{name}"]).backward()
    return losses


def scores_of_both(discriminator: nn.Module, fake: Tensor, real: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Scores of generated and real sounds, on a GPU from one run: half as many launches, the same numbers."""
    if fake.device.type == "cpu":
        return discriminator(fake)[0], discriminator(real)[0]
    both = [score.chunk(2) for score in discriminator(torch.cat((fake, real)))[0]]
    return [score for score, _ in both], [score for _, score in both]


def generator_gradients(
    run: VocoderRun, estimate: Tensor, reference: Tensor, share: float = 1.0, *, adversarial: bool = True
) -> dict[str, Tensor]:
    """Add to the generator's gradients those of its sounds' losses.  -> every term, and gen_loss_total

    estimate   (2B, 1, N)
    reference  (B, 2, N)
    share      of the step's segments that these are
    """
    losses = regression_losses(estimate.view_as(reference), reference, run.cfg)
    if adversarial:
        losses |= adversarial_losses(run, estimate, reference.flatten(0, 1)[:, None])
    weights = loss_weights(run.cfg)
    total = sum(weights[name] * value for name, value in losses.items())
    (share * total).backward()
    return losses | {"gen_loss_total": total}


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


@repeated_shapes()
def peak_memory(run: VocoderRun, pairs: int) -> int:
    """Bytes of the GPU's memory at the fullest moment of a step on so many segments, all at once."""
    cfg, device = run.cfg, run.job.device
    mel = torch.zeros(pairs, 2, cfg.num_mels, cfg.segment_size // cfg.hop_size, device=device)
    reference = torch.zeros(pairs, 2, cfg.segment_size, device=device)
    for _ in range(2):  # the first time, cuDNN's trials take memory of their own
        torch.cuda.reset_peak_memory_stats(device)
        sound = synthesis(run, mel)
        discriminator_gradients(run, sound, reference)
        generator_gradients(run, sound, reference)
        run.generator.zero_grad(), run.discriminators.zero_grad()
    return torch.cuda.max_memory_allocated(device)


def regression_losses(estimate: Tensor, reference: Tensor, cfg: VocoderConfig) -> dict[str, Tensor]:
    """Terms that need no discriminator, unweighted.  estimate, reference: (B, 2, N)."""
    losses = {"mel_spec_error": mel_l1(estimate, reference, cfg.mel)}
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
