"""The renderer that needs no network, of tracks and a head: in memory, through the real script."""

import json

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from BigVGAN.pipeline import Pipeline
from DiffBinaural.configs.advanced_diffusion_config import MelConfig, ViewConfig
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.evaluation.metrics import WAV_METRICS
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference.geometry import GeometrySampler
from DiffBinaural.inference.rendering import MonoPhaseRenderer, render
from DiffBinaural.inference.video_frames import VideoFrames
from DiffBinaural.inference.windows import WindowCutter
from DiffBinaural.simulation.scenes import simulate
from DiffBinaural.utils import mel_stream
from DiffBinaural.utils.files import write_rows
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.mel import mel_spectrogram

CFG = MelConfig()
RATE, FPS = CFG.sample_rate, 10
VIEW = ViewConfig(frames=2, image_size=16)
HALF_STEP = 0.5 / 32768  # of 16 bits


def dry_scene(seed, head="sphere", seconds=2.0, sources=1):
    return simulate(seed, seconds=seconds, sources=(sources, sources), room=False, head=head)


def found_in(scene):
    """The detections of a scene, all sources."""
    return sorted(
        (
            Detection(k / FPS, tuple(box), 1.0, track=str(n))
            for n, source in enumerate(scene.sources)
            for k, box in enumerate(source.boxes)
        ),
        key=lambda d: d.time,
    )


def source_of(scene, detections=None):
    shown = [Image.fromarray(picture) for picture in scene.frames]
    return RecordedFrames(shown, FPS, found_in(scene) if detections is None else detections, VIEW)


def at_frames(source, count):
    return source.directions((np.arange(count) + 0.5) * CFG.hop / RATE)


