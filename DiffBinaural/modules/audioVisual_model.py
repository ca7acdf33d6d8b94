"""The visual encoder: from a window's pictures, in slots, to a few context tokens."""

from pathlib import Path

import torch
from torch import Tensor, nn

from DiffBinaural.configs.advanced_diffusion_config import ModelConfig
from DiffBinaural.modules.attention import Attention, TransformerBlock
from DiffBinaural.modules.networks import ResNetTrunk, SmallTrunk, keep_variance, sinusoids
from DiffBinaural.modules.norms import freeze_batch_norm
from DiffBinaural.position_utils import cell_positions, fourier_features
from DiffBinaural.utils.files import load_tensors

BANDS = 5  # octaves of position; the finest period is 1/8 picture
SLOT_KINDS = 2  # whole picture, detected source


def make_trunk(arch: str, weights: str) -> nn.Module:
    """A convolutional trunk with its starting weights.

    arch     small, resnet18 or resnet50
    weights  random, imagenet (through torchvision), or a state-dict file
    """
    trunk = SmallTrunk() if arch == "small" else ResNetTrunk(arch)
    if weights == "imagenet":
        trunk.load_state_dict(_imagenet(arch, trunk))
    elif weights != "random":
        trunk.load_state_dict(_named(load_tensors(Path(weights)), trunk, weights))
    return trunk


def _imagenet(arch: str, trunk: nn.Module) -> dict:
    import torchvision

    if arch == "small":
        raise ValueError("--arch_frame small has no imagenet weights; give --visual_weights random")
    enum = torchvision.models.get_model_weights(arch).DEFAULT
    try:
        return _named(enum.get_state_dict(progress=True), trunk, enum.url)
    except OSError as error:
        raise ValueError(
            f"--visual_weights imagenet: {enum.url} cannot be fetched ({error}); "
            "fetch it elsewhere and give its path, or use --visual_weights random"
        ) from None


def _named(state: dict, trunk: nn.Module, source: str) -> dict:
    """torchvision's ResNet names (conv1, layer1 …) as this trunk's numbers; our own names pass unchanged."""
    names = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    order = {name: str(i) for i, name in enumerate(names)}
    state = {
        ".".join([order.get(k.split(".")[0], k.split(".")[0]), *k.split(".")[1:]]): v
        for k, v in state.items()
        if not k.startswith("fc.")
    }
    if odd := sorted(set(state) ^ set(trunk.state_dict())):
        raise ValueError(f"{source}: weights of another network, {odd[0]} does not fit; check --arch_frame")
    return state


class VisualEncoder(nn.Module):
    """Slots of pictures -> context tokens.

    Every cell of the trunk's map carries its position in the whole picture: a whole picture alone tells
    where things are, a detected source tells it more precisely.
    """

    def __init__(self, cfg: ModelConfig, trunk: nn.Module, *, frozen: bool):
        super().__init__()
        dim, self.frozen = cfg.context_dim, frozen
        self.trunk = trunk.requires_grad_(not frozen)
        self.cell = nn.Sequential(nn.Linear(trunk.channels, dim), nn.LayerNorm(dim))
        self.kind, self.what = nn.Embedding(SLOT_KINDS, dim), nn.Linear(dim, dim)
        self.place = nn.Sequential(nn.Linear(2 + 4 * BANDS, dim), nn.GELU(), nn.Linear(dim, dim))
        self.queries = nn.Parameter(2 * torch.randn(cfg.tokens, dim))
        self.pool = Attention(dim, dim, cfg.heads)
        self.temporal = nn.Sequential(*(TransformerBlock(dim, cfg.heads) for _ in range(cfg.temporal_layers)))
        self.out = nn.LayerNorm(dim)
        for name, part in self.named_children():
            if name != "trunk":
                part.apply(keep_variance)
        with torch.no_grad():  # at first the context is mostly about positions
            self.place[-1].weight *= 3
            self.what.weight *= 0.2
            for block in self.temporal:
                block.attention.to_out.weight *= 0.2
                block.mlp[-1].weight *= 0.2
        self.train()  # which a frozen trunk must never have been in

    def train(self, mode: bool = True):
        """Training mode, in which BatchNorm keeps its statistics and a frozen trunk stays as it is."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        freeze_batch_norm(self.trunk)
        return self

    def features(self, objects: Tensor, mask: Tensor) -> Tensor:
        """The trunk's maps of pictures, all that a frozen trunk contributes.

        objects  (…, S, 3, H, W)  slot 0 the whole picture, then detected sources; ImageNet mean and std
        mask     (…, S) bool      True = padding, not encoded
        ->       (…, S, C, h, w)  0 in padded slots
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            kept = kept_slots(mask)
            return _scatter(self.trunk(objects.flatten(0, -4).index_select(0, kept)), kept, mask.shape)

    def forward(self, maps: Tensor, box: Tensor, mask: Tensor, kept: Tensor | None = None) -> Tensor:
        """Context tokens of windows.

        maps  (B, F, S, C, h, w)  of :meth:`features`
        box   (B, F, S, 4)        centre x, y and half-sizes in the whole picture, [-1, 1], y up
        mask  (B, F, S) bool      True = padding: nothing in such a slot reaches the output
        kept  (n,)                :func:`kept_slots` of the mask; without it, a GPU is waited for
        ->    (B, F·tokens, context_dim)
        """
        assert mask.is_cuda or not mask[:, :, 0].any(), "slot 0, the whole picture, is never padding"
        kept, (rows, columns) = kept_slots(mask) if kept is None else kept, maps.shape[-2:]
        positions = cell_positions(box.flatten(0, 2).index_select(0, kept), rows, columns)  # (n, h·w, 2)
        where = self.place(torch.cat((positions, fourier_features(positions, BANDS)), dim=-1))
        kinds = (torch.arange(box.shape[2], device=box.device) > 0).long().expand(mask.shape).flatten()[kept]
        cells = self.cell(maps.flatten(0, 2).index_select(0, kept).flatten(2).transpose(1, 2))
        keys = cells + self.kind(kinds)[:, None]  # (n, h·w, D)
        values = where + self.what(keys)
        ignored = mask[..., None].expand(*mask.shape, rows * columns).flatten(2, 3)
        return self._over_time(
            *(_scatter(x, kept, mask.shape).flatten(2, 3) for x in (keys, values)), ignored
        )

    def _over_time(self, keys: Tensor, values: Tensor, ignored: Tensor) -> Tensor:
        """Pool each picture's cells (B, F, N, D) to tokens, then let the tokens of all pictures meet."""
        batch, frames = keys.shape[:2]
        queries = self.queries.expand(batch * frames, -1, -1)
        tokens = self.pool(queries, keys.flatten(0, 1), ignored.flatten(0, 1), values.flatten(0, 1))
        when = sinusoids((torch.arange(frames, device=keys.device) + 0.5) / frames * 80, tokens.shape[-1])
        tokens = tokens.unflatten(0, (batch, frames)) + 0.1 * (when[:, None] + self.queries)
        return self.out(self.temporal(tokens.flatten(1, 2)))


def kept_slots(mask: Tensor) -> Tensor:
    """The numbers (n,) of the slots that a mask (…, S) does not pad, in the order of memory."""
    return (~mask).flatten().nonzero()[:, 0]


def _scatter(values: Tensor, kept: Tensor, shape: torch.Size) -> Tensor:
    """Values (n, …) of the kept slots put among all, of this shape: (*shape, …), zero in padded ones."""
    every = values.new_zeros(shape.numel(), *values.shape[1:])
    return every.index_copy_(0, kept, values).unflatten(0, shape)
