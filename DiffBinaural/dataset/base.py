"""From a clip to tensors: windows of its mels, with the pictures that belong to them."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.frame_sources import EncodedFrames, FrameSource, RecordedFrames
from DiffBinaural.dataset.video_transforms import first_maps, mirrored, whole_only
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.cache import MAPPED, Cache
from DiffBinaural.utils.files import naming
from DiffBinaural.utils.lists import EARS, Clip, Detection
from DiffBinaural.utils.mel import FLOOR, interaural_phasor, mel_spectrogram, pad_to_hop

SILENCE = math.log(FLOOR)  # nepers
QUIET = {"mono_mel": SILENCE, "binaural_mel": SILENCE, "phasor": 0.0}  # what silence is in each
WINDOW_HOP = 60  # frames from window to window; the rest overlaps


# --- windows out of a clip, and back: one idea --------------------------------------------------------------


def covering(n: int, size: int, hop: int) -> list[int]:
    """Starts of windows of `size` that cover [0, n); the last is pulled back to end exactly at n."""
    last = max(n - size, 0)
    return [*range(0, last, hop), last]


def extract_windows(x: Tensor, starts: list[int], size: int) -> Tensor:
    """Windows (W, …, size) of x (…, n); n >= size."""
    return torch.stack([x[..., s : s + size] for s in starts])


def stitch(windows: Tensor, starts: list[int], n: int) -> Tensor:
    """Merge windows (W, …, size) into (…, n): a weighted mean where they overlap, smooth at all borders.

    The weights are a raised cosine that never reaches 0, so every frame is covered, the first and last too.
    ``stitch(extract_windows(x)) == x`` for every covering.
    """
    total, weight = windows.new_zeros(*windows.shape[1:-1], n), windows.new_zeros(n)
    add_windows(total, weight, windows, starts)
    return total / weight


def add_windows(total: Tensor, weight: Tensor, windows: Tensor, starts: list[int]) -> None:
    """What :func:`stitch` divides: add windows to total (…, n), and to weight (n) what they count."""
    size = windows.shape[-1]
    phase = (torch.arange(size, device=windows.device) + 0.5) * (math.pi / size)
    fade = (torch.sin(phase) ** 2 + 1e-3).to(windows.dtype)
    for window, start in zip(windows, starts, strict=True):
        total[..., start : start + size] += window * fade
        weight[start : start + size] += fade


def padded(mel: Tensor, size: int, silence: float = SILENCE) -> Tensor:
    """Append silence to a log mel (…, T) shorter than `size`."""
    return torch.nn.functional.pad(mel, (0, max(size - mel.shape[-1], 0)), value=silence)


# --- datasets -----------------------------------------------------------------------------------------------


class BinauralDataset(torch.utils.data.Dataset):
    """Random windows of clips.  A subclass reads sounds, pictures and detections.

    clips             rows of a split
    windows_per_clip  so many windows are drawn from each clip in an epoch
    mirror            augment: mirror half of the windows
    hide_detections   augment: chance that a window shows only the whole picture
    ears              whose mels a sample holds; default: those of the class
    phasor            a sample also holds the phasor between the ears

    The index n chooses the clip, n modulo the number of clips, and seeds everything random about the window:
    the same n gives the same sample in any process, at any time.  Of the mirrored pair a one-ear sample keeps
    the ear of its name; whole clips keep both.
    """

    ears = EARS["both"]
    held_out = False  # of a --fold's clips, the others are taken
    encodable = True  # a window shows the pictures of one recording only

    def __init__(
        self,
        clips: list[Clip],
        mel: MelConfig,
        view: ViewConfig,
        *,
        windows_per_clip: int = 1,
        mirror: bool = False,
        hide_detections: float = 0.0,
        seed: int = 0,
        ears: tuple[int, ...] | None = None,
        phasor: bool = False,
    ):
        self.ears, self.phasor = ears or self.ears, phasor
        self.clips, self.mel, self.view, self.seed = clips, mel, view, seed
        self.windows_per_clip, self.mirror, self.hide_detections = windows_per_clip, mirror, hide_detections
        self.use_cache(Cache(), None)

    def use_cache(self, cache: Cache, encode: Callable | None) -> None:
        """Keep mels and visual features in a cache that processes have in common.

        encode  RecordedFrames -> content of EncodedFrames, for a frozen trunk, which encodes a picture once
        """
        self.cache, self.encode, self.frame_source = cache, encode, lru_cache(MAPPED)(self._frame_source)
        self.recordings = len({clip.video_id for clip in self.clips})

    def prepare(self, i: int) -> None:
        """Compute now what every epoch needs of clip i."""
        self.mels(i)

    def check_pictures(self, video_id: str) -> None:
        """Read every picture of a recording; ValueError names the one that is broken."""
        for _ in self.recording(video_id)[0]:
            pass

    def sound(self, clip: Clip) -> tuple[np.ndarray, np.ndarray | None]:
        """The clip's mono (1, N) and, where known, binaural (2, N) sound at the mel's sample rate."""
        raise NotImplementedError

    def recording(self, video_id: str) -> tuple[Sequence[Image.Image], float, list[Detection]]:
        """A recording's pictures, their rate in pictures a second, and its detections."""
        raise NotImplementedError

    def fov(self, video_id: str) -> float:
        """Degrees that a recording's pictures show from edge to edge."""
        return FOV

    def __len__(self) -> int:
        return len(self.clips) * self.windows_per_clip

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        random = np.random.default_rng([self.seed, n])
        sample = {**self.drawn(n % len(self.clips), random), "n": n}
        if random.random() < self.hide_detections:
            sample["mask"] = whole_only(sample["mask"])
        sample = first_maps(mirrored(sample) if self.mirror and random.random() < 0.5 else sample)
        return {**sample, "binaural_mel": sample["binaural_mel"][list(self.ears)]}

    def drawn(self, i: int, random: np.random.Generator) -> dict[str, Tensor]:
        """A random window of clip i: mono_mel (1, M, T), binaural_mel (2, M, T), pictures (F, S, …)."""
        mels = self.mels(i)
        start = int(random.integers(max(mels["mono_mel"].shape[-1] - self.view.window, 0) + 1))
        stop = start + self.view.window
        pieces = {
            name: padded(mel[..., start:stop], self.view.window, QUIET[name]) for name, mel in mels.items()
        }
        return {**pieces, **self.pictures(i, start)}

    def pictures(self, i: int, start: int) -> dict[str, Tensor]:
        """The pictures of the window of clip i that starts at mel frame `start`."""
        clip, seconds = self.clips[i], self.mel.hop / self.mel.sample_rate
        return self.frame_source(clip.video_id).window(
            clip.start + start * seconds, self.view.window * seconds
        )

    def mels(self, i: int) -> dict[str, Tensor]:
        """Log mels of the whole clip i: mono_mel (1, M, T) and, where known, binaural_mel (2, M, T).

        With `phasor` also the phasor (2, M, T) between the ears.
        """
        clip = self.clips[i]

        def make():
            sounds = (
                wav if wav is None else pad_to_hop(torch.from_numpy(wav), self.mel.hop)
                for wav in self.sound(clip)
            )
            with naming(f"clip {clip.stem}"):
                return self.analysed(*sounds)

        return self.cache.get(f"{clip.span}.mels", make)

    def analysed(self, mono: Tensor, pair: Tensor | None) -> dict[str, Tensor]:
        """What a sample holds of a mono sound (1, N) and, where known, its two ears (2, N)."""
        found = {"mono_mel": mel_spectrogram(mono, self.mel)}
        if pair is not None:
            found["binaural_mel"] = mel_spectrogram(pair, self.mel)
            if self.phasor:
                found["phasor"] = interaural_phasor(pair, self.mel)
        return found

    def _frame_source(self, video_id: str) -> FrameSource:
        """A recording's frame source; `frame_source` caches the last few thousand."""
        pictures, fps, detections = self.recording(video_id)
        source = RecordedFrames(
            pictures, fps, detections, self.view, recordings=self.recordings, fov=self.fov(video_id)
        )
        if self.encode is None:
            return source
        content = self.cache.get(f"{video_id}.maps", lambda: self.encode(source))
        return EncodedFrames(content, fps, self.view)


