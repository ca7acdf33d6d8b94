"""From a sound and a video of any length to blocks of binaural mel, in memory that does not grow with it."""

import math
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, tee
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from DiffBinaural.configs.advanced_diffusion_config import MelConfig, SamplingConfig, TrainConfig, steps_of
from DiffBinaural.dataset.base import WINDOW_HOP, covering, extract_windows, padded, scene
from DiffBinaural.dataset.video_transforms import FrameSource, StreamedFrames
from DiffBinaural.inference.sampler import BLOCK, stream
from DiffBinaural.modules.models import BinauralModel
from DiffBinaural.position_utils import FOV
from DiffBinaural.utils.audio import checked_rate, is_sound_file, resample_blocks, sound_info, wav_blocks
from DiffBinaural.utils.blocks import pieces
from DiffBinaural.utils.lists import Detection, read_detections
from DiffBinaural.utils.media import (
    frame_rate,
    picture_seconds,
    pictures,
    read_picture,
    sound_blocks,
    sound_rate,
)
from DiffBinaural.utils.mel import mel_spectrogram

EYE_WIDTH = 480  # pixels: a wider video is shrunk, not below this
PICTURE_RATE = 10  # pictures a second that are taken from a video
IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


class Block(NamedTuple):
    """Some frames of a clip on their way from mels to sound."""

    mono: Tensor  # (1, T · hop) samples, silence after the clip's end
    mono_mel: Tensor  # (1, M, T) nepers
    mel: Tensor  # (2, M, T) nepers, left first
    phasor: Tensor  # (2, M, T) between them; (0, M, T) if not made


class StageTimer:
    """Seconds that each phase takes; one that waits for another is not charged for it.

    seconds  phase -> seconds so far
    """

    def __init__(self):
        self.seconds, self.open, self.since = Counter(), [], time.monotonic()

    def _charge(self) -> None:
        now = time.monotonic()
        if self.open:
            self.seconds[self.open[-1]] += now - self.since
        self.since = now

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Charge what happens inside to a phase."""
        self._charge()
        self.open.append(name)
        try:
            yield
        finally:
            self._charge()
            self.open.pop()

    def timed(self, name: str, items: Iterable) -> Iterator:
        """The items, with the time that it takes to get them charged to a phase."""
        rest = iter(items)
        while True:
            with self(name):
                try:
                    item = next(rest)
                except StopIteration:
                    return
            yield item

    def summary(self, path: str | Path, samples: int, rate: int) -> str:
        """A line about what has been written, and how long it took."""
        took, seconds = sum(self.seconds.values()), samples / rate
        each = ", ".join(f"{name} {spent:.1f} s" for name, spent in self.seconds.items())
        return (
            f"{path}: {samples} samples, {seconds:.2f} s, in {took:.1f} s ({each}); "
            f"real-time factor {took / seconds:.2f}"
        )


# --- the sound ----------------------------------------------------------------------------------------------


class AudioSource:
    """The mono sound of a sound or video file, or of a part of it, at the mel's rate, block by block.

    start, end  seconds of the file;  rate: Hz to convert to
    samples     at that rate, as far as it has been read; expected: an estimate of them all, 0 where unknown
    """

    def __init__(self, path: str | Path, start: float, end: float, rate: int):
        self.path, self.rate, self.samples, self.isolated = path, rate, 0, is_sound_file(path)
        own, seconds = (sound_info if self.isolated else sound_rate)(path)
        self.own = checked_rate(path, own, rate)
        self.first, self.last = (t if t == math.inf else round(t * self.own) for t in (start, end))
        self.expected = round(max(min(seconds, end) - start, 0) * rate)

    def __iter__(self) -> Iterator[Tensor]:
        """(1, n) float32 each.  Raises ValueError naming a file that is empty, too short or not finite."""
        for block in resample_blocks(self._cut(), self.own, self.rate, BLOCK / 86):
            self.samples += block.shape[1]
            yield block

    def _cut(self) -> Iterator[Tensor]:
        at = 0
        for block in wav_blocks(self.path) if self.isolated else sound_blocks(self.path):
            part = block[:, max(self.first - at, 0) : max(min(self.last - at, block.shape[1]), 0)]
            if not np.isfinite(part).all():
                raise ValueError(f"{self.path}: has non-finite values; expected sound")
            at += block.shape[1]
            if part.size:
                yield torch.from_numpy(np.ascontiguousarray(part).mean(axis=0, keepdims=True))
            if at >= self.last:
                break
        if at <= self.first:
            start, seconds = self.first / self.own, at / self.own
            raise ValueError(
                f"{self.path}: is empty; expected sound"
                if not at
                else f"{self.path}: lasts {seconds:.2f} s; --start is {start:g} s, give less"
            )


def mels_of(sound: Iterable[Tensor], cfg: MelConfig) -> Iterator[tuple[Tensor, Tensor]]:
    """A sound (1, n) with its log mel (1, M, T), in blocks; silence fills the last up to whole frames."""
    reach = -(-(cfg.n_fft - cfg.hop) // 2 // cfg.hop) + 1  # frames that a block's end disturbs

    def filled():
        count = 0
        for block in sound:
            count += block.shape[1]
            yield block
        least = (cfg.n_fft - cfg.hop) // 2 + 1  # samples that a mel needs
        yield torch.zeros(1, -(-max(count, least) // cfg.hop) * cfg.hop - count)

    for piece, before, behind in pieces(filled(), BLOCK * cfg.hop, reach * cfg.hop):
        mel, end = mel_spectrogram(piece, cfg), piece.shape[1] - behind
        yield piece[:, before:end], mel[..., before // cfg.hop : end // cfg.hop]


# --- the picture --------------------------------------------------------------------------------------------


def stills(folder: Path) -> list[Path]:
    """The pictures of a folder by name, numbers in it by value."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGES]
    return sorted(
        found,
        key=lambda path: [
            (len(part), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name)
        ],
    )


