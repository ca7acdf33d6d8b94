"""From the sounds and videos that people have to binaural sound, of any length, through the real script."""

import itertools
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from BigVGAN.bigvgan import BigVGAN
from BigVGAN.env import load_config
from BigVGAN.pipeline import Pipeline
from BigVGAN.utils import save_generator
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, SamplingConfig, preset_config
from DiffBinaural.dataset.cutting import WINDOW_HOP, covering, whole_clip
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.inference import overview, sampler
from DiffBinaural.inference.audio_source import AudioSource
from DiffBinaural.inference.generation import generate
from DiffBinaural.inference.loading import load_models
from DiffBinaural.inference.sampler import Sampler
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.inference.windows import WindowCutter
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.utils import mel_stream
from DiffBinaural.utils.audio import WavWriter, read_wav, resample, write_wav
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.files import save_tensors, write_json
from DiffBinaural.utils.media import pictures, read_sound
from DiffBinaural.utils.mel import mel_spectrogram, pad_to_hop

ROOT = Path(__file__).parents[2]
RATE = 22_050
PIXEL = (64, 48)


def tones(seconds, rate, channels):
    t = np.arange(round(seconds * rate))[:, None] / rate
    return (0.3 * np.sin(2 * np.pi * (300 + 100 * np.arange(channels)) * t)).astype(np.float32)


def picture(k, count=30, size=PIXEL):
    """White above, black below, and a little greyer from picture to picture."""
    shown = np.zeros((*size[::-1], 3), np.uint8)
    shown[: size[1] // 2] = 255 - 100 * k // count
    return shown


CODECS = {
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "aac"),
    "mkv": ("libx264", "flac"),
    "webm": ("libvpx-vp9", "libopus"),
}


MATRIX = {"plain": (1, 0, 0, 1), "turned": (0, 1, -1, 0), "mirrored": (-1, 0, 0, 1)}


