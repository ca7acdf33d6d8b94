"""Whether a run's settings allow what a command line asks for."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.configs.fields import from_dict
from DiffBinaural.inference.loading import load_config
from DiffBinaural.utils.files import differences, read_json

# settings that may change when a run is resumed: lengths, from which the learning rates follow; folders; and
# how the windows of a step, whose number is fixed, are divided
FREE = (
    "num_epoch",
    "time_budget",
    "eval_epoch",
    "save_steps",
    "device",
    "workers",
    "compile",
    "ckpt",
    "data_root",
    "batch_size_per_gpu",
    "accumulate",
)


def check_resumable(folder: Path, cfg: TrainConfig) -> None:
    """Raise ValueError where a run is resumed with other settings than it was started with."""
    path, new = folder / "config.json", flattened(asdict(cfg))
    old = flattened(
        asdict(from_dict(TrainConfig, read_json(path), str(path)))
    )  # fields added since: defaults
    if wrong := [name for name in new if name not in FREE and old.get(name) != new[name]]:
        name = wrong[0]
        raise ValueError(
            f"{folder} holds a run with another --{name} ({old.get(name)}, "
            f"now {new[name]}); resume it with its own settings, or choose another --id"
        )


def check_same_model(init_from: str, cfg: TrainConfig) -> None:
    """Raise ValueError where the model of another run is built differently from that of `cfg`."""
    other = load_config(init_from)
    theirs, ours = (
        {
            "ears": part.ears,
            "arch_frame": part.arch_frame,
            "objective": part.diffusion.objective,
            **flattened(asdict(part)["model"] | asdict(part)["mel"] | asdict(part)["view"]),
        }
        for part in (other, cfg)
    )
    if differ := differences(theirs, ours):
        flags = flags_for(other, cfg, [name for name in theirs if theirs[name] != ours[name]])
        cure = f"give {flags}" if flags else "no flag gives the same settings, so start without it"
        raise ValueError(f"--init_from {init_from}: that run has {differ}; {cure}")


def flags_for(other: TrainConfig, cfg: TrainConfig, names: Sequence[str]) -> str:
    """The flags that give a command line these settings of another run, as far as there are any."""
    parts = (other, other.model, other.diffusion)
    known = {f.name: getattr(part, f.name) for part in parts for f in fields(part) if "help" in f.metadata}
    words = [f"--preset {other.preset}"] if other.preset != cfg.preset else []
    for name in names:
        if isinstance(value := known.get(name), bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif name in known:
            words.append(f"--{name} {value}")
    return " ".join(words)


def flattened(config: dict) -> dict:
    """Settings with those of nested parts beside them, tuples as the lists of JSON."""
    plain = {}
    for name, value in config.items():
        plain |= (
            flattened(value)
            if isinstance(value, dict)
            else {name: list(value) if isinstance(value, tuple) else value}
        )
    return plain
