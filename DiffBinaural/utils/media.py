"""Video files: pictures and sound out, pictures and sound in, and a new sound track for an old picture.

The writers write straight to the path they are given; wrap them in helpers.replacing.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from av.video.reformatter import VideoReformatter
from PIL import Image, ImageOps

from DiffBinaural.utils.arguments import NO_ROOM
from DiffBinaural.utils.helpers import stored

LOOK_AT_NOW = "bframes=0:mbtree=0:rc-lookahead=0"
# Pillow's words for truncated and damaged pictures, and for those of more than 179 million pixels
DAMAGED = (OSError, SyntaxError, Image.DecompressionBombError)
MOST_PIXELS = 40_000_000  # of a video's picture; 8K has 33 million
ROUNDING = 1e-3  # seconds; some containers (Matroska) know times only to the millisecond


def _open(path: str | Path):
    try:
        return av.open(str(path))
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as a video ({error.strerror})") from None


def pictures(
    path: str | Path, fps: float, size: tuple[int, int] | None = None, *, first: int = 0, threads: int = 0
) -> Iterator[np.ndarray]:
    """Pictures of a video at an even rate, whatever its own, upright as its rotation flag wants them.

    fps      pictures a second to give out; picture k shows what is on screen at time k / fps
    size     (width, height) in pixels to scale to; None keeps the video's own
    first    number of the first picture to give out; beyond the last, that one is given
    threads  of the decoder; 0 takes one a core
    ->       (H, W, 3) uint8 RGB each; as many as fit in the video's duration
    Raises ValueError for a file without pictures, and where one cannot be decoded or is absurdly large.
    """
    with _open(path) as box:
        if not box.streams.video:
            raise ValueError(f"{path}: has no picture; expected a video file")
        stream, k, last, begin, show = box.streams.video[0], first, None, None, _converter(size)
        if stream.width * stream.height > MOST_PIXELS:
            raise ValueError(
                f"{path}: its pictures have {stream.width} x {stream.height} pixels; "
                f"expected at most {MOST_PIXELS // 10**6} million; scale it down"
            )
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}  # nor may they grow on the way
        for number, frame in enumerate(_decoded(box, stream, path)):
            rate = float(stream.average_rate or fps)
            time = number / rate if frame.time is None else frame.time
            begin = time if begin is None else begin
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


def _converter(size: tuple[int, int] | None) -> Callable[[av.VideoFrame], np.ndarray]:
    """Turns frames into (H, W, 3) uint8 RGB; most frames of a video are never shown, and never converted."""
    shared = VideoReformatter()  # a frame's own would build its tables anew for every frame

    def show(frame: av.VideoFrame) -> np.ndarray:
        turns = round(frame.rotation / 90)  # counter-clockwise
        width, height = (size[::-1] if turns % 2 else size) if size else (frame.width, frame.height)
        return np.rot90(shared.reformat(frame, width, height, "rgb24").to_ndarray(), turns)

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


def read_picture(path: str | Path) -> Image.Image:
    """An image file as RGB, upright.  Raises ValueError naming the file where it cannot be read."""
    try:
        return ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    except DAMAGED:
        raise ValueError(f"{path}: cannot be read as a picture") from None


def picture_seconds(path: str | Path) -> float:
    """How long a video's pictures last by the times of its packets; nothing is decoded."""
    with _open(path) as box:
        stream = box.streams.video[0]
        times = [(packet.pts, packet.duration or 0) for packet in box.demux(stream) if packet.pts is not None]
        if not times:
            return stated_seconds(path)
        last, duration = max(times)
        shown = duration * stream.time_base if duration else 1 / (stream.average_rate or 1)
        return float((last - min(times)[0]) * stream.time_base + shown)


def sound_rate(path: str | Path) -> tuple[int, float]:
    """Sample rate in Hz of a media file's sound and how long the file lasts, in seconds; 0 where unknown.

    Raises ValueError for a file without sound.
    """
    with _open(path) as box:
        if not box.streams.audio:
            raise ValueError(f"{path}: has no sound; give a wav with --input_wav")
        stream = box.streams.audio[0]
        stated = float(stream.duration * stream.time_base) if stream.duration else 0.0
        return stream.rate, stated or (box.duration or 0) / av.time_base


def sound_blocks(path: str | Path, samples: int = 1 << 18) -> Iterator[np.ndarray]:
    """Sound track of a media file as blocks (C, n) float32 in [-1, 1], of `samples` or a little more.

    Raises ValueError for a file without sound.
    """
    held: list[np.ndarray] = []
    for block in _frames_of_sound(path):
        held.append(block)
        if sum(one.shape[1] for one in held) >= samples:
            yield np.concatenate(held, axis=1)
            held = []
    if held:
        yield np.concatenate(held, axis=1)


