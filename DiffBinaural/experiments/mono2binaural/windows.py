"""Windows of sound with the picture nearest to their middle, as Mono2Binaural takes them."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.dataset.frame_sources import PICTURE_CACHE
from DiffBinaural.dataset.packed_recordings import recordings_of
from DiffBinaural.dataset.video_transforms import normalised
from DiffBinaural.experiments.mono2binaural.spectra import RATE, WINDOW, to_spectrogram, window_level
from DiffBinaural.utils.audio import resample
from DiffBinaural.utils.cache import Cache
from DiffBinaural.utils.lists import Clip

FILE_RATE = MelConfig.sample_rate  # Hz
JITTER = (0.7, 1.3)  # factors of brightness, of colour


class PicturedClips:
    """The clips of a dataset's list: their sounds at RATE, their pictures.

    data_root     dataset folder, packed or not
    name, split   the list, as stage 1 takes it
    picture_size  (width, height) to which the whole picture is scaled
    channels      of the sounds that every clip must have: 1 mono, 2 binaural
    Raises FileNotFoundError, naming the first file that a clip lacks.
    """

    def __init__(
        self, data_root: str | Path, name: str, split: str, picture_size: tuple[int, int], channels: int
    ):
        self.recordings, self.picture_size = recordings_of(data_root), picture_size
        self.clips: Sequence[Clip] = self.recordings.clips(name, split)
        self.recordings.check(self.clips, name, (channels,))
        self.cache = Cache(keep=not self.recordings.packed)
        width, height = picture_size
        self.picture = lru_cache(PICTURE_CACHE // (3 * width * height))(self._picture)

    def pair(self, i: int) -> Tensor:
        """Both ears of clip i (2, N) at RATE, at least a window long."""

        def make():
            wav = resample(self.recordings.sound(self.clips[i], FILE_RATE, 2), FILE_RATE, RATE)
            return {"pair": at_least_a_window(torch.from_numpy(wav))}

        return self.cache.get(f"{self.clips[i].span}.pair", make)["pair"]

    def picture_at(self, clip: Clip, start: int) -> Tensor:
        """The picture (3, H, W) uint8 nearest to the middle of a clip's window from sample `start` on."""
        time = clip.start + (start + WINDOW / 2) / RATE
        last = len(self.recordings.pictures(clip.video_id)) - 1
        return self.picture(clip.video_id, min(round(time * self.recordings.fps), last))

    def _picture(self, video_id: str, k: int) -> Tensor:
        """Picture k of a recording; `picture` caches the last ones."""
        scaled = self.recordings.pictures(video_id)[k].resize(
            self.picture_size, Image.Resampling.BILINEAR, reducing_gap=2.0
        )
        return torch.from_numpy(np.array(scaled)).permute(2, 0, 1)

    def check_pictures(self, video_id: str) -> None:
        """Read every picture of a recording; ValueError names the one that is broken."""
        for _ in self.recordings.pictures(video_id):
            pass


class RandomWindows(torch.utils.data.Dataset):
    """Random windows of clips, one of each clip an epoch; sample n is the same in any process.

    A sample is pair (2, WINDOW), picture (3, H, W) uint8, factors (2,) of brightness, colour.
    """

    def __init__(self, clips: PicturedClips, *, mirror: bool, jitter: bool, seed: int):
        self.clips, self.mirror, self.jitter, self.seed = clips, mirror, jitter, seed

    def __len__(self) -> int:
        return len(self.clips.clips)

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        random, i = np.random.default_rng([self.seed, n]), n % len(self)
        pair = self.clips.pair(i)
        start = int(random.integers(pair.shape[1] - WINDOW + 1))
        sample = window_of(self.clips, i, start)
        factors = random.uniform(*JITTER, 2) if self.jitter else np.ones(2)
        sample["factors"] = torch.from_numpy(factors.astype(np.float32))
        return mirror_image(sample) if self.mirror and random.random() < 0.5 else sample


class EvenWindows(torch.utils.data.Dataset):
    """Windows evenly spaced over all clips, at most `count`; samples as of :class:`RandomWindows`."""

    def __init__(self, clips: PicturedClips, count: int):
        self.clips = clips
        every = [
            (i, start)
            for i in range(len(clips.clips))
            for start in range(0, clips.pair(i).shape[1] - WINDOW + 1, WINDOW)
        ]
        chosen = np.linspace(0, len(every) - 1, min(count, len(every))).round().astype(int)
        self.places = [every[k] for k in chosen]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, k: int) -> dict[str, Tensor]:
        return {**window_of(self.clips, *self.places[k]), "factors": torch.ones(2)}


def at_least_a_window(wav: Tensor) -> Tensor:
    """Append silence to a sound (C, N) shorter than a window."""
    return F.pad(wav, (0, max(WINDOW - wav.shape[1], 0)))


def window_of(clips: PicturedClips, i: int, start: int) -> dict[str, Tensor]:
    """The window of clip i from sample `start` on: pair (2, WINDOW), picture (3, H, W) uint8."""
    pair = clips.pair(i)[:, start : start + WINDOW]
    return {"pair": pair, "picture": clips.picture_at(clips.clips[i], start)}


def mirror_image(sample: dict[str, Tensor]) -> dict[str, Tensor]:
    """A sample with its picture flipped, its ears exchanged, and so L - R negated; a new dict."""
    return {**sample, "picture": sample["picture"].flip(-1), "pair": sample["pair"].flip(-2)}


def network_inputs(batch: dict[str, Tensor], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """What the network takes of a batch, and what it is to predict.

    -> spectrogram of L + R (B, 2, 256, 64), picture (B, 3, H, W), spectrogram of L - R: of windows whose
       mono has the RMS LEVEL
    """
    pair, picture, factors = (
        batch[name].to(device, non_blocking=True) for name in ("pair", "picture", "factors")
    )
    pair = pair / window_level(pair.mean(1, keepdim=True))
    total, apart = to_spectrogram(pair.sum(1)), to_spectrogram(pair[:, 0] - pair[:, 1])
    return channels_last(total), channels_last(normalised(jittered(picture, factors))), apart


def jittered(picture: Tensor, factors: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) of 0 to 255 with brightness, colour scaled by factors (B, 2)."""
    brightness, colour = factors[:, :, None, None, None].unbind(1)
    bright = picture.float() * brightness
    grey = bright.mean(1, keepdim=True)
    return (grey + (bright - grey) * colour).clamp(0, 255)


def channels_last(x: Tensor) -> Tensor:
    """The same in the memory format in which convolutions are fastest."""
    return x.contiguous(memory_format=torch.channels_last)
