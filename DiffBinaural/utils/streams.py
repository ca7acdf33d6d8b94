"""The tracks of a media file: which of them count, when they begin, which way up a picture is shown."""

import struct
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from DiffBinaural.utils.destinations import utf8_name

MAX_PIXELS = 40_000_000  # of a video frame; 8K has 33 million
HEAD = 10.0  # seconds from a file's beginning in which all of its tracks are expected to begin
VIDEOS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts"}  # endings of video files
VIDEOS |= {".mpg", ".mpeg", ".flv", ".wmv", ".ogv", ".3gp"}
STILLS = {"mjpeg", "png", "gif", "bmp", "webp", "tiff"}  # codecs of previews beside a film, rarely of a film


def open_media(path: str | Path):
    """A container of PyAV.  Raises ValueError naming the file where it cannot be read."""
    try:
        return av.open(utf8_name(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be read as a video ({error.strerror})") from None


def picture_stream(box, path: str | Path):
    """The picture track of a container that is the film, ready to be decoded: no cover art, no preview.

    One that holds anything, where there are several.
    Raises ValueError for a file without one, or with too large pictures.
    """
    films = [s for s in box.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        what = "no picture but cover art" if box.streams.video else "no picture"
        raise ValueError(f"{path}: has {what}; expected a video file")
    filled = _filled(path) if len(films) > 1 else set()
    stream = min(
        films,
        key=lambda s: (s.index not in filled, _is_still(s), not s.disposition & Disposition.default),
    )
    if stream.width * stream.height > MAX_PIXELS:
        raise ValueError(
            f"{path}: its pictures have {stream.width} x {stream.height} pixels; "
            f"expected at most {MAX_PIXELS // 10**6} million; scale it down"
        )
    if stream.codec_context:
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # they may grow within the stream
    return stream


def _filled(path: str | Path) -> set[int]:
    """The picture tracks, by index, that hold anything at a file's beginning; recorders leave some empty."""
    with open_media(path) as box:
        tracks, found = box.streams.video, set()
        for packet in _head(box, tracks):
            found |= {packet.stream.index} if packet.size else set()
            if len(found) == len(tracks):
                break
        return found


def _head(box, streams):
    """The packets of these streams in a file's first HEAD seconds."""
    opened = None
    for packet in box.demux(streams) if streams else ():
        yield packet
        if packet.dts is not None:
            time = float(packet.dts * packet.time_base)
            opened = time if opened is None else opened
            if time > opened + HEAD:
                break


def _is_still(stream) -> bool:
    return stream.frames == 1 or (stream.codec_context is not None and stream.codec_context.name in STILLS)


def sound_stream(box, path: str | Path, track: int | None = None):
    """A sound track of a container.

    track  its number among the sound tracks, from 0; None: the one that is marked as the default, else the
           first
    Raises ValueError for a file without sound, or without such a track.
    """
    tracks = box.streams.audio
    if not tracks:
        raise ValueError(f"{path}: has no sound; give a wav with --input_wav")
    if track is None:
        known = [s for s in tracks if s.codec_context is not None] or tracks
        return next((s for s in known if s.disposition & Disposition.default), known[0])
    if not 0 <= track < len(tracks):
        raise ValueError(f"{path}: --audio_track is {track}; its sound tracks are {_named(tracks)}")
    if tracks[track].codec_context is None:
        raise ValueError(
            f"{path}: --audio_track {track} has an unknown codec; of {_named(tracks)} take another"
        )
    return tracks[track]


def _named(tracks) -> str:
    return ", ".join(f"{number} ({_described(stream)})" for number, stream in enumerate(tracks))


def _described(stream) -> str:
    codec, tags = stream.codec_context, stream.metadata
    words = [
        tags.get("language", "und").replace("und", ""),
        tags.get("title", ""),
        f"{codec.name}, {stream.layout.name}, {stream.rate} Hz" if codec else "unknown codec",
        "default" if stream.disposition & Disposition.default else "",
    ]
    return ", ".join(word for word in words if word)


def tracks_line(path: str | Path, track: int | None = None) -> str:
    """The sound tracks of a file in a sentence, with the one that is taken; "" where there is one alone."""
    with open_media(path) as box:
        taken, tracks = sound_stream(box, path, track), box.streams.audio
        if len(tracks) == 1:
            return ""
        number = [s.index for s in tracks].index(taken.index)
        return (
            f"{path}: {len(tracks)} sound tracks, {_named(tracks)}; {number} is taken, "
            "--audio_track takes another"
        )


def film_start(path: str | Path) -> tuple[float, float]:
    """When a film begins, with the first of its picture and its sounds: time 0 of all that is read from it.

    -> seconds on the clock of the container, seconds from there to the first picture
    """
    with open_media(path) as box:
        shows = any(not s.disposition & Disposition.attached_pic for s in box.streams.video)
        pictures = [picture_stream(box, path)] if shows else []
        begin = _beginnings(box, [*pictures, *(s for s in box.streams.audio if s.codec_context)])
        start = min(begin.values(), default=0.0)
        return start, begin.get(pictures[0].index, start) - start if pictures else 0.0


def _beginnings(box, streams) -> dict[int, float]:
    """When the first decoded frame of each stream is shown, in seconds, by index.

    Decoded: what a codec needs before it starts, or an edit list hides, is not shown.
    """
    found: dict[int, float] = {}
    waiting = {s.index for s in streams}
    for packet in _head(box, streams):
        if packet.stream.index in waiting:
            try:
                frames = packet.decode()
            except av.FFmpegError:  # said where it is read
                continue
            if frames:
                found[packet.stream.index] = frames[0].time or 0.0
                waiting.discard(packet.stream.index)
        if not waiting:
            break
    for stream in streams:
        if stream.index in waiting and stream.start_time is not None:
            found[stream.index] = float(stream.start_time * stream.time_base)
    return found


def first_matrix(box, stream) -> tuple[int, int, int, int]:
    """The :func:`display_matrix` of a stream's first frame, where that can be decoded."""
    try:
        frame = next(box.decode(stream), None)
    except av.FFmpegError:  # said where it is read
        frame = None
    return (1, 0, 0, 1) if frame is None else display_matrix(frame)


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The part (a, b, c, d) of a frame's display matrix that turns it: x' = ax + cy, y' = bx + dy."""
    data = frame.side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    return a, b, c, d


def is_turned(matrix: tuple[int, int, int, int]) -> bool:
    """Whether width and height are exchanged where a display matrix is applied."""
    a, b, c, d = map(abs, matrix)
    return b + c > a + d


def upright(picture: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """A picture (H, W, …) as a display matrix shows it: turned by a multiple of 90°, mirrored or both."""
    a, b, c, d = matrix
    if is_turned(matrix):
        picture, across, down = picture.swapaxes(0, 1), c, b
    else:
        across, down = a, d
    return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
