"""Mono2Binaural: its spectrograms, its network, its windows; both scripts on a tiny dataset."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from DiffBinaural.experiments.mono2binaural.config import (
    RenderMono2BinauralConfig,
    TrainMono2BinauralConfig,
)
from DiffBinaural.experiments.mono2binaural.network import Mono2Binaural, complex_product
from DiffBinaural.experiments.mono2binaural.rendering import (
    both_ears,
    load_network,
    window_differences,
)
from DiffBinaural.experiments.mono2binaural.spectra import (
    LEVEL,
    RATE,
    WINDOW,
    to_spectrogram,
    to_waveform,
    window_level,
)
from DiffBinaural.experiments.mono2binaural.training import build_network
from DiffBinaural.experiments.mono2binaural.windows import (
    FILE_RATE,
    EvenWindows,
    PicturedClips,
    RandomWindows,
    at_least_a_window,
    jittered,
    mirror_image,
    network_inputs,
)
from DiffBinaural.utils.audio import read_wav

ROOT = Path(__file__).parents[2]
TRAIN = "DiffBinaural.experiments.train_mono2binaural"
RENDER = "DiffBinaural.experiments.render_mono2binaural"
TINY = {"channels": 8, "image_height": 32, "trunk_stride": 16, "visual_weights": "random", "batch_size": 2}
FLAGS = [part for name, value in TINY.items() for part in (f"--{name}", value)] + ["--workers", 0]
CPU = torch.device("cpu")


def settings(**given):
    return TrainMono2BinauralConfig(run="r", data_root="d", **{**TINY, **given})


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def untrained():
    """A network that has seen some noise, so that its norms keep signals alive."""
    net = build_network(settings(), "random")
    for seed in range(20):
        net(noise(4, 2, 256, 64, seed=seed), noise(4, 3, 32, 64, seed=seed))
    return net.eval()


@pytest.fixture(scope="module")
def clips(scenes):
    return PicturedClips(scenes, "train", "", settings().picture_size, channels=2)


@pytest.fixture(scope="module")
def fitted(scripts, scenes, tmp_path_factory):
    """A run that was shown one clip again and again, and that clip's list."""
    root = tmp_path_factory.mktemp("fitted")
    rows = (scenes / "splits/train.csv").read_text().splitlines()
    (root / "one.csv").write_text("\n".join(rows[:2]) + "\n")
    lists = ("--list_train", root / "one.csv", "--list_val", root / "one.csv")
    length = ("--steps", 60, "--warmup_steps", 5, "--ema_decay", 0.9, "--validations", 2, "--no-mirror")
    scripts(TRAIN, "--run", root / "run", "--data_root", scenes, *lists, *length, *FLAGS, "--lr", 2e-3)
    return root


def test_a_tone_is_in_its_bin():
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(WINDOW) / RATE)[None]
    power = to_spectrogram(tone).square().sum(1)[0]
    assert power.shape == (256, 64)
    assert (power[:, 2:-2].argmax(0) == 32).all()  # 1000 Hz / (16,000 Hz / 512)


