"""From a clip to tensors: windows of its mels, with the pictures that belong to them."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.analysis import analysed, analysed_window
from DiffBinaural.dataset.cutting import MARGIN, QUIET, clip_with_source, padded, whole_clip
from DiffBinaural.dataset.frame_sources import EncodedFrames, FrameSource, RecordedFrames
from DiffBinaural.dataset.video_transforms import first_maps, mirrored, without_detections, without_sounding
from DiffBinaural.heads.direct_path import direct_path
from DiffBinaural.heads.named import head_named
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.cache import MAPPED, Cache
from DiffBinaural.utils.files import naming
from DiffBinaural.utils.lists import EARS, Clip, Detection
from DiffBinaural.utils.mel import pad_to_hop

FEW = 64  # recordings whose frame sources are held where clips are too many to meet one again soon


class BinauralDataset(torch.utils.data.Dataset):
    """Random windows of clips.  A subclass reads sounds, pictures and detections.

    clips             rows of a split
    windows_per_clip  so many windows are drawn from each clip in an epoch
    mirror            augment: mirror half of the windows
    hide_detections   augment: chance that a window shows only the whole picture
    hide_sounding     augment: chance that of a window's detections it is not known which of them sound
    ears              whose mels a sample holds; default: those of the class
    phasor            a sample also holds the phasor between the ears
    spectra           and spectra (3, F, T) of mono, left, right
    direct_path       and direct (S - 1, F, T): heads.direct_path of its slots; sounding (S - 1, T)

    The index n chooses the clip, n modulo the number of clips, and seeds everything random about the window:
    the same n gives the same sample in any process, at any time.  Of the mirrored pair a one-ear sample keeps
    the ear of its name; whole clips keep both.
    """

    ears = EARS["both"]
    held_out = False  # of a --fold's clips, the others are taken
    summed = False  # a window is the sum of several clips
    kept = True  # what clips have in common is computed once; False: whatever a sample needs is read for it

    def __init__(
        self,
        clips: list[Clip],
        mel: MelConfig,
        view: ViewConfig,
        *,
        windows_per_clip: int = 1,
        mirror: bool = False,
        hide_detections: float = 0.0,
        hide_sounding: float = 0.0,
        seed: int = 0,
        ears: tuple[int, ...] | None = None,
        phasor: bool = False,
        spectra: bool = False,
        direct_path: bool = False,
    ):
        self.ears, self.phasor = ears or self.ears, phasor
        self.spectra, self.direct_path = spectra, direct_path
        self.cuts_sound = spectra or self.summed  # windows are cut from the sound and analysed, not from mels
        self.clips, self.mel, self.view, self.seed = clips, mel, view, seed
        self.windows_per_clip, self.mirror = windows_per_clip, mirror
        self.hide_detections, self.hide_sounding = hide_detections, hide_sounding
        self.use_cache(Cache(keep=self.kept), None)

    def use_cache(self, cache: Cache, encode: Callable | None) -> None:
        """Keep mels and visual features in a cache that processes have in common.

        encode  RecordedFrames -> content of EncodedFrames, for a frozen trunk, which encodes a picture once
        """
        held = MAPPED if self.kept else FEW
        self.cache, self.encode, self.frame_source = cache, encode, lru_cache(held)(self._frame_source)
        self.recording_count = self.count_recordings()

    def prepare(self, i: int) -> None:
        """Compute now what every epoch needs of clip i."""
        self.whole_sound(i) if self.cuts_sound else self.mels(i)

    def count_recordings(self) -> int:
        """How many recordings the clips are of."""
        return len({clip.video_id for clip in self.clips})

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

    def head(self, video_id: str) -> str:
        """Name of the head that a recording was made with."""
        return "sphere"

    def __len__(self) -> int:
        return len(self.clips) * self.windows_per_clip

    def __getitem__(self, n: int) -> dict[str, Tensor]:
        random = np.random.default_rng([self.seed, n])
        sample = {**self.drawn(n % len(self.clips), random), "n": n}
        if random.random() < self.hide_detections:
            sample = without_detections(sample)
        if self.hide_sounding and random.random() < self.hide_sounding:
            sample = without_sounding(sample)
        sample = first_maps(mirrored(sample) if self.mirror and random.random() < 0.5 else sample)
        return {**sample, "binaural_mel": sample["binaural_mel"][list(self.ears)]}

    def drawn(self, i: int, random: np.random.Generator) -> dict[str, Tensor]:
        """A random window of clip i: mono_mel (1, M, T), binaural_mel (2, M, T), pictures (F, S, …)."""
        start, size = self.random_start(i, random), self.view.window
        if self.cuts_sound:
            return {**self.analysed_window(self.sound_around(i, start)), **self.pictures(i, start)}
        mels, first = self.mels_around(i, start)
        cut = slice(start - first, start - first + size)
        pieces = {name: padded(mel[..., cut], size, QUIET[name]) for name, mel in mels.items()}
        return {**pieces, **self.pictures(i, start)}

    def whole_sound(self, i: int) -> Tensor:
        """Clip i whole: mono, left, right, (3, N), N a whole number of frames."""

        def make():
            mono, pair = self.sound(self.clips[i])
            return {"sound": pad_to_hop(torch.from_numpy(np.concatenate([mono, pair])), self.mel.hop)}

        return self.cache.get(f"{self.clips[i].span}.sound", make)["sound"]

    def random_start(self, i: int, random: np.random.Generator) -> int:
        """Mel frame at which a random window of clip i begins."""
        return int(random.integers(max(self.frame_count(i) - self.view.window, 0) + 1))

    def frame_count(self, i: int) -> int:
        """Mel frames of clip i."""
        if self.cuts_sound:
            return self.whole_sound(i).shape[-1] // self.mel.hop
        return self.mels(i)["mono_mel"].shape[-1]

    def sound_piece(self, i: int, first: int, stop: int) -> Tensor:
        """Samples [first, stop) of :meth:`whole_sound`, as far as it goes."""
        return self.whole_sound(i)[:, first:stop]

    def mels_around(self, i: int, start: int) -> tuple[dict[str, Tensor], int]:
        """:meth:`mels` of clip i, at least where a window from `start` on lies, and their first frame."""
        return self.mels(i), 0

    def sound_around(self, i: int, start: int) -> Tensor:
        """Clip i's sound (3, N) from MARGIN frames before a window to MARGIN behind it, else silence."""
        hop = self.mel.hop
        first, size = (start - MARGIN) * hop, (self.view.window + 2 * MARGIN) * hop
        piece = F.pad(self.sound_piece(i, max(first, 0), first + size), (max(-first, 0), 0))
        return F.pad(piece, (0, size - piece.shape[-1]))

    def analysed_window(self, sound: Tensor) -> dict[str, Tensor]:
        """What a sample holds of mono, left, right (3, N) of :meth:`sound_around`."""
        kinds = {"phasor": self.phasor, "spectra": self.spectra}
        return analysed_window(sound, self.view.window, self.mel, **kinds)

    def pictures(self, i: int, start: int) -> dict[str, Tensor]:
        """The pictures of the window of clip i that starts at mel frame `start`."""
        clip, seconds = self.clips[i], self.mel.hop / self.mel.sample_rate
        found = self.frame_source(clip.video_id).window(
            clip.start + start * seconds, self.view.window * seconds
        )
        directions = found.pop("directions")
        if not self.direct_path:
            return found
        direct = direct_path(head_named(self.head(clip.video_id)), directions, self.mel)
        return {**found, "direct": direct, "sounding": directions[:, 2]}

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
                return analysed(*sounds, self.mel, phasor=self.phasor)

        return self.cache.get(f"{clip.span}.mels", make)

    def _frame_source(self, video_id: str) -> FrameSource:
        """A recording's frame source; `frame_source` caches the last ones."""
        pictures, fps, detections = self.recording(video_id)
        source = RecordedFrames(
            pictures, fps, detections, self.view, recordings=self.recording_count, fov=self.fov(video_id)
        )
        if self.encode is None:
            return source
        content = self.cache.get(f"{video_id}.maps", lambda: self.encode(source))
        return EncodedFrames(content, fps, self.view, source.paths)


class WholeClips(BinauralDataset):
    """Every window of each clip, in order, for generation and validation: item i is clip i."""

    held_out = True

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> dict:
        clip = self.clips[i]
        source, head = self.frame_source(clip.video_id), self.head(clip.video_id)
        return whole_clip(clip.stem, self.mels(i), source, clip.start, self.mel, head)

    def without_pictures(self, i: int) -> dict:
        """Item i before any picture is read: see :func:`clip_with_source`."""
        clip = self.clips[i]
        source, head = self.frame_source(clip.video_id), self.head(clip.video_id)
        return clip_with_source(clip.stem, self.mels(i), source, clip.start, self.mel, head)
