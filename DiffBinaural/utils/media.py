"""Reader of pictures, videos, sound tracks."""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import ExifTags, Image, ImageOps

from DiffBinaural.utils.streams import (
    display_matrix,
    film_start,
    is_turned,
    open_media,
    picture_stream,
    sound_stream,
    upright,
)

# Pillow's exceptions for truncated or damaged pictures, and for more than 179 million pixels
DAMAGED = (OSError, SyntaxError, Image.DecompressionBombError)
WATCHED = 240  # pixels: width of the pictures in which motion is looked for
ROUNDING = 1e-3  # seconds; Matroska stores times in milliseconds
HOUR = 3600.0  # seconds
HOLE = 0.05  # seconds without sound between two blocks: shorter ones are how a container rounds


def pictures(
    path: str | Path,
    fps: float,
    size: tuple[int, int] | None = None,
    *,
    first: int = 0,
    zero: float | None = None,
    threads: int = 0,
    watch: Callable[[float, np.ndarray], None] | None = None,
) -> Iterator[np.ndarray]:
    """Pictures of a video at a constant rate, turned and mirrored as its display matrix says.

    fps      pictures a second; picture k is the frame on screen at time k / fps, or the first one before it
    size     (width, height) in pixels to scale to; None: that of the video
    first    number of the first picture; beyond the end, the last picture is returned
    zero     when time 0 is on the clock of the container, in seconds; None: at the first picture
    threads  of the decoder; 0: one per core
    watch    is called with every picture from about the first one on, at the video's own rate: its time in
             seconds, and its luminance (h, w) uint8, WATCHED pixels wide
    ->       (H, W, 3) uint8 RGB each; as many as fit in the duration of the video
    Raises ValueError for a file without pictures, or with one that cannot be decoded or is too large.
    """
    with open_media(path) as box:
        stream, k, last, begin, show = picture_stream(box, path), first, None, zero, _converter(size)
        if watch is not None:
            small = WATCHED, max(round(WATCHED * stream.height / max(stream.width, 1)), 1)
            shade = _converter(small, "gray")
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        for number, frame in enumerate(_decoded(box, stream, path)):
            rate = float(stream.average_rate or fps)
            time = number / rate if frame.time is None else frame.time
            begin = time if begin is None else begin
            if watch is not None and time - begin >= first / fps - 1:
                watch(time - begin, shade(frame))
            last = frame if last is None else last
            while k / fps + ROUNDING < time - begin:
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
    matrices: dict[int, tuple[int, int, int, int]] = {}  # by rotation: reading one keeps the frame in memory

    def show(frame: av.VideoFrame) -> np.ndarray:
        if frame.rotation not in matrices:
            matrices[frame.rotation] = display_matrix(frame)
        matrix = matrices[frame.rotation]
        width, height = (size[::-1] if is_turned(matrix) else size) if size else (frame.width, frame.height)
        return upright(reformatter.reformat(frame, width, height, kind).to_ndarray(), matrix)

    return show


def frame_rate(path: str | Path) -> float:
    """Average frame rate of a video, pictures a second."""
    with open_media(path) as box:
        return float(picture_stream(box, path).average_rate or 0) or 1.0


def stated_seconds(path: str | Path) -> float:
    """Duration of a video's picture track as its container states it, in seconds; 0 where it does not."""
    with open_media(path) as box:
        stream = picture_stream(box, path)
        return float(stream.duration * stream.time_base) if stream.duration else 0.0


def read_picture(path: str | Path) -> Image.Image:
    """An image file as RGB, upright.  Raises ValueError naming the file where it cannot be read."""
    try:
        return ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    except DAMAGED:
        raise ValueError(f"{path}: cannot be read as a picture") from None


def stated_size(path: str | Path) -> tuple[int, int]:
    """Width and height of an image file, upright, as its header says: as of :func:`read_picture`."""
    try:
        with Image.open(path) as picture:
            turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return picture.size[::-1] if turned else picture.size
    except DAMAGED:
        raise ValueError(f"{path}: cannot be read as a picture") from None