def test_waveforms_come_back():
    low = torch.nn.functional.interpolate(noise(1, 3, WINDOW // 4), WINDOW, mode="linear")[0]
    assert torch.allclose(to_waveform(to_spectrogram(low), WINDOW), low, atol=2e-3)


@pytest.mark.parametrize("gain", [1e-3, 1.0, 30.0])
def test_normalised_windows_are_equally_loud(gain):
    mono = gain * noise(2, WINDOW)
    levels = (mono / window_level(mono)).square().mean(-1).sqrt()
    assert levels.tolist() == pytest.approx([LEVEL, LEVEL])


def test_silence_stays_silent():
    assert torch.equal(torch.zeros(1, WINDOW) / window_level(torch.zeros(1, WINDOW)), torch.zeros(1, WINDOW))


@pytest.mark.parametrize(("height", "stride"), [(32, 16), (64, 32)])
@pytest.mark.parametrize("frames", [32, 64])
def test_the_mask_times_the_sum_is_the_difference(height, stride, frames):
    net = build_network(settings(image_height=height, trunk_stride=stride), "random").eval()
    total, picture = noise(2, 2, 256, frames), noise(2, 3, height, 2 * height)
    mask, apart = net.mask(total, picture), net(total, picture)
    assert mask.shape == apart.shape == total.shape
    assert mask.abs().max() <= 1
    product = torch.complex(*mask.unbind(1)) * torch.complex(*total.unbind(1))
    assert torch.allclose(torch.complex(*apart.unbind(1)), product, atol=1e-6)


def test_the_picture_reaches_the_difference():
    net, total = untrained(), noise(1, 2, 256, 64)
    a, b = (net(total, noise(1, 3, 32, 64, seed=seed)) for seed in (1, 2))
    assert (a - b).abs().max() > 1e-3


def test_a_finer_map_has_the_same_weights():
    coarse, fine = (
        Mono2Binaural(8, size, "random", stride) for size, stride in (((128, 64), 32), ((64, 32), 16))
    )
    fine.load_state_dict(coarse.state_dict())
    assert fine.trunk(noise(1, 3, 32, 64)).shape == coarse.trunk(noise(1, 3, 64, 128)).shape == (1, 512, 2, 4)


def test_products_are_complex():
    one, i = torch.tensor([[1.0], [0.0]])[None], torch.tensor([[0.0], [1.0]])[None]
    assert torch.equal(complex_product(i, i), -one)
    assert torch.equal(complex_product(one, i), i)


def test_ears_add_up_to_the_mono():
    mono, apart = noise(1, 100), noise(1, 100, seed=1)
    left, right = both_ears(mono, apart)
    assert torch.allclose(left + right, 2 * mono[0], atol=1e-6)
    assert torch.allclose(left - right, apart[0], atol=1e-6)


def test_a_mirror_image_has_the_opposite_difference(clips):
    batch = {
        name: value[None]
        for name, value in RandomWindows(clips, mirror=False, jitter=False, seed=0)[0].items()
    }
    total, picture, apart = network_inputs(batch, CPU)
    total_m, picture_m, apart_m = network_inputs(mirror_image(batch), CPU)
    assert torch.allclose(total_m, total, atol=1e-6)
    assert torch.allclose(apart_m, -apart, atol=1e-6)
    assert torch.equal(picture_m, picture.flip(-1))


def test_mirrored_is_every_second_window(clips):
    plain, mirrored = (RandomWindows(clips, mirror=mirror, jitter=False, seed=0) for mirror in (False, True))
    count = 0
    for n in range(60):
        a, b = plain[n], mirrored[n]
        same = torch.equal(a["picture"], b["picture"])
        assert torch.equal(b["pair"], a["pair"] if same else a["pair"].flip(0))
        assert same or torch.equal(b["picture"], a["picture"].flip(-1))
        count += not same
    assert 15 < count < 45


def test_a_sample_is_the_same_each_time(clips):
    data = RandomWindows(clips, mirror=True, jitter=True, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(data[7].values(), data[7].values(), strict=True))
    assert not torch.equal(data[7]["pair"], data[7 + len(data)]["pair"]), "the next epoch's window"


def test_windows_show_the_picture_at_their_middle(clips):
    clip = clips.clips[0]
    pictures, fps = clips.recordings.pictures(clip.video_id), clips.recordings.fps
    for start in (0, 5000, 12_000):
        k = min(round((start + WINDOW / 2) / RATE * fps), len(pictures) - 1)
        wanted = pictures[k].resize(clips.picture_size, 2, reducing_gap=2.0)
        shown = clips.picture_at(clip, start)
        assert shown.shape == (3, 32, 64)
        assert np.array_equal(shown.permute(1, 2, 0).numpy(), np.array(wanted))
    late = replace(clip, start=1.0)
    assert torch.equal(clips.picture_at(late, 0), clips.picture_at(clip, RATE))


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_even_windows_are_at_most_so_many(clips, count):
    data = EvenWindows(clips, count)
    each = sum((clips.pair(i).shape[1] - WINDOW) // WINDOW + 1 for i in range(len(clips.clips)))
    assert len(data) == min(count, each)
    assert all(data[k]["pair"].shape == (2, WINDOW) for k in range(len(data)))


def test_short_sounds_are_filled_with_silence():
    filled = at_least_a_window(torch.ones(2, 100))
    assert filled.shape == (2, WINDOW)
    assert filled.sum() == 200


def test_jitter_scales_brightness_and_colour():
    picture = torch.randint(0, 150, (2, 3, 4, 4), dtype=torch.uint8)
    assert torch.allclose(jittered(picture, torch.ones(2, 2)), picture.float(), atol=1e-4)
    assert torch.allclose(jittered(picture, torch.tensor([[1.3, 1.0]] * 2)), picture * 1.3, atol=1e-3)
    grey = jittered(picture, torch.tensor([[1.0, 0.0]] * 2))
    assert torch.allclose(grey, picture.float().mean(1, keepdim=True).expand(-1, 3, -1, -1), atol=1e-3)


def test_symmetric_results_of_mirror_images_are_opposite():
    net = untrained()
    cfg = RenderMono2BinauralConfig(run="r", data_root="d", output_dir="o", symmetric=True)
    mono, picture = noise(2, WINDOW), torch.randint(0, 255, (2, 3, 32, 64), dtype=torch.uint8)
    with torch.inference_mode():
        a, b = (window_differences(net, mono, shown, cfg) for shown in (picture, picture.flip(-1)))
    assert a.abs().max() > 1e-3
    assert torch.allclose(a, -b, atol=1e-5)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_a_louder_mono_has_a_louder_difference(gain):
    net = untrained()
    cfg = RenderMono2BinauralConfig(run="r", data_root="d", output_dir="o")
    mono, picture = noise(1, WINDOW), torch.full((1, 3, 32, 64), 99, dtype=torch.uint8)
    with torch.inference_mode():
        plain, scaled = (window_differences(net, wav, picture, cfg) for wav in (mono, gain * mono))
    assert torch.allclose(scaled, gain * plain, atol=1e-4)


def test_one_clip_can_be_learned(fitted):
    history = json.loads((fitted / "run/training_history.json").read_text())
    assert [row["step"] for row in history] == [30, 60]
    assert history[-1]["val/difference_mse"] < 0.9 * history[-1]["val/mono_copy_difference_mse"]
    assert not (fitted / "run/cache").exists()


def test_a_fitted_network_renders_its_clip(fitted, scenes, scripts, tmp_path):
    words = ("--run", fitted / "run", "--data_root", scenes, "--list_test", fitted / "one.csv")
    scripts(RENDER, *words, "--output_dir", tmp_path)
    (made,) = tmp_path.glob("*.wav")
    video_id = (fitted / "one.csv").read_text().splitlines()[1].split(",")[0]
    assert made.stem == f"{video_id}_000000"
    pair, rate = read_wav(made)
    mono, _ = read_wav(scenes / f"processed/mono_audios_22050Hz/{video_id}.wav")
    truth, _ = read_wav(scenes / f"processed/binaural_audios_22050Hz/{video_id}.wav")
    assert (rate, pair.shape) == (FILE_RATE, truth.shape)
    assert np.abs(pair.mean(0) - mono).max() < 2**-15 + 1e-6, "16 bits"
    error, copy = np.square(pair - truth).sum(), np.square(mono - truth).sum()
    assert error < 0.95 * copy


def test_batches_do_not_change_the_result(fitted, scenes, scripts, tmp_path):
    words = ("--run", fitted / "run", "--data_root", scenes, "--list_test", fitted / "one.csv")
    made = []
    for batch in (1, 5):
        scripts(RENDER, *words, "--output_dir", tmp_path / str(batch), "--batch_windows", batch)
        made.append(read_wav(next((tmp_path / str(batch)).glob("*.wav")))[0])
    assert np.abs(made[0] - made[1]).max() < 1e-3


def test_a_finished_run_has_no_more_steps(fitted, scenes, scripts, capsys):
    before = (fitted / "run/best.pth").read_bytes()
    lists = ("--list_train", fitted / "one.csv", "--list_val", fitted / "one.csv")
    scripts(TRAIN, "--run", fitted / "run", "--data_root", scenes, *lists, "--steps", 60, *FLAGS)
    assert "60 steps" in capsys.readouterr().out
    assert (fitted / "run/best.pth").read_bytes() == before


def test_longer_training_goes_on_from_the_state(scenes, scripts, tmp_path):
    words = ("--run", tmp_path / "run", "--data_root", scenes, *FLAGS, "--validations", 1)
    scripts(TRAIN, *words, "--steps", 2)
    scripts(TRAIN, *words, "--steps", 3, "--workers", 1)
    rows = json.loads((tmp_path / "run/training_history.json").read_text())
    assert [row["step"] for row in rows] == [2, 3]
    state = torch.load(tmp_path / "run/state_latest.pth", weights_only=True)
    assert (state["progress"]["step"], state["ema"]["updates"]) == (3, 3)


@pytest.mark.gpu
def test_a_card_trains_and_renders_as_a_cpu_does(scenes, scripts, tmp_path):
    words = ("--run", tmp_path / "run", "--data_root", scenes)
    scripts(TRAIN, *words, *FLAGS, "--workers", 2, "--steps", 3, "--amp", "bf16", "--device", "cuda")
    made = []
    for device in ("cuda", "cpu"):
        scripts(RENDER, *words, "--output_dir", tmp_path / device, "--device", device)
        made.append(read_wav(next((tmp_path / device).glob("*.wav")))[0])
    assert np.abs(made[0] - made[1]).max() < 5e-3, "TF32"


@pytest.mark.parametrize(
    "words",
    [
        "--data_root nowhere",
        "--list_train nothing",
        "--image_height 100",
        "--visual_weights nowhere.pth",
        "--steps 0",
        "--workers -1",
        "--device cuda:99",
    ],
)
def test_bad_training_input_is_refused(words, scenes, scripts, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError)):
        scripts(TRAIN, "--run", tmp_path / "run", "--data_root", scenes, *FLAGS, *words.split())


def test_a_run_of_another_size_is_not_gone_on_with(fitted, scenes, scripts):
    with pytest.raises(ValueError, match="channels"):
        scripts(TRAIN, "--run", fitted / "run", "--data_root", scenes, *FLAGS, "--channels", 16)


@pytest.mark.parametrize("verb", ["train", "render"])
def test_bad_input_ends_in_status_2(verb, tmp_path):
    words = ("--run", tmp_path / "run", "--data_root", tmp_path / "nowhere")
    out = ("--output_dir", tmp_path / "wavs") if verb == "render" else ()
    script = ROOT / f"DiffBinaural/experiments/{verb}_mono2binaural.py"
    done = subprocess.run([sys.executable, script, *words, *out], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_damaged_weights_are_refused(fitted, tmp_path):
    (tmp_path / "config.json").write_bytes((fitted / "run/config.json").read_bytes())
    (tmp_path / "best.pth").write_bytes((fitted / "run/best.pth").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"best\.pth"):
        load_network(tmp_path, CPU)


def test_weights_of_another_size_are_refused(fitted, tmp_path):
    other = json.loads((fitted / "run/config.json").read_text()) | {"channels": 16}
    (tmp_path / "config.json").write_text(json.dumps(other))
    (tmp_path / "best.pth").write_bytes((fitted / "run/best.pth").read_bytes())
    with pytest.raises(ValueError, match="does not fit"):
        load_network(tmp_path, CPU)
