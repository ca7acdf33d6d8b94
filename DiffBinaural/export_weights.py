"""Export the trained weights of both stages in half precision:

python DiffBinaural/export_weights.py --run checkpoints/first --out weights \\
    --checkpoint_file checkpoints/vocoder/g_best.pth
"""

from pathlib import Path

import torch

from DiffBinaural.inference.config import ExportConfig
from DiffBinaural.utils.arguments import run
from DiffBinaural.utils.closing import ending
from DiffBinaural.utils.files import load_tensors, read_json, save_tensors, write_json


def half_precision(state: dict) -> dict:
    """A state dict with its floating-point tensors in float16."""
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}


def averaged(state: dict, other: dict, share: float) -> dict:
    """Weights between two of one network, `share` of the way to the other's (Wortsman et al., CVPR 2022).

    Raises ValueError where the networks differ.
    """
    if {name: value.shape for name, value in state.items()} != {n: v.shape for n, v in other.items()}:
        raise ValueError("--average_with: that run's networks are not of this run's sizes")
    return {
        name: torch.lerp(other[name].float(), value.float(), 1 - share)
        if value.is_floating_point()
        else value
        for name, value in state.items()
    }


def main(cfg: ExportConfig) -> None:
    """Write stage1/ and vocoder/, each with its config.json, in the layout of the bundled weights."""
    stage1, generator, out = Path(cfg.run), Path(cfg.checkpoint_file), Path(cfg.out)
    for name in ("unet_best.pth", "frame_best.pth"):
        state = load_tensors(stage1 / name)
        if cfg.average_with:
            state = averaged(state, load_tensors(Path(cfg.average_with) / name), cfg.share)
        save_tensors(out / "stage1" / name, half_precision(state))
    vocoder = {"generator": half_precision(load_tensors(generator)["generator"])}
    save_tensors(out / "vocoder/g_best.pth", vocoder)
    for source, target in ((stage1, out / "stage1"), (generator.parent, out / "vocoder")):
        write_json(target / "config.json", read_json(source / "config.json"))
    words = {"run": out / "stage1", "checkpoint_file": out / "vocoder/g_best.pth"}
    clip = {"input_video": "clip.mp4", "output": "out.wav"}
    print(ending(out, "weights of both stages", "BigVGAN/inference_e2e.py", **words, **clip))


if __name__ == "__main__":
    run(main)
