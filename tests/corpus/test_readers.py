"""What is made of sounds, pictures, licences, names; phrases for instruments."""

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from DiffBinaural.corpus.clipart import clipart
from DiffBinaural.corpus.instruments import DRUMS, EFFECTS, ORCHESTRA, RATE, TAIL, instruments, played
from DiffBinaural.corpus.items import Item, PictureSequence, Sound, path_for, plain_name, write_content
from DiffBinaural.corpus.packages import reason
from DiffBinaural.corpus.photographs import licences_of
from DiffBinaural.corpus.phrases import Note, calls, drumming, melody_of
from DiffBinaural.corpus.pictures import background, cut_out, cut_out_of, decoded_picture, drawn
from DiffBinaural.corpus.samples import samples
from DiffBinaural.corpus.sounds import decoded_sound, joined_phrases, prepared
from DiffBinaural.corpus.talking import LISTENER, SPEAKER, VIDEO, VOICE, talking_people


def rms_of_loud(samples, rate):
    power = np.square(samples[: len(samples) // (rate // 100) * (rate // 100)].reshape(-1, rate // 100)).mean(
        1
    )
    return np.sqrt(power[power > power.max() * 10**-2.5].mean())


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.002, 1.0),
    st.floats(0.3, 3.0),
    st.floats(0, 1.0),
    st.sampled_from([8000, 16_000, 22_050, 44_100]),
)
def test_sounds_come_trimmed_at_one_level(make, amplitude, seconds, silence, rate):
    gap = np.zeros(round(silence * rate), np.float32)
    sound = prepared(Sound(np.concatenate([gap, make.tone(seconds, rate, amplitude), gap]), rate))
    assert sound.rate == rate
    assert len(sound.samples) / rate <= seconds + 0.05
    assert np.abs(sound.samples).max() <= 0.9 + 1e-5
    assert rms_of_loud(sound.samples, rate) == pytest.approx(0.1, rel=0.05)


def test_a_click_is_bounded_by_its_peak_and_silence_is_none():
    click = np.zeros(16_000, np.float32)
    click[8000] = 1.0
    assert prepared(Sound(np.zeros(16_000, np.float32), 16_000)) is None
    assert prepared(Sound(np.full(16_000, 0.3, np.float32), 16_000)) is None  # an offset is silence, too
    assert prepared(Sound(click[7990:8100], 16_000)) is None
    loud = prepared(Sound(click, 16_000), trim=False)
    assert np.abs(loud.samples).max() == pytest.approx(0.9, rel=1e-3)


def test_silences_within_a_sound_become_short(make):
    tone = make.tone(1.0)
    sound = prepared(Sound(np.concatenate([tone, np.zeros(16_000 * 4, np.float32), tone]), 16_000))
    assert 2.0 < len(sound.samples) / 16_000 < 2.5
    audible = np.flatnonzero(np.abs(sound.samples) > 1e-3)
    assert 0.2 < np.diff(audible).max() / 16_000 < 0.4


def test_without_trimming_times_are_kept(make):
    gap = np.zeros(8000, np.float32)
    sound = prepared(Sound(np.concatenate([gap, make.tone(1)]), 16_000), trim=False)
    assert len(sound.samples) == 24_000
    assert np.abs(sound.samples[:7900]).max() < 1e-6


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.2, 30), min_size=1, max_size=40), st.integers(0, 99))
def test_joined_phrases_last_8_to_20_seconds(lengths, seed):
    phrases = [Sound(np.ones(round(s * 1000), np.float32), 1000) for s in lengths]
    pieces = list(joined_phrases(phrases, np.random.default_rng(seed)))
    seconds = [len(piece.samples) / 1000 for piece in pieces]
    heard = sum(min(s, 12) for s in lengths)
    if heard >= 8:
        assert all(7.7 <= s <= 20 for s in seconds[:-1])
    assert len(pieces) == 1 or sum(seconds) > heard - 8 - 0.01
    assert all((np.diff(np.flatnonzero(piece.samples)) < 270).all() for piece in pieces)  # gaps stay short


@pytest.mark.parametrize("kind", ["g722", "gsm", ""])
def test_what_is_no_sound_is_refused_or_decoded(kind):
    for content in (b"", b"no sound at all" * 9):
        try:
            assert np.isfinite(decoded_sound(content, kind).samples).all()
        except ValueError:
            assert not kind or not content


def test_decoders_agree_with_what_was_encoded(make):
    tone = make.tone(1.0)
    for content, kind in ((make.g722(tone), "g722"), (make.sound_file(tone, "FLAC"), "")):
        sound = decoded_sound(content, kind)
        assert sound.rate == 16_000
        size = min(len(sound.samples), len(tone)) - 100
        lag = max(range(60), key=lambda k: sound.samples[k : k + size - 60] @ tone[: size - 60])
        error = sound.samples[lag : lag + size - 60] - tone[: size - 60]
        assert np.sqrt(np.mean(error**2)) < 0.03


