"""From the sounds and videos that people have to binaural sound, of any length, through the real script."""

import itertools
import json
import struct
from dataclasses import asdict
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from BigVGAN.bigvgan import BigVGAN
from BigVGAN.env import load_config
from BigVGAN.utils import save_generator
from DiffBinaural.configs.advanced_diffusion_config import preset_config
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.utils.files import save_tensors, write_json
from DiffBinaural.utils.media import read_sound

ROOT = Path(__file__).parents[1]
RATE = 22_050
PIXEL = (64, 48)


def tones(seconds, rate, channels):
    t = np.arange(round(seconds * rate))[:, None] / rate
    return (0.3 * np.sin(2 * np.pi * (300 + 100 * np.arange(channels)) * t)).astype(np.float32)


def picture(k, count=30):
    """White above, black below, and a little greyer from picture to picture."""
    shown = np.zeros((*PIXEL[::-1], 3), np.uint8)
    shown[: PIXEL[1] // 2] = 255 - 100 * k // count
    return shown


CODECS = {"mp4": ("libx264", "aac"), "mov": ("libx264", "aac"), "mkv": ("libx264", "flac"),
          "webm": ("libvpx-vp9", "libopus")}


def film(path, seconds, fps, sound=None, rate=48_000, rotated=False):
    """A video of another program's making; fps "variable": every third picture lasts twice as long."""
    video_codec, sound_codec = CODECS[path.suffix[1:]]
    with av.open(str(path), "w") as out:
        video = out.add_stream(video_codec, rate=30 if fps == "variable" else fps)
        video.width, video.height, video.pix_fmt = *PIXEL, "yuv420p"
        video.codec_context.time_base = 1 / video.codec_context.framerate
        if sound is not None:
            audio = out.add_stream(sound_codec, rate=rate, layout={1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]])
        count = round(seconds * (30 if fps == "variable" else fps))
        for k in range(count):
            if fps == "variable" and k % 3 == 1:
                continue
            frame = av.VideoFrame.from_ndarray(picture(k, count), format="rgb24")
            frame.pts, frame.time_base = k, video.codec_context.time_base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), format="fltp",
                                               layout=audio.layout.name)
            frame.sample_rate, frame.pts = rate, 0
            out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    if rotated:
        content = bytearray(path.read_bytes())
        at = content.find(b"tkhd") + 44                # the matrix of a version-0 track header
        content[at : at + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
        path.write_bytes(content)


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
    return ("--input_video", video, "--run", nets[0], "--checkpoint_file", nets[1], "--output", out,
            "--sampling_timesteps", 1, "--device", "cpu", *more)


def heard(path):
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
    "rotated": (False, True),
    "sound": ("equal", "longer", "shorter", "mute"),
}
SOUND = {"wav16": ("WAV", "PCM_16"), "wav24": ("WAV", "PCM_24"), "float": ("WAV", "FLOAT"),
         "flac": ("FLAC", "PCM_24"), "ogg": ("OGG", "VORBIS"), "mp3": ("MP3", "MPEG_LAYER_III")}
OPUS, MP3 = (8_000, 16_000, 48_000), (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)


def possible(case):
    """Whether such a file exists.  A case may be partial.  A mute video comes with a wav of its own or fails."""
    format, container, rate = (case.get(name) for name in ("format", "container", "rate"))
    if format == "mp3" and (case.get("channels") == 6 or rate not in (None, *MP3)):
        return False
    if format == "own" and container == "webm" and rate not in (None, *OPUS):
        return False
    if format == "own" and container in ("mp4", "mov") and rate == 192_000:      # AAC ends at 96 kHz
        return False
    if case.get("rotated") and container in ("mkv", "webm"):             # set here in MP4's own header
        return False
    return True


def pairs_of(case):
    return {frozenset(pair) for pair in itertools.combinations(case.items(), 2)}


def covering_cases():
    """Cases that hold every possible pair of values, found greedily: each new one takes most new pairs."""
    every = [frozenset(((a, x), (b, y))) for (a, xs), (b, ys) in itertools.combinations(FACTORS.items(), 2)
             for x in xs for y in ys if possible({a: x, b: y})]
    left, cases = dict.fromkeys(every), []
    while left:
        case = dict(next(iter(left)))
        for name, values in FACTORS.items():
            if name not in case:
                fits = [v for v in values if possible({**case, name: v})]
                case[name] = max(fits, key=lambda v: sum(p in left for p in pairs_of({**case, name: v})))
        for pair in pairs_of(case):
            left.pop(pair, None)
        cases.append(case)
    return cases, every


CASES, EVERY = covering_cases()


def test_the_cases_hold_every_pair_of_values():
    held = set().union(*map(pairs_of, CASES))
    assert len(CASES) >= 16
    assert held == set(EVERY) | held
    assert set(EVERY) <= held
    assert all(possible(case) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case.values())))
def test_any_sound_and_any_video(scripts, nets, tmp_path, capsys, case):
    seconds = {"equal": 0.8, "longer": 1.1, "shorter": 0.5, "mute": 0.8}[case["sound"]]
    own, mute = case["format"] == "own", case["sound"] == "mute"
    sound, video = tones(seconds, case["rate"], case["channels"]), tmp_path / f"in.{case['container']}"
    film(video, 0.8, case["fps"], None if mute or not own else sound, case["rate"], case["rotated"])
    call = words(nets, video, tmp_path / "out.wav")
    if own and mute:
        with pytest.raises(ValueError, match=rf"in\.{case['container']}: has no sound; give a wav with --input"):
            scripts("BigVGAN.inference_e2e", *call)
        assert {p.name for p in tmp_path.iterdir()} == {video.name}
        return
    if own:
        samples = read_sound(video)[0].shape[1]
    else:
        kind, subtype = SOUND[case["format"]]
        path = tmp_path / f"in.{kind.lower()}"
        soundfile.write(path, sound, case["rate"], format=kind, subtype=subtype)
        samples = soundfile.info(path).frames
        call += ("--input_wav", path)
    assert abs(samples / case["rate"] - seconds) < 0.07, "codecs fill up blocks, no more"
    scripts("BigVGAN.inference_e2e", *call)
    rate = 48_000 if own and case["container"] == "webm" else case["rate"]      # Opus knows only one
    assert len(heard(tmp_path / "out.wav")) == -(-samples * RATE // rate)
    said = capsys.readouterr().err.splitlines()[-2:]
    assert "real-time factor" in said[-1]
    wanted = {"longer": "the last picture is held for 0.3", "shorter": "of the video are not heard"}
    if case["sound"] in wanted:
        assert wanted[case["sound"]] in said[0]
