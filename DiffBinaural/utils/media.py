"""Reader of pictures, videos, sound tracks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageOps

# Pillow's exceptions for truncated or damaged pictures, and for more than 179 million pixels
DAMAGED = (OSError, SyntaxError, Image.DecompressionBombError)
MAX_PIXELS = 40_000_000  # of a video frame; 8K has 33 million
WATCHED = 240  # pixels: width of the pictures in which motion is looked for
ROUNDING = 1e-3  # seconds; Matroska stores times in milliseconds


def open_media(path: str | Path):
    """A container of PyAV.  Raises ValueError naming the file where it cannot be read."""
    try:
        return av.open(str(path))
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as a video ({error.strerror})") from None


def pictures(
    path: str | Path,
    fps: float,
    size: tuple[int, int] | None = None,
    *,
    first: int = 0,
    threads: int = 0,
    watch: Callable[[float, np.ndarray], None] | None = None,
) -> Iterator[np.ndarray]:
    """Pictures of a video at a constant rate, rotated as its rotation flag says.

    fps      pictures a second; picture k is the frame on screen at time k / fps
    size     (width, height) in pixels to scale to; None: that of the video
    first    number of the first picture; beyond the end, the last picture is returned
    threads  of the decoder; 0: one per core
    watch    is called with every picture from about the first one on, at the video's own rate: its time in
             seconds, and its luminance (h, w) uint8, WATCHED pixels wide
    ->       (H, W, 3) uint8 RGB each; as many as fit in the duration of the video
    Raises ValueError for a file without pictures, or with one that cannot be decoded or is too large.
    """
    with open_media(path) as box:
        if not box.streams.video:
            raise ValueError(f"{path}: has no picture; expected a video file")
        stream, k, last, begin, show = box.streams.video[0], first, None, None, _converter(size)
        if watch is not None:
            small = WATCHED, max(round(WATCHED * stream.height / max(stream.width, 1)), 1)
            shade = _converter(small, "gray")
        if stream.width * stream.height > MAX_PIXELS:
            raise ValueError(
                f"{path}: its pictures have {stream.width} x {stream.height} pixels; "
                f"expected at most {MAX_PIXELS // 10**6} million; scale it down"
            )
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # they may grow within the stream
        for number, frame in enumerate(_decoded(box, stream, path)):
            rate = float(stream.average_rate or fps)
            time = number / rate if frame.time is None else frame.time
            begin = time if begin is None else begin
            if watch is not None and time - begin >= first / fps - 1:
                watch(time - begin, shade(frame))
            while last is not None and k / fps + ROUNDING < time - begin:
                yield show(last)
                k += 1
            last, end = frame, time - begin + 1 / rate
        if last is None:
            raise ValueError(f"{path}: no picture could be decoded")
        while k == first or k / fps + ROUNDING < end:
            yield show(last)
            k += 1


def _decoded(box, stream, path: str | Path) -> Iterator[av.VideoFrame]:
    try:
        yield from box.decode(stream)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: has a picture that cannot be decoded ({error.strerror})") from None


def _converter(size: tuple[int, int] | None, kind: str = "rgb24") -> Callable[[av.VideoFrame], np.ndarray]:
    """A function from a frame to (H, W, 3) uint8 RGB, or gray (H, W); called only for frames in use."""
    reformatter = VideoReformatter()  # one for all frames: its tables are built once

    def show(frame: av.VideoFrame) -> np.ndarray:
        turns = round(frame.rotation / 90)  # counter-clockwise
        width, height = (size[::-1] if turns % 2 else size) if size else (frame.width, frame.height)
        return np.rot90(reformatter.reformat(frame, width, height, kind).to_ndarray(), turns)

    return show


def frame_rate(path: str | Path) -> float:
    """Average frame rate of a video, pictures a second."""
    with open_media(path) as box:
        return float(box.streams.video[0].average_rate or 0) or 1.0


def stated_seconds(path: str | Path) -> float:
    """Duration of a video's picture track as its container states it, in seconds; 0 where it does not."""
    with open_media(path) as box:
        stream = box.streams.video[0]
        return float(stream.duration * stream.time_base) if stream.duration else 0.0


def read_picture(path: str | Path) -> Image.Image:
    """An image file as RGB, upright.  Raises ValueError naming the file where it cannot be read."""
    try:
        return ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    except DAMAGED:
        raise ValueError(f"{path}: cannot be read as a picture") from None


def picture_seconds(path: str | Path) -> float:
    """Duration of a video's picture track by the times of its packets, in seconds; nothing is decoded."""
    with open_media(path) as box:
        stream = box.streams.video[0]
        times = [(packet.pts, packet.duration or 0) for packet in box.demux(stream) if packet.pts is not None]
        if not times:
            return stated_seconds(path)
        last, duration = max(times)
        shown = duration * stream.time_base if duration else 1 / (stream.average_rate or 1)
        return float((last - min(times)[0]) * stream.time_base + shown)


def sound_rate(path: str | Path) -> tuple[int, float]:
    """Sample rate of a media file's sound track in Hz, and duration in seconds, 0 where unknown.

    Raises ValueError for a file without sound.
    """
    with open_media(path) as box:
        if not box.streams.audio:
            raise ValueError(f"{path}: has no sound; give a wav with --input_wav")
        stream = box.streams.audio[0]
        stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
        return stream.rate, stated or (box.duration or 0) / av.time_base


def sound_blocks(path: str | Path, samples: int = 1 << 18) -> Iterator[np.ndarray]:
    """Sound track of a media file as blocks (C, n) float32 in [-1, 1], n at least `samples`.

    Raises ValueError for a file without sound.
    """
    pending: list[np.ndarray] = []
    for block in _frames_of_sound(path):
        pending.append(block)
        if sum(one.shape[1] for one in pending) >= samples:
            yield np.concatenate(pending, axis=1)
            pending = []
    if pending:
        yield np.concatenate(pending, axis=1)


def _frames_of_sound(path: str | Path) -> Iterator[np.ndarray]:
    sound_rate(path)
    with open_media(path) as box:
        stream, planar = box.streams.audio[0], av.AudioResampler(format="fltp")
        # codecs pad the last block with silence; the container may state where the sound ends
        stated = round(stream.duration * stream.time_base * stream.rate) if stream.duration else 0
        last, count = None, 0
        try:
            for frame in box.decode(stream):
                for block in planar.resample(frame):
                    if last is not None:
                        yield last
                    last = block.to_ndarray()
                    count += last.shape[1]
        except av.FFmpegError as error:
            raise ValueError(f"{path}: has sound that cannot be decoded ({error.strerror})") from None
        if last is None:
            raise ValueError(f"{path}: no sound could be decoded")
        surplus = count - stated
        filled = stated and 0 < surplus < (stream.codec_context.frame_size or 0)
        if not filled or surplus < last.shape[1]:
            yield last[:, : last.shape[1] - surplus] if filled else last


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """Sound track of a media file.

    -> (C, N) float32 in [-1, 1], its sample rate in Hz
    Raises ValueError for a file without sound.
    """
    rate, _ = sound_rate(path)
    return np.concatenate(list(sound_blocks(path)), axis=1), rate
