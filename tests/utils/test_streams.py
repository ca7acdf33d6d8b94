"""Films whose tracks are not the usual: cover art, offsets, display matrices, several sounds, lenses."""

import io
import itertools
import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import ViewConfig
from DiffBinaural.inference.audio_source import AudioSource
from DiffBinaural.inference.discovery import FindConfig, films_of
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.utils import lens
from DiffBinaural.utils.media import picture_seconds, pictures, read_sound, sound_delay
from DiffBinaural.utils.media_writing import mux
from DiffBinaural.utils.streams import film_start, open_media, picture_stream, sound_stream, upright

RATE, FPS, SIZE = 48_000, 25, (64, 48)
WHOLE = 1 << 16
INPUTS = Path(__file__).parents[3] / "shared/inputs"


def quarters(k=0):
    """A picture whose corners differ, a little darker from picture to picture."""
    shown = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    shown[:24, :32], shown[:24, 32:], shown[24:, :32] = 240 - k, 160, 80
    return shown


def click(seconds, at, rate=RATE, channels=1):
    """Silence with half a second of a tone from a moment on, (channels, N)."""
    t = np.arange(round(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * t) * ((t >= at) & (t < at + 0.5))
    return np.tile(tone.astype(np.float32), (channels, 1))


def add_sound(out, codec, rate=RATE, **metadata):
    stream = out.add_stream(codec, rate=rate, layout="mono")
    stream.metadata.update(metadata)
    return stream


def sound_packets(stream, sound, begin, rate=RATE):
    """Encoded sound that begins at a time (s)."""
    kind = stream.codec_context.format.name
    if kind.startswith("s16"):
        sound = (sound * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format=kind, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, round(begin * rate), Fraction(1, rate)
    return [*stream.encode(frame), *stream.encode(None)]


def picture_packets(stream, seconds, begin):
    packets = []
    for k in range(round(seconds * FPS)):
        frame = av.VideoFrame.from_ndarray(quarters(k), format="rgb24")
        frame.pts, frame.time_base = k + round(begin * FPS), Fraction(1, FPS)
        packets += stream.encode(frame)
    return [*packets, *stream.encode(None)]


def make(
    path, *, sounds=((0.0, "aac"),), begin=0.0, seconds=1.0, matrix=None, tags=None, tracks=({},), **sound
):
    """A film: when its picture begins, when its sounds do (with their codecs), how it is turned."""
    movie = path.suffix in (".mp4", ".mov")
    options = {"movflags": "use_metadata_tags"} if tags and movie else {}
    with av.open(str(path), "w", options=options) as out:
        out.metadata.update(tags or {})
        video = out.add_stream("libx264", rate=FPS, options={"bf": "2"})
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        if matrix:
            a, b, c, d = (WHOLE * x for x in matrix)
            video.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        streams = [add_sound(out, codec, **tag) for (_, codec), tag in zip(sounds, itertools.cycle(tracks))]
        packets = picture_packets(video, seconds, begin)
        for number, (stream, (at, _)) in enumerate(zip(streams, sounds, strict=True)):
            packets += sound_packets(stream, click(1.0, 0.2) * (1 - 0.3 * number), at)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    return path


def heard(path, **more):
    """The mono sound of a film from its beginning on, as the model hears it."""
    audio, parts, last = AudioSource(path, more.pop("start", 0.0), math.inf, RATE, **more), [], False
    while not last:
        samples, last = audio.read()
        parts.append(samples[0].numpy())
    wav = np.concatenate(parts)
    assert len(wav) == audio.samples
    assert abs(audio.samples - audio.expected) <= 1
    return wav, audio


def onset(wav, rate=RATE):
    return np.flatnonzero(np.abs(wav) > 0.1)[0] / rate


# --- offsets ------------------------------------------------------------------------------------------------

KINDS = [("mp4", "aac"), ("mov", "aac"), ("mkv", "flac"), ("mkv", "aac"), ("ts", "aac")]


@pytest.mark.parametrize(("kind", "codec"), KINDS)
@pytest.mark.parametrize("late", [-1.0, -0.2, -0.04, 0.0, 0.04, 0.2, 1.0, 3.0])
def test_sound_and_picture_keep_their_times(tmp_path, kind, codec, late):
    """`late`: seconds from the first picture to the sound; both ways, whatever the container makes of it."""
    path = make(
        tmp_path / f"in.{kind}",
        sounds=((max(late, 0.0), codec),),
        begin=max(-late, 0.0),
        seconds=max(late, 0.0) + 1,
    )
    zero, delay = film_start(path)
    wav, audio = heard(path)
    # 1024 samples that a codec needs before it starts are shown where no edit list hides them
    slack = 0.025 if codec == "aac" else 0.002
    assert onset(wav) - delay == pytest.approx(late + 0.2, abs=0.004)
    assert delay == pytest.approx(max(-late, 0), abs=slack)
    assert sound_delay(path) == pytest.approx(max(late, 0), abs=slack)
    assert bool(audio.notices) == (late > 0.04) or late == 0.04
    shown = list(pictures(path, FPS, zero=zero))
    count = round(delay * FPS)
    assert len(shown) == pytest.approx((max(late, 0) + 1 + delay) * FPS, abs=1)
    first = int(quarters()[0, 0, 0])
    assert all(abs(int(p[4, 4, 0]) - first) < 6 for p in shown[: count + 1]), "the first picture is held"
    assert picture_seconds(path, zero) == pytest.approx(max(late, 0) + 1 + delay, abs=0.003)
    if late:
        part, _ = heard(path, start=0.1)
        assert onset(part) == pytest.approx(onset(wav) - 0.1, abs=1e-4)


@pytest.mark.parametrize("target", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize(
    ("kind", "late"), [("mp4", 1.0), ("mkv", -0.6), ("ts", -1.0), ("ts", 0.4), ("mp4", -0.2)]
)
def test_a_new_sound_stays_with_the_picture(tmp_path, kind, late, target):
    path = make(
        tmp_path / f"in.{kind}",
        sounds=((max(late, 0), "aac"),),
        begin=max(-late, 0),
        seconds=max(late, 0) + 1,
    )
    wav, _ = heard(path)
    mux(path, tmp_path / f"out.{target}", np.tile(wav, (2, 1)), RATE, kind=f".{target}")
    before, after = film_start(path), film_start(tmp_path / f"out.{target}")
    again, _ = heard(tmp_path / f"out.{target}")
    assert onset(again) - after[1] == pytest.approx(onset(wav) - before[1], abs=0.003)
    with open_media(path) as a, open_media(tmp_path / f"out.{target}") as b:
        old, new = ([bytes(p) for p in box.demux(box.streams.video[0]) if p.size] for box in (a, b))
    assert len(old) == len(new)


def test_a_film_that_does_not_state_its_length_keeps_its_times(tmp_path):
    """As browsers and live streams record."""
    path = make(tmp_path / "in.mp4", sounds=((0.5, "aac"),), seconds=1.5)
    with av.open(str(path)) as box, av.open(str(tmp_path / "live.mkv"), "w", options={"live": "1"}) as out:
        streams = {s.index: out.add_stream_from_template(s) for s in box.streams}
        for packet in box.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    with av.open(str(tmp_path / "live.mkv")) as box:
        assert not box.duration
    assert onset(heard(tmp_path / "live.mkv")[0]) == pytest.approx(0.7, abs=0.004)


def test_a_hole_in_the_sound_is_silence(tmp_path):
    """A recorder that drops half a second: what follows does not come earlier."""
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = add_sound(out, "flac")
        packets = picture_packets(video, 2.0, 0.0)
        sounds = sound_packets(audio, click(2.0, 1.5), 0.0)
        frame = audio.codec_context.frame_size / RATE
        hole = [p for p in sounds if p.size and not 0.5 < p.pts * p.time_base < 1.0]
        for packet in sorted(packets + hole, key=lambda p: p.dts * p.time_base):
            out.mux(packet)
    wav, _ = heard(path)
    assert onset(wav) == pytest.approx(1.5, abs=0.002)
    assert len(wav) / RATE == pytest.approx(2.0, abs=frame)


# --- cover art ----------------------------------------------------------------------------------------------


def with_cover(path, codec, first, flagged=True):
    """A film with cover art as the first or the last picture track."""
    with av.open(str(path), "w") as out:

        def cover():
            stream = out.add_stream(codec, rate=1)
            stream.width, stream.height = 96, 96
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "rgb24"
            if flagged:
                stream.disposition = av.stream.Disposition.attached_pic
            return stream

        art = cover() if first else None
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = add_sound(out, "aac")
        art = art or cover()
        frame = av.VideoFrame.from_ndarray(np.full((96, 96, 3), 255, np.uint8), format="rgb24")
        packets = [*art.encode(frame), *art.encode(None)]
        packets += [*picture_packets(video, 1.0, 0.0), *sound_packets(audio, click(1.0, 0.2), 0.0)]
        for packet in packets:
            out.mux(packet)
    return path


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("kind", "codec"), [("mp4", "mjpeg"), ("mp4", "png"), ("mkv", "mjpeg")])
def test_cover_art_is_no_film(tmp_path, kind, codec, first, flagged):
    path = with_cover(tmp_path / f"in.{kind}", codec, first, flagged)
    shown = list(pictures(path, FPS))
    assert len(shown) == FPS
    assert shown[0].shape == (48, 64, 3)
    assert picture_seconds(path) == pytest.approx(1.0, abs=0.002)
    mux(path, tmp_path / "out.mp4", click(1.0, 0.2, channels=2), RATE)
    again = list(pictures(tmp_path / "out.mp4", FPS))
    assert np.array_equal(np.stack(again), np.stack(shown))


@pytest.mark.parametrize("empty", [1, 2])
def test_picture_tracks_that_hold_nothing_are_passed_over(tmp_path, empty):
    """A recorder announced three of them, and filled the last."""
    path = tmp_path / "film.mkv"
    with av.open(path, "w") as out:
        tracks = [out.add_stream("libx264", rate=FPS, options={"bf": "0"}) for _ in range(empty + 1)]
        for number, track in enumerate(tracks):
            track.width, track.height, track.pix_fmt = 160, 96 + 32 * number, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.full((96 + 32 * empty, 160, 3), 90, np.uint8), format="rgb24")
        for k in range(FPS):
            picture.pts, picture.time_base = k, Fraction(1, FPS)
            out.mux(tracks[-1].encode(picture))
        out.mux(tracks[-1].encode())
    with open_media(path) as box:
        assert len(box.streams.video) == empty + 1
        assert picture_stream(box, path).index == empty
    assert film_start(path)[0] == pytest.approx(0, abs=1 / FPS)
    assert [x.shape for x in pictures(path, 10)] == [(96 + 32 * empty, 160, 3)] * 10


@pytest.mark.parametrize(("name", "mime"), [("cover.png", "image/png"), ("cover.jpg", "image/jpeg")])
def test_an_attached_file_is_no_film(tmp_path, name, mime):
    content = io.BytesIO()
    Image.fromarray(np.full((96, 96, 3), 255, np.uint8)).save(
        content, name.rpartition(".")[2].replace("jpg", "jpeg")
    )
    with av.open(str(tmp_path / "in.mkv"), "w") as out:
        out.add_attachment(name, mime, content.getvalue())
        video = out.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        audio = add_sound(out, "aac")
        for packet in [*picture_packets(video, 1.0, 0.0), *sound_packets(audio, click(1.0, 0.2), 0.0)]:
            out.mux(packet)
    with av.open(str(tmp_path / "in.mkv")) as box:
        assert len(box.streams.video) == 2, "the attachment counts as a picture track"
    shown = list(pictures(tmp_path / "in.mkv", FPS))
    assert (len(shown), shown[0].shape) == (FPS, (48, 64, 3))
    mux(tmp_path / "in.mkv", tmp_path / "out.mkv", click(1.0, 0.2, channels=2), RATE, kind=".mkv")
    assert np.array_equal(np.stack(list(pictures(tmp_path / "out.mkv", FPS))), np.stack(shown))


def test_a_sound_with_cover_art_has_a_sound_and_no_film(tmp_path):
    path = tmp_path / "in.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        art = out.add_stream("mjpeg", rate=1)
        art.width, art.height, art.pix_fmt = 96, 96, "yuvj420p"
        art.disposition = av.stream.Disposition.attached_pic
        audio = add_sound(out, "aac")
        frame = av.VideoFrame.from_ndarray(np.full((96, 96, 3), 255, np.uint8), format="rgb24")
        for packet in [*art.encode(frame), *art.encode(None), *sound_packets(audio, click(1.0, 0.2), 0.0)]:
            out.mux(packet)
    assert onset(heard(path)[0]) == pytest.approx(0.2, abs=0.002)
    for read in (lambda: next(pictures(path, 10)), lambda: mux(path, tmp_path / "o.mp4", click(1, 0), RATE)):
        with pytest.raises(ValueError, match=r"in\.m4a: has no picture but cover art"):
            read()


# --- display matrices ---------------------------------------------------------------------------------------

MATRICES = [m for m in itertools.product((-1, 0, 1), repeat=4) if abs(m[0] * m[3] - m[1] * m[2]) == 1]
MATRICES = [m for m in MATRICES if sum(map(abs, m)) == 2]


def by_hand(picture, matrix):
    """Every pixel where (x', y') = (ax + cy, bx + dy) puts it."""
    a, b, c, d = matrix
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    shown = np.zeros((down.max() + 1, across.max() + 1, *picture.shape[2:]), picture.dtype)
    shown[down, across] = picture
    return shown


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
def test_pictures_are_shown_as_the_display_matrix_says(tmp_path, matrix):
    assert len(MATRICES) == 8
    assert np.array_equal(upright(quarters(), [WHOLE * x for x in matrix]), by_hand(quarters(), matrix))
    for kind in ("mp4", "mkv", "mov"):
        path = make(tmp_path / f"in.{kind}", matrix=matrix, seconds=0.2)
        wanted = by_hand(quarters(), matrix)
        mux(path, tmp_path / f"out.{kind}", click(0.2, 0, channels=2), RATE, kind=f".{kind}")
        for film in (path, tmp_path / f"out.{kind}"):
            [shown, *_] = pictures(film, FPS)
            assert shown.shape == wanted.shape
            assert np.abs(shown.astype(int) - wanted).mean() < 8
        small = next(pictures(path, FPS, (wanted.shape[1] // 2, wanted.shape[0] // 2)))
        assert np.abs(small.astype(int) - wanted[::2, ::2]).mean() < 12


# --- several sound tracks -----------------------------------------------------------------------------------


def defaults(path, flags):
    """Set which tracks are marked as the default, in a copy."""
    out_path = path.with_name(f"new{path.suffix}")
    with av.open(str(path)) as box, av.open(str(out_path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in box.streams}
        for stream, flag in zip(box.streams.audio, flags, strict=True):
            streams[stream.index].metadata.update(stream.metadata)
            streams[stream.index].disposition = av.stream.Disposition.default if flag else 0
        for packet in box.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    return out_path


@pytest.mark.parametrize(("flags", "taken"), [((0, 1, 0), 1), ((0, 0, 0), 0), ((0, 1, 1), 1), ((1, 0, 0), 0)])
def test_the_default_sound_track_is_taken_and_any_can_be(tmp_path, flags, taken):
    languages = [{"language": name} for name in ("eng", "fra", "deu")]
    path = defaults(make(tmp_path / "in.mkv", sounds=((0.0, "flac"),) * 3, tracks=languages), flags)
    for track in (None, 0, 1, 2):
        wav, audio = heard(path, track=track)
        number = taken if track is None else track
        assert np.abs(wav).max() == pytest.approx(0.5 * (1 - 0.3 * number), abs=0.02)
        [line] = audio.notices
        assert all(language in line for language in ("eng", "fra", "deu"))
        assert f"{number} is taken" in line
    with pytest.raises(ValueError, match=r"in|new\.mkv: --audio_track is 3; .*0 \(.*2 \("):
        AudioSource(path, 0, math.inf, RATE, track=3)


# --- the lens -----------------------------------------------------------------------------------------------

APPLE = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
TURNED = (0, 1, -1, 0)


@pytest.mark.parametrize(
    ("tags", "matrix", "degrees"),
    [
        ({APPLE: "26"}, None, 2 * math.degrees(math.atan(18 / 26))),
        ({APPLE: "13"}, None, 2 * math.degrees(math.atan(18 / 13))),
        ({APPLE: "26"}, TURNED, 2 * math.degrees(math.atan(18 / 26 * 48 / 64))),
        ({APPLE: "0"}, None, 120),
        ({APPLE: "wide"}, TURNED, 65),
        ({"com.android.version": "14"}, None, 65),
        ({"com.apple.quicktime.model": "iPhone 12"}, None, 65),
        ({}, TURNED, 65),
        ({}, (-1, 0, 0, 1), 65),
        ({}, None, 120),
    ],
)
@pytest.mark.parametrize("kind", ["mov", "mp4", "mkv"])
def test_the_field_of_view_is_what_the_video_says(tmp_path, kind, tags, matrix, degrees):
    path = make(tmp_path / f"in.{kind}", tags=tags, matrix=matrix, seconds=0.2)
    assert lens.field_of_view(path)[0] == pytest.approx(degrees, abs=0.01)
    for film in films_of(FindConfig(input=str(path))):
        frames = VideoFrames(film.pictures, ViewConfig(), fov=film.fov)
        assert frames.fov == pytest.approx(degrees, abs=0.01)
        assert any(f"{degrees:.0f} degrees" in line for line in frames.notices)
    assert VideoFrames(path, ViewConfig(), fov=77).fov == 77


@pytest.mark.parametrize("fov", [0, -5, 180, math.nan, "wide"])
def test_a_field_of_view_that_no_camera_has_is_refused(fov):
    with pytest.raises(ValueError, match="--fov"):
        FindConfig(input="a.mp4", fov=fov)


# --- the files of public reports ----------------------------------------------------------------------------


@pytest.mark.skipif(not INPUTS.is_dir(), reason="needs the shared inputs")
@pytest.mark.parametrize(
    ("name", "begins", "frequency"),
    [
        ("cover_first.mp4", 0.0, 440),
        ("late.mp4", 1.0, 440),
        ("late.mkv", 1.0, 440),
        ("mirrored.mp4", 0.0, 440),
        ("two.mkv", 0.0, 880),
    ],
)
def test_reported_files(name, begins, frequency):
    path = INPUTS / name
    wav, _ = heard(path)
    assert np.flatnonzero(np.abs(wav) > 0.02)[0] / RATE == pytest.approx(begins, abs=0.002)
    assert np.abs(np.fft.rfft(wav)).argmax() * RATE / len(wav) == pytest.approx(frequency, abs=2)
    shown = list(pictures(path, 10, zero=film_start(path)[0]))
    assert len(shown) == 30
    assert shown[0].shape == (96, 160, 3)
    with open_media(path) as box:
        assert picture_stream(box, path).width == 160
        assert sound_stream(box, path).index == {"cover_first.mp4": 2, "two.mkv": 2}.get(name, 1)
        stored = next(box.decode(picture_stream(box, path))).to_ndarray(format="rgb24")
    seen = stored[:, ::-1] if name == "mirrored.mp4" else stored
    assert np.array_equal(shown[0], seen)
    assert read_sound(path)[1] == 22_050