def picture_seconds(path: str | Path, zero: float | None = None) -> float:
    """Duration of a video's picture track by the times of its packets, in seconds; nothing is decoded.

    zero  seconds on the clock of the container from which it counts; None: the first picture
    """
    with open_media(path) as box:
        stream = picture_stream(box, path)
        times = [(packet.pts, packet.duration or 0) for packet in box.demux(stream) if packet.pts is not None]
        if not times:
            return stated_seconds(path)
        last, duration = max(times)
        shown = duration * stream.time_base if duration else 1 / (stream.average_rate or 1)
        begin = float(min(times)[0] * stream.time_base) if zero is None else zero
        return float(last * stream.time_base + shown) - begin


def sound_rate(path: str | Path, track: int | None = None) -> tuple[int, float]:
    """Sample rate of a media file's sound track in Hz, and duration in seconds, 0 where unknown.

    track  as of :func:`sound_stream`
    Raises ValueError for a file without sound.
    """
    with open_media(path) as box:
        stream = sound_stream(box, path, track)
        stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
        return stream.rate, stated or (box.duration or 0) / av.time_base


def sound_delay(path: str | Path, track: int | None = None) -> float:
    """Seconds from the beginning of a film to that of a sound track; 0 where they agree but for rounding.

    track  as of :func:`sound_stream`
    """
    with open_media(path) as box:
        stream = sound_stream(box, path, track)
        frame = next(_frames(box, stream, path), None)
        longest = _longest(box)
    delay = (frame.time or 0.0) - film_start(path)[0] if frame else 0.0
    return delay if 2 * ROUNDING < delay < longest else 0.0


def sound_blocks(
    path: str | Path, samples: int = 1 << 18, *, track: int | None = None
) -> Iterator[np.ndarray]:
    """Sound track of a media file as blocks (C, n) float32 in [-1, 1], n at least `samples`.

    track  as of :func:`sound_stream`
    Raises ValueError for a file without sound.
    """
    pending: list[np.ndarray] = []
    for block in _frames_of_sound(path, track):
        pending.append(block)
        if sum(one.shape[1] for one in pending) >= samples:
            yield np.concatenate(pending, axis=1)
            pending = []
    if pending:
        yield np.concatenate(pending, axis=1)


def _frames_of_sound(path: str | Path, track: int | None) -> Iterator[np.ndarray]:
    with open_media(path) as box:
        stream, planar = sound_stream(box, path, track), av.AudioResampler(format="fltp")
        # codecs pad the last block with silence; the container may state where the sound ends
        stated = round(stream.duration * stream.time_base * stream.rate) if stream.duration else 0
        longest, last, count, until = _longest(box), None, 0, None
        for frame in _frames(box, stream, path):
            hole = 0.0 if until is None or frame.time is None else frame.time - until
            until = None if frame.time is None else frame.time + frame.samples / frame.sample_rate
            if last is not None:
                yield last
            if HOLE < hole < longest:
                for silence in silent_blocks(round(hole * stream.rate), last.shape[0]):
                    yield silence
                    count += silence.shape[1]
            last = np.concatenate([block.to_ndarray() for block in planar.resample(frame)], axis=1)
            count += last.shape[1]
        if last is None:
            raise ValueError(f"{path}: no sound could be decoded")
        surplus = count - stated
        filled = stated and 0 < surplus < (stream.codec_context.frame_size or 0)
        if not filled or surplus < last.shape[1]:
            yield last[:, : last.shape[1] - surplus] if filled else last


def _longest(box) -> float:
    """Seconds of silence that are believed: a clock that is farther off than the file lasts is wrong."""
    return (box.duration or 0) / av.time_base or HOUR


def _frames(box, stream, path: str | Path) -> Iterator[av.AudioFrame]:
    try:
        yield from box.decode(stream)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: has sound that cannot be decoded ({error.strerror})") from None


def silent_blocks(samples: int, channels: int = 1, size: int = 1 << 18) -> Iterator[np.ndarray]:
    """Silence of any length as blocks (channels, n) float32, n at most `size`."""
    return (np.zeros((channels, min(size, samples - k)), np.float32) for k in range(0, samples, size))


def read_sound(path: str | Path, track: int | None = None) -> tuple[np.ndarray, int]:
    """Sound track of a media file.

    track  as of :func:`sound_stream`
    -> (C, N) float32 in [-1, 1], its sample rate in Hz
    Raises ValueError for a file without sound.
    """
    rate, _ = sound_rate(path, track)
    return np.concatenate(list(sound_blocks(path, track=track)), axis=1), rate
