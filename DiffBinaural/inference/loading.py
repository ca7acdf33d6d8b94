"""Trained runs of stage 1, loaded."""

from pathlib import Path

import torch

from DiffBinaural.configs.advanced_diffusion_config import TrainConfig
from DiffBinaural.configs.fields import from_dict
from DiffBinaural.inference.replay import Replayed
from DiffBinaural.modules.models import BinauralModel, ModelBuilder
from DiffBinaural.utils.files import load_tensors, read_json
from DiffBinaural.utils.lists import EARS
from DiffBinaural.utils.state_dicts import misfit, unwrapped


def load_config(run: str | Path) -> TrainConfig:
    """The configuration a run was trained with."""
    path = Path(run) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; --run is the folder that training wrote (<ckpt>/<id>)")
    return from_dict(TrainConfig, read_json(path), str(path))


def load_model(
    run: str | Path,
    device: torch.device,
    unet: str = "unet_best.pth",
    frame: str = "frame_best.pth",
    *,
    amp: str = "off",
) -> BinauralModel:
    """A trained model in eval mode; built as the run's config.json describes.

    unet, frame  weights: names of files in the run folder, or paths
    amp          "bf16": its networks compute in bfloat16
    """
    model = ModelBuilder(load_config(run), pretrained=False).build()
    fill(model, run, unet, frame)
    model.amp = amp
    return ready(model, device)


def fill(
    model: BinauralModel, run: str | Path, unet: str = "unet_best.pth", frame: str = "frame_best.pth"
) -> None:
    """Load a run's averaged weights into a model built alike; names as of :func:`load_model`."""
    for part, name in ((model.unet, unet), (model.frame, frame)):
        path = Path(run) / name if Path(name).name == name else Path(name)
        state = unwrapped(load_tensors(path))
        if why := misfit(state, part.state_dict()):
            raise ValueError(f"{path}: does not fit {run}/config.json: {why}")
        part.load_state_dict(state)


def ready(model: BinauralModel, device: torch.device) -> BinauralModel:
    """The model as inference is fastest: channels-last, the UNet's layers folded, on a GPU also replayed."""
    model.unet.fold(cpu=device.type == "cpu" and model.amp == "off")
    model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    if device.type == "cuda":
        model.unet.forward = Replayed(model.unet)  # type: ignore[assignment, method-assign]
    return model


def load_models(
    runs: tuple[str, ...], device: torch.device, *weights: str, amp: str = "off"
) -> list[BinauralModel]:
    """The model of a run, or the two of one-ear runs, left first.  ValueError unless they make a pair.

    weights, amp  as of :func:`load_model`
    """
    models = sorted((load_model(run, device, *weights, amp=amp) for run in runs), key=lambda net: net.ears)
    if [ear for model in models for ear in model.ears] != list(EARS["both"]):
        made = ", ".join(f"{run} makes {load_config(run).ears}" for run in runs)
        raise ValueError(f"--run: {made}; expected one run of both ears, or a left-ear and a right-ear run")
    if any((model.cfg.mel, model.cfg.view) != (models[0].cfg.mel, models[0].cfg.view) for model in models):
        raise ValueError(f"--run: {' and '.join(runs)} differ in mel or view; train both with one preset")
    return models
