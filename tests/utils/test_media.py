"""Videos read and written."""

import av
import numpy as np
import pytest
import soundfile

from DiffBinaural.utils.media import pictures, read_sound
from DiffBinaural.utils.media_writing import mux, write_video

RATE = 22_050


def grey(number):
    """A picture whose brightness is its number."""
    return np.full((48, 64, 3), 20 + 5 * number, np.uint8)


def numbers(shown):
    return [round((float(picture.mean()) - 20) / 5) for picture in shown]


def tones(seconds=1.5):
    t = np.arange(round(seconds * RATE)) / RATE
    return np.float32([0.4 * np.sin(2 * np.pi * 400 * t), 0.2 * np.sin(2 * np.pi * 1000 * t)])


def loudest(wav):
    return np.abs(np.fft.rfft(wav)).argmax() * RATE / len(wav)


def packets(path):
    with av.open(str(path)) as box:
        return [bytes(packet) for packet in box.demux(box.streams.video[0]) if packet.size]


def remux(source, path, **kinds):
    """Copy some of a file's streams into another container."""
    with av.open(str(source)) as box, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in box.streams.get(**kinds)}
        for packet in box.demux(*box.streams.get(**kinds)):
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """1.5 s at 30 pictures a second, with sound."""
    path = tmp_path_factory.mktemp("media") / "clip.mp4"
    write_video(path, (grey(k) for k in range(45)), 30, tones(), RATE)
    return path


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """45 pictures in a stream with B-frames, whose packets are not in order of time."""
    path = tmp_path_factory.mktemp("media") / "foreign.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"bf": "3", "x264-params": "b-adapt=0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(45):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(grey(k), format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("fps", "wanted"),
    [(30, list(range(45))), (10, list(range(0, 45, 3))), (60, [k // 2 for k in range(90)]), (1, [0, 30])],
)
def test_pictures_are_those_on_screen(video, fps, wanted):
    assert numbers(pictures(video, fps)) == wanted


@pytest.mark.parametrize("kind", ["mkv", "ts"])
def test_containers_with_rounded_or_shifted_times_give_the_same_pictures(foreign, tmp_path, kind):
    remux(foreign, tmp_path / f"clip.{kind}", video=0)
    assert numbers(pictures(tmp_path / f"clip.{kind}", 30)) == list(range(45))
    assert numbers(pictures(tmp_path / f"clip.{kind}", 10)) == list(range(0, 45, 3))


def test_sound_comes_back_with_its_length_and_its_ears(video):
    sound, rate = read_sound(video)
    assert rate == RATE
    assert sound.shape == tones().shape
    assert sound.dtype == np.float32
    assert loudest(sound[0]) == pytest.approx(400, abs=1)
    assert np.corrcoef(sound[1], tones()[1])[0, 1] > 0.99


def test_mux_changes_the_sound_and_not_one_bit_of_the_picture(video, foreign, tmp_path):
    for source in (video, foreign):
        mux(source, tmp_path / "new.mp4", tones()[::-1], RATE)
        assert packets(tmp_path / "new.mp4") == packets(source)
    assert numbers(pictures(tmp_path / "new.mp4", 30)) == list(range(45))
    sound, _ = read_sound(tmp_path / "new.mp4")
    assert sound.shape == tones().shape
    assert [loudest(ear) for ear in sound] == pytest.approx([1000, 400], abs=1)


@pytest.mark.parametrize("kind", ["mkv", "ts"])
def test_mux_keeps_every_picture_and_begins_it_with_the_sound(foreign, tmp_path, kind):
    remux(foreign, tmp_path / f"clip.{kind}", video=0)
    mux(tmp_path / f"clip.{kind}", tmp_path / "new.mp4", tones(), RATE)
    with av.open(str(tmp_path / "new.mp4")) as box:
        times = [frame.time for frame in box.decode(video=0)]
    assert times == pytest.approx([k / 30 for k in range(45)], abs=0.0015)


def test_a_file_without_picture_or_sound_is_named(video, tmp_path):
    remux(video, tmp_path / "mute.mp4", video=0)
    soundfile.write(tmp_path / "sound.wav", tones().T, RATE)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"mute\.mp4.*no sound"):
        read_sound(tmp_path / "mute.mp4")
    with pytest.raises(ValueError, match=r"sound\.wav.*no picture"):
        next(pictures(tmp_path / "sound.wav", 10))
    with pytest.raises(ValueError, match=r"text\.mp4.*cannot be read"):
        read_sound(tmp_path / "text.mp4")
