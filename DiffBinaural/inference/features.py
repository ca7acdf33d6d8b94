"""Visual features of pictures, context tokens of windows."""

import torch
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig
from DiffBinaural.dataset.base import QUIET, extract_windows, padded
from DiffBinaural.dataset.video_transforms import RecordedFrames, on_device
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.position_utils import mirror_positions

PICTURES_A_CALL = 32  # that the trunk looks at together


@torch.inference_mode()
def visual_features(model: BinauralModel, pictures: dict[str, Tensor], *, mirror: bool = False) -> Tensor:
    """The trunk's maps (P, S, C, h, w) of pictures, or of their mirror images, on the model's device.

    pictures  objects (P, S, 3, H, W) uint8 and mask (P, S), or maps that are known already
    """
    device = next(model.parameters()).device
    if "maps" in pictures:
        assert not mirror, "maps of a mirror image are not kept here"
        return on_device(pictures, device)["maps"]
    maps = []
    for few in zip(*(pictures[name].split(PICTURES_A_CALL) for name in ("objects", "mask")), strict=True):
        seen = on_device(dict(zip(("objects", "mask"), few, strict=True)), device)
        maps.append(model.frame.look(seen["objects"].flip(-1) if mirror else seen["objects"], seen["mask"]))
    return torch.cat(maps)


def encode_recording(model: BinauralModel, eyes: RecordedFrames) -> dict[str, Tensor]:
    """All that a frozen trunk can say about a recording: the content of an EncodedEyes."""
    parts = []
    for first in range(0, eyes.count, PICTURES_A_CALL):
        pictures = eyes.stack(range(first, min(first + PICTURES_A_CALL, eyes.count)))
        both = torch.stack(
            [visual_features(model, pictures, mirror=mirror) for mirror in (False, True)], dim=2
        )
        parts.append(
            {"maps": both.cpu()[~pictures["mask"]].half(), "box": pictures["box"], "mask": pictures["mask"]}
        )
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def window_batch(clip: dict, maps: Tensor, group: Tensor, size: int) -> dict[str, Tensor]:
    """Some windows of a whole clip as a batch on the device of its pictures' maps (P, S, C, h, w)."""
    shown = clip["which"][group]
    starts = [clip["starts"][w] for w in group]
    mels = {
        name: extract_windows(padded(clip[name], size, QUIET[name]), starts, size).to(maps.device)
        for name in QUIET
        if name in clip
    }
    eyes = {name: clip[name][shown].to(maps.device) for name in ("box", "mask")}
    return {**mels, **eyes, "maps": maps[shown.to(maps.device)]}


def contexts(model: BinauralModel, part: dict, cfg: SamplingConfig) -> Tensor:
    """The context tokens (W, ways, K, D) of a part's windows; each picture is looked at once a way.

    ways  1, or 2 where cfg.symmetric: the scene and its mirror image
    """
    found = []
    for mirror in (False, True) if cfg.symmetric else (False,):
        maps, box = (
            visual_features(model, part, mirror=mirror),
            mirror_positions(part["box"]) if mirror else part["box"],
        )
        eyes = {"box": box.to(maps.device), "mask": part["mask"].to(maps.device), "maps": maps}
        groups = part["which"].to(maps.device).split(cfg.batch_windows)
        found.append(
            torch.cat(
                [model.context({name: value[which] for name, value in eyes.items()}) for which in groups]
            )
        )
    return torch.stack(found, dim=1)