class VideoSource:
    """The pictures of a video, or of a folder of images, from a moment on.

    start, end  seconds of the video that are asked for
    fps         pictures a second of a folder of images
    fov         degrees from a picture's left edge to its right one
    """

    def __init__(self, video: str | Path, start: float, end: float, fps: float, fov: float = FOV):
        self.video, self.start, self.end, self.fov = Path(video), start, end, fov
        self.stills = stills(self.video) if self.video.is_dir() else []
        if self.video.is_dir() and not self.stills:
            raise ValueError(f"{video}: neither videos nor pictures in this folder")
        self.rate = fps if self.stills else PICTURE_RATE
        self.own = fps

    def frame_source(self, cfg: TrainConfig, detections: str | None) -> StreamedFrames:
        """What a model sees of it; detections: CSV whose column `frame` counts the video's own pictures."""
        first, found, factor = int(self.start * self.rate), [], 1
        images = self._images(first)
        if detections:
            own = self.own if self.stills else frame_rate(self.video)
            found = detections_of(detections, self.video.stem, own)
            start = next(images)
            factor, images = shrinking(start), chain([start], images)
        found = [replace(d, box=tuple(edge / factor for edge in d.box)) for d in found]
        self.seen = StreamedFrames(
            (image.reduce(shrinking(image)) for image in images), self.rate, found, cfg.view, first, self.fov
        )
        return self.seen

    def _images(self, first: int) -> Iterator[Image.Image]:
        if self.stills:
            yield from map(read_picture, self.stills[min(first, len(self.stills) - 1) :])
        else:
            yield from map(Image.fromarray, pictures(self.video, self.rate, first=first))

    def seconds(self) -> float:
        """How long the part that is asked for lasts."""
        if self.stills:
            whole = len(self.stills) / self.rate
        else:
            whole = self.seen.count / self.rate if self.seen.ended else picture_seconds(self.video)
        return max(min(whole, self.end) - self.start, 0)


