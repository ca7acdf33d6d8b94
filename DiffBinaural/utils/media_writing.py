"""Writer of pictures, videos, new sound tracks.

The functions write to the path they are given; wrap them in files.replacing.
"""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from DiffBinaural.utils.arguments import DISK_FULL
from DiffBinaural.utils.audio import stored
from DiffBinaural.utils.streams import film_start, open_media, picture_stream

DETERMINISTIC = "bframes=0:mbtree=0:rc-lookahead=0"


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB as a JPEG."""
    Image.fromarray(picture).save(path, format="JPEG", quality=90)


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], fps: int, sound: np.ndarray, rate: int
) -> None:
    """Write an mp4 (H.264, AAC).

    frames  (H, W, 3) uint8 RGB each; H and W even
    sound   (C, N) float32 at `rate` Hz, C = 1 or 2
    """
    with av.open(str(path), "w", format="mp4") as out:
        # with lookahead, x264 writes other bytes for the same pictures from run to run
        quality = {"crf": "20", "preset": "veryfast", "threads": "1", "x264-params": DETERMINISTIC}
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
SAMPLES = {"aac": "fltp", "flac": "s16"}  # sample format of each codec


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
    gain: float = 1.0,
) -> None:
    """Copy the picture track of a video packet by packet, with a new sound track.

    The sound begins with the film (see :func:`film_start`), a picture that begins later stays where it was.

    sound       (C, N) float32 at `rate` Hz, or a wav of that rate, read block by block
    codec       aac: 256 kbit/s; flac: lossless
    kind        suffix of the container, see MUXED
    gain        of the sound
    start, end  seconds of the video to keep; it is copied from the last key frame before `start`, and the
                container's times tell players to show it from `start` on
    Raises ValueError where the container does not support the picture or the sound.
    """
    span = [film_start(video)[0] + t for t in (start, end)]
    with open_media(video) as source:
        picture = picture_stream(source, video)
        pieces = _sound_pieces(sound, SAMPLES[codec], gain)
        try:
            _remux(source, picture, path, pieces, rate, codec, kind, span)
        except (av.FFmpegError, ValueError) as error:
            if getattr(error, "errno", None) in DISK_FULL:
                raise OSError(error.errno, error.strerror, str(path)) from None
            why = getattr(error, "strerror", None) or error
            raise ValueError(
                f"{video}: a {kind} file cannot hold its picture and {codec} sound ({why}); "
                "--mux NAME.mkv holds most codecs"
            ) from None


def _remux(source, picture, path, pieces, rate: int, codec: str, kind: str, span: list[float]) -> None:
    with av.open(str(path), "w", format=MUXED[kind]) as out:
        copy = out.add_stream_from_template(picture)
        audio = (
            _aac(out, rate, 2, 256_000)
            if codec == "aac"
            else out.add_stream(codec, rate=rate, layout="stereo")
        )
        encoded = _sound_packets(audio, pieces, SAMPLES[codec], rate)
        until = 0.0  # seconds; both tracks advance together, to bound memory
        for packet in _segment(source, picture, *span):
            packet.stream = copy
            time = float(packet.dts * picture.time_base) if packet.dts is not None else until
            while until <= time and (parts := next(encoded, None)) is not None:
                until, packets = parts
                out.mux(packets)
            out.mux(packet)
        for _, packets in encoded:
            out.mux(packets)


def _segment(source, stream, start: float, end: float) -> Iterator:
    """Packets with times relative to `start`, without the empty one at the end of a stream.

    start, end  seconds on the clock of the container
    """
    first, last = (round(t / stream.time_base) if abs(t) < math.inf else t for t in (start, end))
    if first > (stream.start_time or 0):
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


def _sound_pieces(sound: np.ndarray | str | Path, kind: str, gain: float = 1.0) -> Iterator[np.ndarray]:
    """Sound (C, N), or that of a wav, in pieces of one AAC frame, in the sample format of the codec."""
    size, whole = 1024, kind == "s16"
    if isinstance(sound, np.ndarray):
        parts = (sound[:, k : k + size] for k in range(0, sound.shape[1], size))
    else:
        exact = whole and soundfile.info(sound).subtype == "PCM_16"  # as it is, without a detour over floats
        kept = "int16" if exact else "float32"
        parts = (block.T for block in soundfile.blocks(sound, size, dtype=kept, always_2d=True))
    for part in parts:
        if part.dtype != np.int16 and gain != 1:
            part = part * gain
        if whole and part.dtype != np.int16:
            part = (stored(part, "PCM_16") >> 16).astype(np.int16)
        yield np.ascontiguousarray(part.T.reshape(1, -1) if whole else part.astype(np.float32))


def _sound_packets(stream, parts: Iterable[np.ndarray], kind: str, rate: int) -> Iterator[tuple[float, list]]:
    """Encode a sound: (seconds so far, packets) for every piece, then the remaining packets."""
    start, channels = 0, stream.codec_context.layout.nb_channels
    for part in parts:
        frame = av.AudioFrame.from_ndarray(part, format=kind, layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        start += part.size // channels
        yield start / rate, stream.encode(frame)
    yield start / rate, stream.encode(None)