def _frames_of_sound(path: str | Path) -> Iterator[np.ndarray]:
    sound_rate(path)
    with _open(path) as box:
        stream, planar = box.streams.audio[0], av.AudioResampler(format="fltp")
        # a codec's last block is filled up with silence; the container may know where the sound itself ends
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


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: int, sound: np.ndarray, rate: int
) -> None:
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
        for _, packets in _sound_packets(audio, _sound_pieces(sound, "fltp"), "fltp", rate):
            out.mux(packets)


MUXED = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
SAMPLES = {"aac": "fltp", "flac": "s16"}  # of a codec: how its samples come


def mux(
    video: str | Path,
    path: str | Path,
    sound: np.ndarray | str | Path,
    rate: int,
    *,
    codec: str = "aac",
    kind: str = ".mp4",
    start: float = 0.0,
    end: float = math.inf,
) -> None:
    """Copy a video's picture, packet by packet, and give it another sound track.

    sound       (C, N) float32 at `rate` Hz, or a 16-bit wav of that rate, read as it is needed
    codec       aac: 256 kbit/s; flac: without loss
    kind        suffix that names the container, see MUXED
    start, end  seconds of the video to keep; it is copied from the picture on that a decoder can start with,
                and the container says that it is shown from `start` on
    Raises ValueError where a container does not take the picture or the sound.
    """
    with _open(video) as source:
        if not source.streams.video:
            raise ValueError(f"{video}: has no picture; expected a video file")
        try:
            _remux(source, path, sound, rate, codec, kind, start, end)
        except (av.FFmpegError, ValueError) as error:
            if getattr(error, "errno", None) in NO_ROOM:
                raise OSError(error.errno, error.strerror, str(path)) from None
            why = getattr(error, "strerror", None) or error
            raise ValueError(
                f"{video}: its picture and {codec} sound do not go into a {kind} file ({why}); "
                "--mux NAME.mkv takes most"
            ) from None


def _remux(source, path, sound, rate: int, codec: str, kind: str, start: float, end: float) -> None:
    with av.open(str(path), "w", format=MUXED[kind]) as out:
        picture = source.streams.video[0]
        copy = out.add_stream_from_template(picture)
        audio = (
            _aac(out, rate, 2, 256_000)
            if codec == "aac"
            else out.add_stream(codec, rate=rate, layout="stereo")
        )
        heard = _sound_packets(audio, _sound_pieces(sound, SAMPLES[codec]), SAMPLES[codec], rate)
        until = 0.0  # both tracks advance together: memory is bounded
        for packet in _segment(source, picture, start, end):
            packet.stream = copy
            time = float(packet.dts * picture.time_base) if packet.dts is not None else until
            while until <= time and (parts := next(heard, None)) is not None:
                until, packets = parts
                out.mux(packets)
            out.mux(packet)
        for _, packets in heard:
            out.mux(packets)


def _segment(source, stream, start: float, end: float) -> Iterator:
    """Packets with times from 0 on, where the new sound begins; the empty one that ends a stream left out."""
    base = stream.start_time or 0
    first, last = (base + round(t / stream.time_base) if abs(t) < math.inf else t for t in (start, end))
    if start:
        source.seek(first, stream=stream, backward=True)
    for packet in source.demux(stream):
        if packet.dts is not None and packet.dts >= last:
            return
        if packet.size:
            packet.pts, packet.dts = (None if t is None else t - first for t in (packet.pts, packet.dts))
            yield packet


def _aac(out, rate: int, channels: int, bits: int):
    stream = out.add_stream("aac", rate=rate, layout={1: "mono", 2: "stereo"}[channels])
    stream.bit_rate = bits
    return stream


def _sound_pieces(sound: np.ndarray | str | Path, kind: str) -> Iterator[np.ndarray]:
    """Sound (C, N), or that of a wav, in pieces of one frame of AAC, as the codec wants its numbers."""
    size, whole = 1024, kind == "s16"
    if isinstance(sound, np.ndarray):
        parts = (sound[:, k : k + size] for k in range(0, sound.shape[1], size))
    else:
        parts = (
            block.T
            for block in soundfile.blocks(sound, size, dtype="int16" if whole else "float32", always_2d=True)
        )
    for part in parts:
        if whole and part.dtype != np.int16:
            part = (stored(part, "PCM_16") >> 16).astype(np.int16)
        yield np.ascontiguousarray(part.T.reshape(1, -1) if whole else part.astype(np.float32))


def _sound_packets(stream, parts: Iterable[np.ndarray], kind: str, rate: int) -> Iterator[tuple[float, list]]:
    """Encode a sound: (seconds so far, packets) for every piece, and for what the encoder held back."""
    start, channels = 0, stream.codec_context.layout.nb_channels
    for part in parts:
        frame = av.AudioFrame.from_ndarray(part, format=kind, layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        start += part.size // channels
        yield start / rate, stream.encode(frame)
    yield start / rate, stream.encode(None)