def film(
    path, seconds, fps, sound=None, rate=48_000, rotated=False, size=PIXEL, matrix=None, offset=0.0, tracks=1
):
    """A video of another program's making; fps "variable": every third picture lasts twice as long.

    offset  seconds by which the sound begins after the picture
    tracks  2: a silent one before that of the sound, which is marked as the default
    """
    video_codec, sound_codec = CODECS[path.suffix[1:]]
    with av.open(str(path), "w") as out:
        video = out.add_stream(video_codec, rate=30 if fps == "variable" else fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = 1 / video.codec_context.framerate
        if matrix := MATRIX[matrix or ("turned" if rotated else "plain")]:
            a, b, c, d = (65536 * x for x in matrix)
            video.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        sounds = []
        if sound is not None:
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]]
            for level in (1,) if tracks == 1 else (0, 1):
                audio = out.add_stream(sound_codec, rate=rate, layout=layout)
                audio.disposition = av.stream.Disposition.default if level else 0
                sounds.append((audio, level * sound))
        count = round(seconds * (30 if fps == "variable" else fps))
        for k in range(count):
            if fps == "variable" and k % 3 == 1:
                continue
            frame = av.VideoFrame.from_ndarray(picture(k, count, size), format="rgb24")
            frame.pts = k + round(max(-offset, 0) * video.codec_context.framerate)
            frame.time_base = video.codec_context.time_base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for audio, wav in sounds:
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(wav.T), format="fltp", layout=audio.layout.name
            )
            frame.sample_rate, frame.pts = rate, round(max(offset, 0) * rate)
            out.mux(audio.encode(frame))
            out.mux(audio.encode(None))


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Untrained networks of the smallest kind: (stage-1 run, vocoder file)."""
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    cfg = preset_config("tiny", id="run", data_root="none")
    model = ModelBuilder(cfg, pretrained=False).build()
    with torch.no_grad():
        for weight in model.unet.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    run = folder / "run"
    run.mkdir()
    write_json(run / "config.json", asdict(cfg))
    save_tensors(run / "unet_best.pth", model.unet.state_dict())
    save_tensors(run / "frame_best.pth", model.frame.state_dict())
    small = json.loads((ROOT / "BigVGAN/configs/bigvgan_binaural_tiny.json").read_text())
    small |= {"upsample_initial_channel": 16, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1]]}
    (folder / "config.json").write_text(json.dumps(small))
    vocoder = BigVGAN(load_config(folder / "config.json"))
    with torch.no_grad():
        for name, weight in vocoder.named_parameters():
            if name.endswith("weight_g"):
                weight.mul_(30)
        vocoder.conv_post.weight_g.mul_(0.03)
    save_generator(folder / "g_best.pth", vocoder)
    return run, folder / "g_best.pth"


def words(nets, video, out, *more):
    return (
        "--input_video",
        video,
        "--run",
        nets[0],
        "--checkpoint_file",
        nets[1],
        "--output",
        out,
        "--sampling_timesteps",
        1,
        "--device",
        "cpu",
        *(() if "--detections" in more else ("--detections", "none")),
        *more,
    )


def samples_of(path):
    wav, rate = soundfile.read(path, always_2d=True)
    assert (rate, wav.shape[1]) == (RATE, 2)
    assert np.abs(wav).max() > 1e-3, "silence proves nothing"
    return wav


# --- whatever people have -----------------------------------------------------------------------------------

FACTORS = {
    "rate": (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000),
    "channels": (1, 2, 6),
    "format": ("wav16", "wav24", "float", "flac", "ogg", "mp3", "own"),
    "fps": (5, 10, 24, 25, 30, 60, "variable"),
    "container": ("mp4", "mkv", "mov", "webm"),
    "matrix": ("plain", "turned", "mirrored"),
    "sound": ("equal", "longer", "shorter", "mute"),
    "offset": (0.0, 0.4, -0.4),
    "tracks": (1, 2),
    "policy": ("mean", "dead", "opposite", "loud"),
}
SOUND = {
    "wav16": ("WAV", "PCM_16"),
    "wav24": ("WAV", "PCM_24"),
    "float": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_24"),
    "ogg": ("OGG", "VORBIS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
OPUS, MP3 = (8_000, 16_000, 48_000), (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)


def possible(case):
    """Whether such a file exists; a case may be partial."""
    format, container, rate = (case.get(name) for name in ("format", "container", "rate"))
    wanted = {format} - {None}
    if case.get("offset") or case.get("tracks") == 2:  # only a film's own sound has these
        wanted |= {"own"}
    if case.get("policy") == "loud":  # others cannot hold it
        wanted |= {"float"}
    if len(wanted) > 1:
        return False
    format = next(iter(wanted), None)
    if format == "mp3" and (case.get("channels") == 6 or rate not in (None, *MP3)):
        return False
    if format == "own" and container == "webm" and rate not in (None, *OPUS):
        return False
    if format == "own" and container in ("mp4", "mov") and rate == 192_000:  # AAC ends at 96 kHz
        return False
    mute, channels, policy = (case.get(name) for name in ("sound", "channels", "policy"))
    if (case.get("offset") or case.get("tracks") == 2) and mute == "mute":
        return False
    return not (policy in ("dead", "opposite") and channels == 1)


def with_policy(sound, policy):
    """A sound (N, C) whose channels are not all of use, or that passes full scale."""
    sound = 10 * sound if policy == "loud" else sound.copy()
    if policy == "dead":
        sound[:, 1:] = 0
    if policy == "opposite":
        sound[:, 1:] = 0
        sound[:, 1] = -sound[:, 0]
    return sound


def pairs_of(case):
    return {frozenset(pair) for pair in itertools.combinations(case.items(), 2)}


def covering_cases():
    """Cases that hold every possible pair of values, found greedily: each new one takes most new pairs."""
    every = [
        frozenset(((a, x), (b, y)))
        for (a, xs), (b, ys) in itertools.combinations(FACTORS.items(), 2)
        for x in xs
        for y in ys
        if possible({a: x, b: y})
    ]
    left, cases = dict.fromkeys(every), []
    while left:
        case = dict(next(iter(left)))
        for name, values in FACTORS.items():
            if name not in case:
                fits = [v for v in values if possible({**case, name: v})]
                case[name] = max(fits, key=lambda v: sum(p in left for p in pairs_of({**case, name: v})))
        for pair in pairs_of(case):
            left.pop(pair, None)
        cases.append({name: case[name] for name in FACTORS})
    return cases, every


CASES, EVERY = covering_cases()


def test_the_cases_hold_every_pair_of_values():
    held = set().union(*map(pairs_of, CASES))
    assert len(CASES) >= 16
    assert set(EVERY) <= held
    assert all(possible(case) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_any_sound_and_any_video(scripts, nets, tmp_path, capsys, case):
    seconds = {"equal": 0.8, "longer": 1.1, "shorter": 0.5, "mute": 0.8}[case["sound"]]
    own, mute = case["format"] == "own", case["sound"] == "mute"
    sound = with_policy(tones(seconds, case["rate"], case["channels"]), case["policy"])
    video, more = tmp_path / f"in.{case['container']}", {k: case[k] for k in ("matrix", "offset", "tracks")}
    film(video, 0.8, case["fps"], None if mute or not own else sound, case["rate"], **more)
    call, rate = words(nets, video, tmp_path / "out.wav"), case["rate"]
    if own and mute:
        with pytest.raises(ValueError, match=rf"in\.{case['container']}: has no sound; give a wav with"):
            scripts("BigVGAN.inference_e2e", *call)
        assert {p.name for p in tmp_path.iterdir()} == {video.name}
        return
    if own:
        wav, rate = read_sound(video)  # Opus knows only one rate, whatever it was given
        samples = wav.shape[1]
    else:
        kind, subtype = SOUND[case["format"]]
        path = tmp_path / f"in.{kind.lower()}"
        soundfile.write(path, sound, case["rate"], format=kind, subtype=subtype)
        samples = soundfile.info(path).frames
        call += ("--input_wav", path)
    filled = 0.1 if case["offset"] > 0 else 0.07  # a sound that begins later shows what precedes it, too
    assert abs(samples / rate - seconds) < filled, "codecs fill up blocks, no more"
    scripts("BigVGAN.inference_e2e", *call)
    made, late = samples_of(tmp_path / "out.wav"), max(case["offset"], 0)
    slack = 0.1 if late else 0  # 1024 samples of a codec's priming
    assert abs(len(made) - -(-samples * RATE // rate) - late * RATE) <= slack * RATE
    every = capsys.readouterr().err
    said = every.splitlines()[-2:]
    assert "real-time factor" in said[-1]
    policies = {"dead": "empty", "opposite": "cancel", "loud": "dB softer throughout"}
    assert policies.get(case["policy"], "") in every
    assert ("2 sound tracks" in every) == (case["tracks"] == 2)
    if case["offset"]:
        return
    wanted = {
        "longer": "the last picture is held for 0.3" if case["fps"] != "variable" else "is held for 0.",
        "shorter": "of the video are not used",
    }
    if case["sound"] in wanted:
        assert wanted[case["sound"]] in said[0]


def test_a_rotated_video_is_seen_upright(tmp_path):
    film(tmp_path / "in.mp4", 0.2, 10, rotated=True)
    for size, shape in ((None, (64, 48, 3)), ((24, 32), (32, 24, 3))):
        shown = next(pictures(tmp_path / "in.mp4", 10, size))
        assert shown.shape == shape
        assert shown[:, -4:].mean() > 240 > 15 > shown[:, :4].mean(), "what is above is now on the right"


def test_a_folder_of_pictures_is_a_video(scripts, nets, tmp_path):
    """The same pictures give the same sound; they are ordered by number, not by letter."""
    film(tmp_path / "clip.mkv", 1.2, 10)
    soundfile.write(tmp_path / "in.wav", tones(1.2, RATE, 1), RATE)
    (tmp_path / "clip").mkdir()
    for k, shown in enumerate(pictures(tmp_path / "clip.mkv", 10)):
        Image.fromarray(shown).save(tmp_path / "clip" / f"{k + 1}.png")
    for video, out in (("clip.mkv", "a.wav"), ("clip", "b.wav")):
        scripts(
            "BigVGAN.inference_e2e",
            *words(nets, tmp_path / video, tmp_path / out, "--input_wav", tmp_path / "in.wav"),
        )
    assert np.array_equal(samples_of(tmp_path / "a.wav"), samples_of(tmp_path / "b.wav"))
    with pytest.raises(ValueError, match="--mux copies a video"):
        scripts(
            "BigVGAN.inference_e2e",
            *words(
                nets,
                tmp_path / "clip",
                tmp_path / "c.wav",
                "--input_wav",
                tmp_path / "in.wav",
                "--mux",
                tmp_path / "c.mp4",
            ),
        )
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="none: neither videos nor pictures"):
        scripts(
            "BigVGAN.inference_e2e",
            *words(nets, tmp_path / "none", tmp_path / "c.wav", "--input_wav", tmp_path / "in.wav"),
        )


def test_a_part_of_a_clip_is_as_long_as_it_was_asked_for(scripts, nets, tmp_path, capsys):
    sound = tones(2, 48_000, 2)
    film(tmp_path / "in.mp4", 2, 25, sound)
    soundfile.write(tmp_path / "in.wav", sound, 48_000)
    call = ("--input_wav", tmp_path / "in.wav", "--start", 0.5, "--end", 1.3, "--mux", tmp_path / "out.mp4")
    scripts("BigVGAN.inference_e2e", *words(nets, tmp_path / "in.mp4", tmp_path / "out.wav", *call))
    assert len(samples_of(tmp_path / "out.wav")) == round(0.8 * RATE)
    assert "the sound lasts" not in capsys.readouterr().err
    greys = [int(shown[:8].mean()) for shown in pictures(tmp_path / "in.mp4", 25)]
    copied = [int(shown[:8].mean()) for shown in pictures(tmp_path / "out.mp4", 25)]
    with av.open(str(tmp_path / "out.mp4")) as box:
        times = [frame.time for frame in box.decode(video=0)]
    first = min(k for k, time in enumerate(times) if time >= 0)
    assert copied[first:][:18] == greys[12:30] or copied[first:][:18] == greys[13:31]
    with pytest.raises(ValueError, match=r"in\.wav: lasts 2.00 s; --start is 3 s"):
        scripts(
            "BigVGAN.inference_e2e",
            *words(
                nets,
                tmp_path / "in.mp4",
                tmp_path / "no.wav",
                "--input_wav",
                tmp_path / "in.wav",
                "--start",
                3,
            ),
        )
    assert not list(tmp_path.glob("*no.wav*"))


@pytest.mark.parametrize("samples", [1, 200, 400, 700])
def test_the_shortest_sounds(scripts, nets, tmp_path, samples):
    soundfile.write(tmp_path / "in.wav", np.full(samples, 0.3), RATE)
    film(tmp_path / "in.mp4", 0.2, 10)
    scripts(
        "BigVGAN.inference_e2e",
        *words(nets, tmp_path / "in.mp4", tmp_path / "out.wav", "--input_wav", tmp_path / "in.wav"),
    )
    assert soundfile.info(tmp_path / "out.wav").frames == samples


@pytest.fixture
def drawn(monkeypatch):
    """The mels of mono (1, M, T) and ears (2, M, T) of each plot, which is not drawn."""
    made = []
    monkeypatch.setattr(
        overview,
        "draw_generated",
        lambda path, mono, ears, *rest: made.append((mono.made, torch.cat([*ears], -1))),
    )
    return made


@pytest.mark.parametrize("renderer", ["geometry", "vocoder"])
def test_a_plot_shows_the_sound_that_is_written(scripts, nets, tmp_path, drawn, renderer):
    """Not mels that were predicted: the renderer has the last word."""
    rate = 48_000 if renderer == "geometry" else RATE
    film(tmp_path / "in.mp4", 2, 10, tones(2, rate, 1), rate)
    plot = "--plot", tmp_path / "a.png", "--renderer", renderer
    scripts("BigVGAN.inference_e2e", *words(nets, tmp_path / "in.mp4", tmp_path / "out.wav", *plot))
    [(mono, ears)] = drawn
    written = torch.from_numpy(resample(*read_wav(tmp_path / "out.wav", channels=2), RATE))
    known = ears.shape[-1] - 3  # at its end the sound is mirrored here, filled with silence there
    expected = mel_spectrogram(written, MelConfig())
    assert mono.shape == (1, *ears.shape[1:])
    assert torch.allclose(ears[..., :known], expected[..., :known], atol=0.02)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_plot_shows_mono_and_ears_on_one_level(scripts, nets, tmp_path, drawn, gain):
    """Also of a sound beyond full scale, which is worked on softer; without sources the ears are the mono."""
    film(tmp_path / "in.mp4", 1, 10)
    soundfile.write(tmp_path / "in.wav", gain * tones(1, RATE, 1) / 0.3, RATE, subtype="FLOAT")
    more = "--input_wav", tmp_path / "in.wav", "--plot", tmp_path / "a.png", "--no-limit"
    scripts(
        "BigVGAN.inference_e2e",
        *words(nets, tmp_path / "in.mp4", tmp_path / "out.wav", "--renderer", "geometry", *more),
    )
    [(mono, ears)] = drawn
    loud = mono[0] > -4
    assert loud.any()
    assert (ears - mono)[:, loud].abs().max() < 0.02


# --- many at once -------------------------------------------------------------------------------------------


def test_a_batch_goes_on_after_a_failure_and_ends_with_status_2(nets, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "c.mkv"):
        film(videos / name, 0.3, 10, tones(0.3, 48_000, 2))
    (videos / "b.mp4").write_text("no video")
    film(videos / "d.mov", 0.3, 10)
    (videos / "notes.txt").write_text("not looked at")
    call = words(nets, videos, tmp_path / "out", "--mux", tmp_path / "muxed", "--plot", tmp_path / "plots")
    done = subprocess.run(
        [sys.executable, ROOT / "BigVGAN/inference_e2e.py", *map(str, call)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    assert len(errors) == 3
    assert "b.mp4" in errors[0]
    assert "d.mov: has no sound" in errors[1]
    assert "2 of 4 videos failed" in errors[2]
    for folder, names in (
        ("out", {"a.wav", "c.wav"}),
        ("muxed", {"a.mp4", "c.mkv"}),
        ("plots", {"a.png", "c.png"}),
    ):
        assert {p.name for p in (tmp_path / folder).iterdir()} == names


def test_a_csv_names_pairs(scripts, nets, tmp_path):
    film(tmp_path / "in.mp4", 1, 10)
    for name, seconds in (("x.wav", 0.4), ("y.flac", 0.9)):
        soundfile.write(tmp_path / name, tones(seconds, RATE, 1), RATE)
    table = tmp_path / "pairs.csv"
    table.write_text(
        "input_video,input_wav,output,end\nin.mp4,x.wav,one.wav,\nin.mp4,y.flac,sub/two.wav,0.5\n"
    )
    scripts("BigVGAN.inference_e2e", *words(nets, table, tmp_path / "out"))
    assert len(samples_of(tmp_path / "out/one.wav")) == round(0.4 * RATE)
    assert len(samples_of(tmp_path / "out/sub/two.wav")) == round(0.5 * RATE)
    table.write_text("input_video,input_wav\nin.mp4,x.wav\nin.mp4,y.flac\n")
    with pytest.raises(ValueError, match=r"in\.wav: .* would both go there"):
        scripts("BigVGAN.inference_e2e", *words(nets, table, tmp_path / "out"))


# --- of any length ------------------------------------------------------------------------------------------


def test_a_clip_in_blocks_is_the_clip_at_once(nets, tmp_path, monkeypatch):
    """Sound, mel, pictures, windows and noise in blocks of 2.3 s against the whole clip in one call."""
    for module in (mel_stream, sampler):
        monkeypatch.setattr(module, "BLOCK", 200)
    rate, cfg = 48_000, SamplingConfig(sampling_timesteps=6, device="cpu")
    sound = np.random.default_rng(0).normal(0, 0.1, (round(7.7 * rate), 2)).astype(np.float32)
    soundfile.write(tmp_path / "in.wav", sound, rate, subtype="FLOAT")
    film(tmp_path / "in.mp4", 6, 25)
    [model] = load_models((str(nets[0]),), torch.device("cpu"))
    trained = model.cfg
    audio = AudioSource(tmp_path / "in.wav", 0.4, math.inf, RATE)
    frames = VideoFrames(tmp_path / "in.mp4", trained.view, start=0.4)
    cutter, last, blocks = WindowCutter(trained.mel, trained.view.window, 0.4), False, []
    by_batch = Sampler(model, cfg)
    while not last:
        samples, last = audio.read()
        for batch in cutter.push(samples, last=last):
            seconds = trained.view.window * trained.mel.hop / trained.mel.sample_rate
            made = by_batch.push(batch, frames.scene(batch.times, seconds))
            mono, mono_mel = cutter.take(made.shape[-1])
            blocks.append((mono, mono_mel, made[..., : mono_mel.shape[-1]]))
    assert len(blocks) >= 3
    mono, mono_mel, mel = (torch.cat(parts, dim=-1) for parts in zip(*blocks, strict=True))
    wav = resample(sound.mean(axis=1)[None, round(0.4 * rate) :], rate, RATE)
    assert audio.samples == wav.shape[1]
    assert torch.allclose(mono[: wav.shape[1]], torch.from_numpy(wav[0]), atol=1e-6)
    whole_mel = mel_spectrogram(pad_to_hop(torch.from_numpy(wav), trained.mel.hop), trained.mel)
    assert torch.allclose(mono_mel, whole_mel, atol=1e-3)
    shown = [Image.fromarray(picture) for picture in pictures(tmp_path / "in.mp4", 10)]
    source = RecordedFrames(shown, 10, [], trained.view)
    clip = whole_clip("in", {"mono_mel": whole_mel}, source, 0.4, trained.mel)
    whole = generate(model, clip, cfg, count=1000)
    assert (whole - clip["mono_mel"]).abs().mean() > 0.05, "it does something"
    assert torch.allclose(mel, whole, atol=2e-3)


@pytest.mark.parametrize("fov", [60, 120])
def test_a_camera_of_a_narrow_field_of_view_shows_what_is_straight_ahead(fov, tmp_path):
    film(tmp_path / "in.mp4", 0.5, 10)
    frames = VideoFrames(tmp_path / "in.mp4", preset_config("tiny", id="", data_root="").view, fov=fov)
    edge = frames.scene([0.0], 0.3)["box"][0, 0].tolist()
    wide = math.tan(math.radians(fov / 2)) / math.tan(math.radians(60))
    assert edge == pytest.approx([0, 0, wide, wide])


@pytest.mark.parametrize("block", [1, 39, 40, 43, 80, 81, 200])
@pytest.mark.parametrize("frames", [1, 79, 80, 81, 119, 120, 121, 203, 239, 240, 241, 410])
def test_blocks_have_the_windows_of_the_whole_clip(frames, block, monkeypatch):
    """However short the last block is, even one frame."""
    monkeypatch.setattr(mel_stream, "BLOCK", block)
    cfg, size = MelConfig(), 80
    samples = torch.randn(1, frames * cfg.hop, generator=torch.Generator().manual_seed(0))
    cutter, batches = WindowCutter(cfg, size, 0.0), []
    for part, last in ((samples[:, :700], False), (samples[:, 700:], False), (samples[:, :0], True)):
        batches += cutter.push(part, last=last)
    _, mel = cutter.take(frames + 2)
    known = mel.shape[-1]
    assert known == max(frames, 2)  # the least sound that has a mel
    whole = max(known, size)
    starts = [start for batch in batches for start in batch.starts]
    assert starts == covering(whole, size, WINDOW_HOP)
    assert batches[-1].frames == batches[-1].until == whole
    assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
    for batch, following in itertools.pairwise(batches):
        assert max(batch.starts) < batch.until <= min(following.starts)
    for start, window in zip(starts, torch.cat([batch.mono for batch in batches]), strict=True):
        shown = mel[..., start : start + size]
        assert window.shape[-1] == size
        assert torch.equal(window[..., : shown.shape[-1]], shown)


# --- five lines of Python -----------------------------------------------------------------------------------


def test_five_lines_of_python(scripts, tmp_path):
    """What the README shows, on the bundled weights: the same bytes as by the script."""
    film(tmp_path / "clip.mp4", 1.2, 10, tones(1.2, 48_000, 2))
    soundfile.write(tmp_path / "mono.wav", tones(1.3, 44_100, 1), 44_100)
    wav, video = tmp_path / "mono.wav", tmp_path / "clip.mp4"
    pipe = Pipeline.from_pretrained(device="cpu", detections="none")
    binaural = pipe(wav, video)
    assert binaural.dtype == np.float32
    assert binaural.shape == (2, round(1.3 * pipe.sample_rate))
    assert pipe(wav, video, output_rate=44_100).shape == (2, round(1.3 * 44_100))
    pipe.convert(wav, video, output=tmp_path / "out.wav", mux=tmp_path / "out.mp4", output_rate=RATE)
    words = ("--input_wav", wav, "--input_video", video, "--detections", "none", "--output_rate", RATE)
    scripts("BigVGAN.inference_e2e", *words, "--output", tmp_path / "b.wav")
    assert (tmp_path / "out.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
    assert np.abs(samples_of(tmp_path / "out.wav").T - binaural).max() <= 0.5 / 32768 + 1e-7
    assert (tmp_path / "out.mp4").stat().st_size > 1000
    assert not np.array_equal(pipe(wav, video, guidance_scale=0), binaural), "an option changes the result"
    with pytest.raises(ValueError, match="renderer cannot change from clip to clip"):
        pipe(wav, video, renderer="vocoder")


def test_a_pipeline_from_a_run_folder_or_a_hub(nets, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no such folder, and no repository id"):
        Pipeline.from_pretrained(tmp_path / "nothing")
    asked = []

    def download(repo_id, filename):
        asked.append((repo_id, filename))
        return BUNDLED / filename

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(hf_hub_download=download))
    pipe = Pipeline.from_pretrained("somebody/ears", device="cpu")
    assert {repo for repo, _ in asked} == {"somebody/ears"}
    assert {name for _, name in asked} >= {"stage1/config.json", "stage1/unet_best.pth", "vocoder/g_best.pth"}
    assert pipe.cfg.renderer == "levelled"
    run = Pipeline.from_pretrained(nets[0], checkpoint_file=str(nets[1]), device="cpu")
    assert run.cfg.renderer == "vocoder"


@pytest.mark.parametrize("disabled", ["", "1"])
def test_without_progress_bars_the_output_is_the_same(nets, tmp_path, disabled):
    """TQDM_DISABLE=1 once lengthened the output: the trim counted with a progress bar."""
    film(tmp_path / "in.mp4", 0.5, 10)
    soundfile.write(tmp_path / "in.wav", tones(0.4536, RATE, 1), RATE)
    call = words(nets, tmp_path / "in.mp4", tmp_path / "out.wav", "--input_wav", tmp_path / "in.wav")
    subprocess.run(
        [sys.executable, ROOT / "BigVGAN/inference_e2e.py", *map(str, call)],
        env={**os.environ, "TQDM_DISABLE": disabled},
        check=True,
        capture_output=True,
    )
    assert soundfile.info(tmp_path / "out.wav").frames == round(0.4536 * RATE)


def peak(nets, folder, seconds, block=None):
    """Megabytes that the script needs for a film with its own sound of so many seconds."""
    film(folder / "in.mp4", seconds, 5, tones(seconds, RATE, 1), RATE, size=(480, 360))
    script = (
        "from BigVGAN import inference_e2e; from DiffBinaural.inference import sampler; "
        "from DiffBinaural.utils import mel_stream; "
        "from DiffBinaural.utils.arguments import run; "
        f"sampler.BLOCK = mel_stream.BLOCK = {block or mel_stream.BLOCK}; run(inference_e2e.main)"
    )
    measure = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stderr=-3); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    call = words(
        nets, folder / "in.mp4", folder / "out.wav", "--mux", folder / "out.mp4", "--plot", folder / "out.png"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, sys.executable, "-c", script, *map(str, call)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert soundfile.info(folder / "out.wav").frames == round(seconds * RATE)
    return float(done.stdout)


def test_a_long_film_needs_little_more_than_a_short_one(nets, tmp_path):
    """In blocks of 1.7 s; the pictures that it has more of would take 104 MB."""
    short, long = (peak(nets, tmp_path, seconds, block=150) for seconds in (4, 24))
    print(f"4 s: {short:.0f} MB, 24 s: {long:.0f} MB")
    assert long - short < 50, (short, long)


@pytest.mark.slow
def test_half_an_hour_needs_little_more_than_a_minute(nets, tmp_path):
    minute, long = (peak(nets, tmp_path, seconds) for seconds in (60, 1800))
    print(f"1 minute: {minute:.0f} MB, 30 minutes: {long:.0f} MB")
    assert long - minute < 1500, (minute, long)


# --- the film with its new sound ----------------------------------------------------------------------------


def stream_of(path, kind):
    """Packets of a stream as bytes, and where it begins and ends in seconds."""
    with av.open(str(path)) as box:
        stream = box.streams.get(**{kind: 0})[0]
        packets = [packet for packet in box.demux(stream) if packet.size]
        times = [float(p.pts * p.time_base) for p in packets]
        end = max(time + float((p.duration or 0) * p.time_base) for time, p in zip(times, packets))
        return [bytes(packet) for packet in packets], min(times), end


@pytest.mark.parametrize(
    ("source", "target", "codec"),
    [
        ("mp4", "mp4", "aac"),
        ("mp4", "mp4", "flac"),
        ("mkv", "mkv", "flac"),
        ("mov", "mov", "aac"),
        ("webm", "mkv", "aac"),
        ("webm", "mp4", "flac"),
    ],
)
def test_the_muxed_file_plays(scripts, nets, tmp_path, source, target, codec):
    video, muxed = tmp_path / f"in.{source}", tmp_path / f"out.{target}"
    rotated = source in ("mp4", "mov")
    film(video, 2, 25, tones(2, 48_000, 2), rotated=rotated)
    scripts(
        "BigVGAN.inference_e2e",
        *words(nets, video, tmp_path / "out.wav", "--mux", muxed, "--mux_codec", codec),
    )
    wav = samples_of(tmp_path / "out.wav").T
    (old, *span), (new, *new_span) = stream_of(video, "video"), stream_of(muxed, "video")
    assert new == old
    assert new_span[1] - new_span[0] == pytest.approx(span[1] - span[0], abs=0.02)
    sound, rate = read_sound(muxed)
    assert rate == RATE
    filled = (codec, target) == ("aac", "mkv")  # whose last block is full
    assert sound.shape[1] / RATE == pytest.approx(wav.shape[1] / RATE, abs=0.05 if filled else 0.02)
    n = min(sound.shape[1], wav.shape[1])
    if codec == "flac":
        assert np.array_equal(sound, wav.astype(np.float32))
    else:
        error = sound[:, :n] - wav[:, :n]
        assert (error**2).sum() < 0.01 * (wav**2).sum()
    with av.open(str(muxed)) as box:
        assert [s.type for s in box.streams] == ["video", "audio"]
        shown = [frame for frame in box.decode(video=0)]
    assert len(shown) == 50
    assert shown[0].rotation == (-90 if rotated else 0)


def test_what_a_container_does_not_take_is_said_at_once(scripts, nets, tmp_path):
    film(tmp_path / "in.mov", 0.3, 10, tones(0.3, 48_000, 2))
    for name, message in (
        ("out.mov", "a .mov file cannot hold"),
        ("out.avi", "expected a name that ends in"),
        ("in.mov", "is an input too"),
    ):
        with pytest.raises(ValueError, match=message):
            scripts(
                "BigVGAN.inference_e2e",
                *words(
                    nets,
                    tmp_path / "in.mov",
                    tmp_path / "out.wav",
                    "--mux",
                    tmp_path / name,
                    "--mux_codec",
                    "flac",
                ),
            )
    assert [p.name for p in tmp_path.iterdir()] == ["in.mov"]


def test_another_mel_is_refused(scripts, nets, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(nets[0], folder)
    cfg = json.loads((folder / "config.json").read_text())
    cfg["mel"]["fmax"] = 8000.0
    (folder / "config.json").write_text(json.dumps(cfg))
    with pytest.raises(ValueError, match=r"g_best\.pth: another mel: fmax 11025.0 \(here 8000.0\)"):
        scripts("BigVGAN.inference_e2e", *words((folder, nets[1]), tmp_path / "in.mp4", tmp_path / "out.wav"))


@pytest.mark.parametrize("peak", [0.9, 1.2])
@pytest.mark.parametrize("size", [1, 700, 4000])
def test_sound_in_blocks_is_written_as_at_once(tmp_path, size, peak):
    """The same bytes; what passes full scale is made to fit as a whole."""
    wav = peak * np.random.default_rng(0).uniform(-1, 1, (2, 4000)).astype(np.float32)
    with WavWriter(tmp_path / "blocks.wav", RATE) as out:
        for block in np.split(wav, range(size, 4000, size), axis=1):
            out.write(block)
    assert out.samples == 4000
    assert (out.gain == 1) == (peak < 1)
    write_wav(tmp_path / "whole.wav", wav * np.float64(out.gain), RATE)
    assert (tmp_path / "blocks.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    off = soundfile.read(tmp_path / "blocks.wav")[0].T - wav * out.gain
    assert np.abs(off).max() <= 0.5 / 32768 + 1e-12
    assert abs(off.mean()) < 0.05 / 32768, "rounded down it would be off by half a step on average"
