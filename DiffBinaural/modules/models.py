"""The model of stage 1: its networks joined with the diffusion process."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.diffusion_utils.diffusion_pytorch import Diffusion, guided
from DiffBinaural.modules.audioVisual_model import VisualEncoder, make_trunk
from DiffBinaural.modules.direct_path_head import DirectPaths, channels_in, channels_out, combined, shown
from DiffBinaural.modules.heard_loss import heard_losses
from DiffBinaural.modules.unet import UNet
from DiffBinaural.utils.lists import EARS


class BinauralModel(nn.Module):
    """Mono mel, pictures -> mels of two ears, or of one.  `frame` encodes the pictures, `unet` denoises.

    Nepers outside, [-1, 1] inside.  ears: the numbers of those it makes, left first.  Where it makes
    the phase between them too, the phasor's real and imaginary part are channels behind the two mels, the
    same outside and inside; where it knows the direct paths of the detected sources, each one's share of the
    sound comes behind these.  rows: the numbers of its channels among left, right, real, imaginary, shares.
    slots: for detected sources, 0 where their direct paths are not known to it.
    amp: "bf16" computes the networks in bfloat16, and nothing around them; a new model has "off".
    """

    amp: str = "off"

    def __init__(self, cfg: TrainConfig, unet: UNet, frame: VisualEncoder):
        super().__init__()
        self.cfg, self.unet, self.frame, self.ears = cfg, unet, frame, EARS[cfg.ears]
        self.predicts_phasor = cfg.model.interaural_phase
        self.rows = channels(cfg)
        self.slots = detected_slots(cfg)
        self.diffusion = Diffusion(cfg.diffusion)
        self.range = (cfg.diffusion.mel_low, cfg.diffusion.mel_high)

    def context(self, batch: dict) -> Tensor:
        """Context tokens (B, K, D) of a batch of windows: of its maps, where it has them, or its objects."""
        with self.autocast(batch["box"].device):
            maps = batch["maps"] if "maps" in batch else self.frame.features(batch["objects"], batch["mask"])
            return self.frame(maps, batch["box"], batch["mask"], batch.get("kept")).float()

    def autocast(self, device: torch.device) -> torch.autocast:
        """The precision of the networks.  Losses, mel bands, direct paths are computed outside of it."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self.amp == "bf16")

    def blind(self, context: Tensor) -> Tensor:
        """The learned context that stands for no pictures, in the shape of another context."""
        return self.unet.null_vision.expand_as(context)

    def forward(self, batch: dict, t: Tensor, noise: Tensor, hidden: Tensor) -> dict[str, Tensor]:
        """Terms of the training objective; the forward pass, since that is what DDP wraps.

        batch   mono_mel (B, 1, M, T) and binaural_mel (B, ears, M, T) in nepers, phasor (B, 2, M, T) where
                the model makes it; objects or maps, box, mask
        t       (B,) integer diffusion times;  noise: (B, rows, M, T)
        hidden  (B,) bool, True = train this window without its pictures
        """
        x0, mono = (to_unit(batch[name], *self.range) for name in ("binaural_mel", "mono_mel"))
        context = self.context(batch)
        context = torch.where(hidden[:, None, None], self.blind(context), context)
        weight = None
        if self.predicts_phasor:
            x0, weight = torch.cat((x0, batch["phasor"]), dim=1), self.error_weights(mono)
        paths = self.direct_paths(batch["direct"], batch["sounding"]) if self.slots else None
        paths = paths and paths.hidden(hidden)
        noisy = self.diffusion.noised(x0, t, noise[:, : x0.shape[1]])
        output = self.residual(noisy, t, mono, context, paths)
        rows, base = x0.shape[1], self.base(mono)
        error = self.diffusion.error(output[:, :rows], x0, base, t, noise[:, :rows], weight)
        losses = {"diffusion": error.mean()}
        if self.slots and "spectra" in batch:
            x0 = self.to_mel(
                base + output[:, :rows]
                if self.cfg.diffusion.objective == "pred_residual"
                else output[:, :rows]
            )
            heard = heard_losses(x0, output[:, rows:], batch, self.cfg.mel)
            losses["heard"] = self.cfg.diffusion.heard_weight * heard["heard"]
            losses["cue"] = self.cfg.diffusion.cue_weight * heard["cue"]
        return losses

    def direct_paths(self, direct: Tensor, sounding: Tensor) -> DirectPaths:
        """The direct paths of windows from d (B, S, F, T), the probability that a slot sounds (B, S, T)."""
        return DirectPaths.of(direct, sounding, self.cfg.mel)

    def residual(
        self, x: Tensor, t: Tensor, mono: Tensor, context: Tensor, paths: DirectPaths | None
    ) -> Tensor:
        """The UNet's prediction (B, rows, M, T); with direct paths, from their shares, which come last."""
        hints = None if paths is None else shown(paths, from_unit(mono, *self.range), self.cfg.mel)
        with self.autocast(x.device):
            output = self.unet(x if paths is None else x[:, :4], t, mono, context, hints).float()
        if paths is None:
            return output
        low, high = self.range
        return combined(output, paths, self.cfg.mel, 2 / (high - low))

    def base(self, mono: Tensor) -> Tensor:
        """What a residual is added to: the mono mel (B, 1, M, T) in both ears; nothing in the phasor."""
        if not self.predicts_phasor:
            return mono
        return torch.cat((mono, mono, torch.zeros_like(mono), torch.zeros_like(mono)), dim=1)

    def error_weights(self, mono: Tensor) -> Tensor:
        """How much each cell's error counts, (B, 4, M, T), from the mono mel (B, 1, M, T) in [-1, 1].

        A quiet band's phase is noise, and silence has none: the phasor counts as its cell's level in nepers
        above silence, on average phase_weight times what a mel does.
        """
        level = mono + 1
        level = level / level.mean((1, 2, 3), keepdim=True).clamp(min=1e-3) * self.cfg.diffusion.phase_weight
        return torch.cat((torch.ones_like(mono), torch.ones_like(mono), level, level), dim=1)

    def denoiser(
        self,
        mono_mel: Tensor,
        context: Tensor,
        guidance_scale: float = 1.0,
        paths: DirectPaths | None = None,
    ) -> Callable:
        """A function (x, t) -> x₀ in [-1, 1] for these windows; t is an int.

        mono_mel  (B, 1, M, T) nepers;  context: (B, K, D);  paths: where the model knows direct paths
        """
        mono = to_unit(mono_mel, *self.range)

        def seeing(tokens, paths):
            def denoise(x, t):
                times = torch.full((len(x),), t, device=x.device)
                output = self.residual(x, times, mono, tokens, paths).float()
                if paths is not None:
                    output, shares = output.tensor_split((4,), dim=1)
                abar = self.diffusion.signal_power(times, x)
                x0 = self.diffusion.to_x0(output, x[:, : output.shape[1]], abar, self.base(mono))
                return x0 if paths is None else torch.cat((x0, shares), dim=1)

            return denoise

        unseen = paths and paths.hidden(torch.ones(len(mono), dtype=torch.bool, device=mono.device))
        return guided(seeing(context, paths), seeing(self.blind(context), unseen), guidance_scale)

    def exchange(self, x: Tensor) -> Tensor:
        """Left and right (…, rows, M, T) exchanged, the phasor between them conjugate."""
        if self.cfg.ears != "both":
            raise ValueError(f"--symmetric exchanges two ears; this run makes only the {self.cfg.ears} one")
        ears, real, imaginary, shares = x.tensor_split((2, 3, 4), dim=-3)
        return torch.cat((ears.flip(-3), real, -imaginary, shares), dim=-3)

    def to_mel(self, unit: Tensor) -> Tensor:
        """Out of the diffusion's units: mels (…, rows, M, T) into nepers; a phasor into the unit circle."""
        if not self.predicts_phasor:
            return from_unit(unit, *self.range)
        mel, phasor, shares = unit.tensor_split((2, 4), dim=-3)
        phasor = phasor / phasor.square().sum(-3, keepdim=True).clamp(min=1).sqrt()
        return torch.cat((from_unit(mel, *self.range), phasor, shares), dim=-3)


