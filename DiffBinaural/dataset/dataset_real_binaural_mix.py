"""RealBinaural's clips summed into scenes of several sources, to train on."""

import numpy as np
import torch
from torch import Tensor

from DiffBinaural.dataset.dataset_real_binaural import RealBinaural


class RealBinauralMix(RealBinaural):
    """Windows in which two to `mix_sources` clips of different recordings sound together.

    Their sounds are added, mono and binaural alike, under one gain.  The whole picture of the scene is the
    mean of theirs, as in a double exposure; in the other slots their detected sources take turns.
    """

    summed = True

    def __init__(self, *args, mix_sources: int, **options):
        super().__init__(*args, **options)
        self.most = min(mix_sources, self.count_recordings())
        if self.most < 2:
            raise ValueError(
                f"--mix_sources {mix_sources} sums clips of different recordings; the list has only one"
            )

    def drawn(self, i: int, random: np.random.Generator) -> dict[str, Tensor]:
        """A window of a scene that starts from clip i: as of BinauralDataset, of several clips at once."""
        chosen, count = [i], int(random.integers(2, self.most + 1))
        while len(chosen) < count:
            k = int(random.integers(len(self.clips)))
            if self.clips[k].video_id not in {self.clips[c].video_id for c in chosen}:
                chosen.append(k)
        starts = [self.random_start(k, random) for k in chosen]
        pieces = [self.sound_around(k, start) for k, start in zip(chosen, starts, strict=True)]
        sounds = torch.stack(pieces).sum(0)  # mono, left, right
        sounds /= max(1.0, float(sounds.abs().max()))
        mels = self.analysed_window(sounds)
        pictures = [self.pictures(k, start) for k, start in zip(chosen, starts, strict=True)]
        return {**mels, **together(pictures)}


def together(pictures: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """One scene's slots from those of several windows: objects (F, S, 3, H, W) uint8, box, mask each.

    Slot 0 is the mean of the whole pictures; the others hold the windows' detected sources in turn, those
    that are in a picture, as many as there are slots.  Likewise direct, sounding (S - 1, …), where known.
    """
    scene = {name: value.clone() for name, value in pictures[0].items()}
    whole = torch.stack([one["objects"][:, 0] for one in pictures]).float().mean(0)
    scene["objects"][:, 0] = whole.round().to(torch.uint8)
    scene["objects"][:, 1:], scene["box"][:, 1:], scene["mask"][:, 1:] = 0, 0, True
    slots = scene["mask"].shape[1]
    found = [(one, s) for s in range(1, slots) for one in pictures if not one["mask"][:, s].all()]
    heard = [name for name in ("direct", "sounding") if name in scene]
    for name in heard:
        scene[name] = torch.zeros_like(scene[name])
    for slot, (one, s) in enumerate(found[: slots - 1], start=1):
        for name in ("objects", "box", "mask"):
            scene[name][:, slot] = one[name][:, s]
        for name in heard:
            scene[name][slot - 1] = one[name][s - 1]
    return scene
