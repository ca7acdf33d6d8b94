"""Visual features of pictures, context tokens of windows."""

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, SamplingConfig, TrainConfig
from DiffBinaural.dataset.cutting import QUIET, extract_windows, padded
from DiffBinaural.dataset.video_transforms import on_device
from DiffBinaural.heads.direct_path import direct_path
from DiffBinaural.heads.head import Head
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.windows import windows_at_once
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.position_utils import mirror_positions

PICTURES_A_CALL = 32  # pictures that the trunk encodes at once


@torch.inference_mode()
def visual_features(model: BinauralModel, pictures: dict[str, Tensor], *, mirror: bool = False) -> Tensor:
    """The trunk's maps (P, S, C, h, w) of pictures, or of their mirror images, on the model's device.

    pictures  objects (P, S, 3, H, W) uint8 and mask (P, S), or their maps, where they are known
    """
    device = next(model.parameters()).device
    if "maps" in pictures:
        assert not mirror, "maps of a mirror image are not kept here"
        return on_device(pictures, device)["maps"]
    maps = []
    for few in zip(*(pictures[name].split(PICTURES_A_CALL) for name in ("objects", "mask")), strict=True):
        shown = on_device(dict(zip(("objects", "mask"), few, strict=True)), device)
        maps.append(
            model.frame.features(shown["objects"].flip(-1) if mirror else shown["objects"], shown["mask"])
        )
    return torch.cat(maps)


def encode_pictures(model: BinauralModel, pictures: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a frozen trunk makes of pictures (P, S, …), as an EncodedFrames has it of a whole recording."""
    both = torch.stack([visual_features(model, pictures, mirror=mirror) for mirror in (False, True)], dim=2)
    shown = ~pictures["mask"].to(both.device)
    return {"maps": both[shown].half().cpu(), "box": pictures["box"], "mask": pictures["mask"]}


def window_batch(clip: dict, maps: Tensor, group: Tensor, cfg: TrainConfig) -> dict[str, Tensor]:
    """Some windows of a whole clip as a batch on the device of its pictures' maps (P, S, C, h, w)."""
    size = cfg.view.window
    shown = clip["which"][group]
    starts = [clip["starts"][w] for w in group]
    mels = {
        name: extract_windows(padded(clip[name], size, QUIET[name]), starts, size).to(maps.device)
        for name in QUIET
        if name in clip
    }
    boxes = {name: clip[name][shown].to(maps.device) for name in ("box", "mask")}
    batch = {**mels, **boxes, "maps": maps[shown.to(maps.device)]}
    if cfg.model.direct_path:
        directions = clip["directions"][group]
        batch["direct"] = paths_of(directions, head_named(clip["head"]), cfg.mel).to(maps.device)
        batch["sounding"] = directions[:, :, 2].to(maps.device)
    return batch


def paths_of(directions: Tensor, head: Head, cfg: MelConfig) -> Tensor:
    """The direct paths (W, S, F, T) of windows, from the directions (W, S, 3, T) of their slots."""
    return torch.stack([direct_path(head, window, cfg) for window in directions])


def contexts(model: BinauralModel, visual: dict[str, Tensor], cfg: SamplingConfig) -> Tensor:
    """The context tokens (W, ways, K, D) of windows; the trunk encodes each picture once a way.

    visual  of :meth:`FrameSource.scene`
    ways    1, or 2 where cfg.symmetric: the scene and its mirror image
    """
    ways, device = [], next(model.parameters()).device
    for mirror in (False, True) if cfg.symmetric else (False,):
        with model.autocast(device):
            maps = visual_features(model, visual, mirror=mirror)
        box, mask = (visual[name].to(device) for name in ("box", "mask"))
        pictures = {"box": mirror_positions(box) if mirror else box, "mask": mask, "maps": maps}
        groups = visual["which"].to(device).split(windows_at_once(cfg, device))
        tokens = [model.context({name: value[which] for name, value in pictures.items()}) for which in groups]
        ways.append(torch.cat(tokens))
    return torch.stack(ways, dim=1)
