"""Bad and unusual files; each function writes one."""

import io
import json
import struct
import zlib

import av
import numpy as np
import soundfile
from PIL import Image

RATE = 22_050


def tone(seconds=1.5, channels=2, rate=RATE):
    """(N, channels) of a sine, louder on the left."""
    t = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * 440 * t)[:, None] * np.linspace(1, 0.7, channels)


def plain(path, sound=None, rate=RATE, **more):
    """Write a wav, whatever the suffix of its name."""
    soundfile.write(path, tone() if sound is None else sound, rate, format="WAV", **more)


def with_bytes(path, change):
    """Write a wav with changed bytes."""
    file = io.BytesIO()
    soundfile.write(file, tone(), RATE, "PCM_16", format="WAV")
    data = bytearray(file.getvalue())
    path.write_bytes(change(data))


def claims(path, size):
    """Write a wav whose header states `size` bytes."""

    def change(data):
        data[40:44] = struct.pack("<I", size)
        return data

    with_bytes(path, change)


def long_flac(path):
    """Write a FLAC whose header states 2^36 - 1 samples."""
    file = io.BytesIO()
    soundfile.write(file, tone(), RATE, "PCM_16", format="FLAC")
    data = bytearray(file.getvalue())
    data[21] |= 0x0F  # the low half of this byte, and the next four
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)


def spoilt(value):
    sound = tone()
    sound[500:600] = value
    return sound


