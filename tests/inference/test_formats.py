"""Sounds are written in the format that their name ends in."""

import numpy as np
import pytest
import soundfile

from DiffBinaural.utils.audio import WavWriter
from DiffBinaural.utils.media import read_sound
from DiffBinaural.utils.media_writing import write_video

RATE, SCRIPT = 22_050, "BigVGAN.inference_e2e"


def pair(peak=0.5, seconds=1.3):
    wav = np.random.default_rng(0).uniform(-1, 1, (2, round(seconds * RATE))).astype(np.float32)
    return peak * wav / np.abs(wav).max()


def written(path, wav, piece, rate=RATE):
    with WavWriter(path, rate, name=path) as out:
        for k in range(0, wav.shape[1], piece):
            out.write(wav[:, k : k + piece])
    return path


@pytest.mark.parametrize("rate", [8000, 22_050, 96_000])
@pytest.mark.parametrize("peak", [0.5, 2.5])
@pytest.mark.parametrize("piece", [1000, 40_000])
def test_flac_holds_the_samples_of_a_wav(tmp_path, rate, peak, piece):
    wav = pair(peak)
    paths = [written(tmp_path / f"a.{kind}", wav, piece, rate) for kind in ("wav", "flac", "FLAC")]
    first, *others = (soundfile.read(path, dtype="int16") for path in paths)
    for samples, own in others:
        assert own == rate
        assert np.array_equal(samples, first[0])
    infos = [soundfile.info(path) for path in paths]
    assert [info.format for info in infos] == ["WAV", "FLAC", "FLAC"]
    assert {info.subtype for info in infos} == {"PCM_16"}


@pytest.fixture
def film(tmp_path):
    """A grey video with a sound of its own."""
    shown = np.full((12, 64, 96, 3), 90, np.uint8)
    write_video(tmp_path / "clip.mp4", shown, 10, pair(seconds=1.2)[:1], RATE)
    return tmp_path / "clip.mp4"


def words(film, output, *more):
    out = ("--output", film.parent / output)
    return ("--input_video", film, "--detections", "none", "--sampling_timesteps", 1, *out, *more)


def test_a_conversion_to_flac_is_that_to_wav(film, scripts):
    for kind in ("wav", "flac"):
        film_too = ("--mux", film.parent / f"{kind}.mkv", "--mux_codec", "flac")
        scripts(SCRIPT, *words(film, f"out.{kind}", *film_too))
    sounds = [soundfile.read(film.parent / f"out.{kind}", dtype="int16")[0] for kind in ("wav", "flac")]
    assert np.array_equal(*sounds)
    muxed = [read_sound(film.parent / f"{kind}.mkv")[0] for kind in ("wav", "flac")]
    assert np.array_equal(*muxed)
    assert soundfile.info(film.parent / "out.flac").format == "FLAC"


@pytest.mark.parametrize("name", ["out.mp3", "out.ogg", "out", "out.wav.m4a"])
def test_what_would_lose_something_is_refused_before_anything_is_written(film, scripts, name):
    before = {path.name for path in film.parent.iterdir()}
    with pytest.raises(ValueError, match=rf"{name}: expected .*\.flac"):
        scripts(SCRIPT, *words(film, name))
    assert {path.name for path in film.parent.iterdir()} == before


def test_floats_do_not_fit_flac(film, scripts):
    with pytest.raises(ValueError, match="no-limit"):
        scripts(SCRIPT, *words(film, "out.flac", "--no-limit"))
    assert not (film.parent / "out.flac").exists()


def test_a_batch_names_a_wrong_format_before_the_first_video(film, scripts):
    table = film.parent / "batch.csv"
    table.write_text("input_video,output\nclip.mp4,a.flac\nclip.mp4,b.mp3\n")
    with pytest.raises(ValueError, match=r"b\.mp3"):
        scripts(SCRIPT, *words(table, "made"))
    assert not (film.parent / "made").exists()
    table.write_text("input_video,output\nclip.mp4,a.flac\nclip.mp4,\n")
    scripts(SCRIPT, *words(table, "made"))
    assert sorted(path.name for path in (film.parent / "made").iterdir()) == ["a.flac", "clip.wav"]
    assert soundfile.info(film.parent / "made/a.flac").format == "FLAC"
