"""Sounds, levels, names and weights that are not the usual, through the real scripts."""

import math
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from BigVGAN.utils import load_strict
from DiffBinaural.inference.audio_source import AudioSource
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.utils.audio import WavWriter
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.destinations import check_destination
from DiffBinaural.utils.files import load_tensors, save_tensors
from DiffBinaural.utils.media_writing import mux, write_video
from DiffBinaural.utils.state_dicts import unwrapped

ROOT = Path(__file__).parents[2]
RATE = 22_050


def noise(seed, seconds=3.0):
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def mono_of(path, *more):
    """What the model hears of a file, with the level of the file, and what is said of it."""
    audio, parts, last = AudioSource(path, *(more or (0.0, math.inf)), RATE), [], False
    while not last:
        samples, last = audio.read()
        parts.append(samples[0].numpy())
    return np.concatenate(parts) / audio.gain, audio


def written(path, *channels):
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype="FLOAT")
    return path


# --- channels -----------------------------------------------------------------------------------------------

ZERO = np.zeros_like(noise(0))
A, B = noise(1), noise(2)
HALF = np.where(np.arange(len(A)) < len(A) // 2, 1, -1).astype(np.float32)
CHANNELS = {
    "mono": ((A,), A, ""),
    "two microphones": ((A, B), (A + B) / 2, ""),
    "the same twice": ((A, A), A, ""),
    "one softer": ((A, 0.05 * A), 0.525 * A, ""),
    "opposite": ((A, -A), A, "cancel"),
    "opposite, the right one louder": ((-0.7 * A, A), A, "cancel"),
    "half opposite": ((A, -0.5 * A), A, "cancel"),
    "opposite in the second half": ((A, HALF * A), A, "cancel"),
    "opposite with something in common": ((A + 0.2 * B, -A + 0.2 * B), A + 0.2 * B, "cancel"),
    "opposite over an offset": ((A + 0.2, -A + 0.2), A + 0.2, "cancel"),
    "no right one": ((A, ZERO), A, "empty"),
    "no left one": ((ZERO, A), A, "empty"),
    "a right one of hum": ((A, 0.002 * B), A, "empty"),
    "a right one of an offset": ((A, ZERO + 0.1), A, "empty"),
    "centre of 5.1 alone": ((ZERO, ZERO, A, ZERO, ZERO, ZERO), A, "empty"),
    "front of 5.1": ((A, B, ZERO, ZERO, ZERO, ZERO), (A + B) / 2, "empty"),
    "all of 5.1": (tuple(map(noise, range(6))), np.mean([noise(k) for k in range(6)], axis=0), ""),
    "silence": ((ZERO, ZERO), ZERO, ""),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_become_their_mean_or_the_louder_one(tmp_path, name):
    channels, wanted, said = CHANNELS[name]
    mono, audio = mono_of(written(tmp_path / "in.wav", *channels))
    assert np.abs(mono - wanted).max() < 1e-6
    assert len(audio.notices) == bool(said)
    assert all(said in line for line in audio.notices)


def test_what_is_chosen_holds_for_the_part_that_is_used(tmp_path):
    path = written(tmp_path / "in.wav", A, HALF * A)
    at, middle = RATE // 10, len(A) // 2
    first, _ = mono_of(path, 0.1, middle / RATE)
    assert np.abs(first - A[at:middle]).max() < 1e-6


def test_a_mean_that_was_right_is_the_same_to_the_last_bit(tmp_path):
    mono, audio = mono_of(written(tmp_path / "in.wav", A, B))
    assert audio.gain == 1
    assert np.array_equal(mono, np.stack([A, B]).mean(axis=0))


# --- levels -------------------------------------------------------------------------------------------------


def blocks_written(path, wav, size=700, **options):
    with WavWriter(path, RATE, **options) as out:
        for start in range(0, wav.shape[1], size):
            out.write(wav[:, start : start + size])
    return soundfile.read(path, dtype="float32")[0].T, out


@pytest.mark.parametrize("peaks", [(1.5, 0.2), (0.1, 3.0), (1.0001, 1.0), (30.0, 30.0)])
def test_one_gain_for_both_ears_and_the_whole_file(tmp_path, peaks):
    """Whichever ear passes full scale, and however late it does."""
    wav = np.stack([A, B]) * 0.05
    wav[0, 5], wav[1, -3] = peaks[0], -peaks[1]
    got, out = blocks_written(tmp_path / "out.wav", wav)
    assert out.gain == pytest.approx((1 - 2**-15) / max(peaks))
    assert np.abs(got - wav * out.gain).max() <= 0.5 / 32768 + 1e-7
    assert np.abs(got).max() == pytest.approx(1, abs=2**-14)
    assert soundfile.info(tmp_path / "out.wav").subtype == "PCM_16"
    kept, out = blocks_written(tmp_path / "float.wav", wav, limit=False)
    assert np.array_equal(kept, wav.astype(np.float32))
    assert soundfile.info(tmp_path / "float.wav").subtype == "FLOAT"
    assert out.gain < 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["float.wav", "out.wav"]


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield np.ones((2, 10), np.float32)
        raise KeyboardInterrupt

    def write():
        with WavWriter(tmp_path / "out.wav", RATE) as out:
            for block in broken():
                out.write(block)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


def converted(scripts, folder, sound, *more, video=None):
    """The binaural sound by the bundled models, one second of it."""
    if video is None:
        video = folder / "film.mp4"
        still = (np.full((48, 64, 3), 90, np.uint8) for _ in range(10))
        write_video(video, still, 10, np.zeros((1, RATE), np.float32), RATE)
    words = ("--input_wav", sound) if sound else ()
    words += ("--input_video", video, "--output", folder / "out.wav", "--detections", "none")
    scripts("BigVGAN.inference_e2e", *words, "--device", "cpu", *more)
    return soundfile.read(folder / "out.wav", dtype="float32")[0].T


def test_a_sound_above_full_scale_comes_out_whole(scripts, tmp_path, capsys):
    """A float wav with a peak of 3: as a softer one, with one gain, which is said; not a clipped sample."""
    soft = (noise(3, 1.0) / 0.5).clip(-1, 1)
    soft /= np.abs(soft).max()
    quiet = converted(scripts, tmp_path, written(tmp_path / "quiet.wav", 0.5 * soft), "--no-limit")
    loud = converted(scripts, tmp_path, written(tmp_path / "loud.wav", 3 * soft))
    said = capsys.readouterr().err
    assert "softer throughout" in said
    assert np.abs(loud).max() <= 1
    assert (np.abs(loud) > 0.9999).mean() < 1e-3
    ratio = [np.std(ear) for ear in loud], [np.std(ear) for ear in quiet]
    assert ratio[0][0] / ratio[0][1] == pytest.approx(ratio[1][0] / ratio[1][1], rel=0.1)
    whole = converted(
        scripts,
        tmp_path,
        tmp_path / "loud.wav",
        "--no-limit",
        "--mux",
        tmp_path / "out.mkv",
        "--mux_codec",
        "flac",
    )
    assert np.abs(whole).max() > 2
    gain = (1 - 2**-15) / np.abs(whole).max()
    assert np.abs(loud - gain * whole).max() < 1.1 / 32768
    with av.open(str(tmp_path / "out.mkv")) as box:
        film = np.concatenate([f.to_ndarray() for f in box.decode(audio=0)], axis=1).reshape(-1, 2).T / 32768
    assert np.abs(film - loud).max() < 1.1 / 32768, "in a film it always fits"


@pytest.mark.parametrize("codec", ["aac", "flac"])
def test_a_films_sound_has_the_gain_it_is_given(tmp_path, codec):
    t = np.arange(RATE) / RATE
    wav = np.tile(2 * np.sin(2 * np.pi * 300 * t).astype(np.float32), (2, 1))
    soundfile.write(tmp_path / "in.wav", wav.T, RATE, subtype="FLOAT")
    write_video(tmp_path / "in.mp4", (np.zeros((48, 64, 3), np.uint8) for _ in range(10)), 10, wav / 4, RATE)
    for sound in (wav, tmp_path / "in.wav"):
        mux(tmp_path / "in.mp4", tmp_path / "out.mkv", sound, RATE, codec=codec, kind=".mkv", gain=0.25)
        mono, _ = mono_of(tmp_path / "out.mkv")
        assert np.sqrt(2 * np.mean(mono**2)) == pytest.approx(0.5, rel=0.03)


# --- sound tracks, channels by the real script --------------------------------------------------------------


def two_tracks(path):
    """A film whose first track is silent, whose second one is not; none is the default."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        tracks = [out.add_stream("aac", rate=RATE, layout="mono") for _ in range(2)]
        for track in tracks:
            track.disposition = 0
        for _ in range(10):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")))
        out.mux(video.encode(None))
        for level, track in enumerate(tracks):
            frame = av.AudioFrame.from_ndarray((level * noise(1, 1.0))[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            out.mux([*track.encode(frame), *track.encode(None)])
    return path


def test_a_sound_track_is_chosen_by_number(scripts, tmp_path, capsys):
    film = two_tracks(tmp_path / "in.mkv")
    assert np.abs(converted(scripts, tmp_path, None, video=film)).max() < 1e-3
    assert "2 sound tracks, 0 (" in capsys.readouterr().err
    assert np.abs(converted(scripts, tmp_path, None, "--audio_track", 1, video=film)).max() > 0.1
    with pytest.raises(ValueError, match=r"--audio_track is 2; its sound tracks are 0 \(.*1 \("):
        converted(scripts, tmp_path, None, "--audio_track", 2, video=film)
    with pytest.raises(ValueError, match="--audio_track is 1; a sound file has one track"):
        converted(scripts, tmp_path, written(tmp_path / "in.wav", A), "--audio_track", 1, video=film)


# --- weights ------------------------------------------------------------------------------------------------

WRAPPERS = {
    "module.": lambda name: f"module.{name}",
    "_orig_mod.": lambda name: f"_orig_mod.{name}",
    "both": lambda name: f"_orig_mod.module.{name}",
    "the other way round": lambda name: f"module._orig_mod.{name}",
    "in the middle": lambda name: name.replace(".", "._orig_mod.", 1),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_weights_of_wrapped_models_are_those_of_the_model(wrapper):
    plain = {"conv.weight": torch.ones(2), "conv.bias": torch.zeros(1), "norm.0.weight": torch.ones(3)}
    assert list(unwrapped(plain)) == list(plain)
    assert list(unwrapped({WRAPPERS[wrapper](name): t for name, t in plain.items()})) == list(plain)
    network = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.Conv1d(2, 1, 3))
    state = {WRAPPERS[wrapper](name): 0.5 * tensor for name, tensor in network.state_dict().items()}
    load_strict(network, state, "g")
    assert all(torch.equal(state[WRAPPERS[wrapper](n)], t) for n, t in network.state_dict().items())


def test_a_model_with_a_part_of_that_name_is_left_alone():
    some = {"module.weight": torch.ones(1), "weight": torch.zeros(1)}
    assert unwrapped(some) == some
    clash = {"_orig_mod.weight": torch.ones(1), "weight": torch.zeros(1)}
    assert unwrapped(clash) == clash


def test_a_wrapped_run_loads_and_another_is_refused_in_one_short_line(tmp_path):
    from DiffBinaural.inference.loading import fill, load_config

    run = BUNDLED / "stage1"
    model = ModelBuilder(load_config(run), pretrained=False).build()
    state = load_tensors(run / "unet_best.pth")
    save_tensors(tmp_path / "unet.pth", {f"module.{name}": tensor for name, tensor in state.items()})
    fill(model, run, str(tmp_path / "unet.pth"))
    assert all(torch.equal(model.unet.state_dict()[name], t.float()) for name, t in state.items())
    save_tensors(tmp_path / "unet.pth", {f"net.{name}": tensor for name, tensor in state.items()})
    with pytest.raises(ValueError, match=r"unet\.pth: does not fit .*lacks .*, and \d+ more") as caught:
        fill(model, run, str(tmp_path / "unet.pth"))
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


# --- names, places that refuse ------------------------------------------------------------------------------


def ended(script, *words):
    """A script in a process of its own: its last line; it must have ended with status 2 and one error."""
    done = subprocess.run(
        [sys.executable, ROOT / script, *map(os.fsencode, map(str, words))], capture_output=True, cwd=ROOT
    )
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 2, said
    assert "Traceback" not in said
    [line] = [line for line in said.splitlines() if line.startswith("error: ")]
    return line


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "in.mp4"
    write_video(path, (np.zeros((48, 64, 3), np.uint8) for _ in range(3)), 10, noise(0, 0.3)[None], RATE)
    return path


CONVERT, FIND = "BigVGAN/inference_e2e.py", "DiffBinaural/find_sources.py"


@pytest.mark.parametrize("what", ["video", "sound", "output", "find", "found"])
def test_a_name_that_is_not_utf8_is_refused_in_one_line(film, tmp_path, what):
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    if what in ("video", "find"):
        os.rename(film, bad)
    elif what == "sound":
        soundfile.write(tmp_path / "in.wav", A, RATE)
        bad = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
        os.rename(tmp_path / "in.wav", bad)
    words = {
        "video": (CONVERT, "--input_video", bad, "--output", tmp_path / "out.wav"),
        "sound": (CONVERT, "--input_video", film, "--input_wav", bad, "--output", tmp_path / "out.wav"),
        "output": (CONVERT, "--input_video", film, "--output", bad),
        "find": (FIND, "--input", bad),
        "found": (FIND, "--input", film, "--output", bad),
    }[what]
    line = ended(*words)
    assert "caf" in line
    assert "not UTF-8" in line


def test_a_place_that_refuses_is_named_in_one_line(film, tmp_path):
    (tmp_path / "file").write_text("")
    for words in (
        (CONVERT, "--input_video", film, "--output", tmp_path / "file/out.wav"),
        (FIND, "--input", film, "--output", tmp_path / "file/deep/out.csv"),
    ):
        assert f"{tmp_path / 'file'} is a file; expected a folder" in ended(*words)
    if Path("/proc/self").is_dir():
        line = ended(CONVERT, "--input_video", film, "--output", "/proc/self/out.wav")
        assert "/proc/self/out.wav: nothing can be written to /proc/self" in line


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write_is_refused(tmp_path):
    (tmp_path / "mine").mkdir(mode=0o500)
    with pytest.raises(ValueError, match="nothing can be written to"):
        check_destination(tmp_path / "mine/deep/out.wav")


def test_the_check_of_a_place_leaves_nothing(tmp_path):
    check_destination(tmp_path / "some/folders/out.wav")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="is a folder"):
        check_destination(tmp_path)