def test_cut_outs_have_no_margin_and_keep_their_shape(make):
    wide = Image.new("RGBA", (1000, 1000))
    wide.paste((200, 10, 10, 255), (100, 400, 900, 600))
    cut = cut_out(wide)
    assert cut.size == (400, 100)
    assert np.asarray(cut)[..., 3].min() > 200
    assert cut_out(Image.new("RGBA", (50, 50))) is None
    assert cut_out(decoded_picture(make.picture((20, 400), "JPEG", "RGB"))) is None
    assert background(make.picture((2000, 1000), "JPEG", "RGB")).size == (960, 480)
    with pytest.raises(ValueError, match="decoded"):
        decoded_picture(b"no picture")


SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {0}>{1}</svg>'
DISC = '<circle cx="50" cy="25" r="20" fill="red"/>'


@pytest.mark.parametrize(
    "size", ['width="100" height="50"', 'width="100mm" height="50mm"', 'viewBox="0 0 100 50"']
)
def test_drawings_are_drawn_large_enough(size):
    pytest.importorskip("resvg_py")
    cut = cut_out_of(SVG.format(size, DISC).encode(), ".svg")
    assert cut.mode == "RGBA"
    assert cut.width == pytest.approx(cut.height, abs=2)
    assert np.asarray(cut)[cut.height // 2, cut.width // 2].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize(
    "inside",
    [
        '<image href="/etc/hostname" width="9" height="9"/>',
        "<image width='9' xlink:href='file:///x.png'/>",
        '<image\n xlink:href = "../x.png"/>',
    ],
)
def test_drawings_that_name_files_are_refused(inside):
    pytest.importorskip("resvg_py")
    with pytest.raises(ValueError, match="names a file"):
        drawn(SVG.format('width="9" height="9"', inside).encode())
    with pytest.raises(ValueError, match="drawn"):
        drawn(b"<svg")


def test_clipart_under_another_licence_is_left_out(make, tmp_path):
    folder, free = "usr/share/openclipart/svg/animals/mammals/dogs/", SVG.format("", DISC)
    other = '<a rdf:resource="http://creativecommons.org/licenses/by-sa/3.0/"/>'
    creator = "<dc:creator><cc:Agent><dc:title>A. Person</dc:title></cc:Agent></dc:creator>"
    files = {"free.svg": free + creator, "other.svg": SVG.format("", other), "dog_head_1.svg": free}
    path = make.deb(tmp_path / "x_1_all.deb", {folder + k: v.encode() for k, v in files.items()})
    assert [(item.category, item.stem, item.credit) for item in clipart(path)] == [
        ("dog", "drawn_free", "A. Person")
    ]


def test_two_people_of_whom_one_speaks(make, tmp_path):
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as box:
        stream = box.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for k in range(24):
            picture = np.zeros((240, 320, 3), np.uint8)
            picture[:, :160], picture[:, 160:] = 10 * k, 255 - 10 * k
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture)):
                box.mux(packet)
        for packet in stream.encode(None):
            box.mux(packet)
    voice = np.concatenate([np.zeros(8000, np.float32), make.tone(1.5)])
    path = make.wheel(
        tmp_path / "x-1-any.whl", {VIDEO: held.getvalue(), VOICE: make.sound_file(voice, "WAV")}
    )
    items = {(item.stem, type(item.content())): item.content() for item in talking_people(path)}
    assert {stem for stem, kind in items if kind is Sound} == {"talking_speaker"}
    assert len(items["talking_speaker", Sound].samples) == len(voice)  # in time with the pictures
    for stem, corners in (("talking_speaker", SPEAKER), ("talking_listener", LISTENER)):
        film = items[stem, PictureSequence]
        assert film.pictures[0].size == (corners[2] - corners[0], corners[3] - corners[1])
        write_content(film, tmp_path / f"{stem}.webp")
        with Image.open(tmp_path / f"{stem}.webp") as shown:
            assert shown.n_frames == 24
            times = []
            for k in range(24):
                shown.seek(k)
                shown.load()
                times.append(shown.info["duration"])
        assert sum(times) == pytest.approx(2000, abs=2)


