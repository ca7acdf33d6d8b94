"""Video files: pictures and sound out, pictures and sound in, and a new sound track for an old picture.

The writers write straight to the path they are given; wrap them in helpers.replacing.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

LOOK_AT_NOW = "bframes=0:mbtree=0:rc-lookahead=0"
ROUNDING = 1e-3                # seconds; some containers (Matroska) know times only to the millisecond


def _open(path: str | Path):
    try:
        return av.open(str(path))
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as a video ({error.strerror})") from None


def pictures(path: str | Path, fps: float, size: tuple[int, int] | None = None, *,
             threads: int = 0) -> Iterator[np.ndarray]:
    """Pictures of a video at an even rate, whatever its own.

    fps      pictures a second to give out; picture k shows what is on screen at time k / fps
    size     (width, height) in pixels to scale to; None keeps the video's own
    threads  of the decoder; 0 takes one a core
    ->       (H, W, 3) uint8 RGB each; as many as fit in the video's duration
    Raises ValueError for a file without pictures, and where one cannot be decoded.
    """
    with _open(path) as box:
        if not box.streams.video:
            raise ValueError(f"{path}: has no picture; expected a video file")
        stream, k, last, first, show = box.streams.video[0], 0, None, None, _converter(size)
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        for frame in _decoded(box, stream, path):
            first = frame.time if first is None else first
            while last is not None and k / fps + ROUNDING < frame.time - first:
                yield show(last)
                k += 1
            last, duration = frame, 1 / (stream.average_rate or fps)
            end = frame.time - first + float(duration)
        if last is None:
            raise ValueError(f"{path}: no picture could be decoded")
        while k == 0 or k / fps + ROUNDING < end:
            yield show(last)
            k += 1


def _decoded(box, stream, path: str | Path) -> Iterator[av.VideoFrame]:
    try:
        yield from box.decode(stream)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: has a picture that cannot be decoded ({error.strerror})") from None


def _converter(size: tuple[int, int] | None) -> Callable[[av.VideoFrame], np.ndarray]:
    """Turns frames into (H, W, 3) uint8 RGB; most frames of a video are never shown, and never converted."""
    shared = VideoReformatter()              # a frame's own would build its tables anew for every frame

    def show(frame: av.VideoFrame) -> np.ndarray:
        width, height = size or (frame.width, frame.height)
        return shared.reformat(frame, width, height, "rgb24").to_ndarray()
    return show


def frame_rate(path: str | Path) -> float:
    """A video's own pictures a second, on average."""
    with _open(path) as box:
        return float(box.streams.video[0].average_rate or 0) or 1.0


def stated_seconds(path: str | Path) -> float:
    """How long a video's pictures last by its own account; 0 where it gives none."""
    with _open(path) as box:
        stream = box.streams.video[0]
        return float(stream.duration * stream.time_base) if stream.duration else 0.0


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG."""
    Image.fromarray(picture).save(path, format="JPEG", quality=90)


def read_sound(path: str | Path) -> tuple[np.ndarray, int]:
    """Sound track of a media file.

    -> (C, N) float32 in [-1, 1], its sample rate in Hz
    Raises ValueError for a file without sound.
    """
    with _open(path) as box:
        if not box.streams.audio:
            raise ValueError(f"{path}: has no sound; give a wav with --input_wav")
        stream = box.streams.audio[0]
        planar = av.AudioResampler(format="fltp")
        blocks = [b.to_ndarray() for frame in box.decode(stream) for b in planar.resample(frame)]
        if not blocks:
            raise ValueError(f"{path}: no sound could be decoded")
        sound = np.concatenate(blocks, axis=1)
        # a codec's last block is filled up with silence; the container may know where the sound itself ends
        stated = round(stream.duration * stream.time_base * stream.rate) if stream.duration else 0
        surplus = sound.shape[1] - stated
        filled = 0 < surplus < (stream.codec_context.frame_size or 0)
        return sound[:, :stated] if filled else sound, stream.rate


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: int, sound: np.ndarray,
                rate: int) -> None:
    """Write an mp4 (H.264, AAC).

    frames  (H, W, 3) uint8 RGB each; H and W even
    sound   (C, N) float32 at `rate` Hz, C = 1 or 2
    """
    with av.open(str(path), "w", format="mp4") as out:
        # x264 that looks ahead makes other bytes of the same pictures from run to run; without, the same
        quality = {"crf": "20", "preset": "veryfast", "threads": "1", "x264-params": LOOK_AT_NOW}
        video = out.add_stream("libx264", rate=fps, options=quality)
        video.pix_fmt = "yuv420p"
        audio = _aac(out, rate, sound.shape[0], 128_000)
        for number, picture in enumerate(frames):
            if number == 0:
                video.height, video.width = picture.shape[:2]
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode(None))
        _encode_sound(out, audio, sound, rate)


def mux(video: str | Path, path: str | Path, sound: np.ndarray, rate: int) -> None:
    """Copy a video's picture, packet by packet, and give it another sound track (AAC, 256 kbit/s).

    sound  (2, N) float32 at `rate` Hz
    """
    with _open(video) as source, av.open(str(path), "w", format="mp4") as out:
        picture = source.streams.video[0]
        copy = out.add_stream_from_template(picture)
        audio = _aac(out, rate, sound.shape[0], 256_000)
        for packet in _from_zero(source.demux(picture), picture.start_time or 0):
            packet.stream = copy
            out.mux(packet)
        _encode_sound(out, audio, sound, rate)


def _from_zero(packets: Iterable, start: int) -> Iterator:
    """Packets with times from 0 on, where the new sound begins; the empty one that ends a stream left out."""
    for packet in packets:
        if packet.size:
            packet.pts, packet.dts = (None if t is None else t - start for t in (packet.pts, packet.dts))
            yield packet


def _aac(out, rate: int, channels: int, bits: int):
    stream = out.add_stream("aac", rate=rate, layout={1: "mono", 2: "stereo"}[channels])
    stream.bit_rate = bits
    return stream


def _encode_sound(out, stream, sound: np.ndarray, rate: int) -> None:
    size = 1024                                              # samples in a frame of AAC
    for start in range(0, sound.shape[1], size):
        block = np.ascontiguousarray(sound[:, start : start + size], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
