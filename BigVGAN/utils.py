"""Files of a vocoder's training run, under NVIDIA's names."""

import shutil
from pathlib import Path

import torch
from torch import Tensor, nn

from BigVGAN.env import CONFIG
from DiffBinaural.utils.files import replacing, save_tensors
from DiffBinaural.utils.state_dicts import misfit, unwrapped


def latest(folder: str | Path, prefix: str) -> Path | None:
    """The newest checkpoint with a prefix, g_ or do_, then eight digits; None where there is none."""
    return max(Path(folder).glob(prefix + "[0-9]" * 8), default=None)


def checkpoints(folder: str | Path) -> list[tuple[Path, Path]]:
    """The pairs of g_<steps> and do_<steps> of a run, newest first."""
    states = sorted(Path(folder).glob("do_" + "[0-9]" * 8), reverse=True)
    return [(path.with_name(path.name.replace("do_", "g_")), path) for path in states]


def save_run(folder: Path, steps: int, generator: nn.Module, rest: dict, keep: int) -> None:
    """Write g_<steps> and do_<steps>, and delete all but the newest `keep` of each.

    rest  what do_ holds: mpd, mrd, optim_g, optim_d, steps, epoch …
    """
    save_generator(folder / f"g_{steps:08d}", generator)
    save_tensors(folder / f"do_{steps:08d}", rest)  # last: a resume takes the newest do_ and its g_
    for prefix in ("g_", "do_"):
        for old in sorted(folder.glob(prefix + "[0-9]" * 8))[:-keep]:
            old.unlink()


def save_generator(path: Path, generator: nn.Module) -> None:
    """Write {"generator": state_dict}."""
    save_tensors(path, {"generator": generator.state_dict()})


def copy_config(source: str | Path, folder: Path) -> None:
    """Copy a config into the folder of the checkpoints that it describes."""
    with replacing(folder / CONFIG) as partial:
        shutil.copyfile(source, partial)


def load_strict(module: nn.Module, state: dict[str, Tensor], source: str | Path) -> None:
    """Load a state dict in any layout of weight norm, wrapped or not; ValueError names what does not fit."""
    ours = module.state_dict()
    state = in_layout(unwrapped(state), ours)
    if why := misfit(state, ours):
        raise ValueError(f"{source}: does not fit the config: {why}")
    module.load_state_dict(state)


def in_layout(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring weights, of whichever layout, to the names in `wanted`: weight_g and weight_v, or weight."""
    for i, name in enumerate(("weight_g", "weight_v")):  # torch's newer weight norm numbers them
        state = {key.replace(f"parametrizations.weight.original{i}", name): t for key, t in state.items()}
    converted = {}
    for name, tensor in state.items():
        stem, _, kind = name.rpartition(".")
        g, v, plain = (f"{stem}.{k}" for k in ("weight_g", "weight_v", "weight"))
        if kind == "weight" and g in wanted:
            converted[g] = torch.norm_except_dim(tensor)
            # A direction for channels without one; 0 / 0 would spread through the whole network.
            converted[v] = tensor.where(converted[g] > 0, torch.ones_like(tensor))
        elif kind == "weight_v" and plain in wanted and g in state:
            converted[plain] = tensor * (state[g] / torch.norm_except_dim(tensor))
        elif not (kind == "weight_g" and plain in wanted and v in state):
            converted[name] = tensor
    return converted
