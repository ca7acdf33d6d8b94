"""From a clip to tensors: windows of its mels and of the pictures that go with them."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.video_transforms import mirrored, normalised, slots
from DiffBinaural.utils.helpers import FLOOR, mel_spectrogram, pad_to_hop
from DiffBinaural.utils.lists import Clip, Detection

PICTURE_CACHE = 1 << 30                                # bytes of cut-up pictures that a dataset keeps
SILENCE = math.log(FLOOR)                              # nepers
WINDOW_HOP = 60                                        # frames from window to window; the rest overlaps


# --- cut and stitch are one idea ----------------------------------------------------------------------------

def covering(n: int, size: int, hop: int) -> list[int]:
    """Starts of windows of `size` that cover [0, n); the last is pulled back to end exactly at n."""
    last = max(n - size, 0)
    return [*range(0, last, hop), last]


def cut(x: Tensor, starts: list[int], size: int) -> Tensor:
    """Windows (W, …, size) of x (…, n); n >= size."""
    return torch.stack([x[..., s : s + size] for s in starts])


def stitch(windows: Tensor, starts: list[int], n: int) -> Tensor:
    """Put windows (W, …, size) together to (…, n): a weighted mean where they overlap, smooth at all borders.

    The weights are a raised cosine that never reaches 0, so every frame is covered, the first and last too.
    ``stitch(cut(x)) == x`` for every covering.
    """
    size = windows.shape[-1]
    phase = (torch.arange(size, device=windows.device) + 0.5) * (math.pi / size)
    fade = (torch.sin(phase) ** 2 + 1e-3).to(windows.dtype)
    total, weight = windows.new_zeros(*windows.shape[1:-1], n), windows.new_zeros(n)
    for window, start in zip(windows, starts, strict=True):
        total[..., start : start + size] += window * fade
        weight[start : start + size] += fade
    return total / weight


def padded(mel: Tensor, size: int) -> Tensor:
    """Append silence to a log mel (…, T) shorter than `size`."""
    return torch.nn.functional.pad(mel, (0, max(size - mel.shape[-1], 0)), value=SILENCE)


# --- what the eyes see --------------------------------------------------------------------------------------

class Eyes:
    """The pictures of a recording with their detections, cut into slots on demand.

    pictures    any sequence of RGB images at `fps` pictures a second, the first at time 0
    detections  at any rate: a picture takes those of the nearest moment, up to half a picture away
    share       of how many recordings this is one: they share the memory for cut-up pictures
    """

    def __init__(self, pictures: Sequence[Image.Image], fps: float, detections: list[Detection],
                 view: ViewConfig, share: int = 1):
        self.pictures, self.fps, self.view = pictures, fps, view
        self.at_time: dict[float, list[Detection]] = {}
        for d in detections:
            self.at_time.setdefault(d.time, []).append(d)
        self.times = np.array(list(self.at_time))
        keep = PICTURE_CACHE // (share * view.slots * 3 * view.image_size**2)
        self.slots = lru_cache(maxsize=max(keep, 2 * view.frames))(self._slots)

    def _slots(self, k: int):
        return slots(self.pictures[k], self.detected(k / self.fps), self.view)

    def detected(self, time: float) -> list[Detection]:
        """The detections of the moment nearest to a time (s); none where that is over half a picture off."""
        if not len(self.times):
            return []
        nearest = self.times[np.abs(self.times - time).argmin()]
        return self.at_time[nearest] if abs(nearest - time) <= 0.5 / self.fps + 1e-6 else []

    def window(self, start: float, seconds: float) -> dict[str, Tensor]:
        """What is seen from `start` on, both in seconds of the recording.

        Pictures stand evenly in the window; before the first and after the last picture, that one is held.

        -> objects (F, S, 3, H, W) float32, ImageNet mean and std taken out; box (F, S, 4) in [-1, 1], y up;
           mask (F, S) bool, True = padding
        """
        times = start + (np.arange(self.view.frames) + 0.5) / self.view.frames * seconds
        chosen = [self.slots(int(k)) for k in np.clip(np.round(times * self.fps), 0, len(self.pictures) - 1)]
        objects, box, mask = (torch.stack(parts) for parts in zip(*chosen))
        return {"objects": normalised(objects), "box": box, "mask": mask}


def whole_only(mask: Tensor) -> Tensor:
    """A mask (…, S) that leaves only slot 0, the whole picture."""
    return mask | (torch.arange(mask.shape[-1], device=mask.device) > 0)


# --- datasets -----------------------------------------------------------------------------------------------

class BinauralDataset(torch.utils.data.Dataset):
    """Random windows of clips.  A subclass says where sounds, pictures and detections come from.

    clips             rows of a split
    windows_per_clip  so many windows are drawn from each clip in an epoch
    mirror            augment: mirror half of the windows
    hide_detections   augment: chance that a window shows only the whole picture

    The index n chooses the clip, n modulo the number of clips, and seeds everything random about the window:
    the same n gives the same sample in any process, at any time.
    """

    def __init__(self, clips: list[Clip], mel: MelConfig, view: ViewConfig, *, windows_per_clip: int = 1,
                 mirror: bool = False, hide_detections: float = 0.0, seed: int = 0):
        self.clips, self.mel, self.view, self.seed = clips, mel, view, seed
        self.windows_per_clip, self.mirror, self.hide_detections = windows_per_clip, mirror, hide_detections
        self._mels, self._eyes = {}, {}                # what a run reads again and again, read once

    def sound(self, clip: Clip) -> tuple[np.ndarray, np.ndarray | None]:
        """The clip's mono (1, N) and, where known, binaural (2, N) sound at the mel's sample rate."""
        raise NotImplementedError

    def recording(self, video_id: str) -> tuple[Sequence[Image.Image], float, list[Detection]]:
        """A recording's pictures, their rate in pictures a second, and its detections."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.clips) * self.windows_per_clip

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        random = np.random.default_rng([self.seed, n])
        i = n % len(self.clips)
        frames = self.mels(i)["mono_mel"].shape[-1]
        sample = self.window(i, int(random.integers(max(frames - self.view.window, 0) + 1)))
        if random.random() < self.hide_detections:
            sample["mask"] = whole_only(sample["mask"])
        return mirrored(sample) if self.mirror and random.random() < 0.5 else sample

    def window(self, i: int, start: int) -> dict[str, Tensor]:
        """Clip i from mel frame `start`: mono_mel (1, M, T), binaural_mel (2, M, T), objects, box, mask."""
        stop = start + self.view.window
        mels = {k: padded(mel[..., start:stop], self.view.window) for k, mel in self.mels(i).items()}
        return {**mels, **self.seen(i, start)}

    def seen(self, i: int, start: int) -> dict[str, Tensor]:
        """What is seen during the window of clip i that starts at mel frame `start`."""
        clip, seconds = self.clips[i], self.mel.hop / self.mel.sample_rate
        return self.eyes(clip.video_id).window(clip.start + start * seconds, self.view.window * seconds)

    def mels(self, i: int) -> dict[str, Tensor]:
        """Log mels of the whole clip i: mono_mel (1, M, T) and, where known, binaural_mel (2, M, T)."""
        if i not in self._mels:
            named = zip(("mono_mel", "binaural_mel"), self.sound(self.clips[i]))
            self._mels[i] = {name: mel_spectrogram(pad_to_hop(torch.from_numpy(wav), self.mel.hop), self.mel)
                             for name, wav in named if wav is not None}
        return self._mels[i]

    def eyes(self, video_id: str) -> Eyes:
        """The eyes of a recording."""
        if video_id not in self._eyes:
            self._eyes[video_id] = Eyes(*self.recording(video_id), self.view, share=len(self.clips))
        return self._eyes[video_id]


class WholeClips(BinauralDataset):
    """Every window of each clip, in order, for generation and validation: item i is clip i."""

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> dict:
        return whole_clip(self.clips[i].stem, self.mels(i), lambda start: self.seen(i, start), self.view)


def whole_clip(stem: str, mels: dict[str, Tensor], seen, view: ViewConfig) -> dict:
    """All windows of a clip, in order.

    mels  mono_mel (1, M, T), and binaural_mel (2, M, T) where known
    seen  mel frame -> objects, box, mask of the window that starts there
    ->    stem, starts (W numbers), the mels, and objects, box, mask with an axis W first
    """
    starts = covering(max(mels["mono_mel"].shape[-1], view.window), view.window, WINDOW_HOP)
    views = [seen(start) for start in starts]
    stacked = {name: torch.stack([v[name] for v in views]) for name in views[0]}
    return {"stem": stem, "starts": starts, **mels, **stacked}
