"""The UNet of stage 1: noisy ears, mono mel, context in; a prediction for both ears out."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DiffBinaural.configs.advanced_diffusion_config import ModelConfig
from DiffBinaural.modules.attention import CrossAttention, SelfAttention
from DiffBinaural.modules.networks import ResBlock, Upsample, keep_variance, quickest, sinusoids
from DiffBinaural.modules.norms import group_norm_silu


class Level(nn.Module):
    """Residual blocks of one size, each followed by cross-attention where the level has it."""

    def __init__(self, inputs: list[int], outputs: int, condition: int, context: int | None, heads: int):
        super().__init__()
        self.blocks = nn.ModuleList(ResBlock(n, outputs, condition, inplace=True) for n in inputs)
        self.look = CrossAttention(outputs, context, heads) if context else None  # a checkpoint key

    def forward(self, x: Tensor, condition: Tensor, context: Tensor, positions) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        return self.look(x, context, positions) if self.look else x


class UNet(nn.Module):
    """Denoises both ears at once.

    ears    channels in and out; two more with the phasor between the ears
    hints   further channels in: what is known of the detected sources, of the room
    extra   further channels out, which are not denoised
    n_mels  bands, each with a learned offset: head shadow depends on frequency, convolutions alone do not
    """

    def __init__(self, cfg: ModelConfig, n_mels: int, ears: int = 2, hints: int = 0, extra: int = 0):
        super().__init__()
        dims, condition = [cfg.dim * m for m in cfg.mults], 4 * cfg.dim
        self.patch, self.factor = cfg.patch, cfg.patch * 2 ** (len(dims) - 1)
        self.stem = nn.Conv2d(
            ears + 1 + hints, cfg.dim, 2 * cfg.patch + 1, stride=cfg.patch, padding=cfg.patch
        )
        bands = -(-n_mels // self.factor) * self.factor // cfg.patch
        self.bands = nn.Parameter(torch.zeros(cfg.dim, bands, 1))
        self.null_vision = nn.Parameter(torch.zeros(cfg.context_dim))  # the context without pictures
        self.dim, self.to_condition = cfg.dim, nn.Linear(cfg.dim, condition)
        self.to_condition2, self.seen = nn.Linear(condition, condition), nn.Linear(cfg.context_dim, condition)
        self.seen.apply(keep_variance)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for level, dim in enumerate(dims):
            context = cfg.context_dim if level in cfg.cross_levels else None
            below = dims[min(level + 1, len(dims) - 1)]
            widths = [dim] * cfg.blocks
            self.down.append(Level(widths, dim, condition, context, cfg.heads))
            self.up.append(Level([2 * dim, *widths[1:]], dim, condition, context, cfg.heads))
            if level < len(dims) - 1:
                self.shrink.append(nn.Conv2d(dim, below, 4, stride=2, padding=1))
                self.grow.append(Upsample(below, dim))
        deep = dims[-1]
        self.middle = nn.ModuleList((ResBlock(deep, deep, condition), SelfAttention(deep, cfg.heads)))
        self.last = ResBlock(dims[0], dims[0], condition, inplace=True)
        self.head = nn.Conv2d(dims[0], (ears + extra) * cfg.patch**2, 3, padding=1)
        self.head_norm = group_norm_silu(dims[0], inplace=True)

    def fold(self, *, cpu: bool) -> "UNet":
        """Bring layers into the form that inference runs fastest in; cpu: there, in float32."""
        self.grow = nn.ModuleList(layer.folded() for layer in self.grow)
        for part in list(self.modules()) if cpu else ():
            for name, layer in list(part.named_children()):
                if isinstance(layer, nn.Conv2d):
                    setattr(part, name, quickest(layer))
        return self

    def forward(
        self, x: Tensor, t: Tensor, mono: Tensor, context: Tensor, hints: Tensor | None = None
    ) -> Tensor:
        """Predict what the objective asks for.

        x        (B, ears, M, T)  noisy mels in units of the diffusion; any T
        t        (B,)             integer diffusion times
        mono     (B, 1, M, T)     clean mono mel, same units
        context  (B, K, context)  of the pictures
        hints    (B, hints, M, T) where it was built for them
        ->       (B, ears + extra, M, T)
        """
        bands, frames = x.shape[-2:]
        pad = (0, -frames % self.factor, 0, -bands % self.factor)
        known = (x, mono) if hints is None else (x, mono, hints)
        h = self.stem(F.pad(torch.cat(known, dim=1), pad, mode="replicate")) + self.bands
        condition = F.silu(self.to_condition(sinusoids(t, self.dim)))
        condition = self.to_condition2(condition) + self.seen(context.mean(dim=1))
        skips = []
        for level, part in enumerate(self.down):
            h = part(h, condition, context, self._positions(h, level))
            skips.append(h)
            h = self.shrink[level](h) if level < len(self.shrink) else h
        for part in self.middle:
            h = part(h, condition) if isinstance(part, ResBlock) else part(h)
        for level in reversed(range(len(self.up))):
            h = self.grow[level](h) if level < len(self.grow) else h
            both = torch.cat((h, skips[level]), dim=1)
            h = self.up[level](both, condition, context, self._positions(h, level))
        h = self.head_norm(self.last(h, condition))
        return F.pixel_shuffle(self.head(h), self.patch)[..., :bands, :frames]

    def _positions(self, h: Tensor, level: int) -> tuple[Tensor, Tensor]:
        """Features (H, dim), (W, dim) of the band and the frame at the centre of each cell of a map."""
        return tuple(centres(n, self.patch * 2**level, h.shape[1], h.device) for n in h.shape[-2:])


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def centres(count: int, step: int, dim: int, device: torch.device) -> Tensor:
    """Features (count, dim) of the middle of each of `count` steps; kept, since every call asks for them."""
    return sinusoids((torch.arange(count, device=device) + 0.5) * step, dim)