def shrinking(image: Image.Image) -> int:
    """By what factor a picture is shrunk before a model looks."""
    return max(image.width // EYE_WIDTH, 1)


def length_notice(sound: float, picture: float) -> str:
    """What is done when sound and picture differ in length (seconds); empty when they agree to a picture."""
    if abs(sound - picture) <= 1 / PICTURE_RATE:
        return ""
    what = (
        f"the last picture is held for {sound - picture:.2f} s"
        if sound > picture
        else f"the last {picture - sound:.2f} s of the video are not heard"
    )
    return f"the sound lasts {sound:.2f} s, the video {picture:.2f} s: {what}"


def detections_of(path: str | Path, video_id: str, fps: float) -> list[Detection]:
    """A video's rows of a detection file; a file about a single video may call it what it likes."""
    found = read_detections(path, fps)
    if video_id not in found and len(found) != 1:
        raise ValueError(f"{path}: no rows for {video_id}; it has {', '.join(sorted(found)[:5]) or 'none'}")
    return found.get(video_id) or next(iter(found.values()))


# --- both together ------------------------------------------------------------------------------------------


def parts_of_stream(
    mels: Iterable[Tensor], eyes: FrameSource, begin: float, cfg: TrainConfig
) -> Iterator[dict]:
    """Windows of a mono mel that comes in blocks (1, M, t), as :func:`stream` takes them.

    begin  seconds of the video at which the mel begins
    """
    size, rest, at, following = cfg.view.window, iter(mels), 0, 0
    coming, held = next(rest, None), None
    while coming is not None:
        held = coming if held is None else torch.cat([held, coming], dim=-1)
        coming, end = next(rest, None), at + held.shape[-1]
        if coming is None:
            held = padded(held, size)
            until = frames = end = at + held.shape[-1]
            # A block of less than a hop may leave only the last window, which begins before `following`.
            starts = [*range(following, end - size, WINDOW_HOP), end - size]
        else:
            # Not even a last window, pulled back to end with the clip, begins before `until`.
            frames = end + coming.shape[-1]
            starts = [*range(following, end - size, WINDOW_HOP)]
            following += len(starts) * WINDOW_HOP
            until = min(following, frames - size)
        if starts:
            times = [begin + start * cfg.mel.hop / cfg.mel.sample_rate for start in starts]
            yield {
                "starts": starts,
                "until": until,
                "frames": frames,
                **scene(eyes, times, cfg.mel),
                "mono": extract_windows(held, [start - at for start in starts], size),
            }
        keep = min(held.shape[-1], size)
        held, at = held[..., held.shape[-1] - keep :].clone(), end - keep


class Queue:
    """Tensors joined along their last axis, taken out in other portions than they were put in."""

    def __init__(self):
        self.held: Tensor | None = None

    def put(self, more: Tensor) -> None:
        """Append."""
        self.held = more if self.held is None else torch.cat([self.held, more], dim=-1)

    def take(self, count: int) -> Tensor:
        """The next `count`, or as many as there are."""
        taken, self.held = self.held[..., :count], self.held[..., count:].clone()
        return taken


def binaural(
    models: list[BinauralModel],
    sound: AudioSource,
    view: VideoSource,
    cfg: SamplingConfig,
    detections: str | None,
    phases: StageTimer,
    tick=int,
) -> Iterator[Block]:
    """Generate a clip block by block: one model of both ears, or one of each.

    tick  as of :func:`stream`
    """
    trained, mono, mono_mel = models[0].cfg, Queue(), Queue()

    def heard():
        for samples, mel in phases.timed("reading", mels_of(sound, trained.mel)):
            mono.put(samples)
            mono_mel.put(mel)
            yield mel

    def seen():
        yield from parts_of_stream(heard(), view.frame_source(trained, detections), view.start, trained)

    shared = tee(phases.timed("looking", seen()), len(models))
    ears = [
        stream(model, parts, cfg, view.video.stem, tick) for model, parts in zip(models, shared, strict=True)
    ]
    for made in phases.timed("generating", zip(*ears, strict=True)):
        known = mono_mel.held.shape[-1]  # less than a window, where the clip is
        mel = torch.cat(made)[..., :known]
        frames = mel.shape[-1]
        yield Block(mono.take(frames * trained.mel.hop), mono_mel.take(frames), mel[:2], mel[2:])


def expected_steps(samples: int, cfg: SamplingConfig, trained: TrainConfig, models: int) -> int | None:
    """How often a window will be denoised, for a progress bar; None where the length is unknown."""
    frames = max(samples // trained.mel.hop, trained.view.window)
    windows = len(covering(frames, trained.view.window, WINDOW_HOP))
    return windows * steps_of(cfg, trained.diffusion.objective) * models if samples else None