def test_short_samples_are_joined_and_long_ones_are_not(make, tmp_path):
    folder = "usr/share/sonic-pi/samples/"
    files = {f"bd_{k}.flac": make.tone(0.5) for k in range(7)} | {"guit_long.flac": make.tone(4.0)}
    files |= {"vinyl_x.flac": make.tone(5.0), "misc_crow.flac": make.tone(1.0)}
    contents = {folder + k: make.sound_file(v, "FLAC") for k, v in files.items()}
    path = make.deb(tmp_path / "x_1_all.deb", contents)
    found = [(item.category, item.content()) for item in samples(path)]
    assert {category for category, _ in found} == {"guitar", "effect", "drum", "bird"}
    drum = next(sound for category, sound in found if category == "drum")
    assert 7.7 <= len(drum.samples) / drum.rate < 20  # 21 strokes


def test_licences_are_read_in_any_order_of_fields():
    text = "Files: a.webp\nSource: here\nLicense: CC0-1.0\nCopyright: X\n\n\n"
    text += "License: GPL\nFiles:\nb.svg\nc/d.svg\n\nFiles: e"
    found = licences_of(text)
    assert found["a.webp"] == ("CC0-1.0", "X here")
    assert found["b.svg"].name == found["c/d.svg"].name == "GPL"
    assert "e" not in found


@settings(max_examples=200)
@given(st.text(max_size=80), st.text(max_size=80))
def test_names_from_packages_stay_below_their_folder(category, stem):
    path = path_for(Item(category or "x", stem, lambda: None, ""), Image.new("RGB", (1, 1)), set())
    assert path.count("/") == 2
    assert set(path) <= set("abcdefghijklmnopqrstuvwxyz0123456789_/.")
    assert path.count(".") == 1
    assert plain_name(plain_name(stem)) == plain_name(stem)


def test_equal_names_are_told_apart():
    taken, picture = set(), Image.new("RGB", (1, 1))
    paths = [path_for(Item("Dog", "Rex!", lambda: None, ""), picture, taken) for _ in range(3)]
    assert paths == ["cutouts/dog/rex.png", "cutouts/dog/rex_2.png", "cutouts/dog/rex_3.png"]


def test_a_client_is_quoted_in_one_line():
    assert reason("apt", "Reading...\nE: Unable to locate package x\n") == (
        "apt: Unable to locate package x; try apt-get update"
    )
    assert reason("pip", "WARNING: a\nERROR: no matching x\n") == "pip: no matching x"
    assert reason("pip", "") == "pip: no reason given"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(ORCHESTRA | EFFECTS)), st.integers(0, 999), st.floats(2, 15))
def test_phrases_are_playable_and_the_same_for_a_seed(name, seed, seconds):
    part = (EFFECTS | ORCHESTRA)[name]

    def phrase():
        rng = np.random.default_rng(seed)
        if part.presets[0][0] == DRUMS:
            return drumming(rng, seconds)
        if not part.high:
            return calls(rng, seconds, part.every)
        return melody_of(rng, seconds, part.low, part.high, chords=part.chords, legato=part.legato)

    notes = phrase()
    assert notes == phrase()
    assert all(0 <= note.start < note.end and 1 <= note.velocity <= 127 for note in notes)
    assert max((note.start for note in notes), default=0) < seconds
    if part.high:
        assert all(part.low <= note.key <= part.high for note in notes)
    assert all(35 <= note.key <= 81 for note in notes) or part.high


class Recorder:
    """A synthesiser that writes down what it is told; each key sounds as a constant of its number."""

    def __init__(self):
        self.sounding, self.log = set(), []

    def generate(self, count):
        return np.full((count, 2), float(sum(self.sounding)), np.float32).tobytes()

    def noteon(self, channel, key, velocity):
        self.sounding.add(key)
        self.log.append(("on", key))

    def noteoff(self, channel, key):
        self.sounding.discard(key)
        self.log.append(("off", key))

    def sounds_off(self):
        self.log.append("silence")


def test_notes_begin_and_end_in_time():
    synth = Recorder()
    sound = played(synth, [Note(0.5, 1.0, 60, 80), Note(1.0, 2.0, 60, 80), Note(1.0, 1.5, 64, 80)])
    assert len(sound) == round((2.0 + TAIL) * RATE)
    second = sound[[RATE // 4, RATE * 3 // 4, RATE * 5 // 4, RATE * 7 // 4, RATE * 5 // 2]]
    assert second.tolist() == [0, 60, 124, 60, 0]
    assert synth.log[-1] == "silence"


def test_a_package_without_a_soundfont_is_said(make, tmp_path):
    with pytest.raises(ValueError, match="soundfont"):
        list(instruments(make.deb(tmp_path / "x_1_all.deb", {"a": b"b"}), ORCHESTRA))
    pytest.importorskip("tinysoundfont")
    with pytest.raises(ValueError, match="cannot be read"):
        list(instruments(make.deb(tmp_path / "y_1_all.deb", {"a.sf2": b"RIFF" + bytes(99)}), ORCHESTRA))