def by_geometry(scene, head="sphere", detections=None, **options):
    """(2, N), from the scene's mono and its boxes."""
    mono = torch.from_numpy(scene.binaural.mean(0))
    frames = -(-len(mono) // CFG.hop)
    directions = at_frames(source_of(scene, detections), frames)
    mel = torch.zeros(2, CFG.n_mels, frames)
    made = render(mono, mel, CFG, "geometry", directions, head=head_named(head), **options)
    return made[:, : len(mono)].numpy()


def error(name, made, scene):
    return WAV_METRICS[name].figure(made, scene.binaural, RATE)


# --- against the truth --------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["sphere", "sphere:10", "sphere:8:5", "kemar"])
@pytest.mark.parametrize("seed", [2, 7])
def test_one_source_without_a_room_sounds_like_the_truth(seed, head):
    scene = dry_scene(seed, head)
    made = by_geometry(scene, head)
    assert error("itd_error", made, scene) < 5  # µs
    assert error("ild_error", made, scene) < 0.3  # dB
    assert np.abs(made.mean(0) - scene.binaural.mean(0)).max() < 1e-6
    copy = np.stack([scene.binaural.mean(0)] * 2)
    for name in ("stft", "env", "itd_error", "ild_error"):
        assert error(name, made, scene) < 0.4 * error(name, copy, scene), name


def test_another_head_than_the_listeners_is_worse():
    scene = dry_scene(2, "kemar")
    right, wrong = (by_geometry(scene, head) for head in ("kemar", "sphere"))
    assert np.abs(right - wrong).max() > 0.01
    assert error("ild_error", wrong, scene) > 3 * error("ild_error", right, scene)
    assert error("itd_error", wrong, scene) > 3 * error("itd_error", right, scene)
    assert error("stft", wrong, scene) > error("stft", right, scene)


def test_the_end_of_a_clip_is_where_the_last_picture_shows_the_source():
    """Its last picture is shown up to a whole picture before the end; a longer sound holds it."""
    scene = dry_scene(2)
    source, later = source_of(scene), np.array([1.9, 1.949, 1.96, 1.999, 7.0])
    places = source.directions(later)[0]
    assert torch.equal(places, places[:, :1].expand(3, 5))
    gone = source_of(scene, found_in(scene)[:-3])
    assert not gone.directions(later).any(), "a source that has gone before is not held"
    assert not source.directions(later)[1].any()


def test_boxes_on_the_other_side_exchange_the_ears():
    scene = dry_scene(4)
    width = scene.frames.shape[2]
    flipped = [
        Detection(d.time, (width - d.box[2], d.box[1], width - d.box[0], d.box[3]), d.score, track=d.track)
        for d in found_in(scene)
    ]
    here, there = by_geometry(scene), by_geometry(scene, detections=flipped)
    assert np.abs(here - there[::-1]).max() < 1e-4
    assert np.abs(here - here[::-1]).max() > 0.01


def test_two_sources_lie_between_and_a_silent_one_does_not_count():
    scene = dry_scene(0, sources=2)
    both, first = found_in(scene), [d for d in found_in(scene) if d.track == "0"]
    quiet = [Detection(d.time, d.box, d.score, track=d.track, sounding=float(d.track == "0")) for d in both]
    one, two, muted = (by_geometry(scene, detections=found) for found in (first, both, quiet))
    second = by_geometry(scene, detections=[d for d in both if d.track == "1"])
    assert np.abs(two - (one + second) / 2).max() < 1e-5
    assert np.array_equal(muted, one)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_chunks_and_blocks_change_nothing(chunk):
    scene = dry_scene(2, seconds=1.0)
    whole, parts = by_geometry(scene, chunk=10_000), by_geometry(scene, chunk=chunk)
    assert np.abs(whole - parts).max() < 1e-5
    frames = -(-scene.binaural.shape[1] // CFG.hop)
    mono = torch.zeros(frames * CFG.hop)
    mono[: scene.binaural.shape[1]] = torch.from_numpy(scene.binaural.mean(0))
    places, renderer, made = at_frames(source_of(scene), frames), MonoPhaseRenderer(CFG, "geometry"), []
    for first in range(0, frames, 13):
        last, cut = first + 13 >= frames, slice(first, first + 13)
        piece, mel = mono[first * CFG.hop : (first + 13) * CFG.hop], torch.zeros(2, 80, frames)[..., cut]
        made.append(renderer.push(piece, mel, places[..., cut], last=last))
    joined = torch.cat(made, dim=-1)[:, : scene.binaural.shape[1]].numpy()
    assert np.abs(joined - whole).max() < 1e-5


def test_without_directions_both_ears_are_the_mono():
    scene = dry_scene(2, seconds=1.0)
    mono = scene.binaural.mean(0)
    assert np.abs(by_geometry(scene, detections=[]) - mono).max() < 1e-6
    wav = torch.from_numpy(mono)
    bare = render(wav, torch.zeros(2, 80, -(-len(wav) // CFG.hop)), CFG, "geometry")
    assert np.abs(bare[:, : len(wav)].numpy() - mono).max() < 1e-6


# --- its mels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [40, 83, 5000])
def test_the_mels_are_those_of_what_is_heard_in_blocks_too(block, monkeypatch):
    monkeypatch.setattr(mel_stream, "BLOCK", block)
    scene = dry_scene(7, seconds=3.0)
    source, mono = source_of(scene), torch.from_numpy(scene.binaural.mean(0, keepdims=True))
    cutter, sampler, made = (
        WindowCutter(CFG, VIEW.window, 0.0),
        GeometrySampler(CFG, head_named("sphere")),
        [],
    )
    for batch in cutter.push(mono, last=True):
        made.append(sampler.push(batch, source.scene(batch.times, VIEW.window * CFG.hop / RATE)))
    mel = torch.cat(made, dim=-1)
    heard = mel_spectrogram(torch.from_numpy(by_geometry(scene)), CFG)
    frames = mono.shape[1] // CFG.hop
    assert mel.shape[-1] >= frames
    loud = heard[..., :frames] > -5
    assert loud.float().mean() > 0.1
    off = (mel[..., :frames] - heard[..., :frames]).abs()[loud]
    assert off.mean() < 0.1
    level = (mel[0] - mel[1])[:, :frames] - (heard[0] - heard[1])[:, :frames]
    assert level[loud.all(0)].abs().mean() < 0.15  # nepers


# --- the script ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A folder of pictures, its mono and its detections: of a scene with one source at +20° to +36°."""
    root, scene = tmp_path_factory.mktemp("film"), dry_scene(13, seconds=1.5)
    (root / "film").mkdir()
    for k, picture in enumerate(scene.frames, 1):
        Image.fromarray(picture).save(root / f"film/{k:03d}.png")
    soundfile.write(root / "mono.wav", scene.binaural.mean(0), RATE, subtype="FLOAT")
    rows = [("film", k, *box, 1.0) for k, box in enumerate(scene.sources[0].boxes, 1)]
    write_rows(root / "found.csv", "video_id,frame,x1,y1,x2,y2,score", rows)
    return root, scene


def words(root, out, *more):
    return (
        "--input_video",
        root / "film",
        "--input_wav",
        root / "mono.wav",
        "--renderer",
        "geometry",
        "--device",
        "cpu",
        "--output",
        out,
        *(() if "--detections" in more else ("--detections", "none")),
        *more,
    )


def wav_of(path):
    wav, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    return wav.T


def louder_right(wav):
    """Level of the right ear over the left one's in dB, of the sound above 1.5 kHz."""
    power = np.abs(np.fft.rfft(wav)) ** 2
    left, right = power[:, np.fft.rfftfreq(wav.shape[1], 1 / RATE) > 1500].sum(1)
    return 10 * np.log10(right / left)


def test_the_script_makes_what_the_renderer_makes(scripts, film, tmp_path, capsys):
    root, scene = film
    scripts("BigVGAN.inference_e2e", *words(root, tmp_path / "a.wav", "--detections", root / "found.csv"))
    made = wav_of(tmp_path / "a.wav")
    assert made.shape == scene.binaural.shape
    assert np.abs(made - by_geometry(scene)).max() < HALF_STEP + 1e-4
    assert error("itd_error", made, scene) < 5
    assert error("ild_error", made, scene) < 0.4
    assert "head sphere" in capsys.readouterr().err


def test_without_detections_the_script_copies_the_mono(scripts, film, tmp_path):
    root, scene = film
    scripts("BigVGAN.inference_e2e", *words(root, tmp_path / "a.wav"))
    made = wav_of(tmp_path / "a.wav")
    assert np.array_equal(made[0], made[1])
    assert np.abs(made[0] - scene.binaural.mean(0)).max() <= HALF_STEP + 1e-6


def test_a_larger_head_makes_a_larger_difference_and_kemar_another(scripts, film, tmp_path):
    root, scene = film
    made = {}
    for head in ("sphere:7", "sphere:10", "kemar"):
        out = tmp_path / f"{head[-2:]}.wav"
        more = ("--detections", root / "found.csv", "--head", head, "--no-limit")
        scripts("BigVGAN.inference_e2e", *words(root, out, *more))
        made[head] = wav_of(out)
        off = np.abs(made[head].mean(0) - scene.binaural.mean(0))
        assert off.max() <= 2 * HALF_STEP + 1e-6, "L + R = 2M"
    assert louder_right(made["sphere:10"]) > louder_right(made["sphere:7"]) + 0.3 > 1
    assert np.abs(made["kemar"] - made["sphere:10"]).max() > 0.01
    assert louder_right(made["kemar"]) > 1


def test_an_unknown_head_is_refused_before_anything_is_read(scripts, film, tmp_path):
    with pytest.raises(ValueError, match=r"--head cube"):
        scripts("BigVGAN.inference_e2e", *words(film[0], tmp_path / "a.wav", "--head", "cube"))
    with pytest.raises(FileNotFoundError, match=r"none\.sofa"):
        scripts(
            "BigVGAN.inference_e2e", *words(film[0], tmp_path / "a.wav", "--head", tmp_path / "none.sofa")
        )
    assert not list(tmp_path.iterdir())


def pipe_of(film, **options):
    root, _ = film
    pipe = Pipeline.from_pretrained(renderer="geometry", device="cpu")
    assert pipe.models == []
    return pipe(root / "mono.wav", root / "film", detections=str(root / "found.csv"), **options)


def test_blocks_are_the_film_at_once(film, monkeypatch):
    whole = pipe_of(film)
    monkeypatch.setattr(mel_stream, "BLOCK", 45)
    assert np.abs(pipe_of(film) - whole).max() < 1e-5


def test_a_part_of_a_film_is_that_part_of_it(film):
    """From the middle on, with detections, when its first pictures are never read."""
    start, whole = 0.5, pipe_of(film)
    part = pipe_of(film, start=start)
    first = round(start * RATE)
    assert part.shape[1] == whole.shape[1] - first
    inside = slice(1024, part.shape[1] - 1024)
    off = part[:, inside] - whole[:, first:][:, inside]
    assert np.abs(off).max() < 0.02 * np.abs(whole).max()


def test_a_narrower_picture_puts_its_source_nearer_the_middle(film):
    wide, narrow = (louder_right(pipe_of(film, fov=fov)) for fov in (120.0, 60.0))
    assert 0 < narrow < wide - 0.3


def test_directions_of_a_streamed_film_are_those_of_the_whole_one(film):
    root, scene = film
    frames = VideoFrames(root / "film", VIEW, detections=str(root / "found.csv"))
    seconds = VIEW.window * CFG.hop / RATE
    shown = [frames.scene([time], seconds) for time in (0.0, 0.4, 0.8)]
    source = source_of(scene)
    for time, one in zip((0.0, 0.4, 0.8), shown, strict=True):
        assert torch.allclose(one["directions"][0], source.frame_directions(time, seconds), atol=1e-3)
    later = VideoFrames(root / "film", VIEW, start=0.8, detections=str(root / "found.csv"))
    assert torch.allclose(later.scene([0.8], seconds)["directions"], shown[2]["directions"], atol=1e-4)


def test_a_head_that_a_model_cannot_hear_is_refused(film, tmp_path):
    """The bundled model knows one head; another must not be named in its summary as if it were heard."""
    pipe = Pipeline.from_pretrained(device="cpu")
    if pipe.uses_head:
        pytest.skip("the bundled model hears through any head")
    out = tmp_path / "a.wav"
    with pytest.raises(ValueError, match=r"--head kemar.*--direct_path"):
        pipe.convert(film[0] / "mono.wav", film[0] / "film", output=out, head="kemar")
    assert not out.exists()


def test_geometry_without_detections_says_so(scripts, film, tmp_path, capsys):
    scripts("BigVGAN.inference_e2e", *words(film[0], tmp_path / "a.wav"))
    assert "no --detections" in capsys.readouterr().err
    scripts(
        "BigVGAN.inference_e2e", *words(film[0], tmp_path / "b.wav", "--detections", film[0] / "found.csv")
    )
    assert "no --detections" not in capsys.readouterr().err


def test_the_anchor_of_the_tables_is_what_the_renderer_makes(scripts, tmp_path):
    """Also in the last half picture, and for a part of a recording."""
    data, wavs = tmp_path / "data", tmp_path / "wavs"
    simulate = ("--clips", 3, "--seconds", 2, "--sources", 1, "--no-room", "--head", "kemar", "--workers", 1)
    scripts("DiffBinaural.simulate_dataset", "--out", data, *simulate)
    truth = data / "processed/binaural_audios_22050Hz"
    whole, _ = soundfile.read(truth / "scene_00000.wav")
    wavs.mkdir()
    for name, first in (("scene_00000", 0), ("scene_00000_001000", RATE)):
        soundfile.write(wavs / f"{name}.wav", whole[first:], RATE)
    scripts(
        "DiffBinaural.evaluate_binaural_22050",
        *("--pred_dir", wavs, "--gt_dir", truth, "--data_root", data, "--workers", 1),
        *("--output_json", tmp_path / "found.json"),
    )
    clips = json.loads((tmp_path / "found.json").read_text())["clips"]
    geometry = [clip for clip in clips if clip["system"] == "geometry"]
    assert {clip["id"] for clip in geometry} == {"scene_00000", "scene_00000_001000"}
    for clip in geometry:
        mono = next(c for c in clips if (c["id"], c["system"]) == (clip["id"], "mono_copy"))
        assert clip["itd_error"] < 5 < mono["itd_error"]
        assert clip["ild_error"] < 0.5 < mono["ild_error"]