SOUNDS = {
    "nothing in it": lambda path: path.write_bytes(b""),
    "a header alone": lambda path: with_bytes(path, lambda data: data[:44]),
    "half a header": lambda path: with_bytes(path, lambda data: data[:20]),
    "no samples": lambda path: plain(path, np.zeros((0, 2))),
    "breaks off": lambda path: with_bytes(path, lambda data: data[: len(data) // 2 + 1]),
    "claims 4 GB": lambda path: claims(path, 0xFFFFFFF0),
    "claims nothing": lambda path: claims(path, 0),
    "claims 2^36 samples": long_flac,
    "text": lambda path: path.write_text("a sound, honestly\n" * 400),
    "noise bytes": lambda path: path.write_bytes(np.random.default_rng(0).bytes(60_000)),
    "all NaN": lambda path: plain(path, spoilt(np.nan) * np.nan, subtype="FLOAT"),
    "a few NaN": lambda path: plain(path, spoilt(np.nan), subtype="FLOAT"),
    "a few inf": lambda path: plain(path, spoilt(np.inf), subtype="FLOAT"),
    "far too loud": lambda path: plain(path, tone() * 1e30, subtype="FLOAT"),
    "one sample": lambda path: plain(path, tone()[:1]),
    "seven samples": lambda path: plain(path, tone()[:7]),
    "6 channels": lambda path: plain(path, tone(channels=6)),
    "3 Hz": lambda path: plain(path, tone()[:60], 3),
    "768 kHz": lambda path: plain(path, tone(rate=768_000), 768_000),
    "44101 Hz": lambda path: plain(path, tone(rate=44_101), 44_101),
    "clipped": lambda path: plain(path, np.sign(tone())),
    "DC": lambda path: plain(path, np.full((33_075, 2), 0.5)),
    "silence": lambda path: plain(path, np.zeros((33_075, 2))),
    "one channel": lambda path: plain(path, tone(channels=1)),
    "24 bit": lambda path: plain(path, subtype="PCM_24"),
    "8 bit": lambda path: plain(path, subtype="PCM_U8"),
    "an mp3": lambda path: soundfile.write(path, tone(), RATE, format="MP3"),
    "an ogg": lambda path: soundfile.write(path, tone(), RATE, format="OGG"),
    "a flac": lambda path: soundfile.write(path, tone(), RATE, format="FLAC"),
}


# --- videos -------------------------------------------------------------------------------------------------


def video(path, count=15, size=(160, 96), rate=10, sound=True, codec="libx264", kind="mp4", **options):
    """Write a short video of moving stripes."""
    with av.open(str(path), "w", format=kind, options=options) as box:
        stream = box.add_stream(codec, rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        track = box.add_stream("aac", RATE) if sound else None
        for k in range(count):
            picture = np.roll(np.arange(size[0] * size[1] * 3, dtype=np.uint32) % 251, 40 * k).astype(
                np.uint8
            )
            box.mux(stream.encode(av.VideoFrame.from_ndarray(picture.reshape(size[1], size[0], 3), "rgb24")))
        box.mux(stream.encode(None))
        if track:
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(tone(count / rate, 1).T.astype(np.float32)), "fltp", "mono"
            )
            frame.rate = RATE
            box.mux(track.encode(frame))
            box.mux(track.encode(None))


def only_sound(path):
    with av.open(str(path), "w", format="mp4") as box:
        track = box.add_stream("aac", RATE)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(tone(1.5, 1).T.astype(np.float32)), "fltp", "mono"
        )
        frame.rate = RATE
        box.mux(track.encode(frame))
        box.mux(track.encode(None))


def damaged_video(path, change):
    video(path)
    path.write_bytes(change(bytearray(path.read_bytes())))


def without_index(data):
    """Overwrite the index, moov."""
    at = data.index(b"moov")
    data[at : at + 400] = bytes(400)
    return data


def holes(data):
    """Overwrite many of the pictures."""
    start = data.index(b"mdat") + 200
    data[start : start + 3000] = np.random.default_rng(0).bytes(3000)
    return data


def changing_size(path):
    """Write an MPEG stream whose pictures change their size."""
    small, large = path.with_suffix(".a"), path.with_suffix(".b")
    video(small, size=(160, 96), sound=False, codec="mpeg2video", kind="mpeg", rate=25)
    video(large, size=(320, 192), sound=False, codec="mpeg2video", kind="mpeg", rate=25)
    path.write_bytes(small.read_bytes() + large.read_bytes())
    small.unlink(), large.unlink()


def huge_video(path):
    """Write a video of one blank picture of 8192 x 8192 pixels, in a few kilobytes."""
    with av.open(str(path), "w", format="avi") as box:
        stream = box.add_stream("mjpeg", 10)
        stream.width = stream.height = 8192
        stream.pix_fmt = "yuvj420p"
        box.mux(stream.encode(av.VideoFrame(8192, 8192, "yuvj420p")))
        box.mux(stream.encode(None))


VIDEOS = {
    "nothing in it": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("a film, honestly\n" * 400),
    "noise bytes": lambda path: path.write_bytes(np.random.default_rng(0).bytes(60_000)),
    "breaks off": lambda path: damaged_video(path, lambda data: data[: len(data) // 2]),
    "half a header": lambda path: damaged_video(path, lambda data: data[:24]),
    "index lost": lambda path: damaged_video(path, without_index),
    "holes": lambda path: damaged_video(path, holes),
    "no picture": only_sound,
    "no sound": lambda path: video(path, sound=False),
    "one frame": lambda path: video(path, count=1),
    "2 x 2 pixels": lambda path: video(path, size=(2, 2), codec="mpeg4"),
    "1000 frames a second": lambda path: video(path, count=60, rate=1000),
    "fragmented": lambda path: video(path, movflags="frag_keyframe+empty_moov"),
    "matroska": lambda path: video(path, kind="matroska"),
    "changing size": changing_size,
    "67 million pixels": huge_video,
    "a wav": lambda path: plain(path),
    "a picture": lambda path: Image.new("RGB", (64, 64)).save(path, format="PNG"),
}


# --- pictures -----------------------------------------------------------------------------------------------


def bomb(path, size=20_000):
    """Write a PNG of a few bytes whose header states size x size pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def picture(path, mode="RGB", size=(160, 96), kind="JPEG", size_limit=None):
    Image.new(mode, size, 100 if mode in ("L", "I;16", "P") else None).save(path, format=kind)
    path.write_bytes(path.read_bytes()[:size_limit])


PICTURES = {
    "nothing in it": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("a picture, honestly\n" * 400),
    "breaks off": lambda path: picture(path, size_limit=-300),
    "20,000 pixels": bomb,
    "grey": lambda path: picture(path, "L"),
    "four colours": lambda path: picture(path, "CMYK"),
    "transparent": lambda path: picture(path, "RGBA", kind="PNG"),
    "one pixel": lambda path: picture(path, size=(1, 1)),
    "a strip": lambda path: picture(path, size=(3000, 1)),
}


# --- lists: changes to the text of a good one ---------------------------------------------------------------


def column_gone(text, name):
    rows = [line.split(",") for line in text.splitlines()]
    k = rows[0].index(name)
    return "\n".join(",".join(row[:k] + row[k + 1 :]) for row in rows) + "\n"


def first_row(text, **cells):
    """Replace cells of the first row of a list."""
    lines = text.splitlines()
    names, row = lines[0].split(","), lines[1].split(",")
    for name, value in cells.items():
        row[names.index(name)] = value
    return "\n".join([lines[0], ",".join(row), *lines[2:]]) + "\n"


SPLITS = {
    "nothing in it": lambda text: "",
    "a header alone": lambda text: text.splitlines()[0] + "\n",
    "no ids": lambda text: column_gone(text, "video_id"),
    "no ends": lambda text: column_gone(text, "end_time"),
    "more columns": lambda text: "\n".join(line + ",more" for line in text.splitlines()) + "\n",
    "a byte-order mark": lambda text: "\ufeff" + text,
    "semicolons": lambda text: text.replace(",", ";"),
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "a short row": lambda text: text + "scene_00000\n",
    "a long row": lambda text: text.rstrip("\n") + ",1,2,3\n",
    "the same clip twice": lambda text: text + text.splitlines()[1] + "\n",
    "an unknown id": lambda text: first_row(text, video_id="nobody"),
    "an empty id": lambda text: first_row(text, video_id=""),
    "an id that climbs": lambda text: first_row(text, video_id="../../x"),
    "an id from the root": lambda text: first_row(text, video_id="/etc/x"),
    "an id of two dots": lambda text: first_row(text, video_id=".."),
    "an id with NUL": lambda text: first_row(text, video_id="a\0b"),
    "a negative start": lambda text: first_row(text, start_time="-1"),
    "reversed times": lambda text: first_row(text, start_time="1.0", end_time="0.5"),
    "a start of NaN": lambda text: first_row(text, start_time="nan"),
    "an end of inf": lambda text: first_row(text, end_time="inf"),
    "an end in words": lambda text: first_row(text, end_time="soon"),
    "an end past the sound": lambda text: first_row(text, end_time="99"),
    "a start past the sound": lambda text: first_row(text, start_time="50", end_time="51"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "a cell of a megabyte": lambda text: first_row(text, video_id="x" * 1_000_000),
}

BOXES = {
    "nothing in it": lambda text: "",
    "no boxes": lambda text: text.splitlines()[0] + "\n",
    "no x1": lambda text: column_gone(text, "x1"),
    "a box of NaN": lambda text: first_row(text, x1="nan"),
    "a box of inf": lambda text: first_row(text, x2="inf"),
    "a box inside out": lambda text: first_row(text, x1="90", x2="10"),
    "a box far outside": lambda text: first_row(text, x1="1e6", x2="2e6"),
    "a box of no size": lambda text: first_row(text, x1="10", x2="10", y1="5", y2="5"),
    "a box in words": lambda text: first_row(text, y1="top"),
    "frame 0": lambda text: first_row(text, frame="0"),
    "a negative frame": lambda text: first_row(text, frame="-4"),
    "frame 1e12": lambda text: first_row(text, frame="1000000000000"),
    "half a frame": lambda text: first_row(text, frame="1.5"),
    "an unknown id": lambda text: first_row(text, video_id="nobody"),
    "an id that climbs": lambda text: first_row(text, video_id="../../x"),
    "a score of NaN": lambda text: first_row(text, score="nan"),
    "a byte-order mark": lambda text: "\ufeff" + text,
    "Windows line ends": lambda text: text.replace("\n", "\r\n"),
}


# --- mels ---------------------------------------------------------------------------------------------------


def header(path, shape):
    """Write an .npy of a few bytes whose header states a large shape."""
    head = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode()
    head += b" " * (117 - len(head)) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(64))


def mel(shape=(80, 130), dtype=np.float32, value=-3.0):
    return np.full(shape, value, dtype)


MELS = {
    "nothing in it": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("a mel, honestly\n" * 400),
    "breaks off": lambda path: (np.save(path, mel()), path.write_bytes(path.read_bytes()[:-500])),
    "claims a terabyte": lambda path: header(path, (80, 1 << 34)),
    "float64": lambda path: np.save(path, mel(dtype=np.float64)),
    "float16": lambda path: np.save(path, mel(dtype=np.float16)),
    "integers": lambda path: np.save(path, mel(dtype=np.int32)),
    "complex": lambda path: np.save(path, mel(dtype=np.complex64)),
    "words": lambda path: np.save(path, np.full((80, 130), "loud")),
    "three axes": lambda path: np.save(path, mel((1, 80, 130))),
    "one axis": lambda path: np.save(path, mel((80 * 130,))),
    "40 bands": lambda path: np.save(path, mel((40, 130))),
    "lying": lambda path: np.save(path, mel((130, 80))),
    "no frames": lambda path: np.save(path, mel((80, 0))),
    "one frame": lambda path: np.save(path, mel((80, 1))),
    "all NaN": lambda path: np.save(path, mel(value=np.nan)),
    "a few inf": lambda path: np.save(path, np.where(np.arange(130) == 7, np.inf, mel())),
    "one frame more than the other ear": lambda path: np.save(path, mel((80, 131))),
    "an npz": lambda path: np.savez(path.open("wb"), mel()),
}

JSONS = {
    "nothing in it": "",
    "text": "settings, honestly",
    "breaks off": '{"a": ',
    "a list": "[1, 2, 3]",
    "a number": "7",
    "nested 100,000 deep": "[" * 100_000,
    "unknown keys": json.dumps({"colour": "red"}),
    "NaN": '{"sampling_rate": NaN, "seed": NaN}',
    "UTF-16": "{}".encode("utf-16"),
}