def channels(cfg: TrainConfig) -> tuple[int, ...]:
    """Which of left, right, real and imaginary part of the phasor, and shares of slots a model makes."""
    phasor = (2, 3) if cfg.model.interaural_phase else ()
    return (*EARS[cfg.ears], *phasor, *range(4, 4 + detected_slots(cfg)))


def detected_slots(cfg: TrainConfig) -> int:
    """Slots for detected sources whose direct paths a model knows."""
    return cfg.view.slots - 1 if cfg.model.direct_path else 0


def to_unit(mel: Tensor, low: float, high: float) -> Tensor:
    """Map a log mel onto the range of the diffusion model; :func:`from_unit` is the inverse.

    mel  (..., M, T)  nepers, clipped to [low, high]
    ->   (..., M, T)  in [-1, 1]
    """
    return (mel.clamp(low, high) - low) * (2 / (high - low)) - 1


def from_unit(unit: Tensor, low: float, high: float) -> Tensor:
    """Back from [-1, 1] to nepers; inverse of :func:`to_unit`."""
    return (unit + 1) * ((high - low) / 2) + low


class ModelBuilder:
    """Builds a model from a run's configuration.

    pretrained  start the trunk from cfg.visual_weights; False where trained weights are loaded right after
    """

    def __init__(self, cfg: TrainConfig, *, pretrained: bool = True):
        self.cfg, self.pretrained = cfg, pretrained

    def build(self) -> BinauralModel:
        """The model, on the CPU."""
        cfg = self.cfg
        trunk = make_trunk(cfg.arch_frame, cfg.visual_weights if self.pretrained else "random")
        frame = VisualEncoder(cfg.model, trunk, frozen=not cfg.train_trunk)
        slots = detected_slots(cfg)
        unet = UNet(
            cfg.model, cfg.mel.n_mels, len(channels(cfg)) - slots, channels_in(slots), channels_out(slots)
        )
        return BinauralModel(cfg, unet, frame)