class WholeClips(BinauralDataset):
    """Every window of each clip, in order, for generation and validation: item i is clip i."""

    held_out = True

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> dict:
        clip = self.clips[i]
        return whole_clip(clip.stem, self.mels(i), self.frame_source(clip.video_id), clip.start, self.mel)

    def without_pictures(self, i: int) -> dict:
        """Item i before any picture is read: see :func:`clip_with_source`."""
        clip = self.clips[i]
        source = self.frame_source(clip.video_id)
        return clip_with_source(clip.stem, self.mels(i), source, clip.start, self.mel)


def whole_clip(stem: str, mels: dict[str, Tensor], source: FrameSource, begin: float, cfg: MelConfig) -> dict:
    """All windows of a clip, in order, and each picture that they show once.

    mels   mono_mel (1, M, T), and binaural_mel (2, M, T) and phasor (2, M, T) where known
    begin  seconds of the recording at which the clip begins
    ->     stem, starts (W numbers), the mels, objects (P, S, 3, H, W) or maps (P, S, C, h, w), box (P, S, 4),
           mask (P, S), and which (W, F): the pictures of each window
    """
    clip = clip_with_source(stem, mels, source, begin, cfg)
    pictures = clip.pop("source").scene(clip.pop("times"), clip.pop("seconds"))
    return {**clip, **pictures}


def clip_with_source(
    stem: str, mels: dict[str, Tensor], source: FrameSource, begin: float, cfg: MelConfig
) -> dict:
    """:func:`whole_clip` before any picture is read.

    -> stem, starts, the mels, and what :meth:`FrameSource.scene` needs: source, times (W), seconds
    """
    size, hop = source.view.window, cfg.hop / cfg.sample_rate
    starts = covering(max(mels["mono_mel"].shape[-1], size), size, WINDOW_HOP)
    times = [begin + start * cfg.hop / cfg.sample_rate for start in starts]
    return {"stem": stem, "starts": starts, **mels, "source": source, "times": times, "seconds": size * hop}
