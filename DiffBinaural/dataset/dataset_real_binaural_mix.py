"""RealBinaural's clips summed into scenes of several sources, to train on."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from DiffBinaural.dataset.dataset_real_binaural import RealBinaural
from DiffBinaural.utils.mel import pad_to_hop

MARGIN = 2  # frames beside a window on which its outer frames depend


class RealBinauralMix(RealBinaural):
    """Windows in which two to `mix_sources` clips of different recordings sound together.

    Their sounds are added, mono and binaural alike, under one gain.  The whole picture of the scene is the
    mean of theirs, as in a double exposure; in the other slots their detected sources take turns.
    """

    encodable = False  # a trunk cannot encode the double exposure in advance

    def __init__(self, *args, mix_sources: int, **options):
        super().__init__(*args, **options)
        self.most = min(mix_sources, len(self.folders))
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
        starts = [self._start(k, random) for k in chosen]
        pieces = [self._piece(k, start) for k, start in zip(chosen, starts, strict=True)]
        sounds = torch.stack(pieces).sum(0)  # mono, left, right
        sounds /= max(1.0, float(sounds.abs().max()))
        mels = {
            name: mel[..., MARGIN : MARGIN + self.view.window]
            for name, mel in self.analysed(sounds[:1], sounds[1:]).items()
        }
        pictures = [self.pictures(k, start) for k, start in zip(chosen, starts, strict=True)]
        return {**mels, **together(pictures)}

    def prepare(self, i: int) -> None:
        """Read clip i's sound now; there are no mels before the sum."""
        self._sound(i)

    def _sound(self, k: int) -> Tensor:
        """Clip k whole: mono, left, right, (3, N), N a whole number of frames."""

        def make():
            mono, pair = self.sound(self.clips[k])
            return {"sound": pad_to_hop(torch.from_numpy(np.concatenate([mono, pair])), self.mel.hop)}

        return self.cache.get(f"{self.clips[k].span}.sound", make)["sound"]

    def _start(self, k: int, random: np.random.Generator) -> int:
        frames = self._sound(k).shape[-1] // self.mel.hop
        return int(random.integers(max(frames - self.view.window, 0) + 1))

    def _piece(self, k: int, start: int) -> Tensor:
        """Clip k's sound (3, N) from MARGIN frames before the window to MARGIN behind it, else silence."""
        hop, sound = self.mel.hop, self._sound(k)
        first, size = (start - MARGIN) * hop, (self.view.window + 2 * MARGIN) * hop
        piece = F.pad(sound[:, max(first, 0) : first + size], (max(-first, 0), 0))
        return F.pad(piece, (0, size - piece.shape[-1]))


def together(pictures: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """One scene's slots from those of several windows: objects (F, S, 3, H, W) uint8, box, mask each.

    Slot 0 is the mean of the whole pictures; the others hold the windows' detected sources in turn, the best
    of each first, as many as there are slots.
    """
    scene = {name: value.clone() for name, value in pictures[0].items()}
    whole = torch.stack([one["objects"][:, 0] for one in pictures]).float().mean(0)
    scene["objects"][:, 0] = whole.round().to(torch.uint8)
    scene["objects"][:, 1:], scene["box"][:, 1:], scene["mask"][:, 1:] = 0, 0, True
    frames, slots = scene["mask"].shape
    for f in range(frames):
        found = [(one, s) for s in range(1, slots) for one in pictures if not one["mask"][f, s]]
        for slot, (one, s) in enumerate(found[: slots - 1], start=1):
            for name in scene:
                scene[name][f, slot] = one[name][f, s]
    return scene
