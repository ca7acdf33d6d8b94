"""Files of a vocoder's training run, under NVIDIA's names."""

import shutil
from pathlib import Path

from torch import nn

from BigVGAN.env import CONFIG
from DiffBinaural.utils.files import replacing, save_tensors


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
