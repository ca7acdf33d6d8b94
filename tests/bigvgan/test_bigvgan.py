"""The vocoder's networks and losses: equal to the official ones, and true to their units."""

import json
import math
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils import parametrizations

from BigVGAN import bigvgan, loss
from BigVGAN.activations import ACTIVATIONS
from BigVGAN.alias_free_activation.act import Activation1d
from BigVGAN.alias_free_activation.filter import kaiser_sinc_filter1d
from BigVGAN.bigvgan import BigVGAN, generator_file, load_generator, read_generator
from BigVGAN.convolutions import NarrowConv2d, weight_normalised
from BigVGAN.discriminators import MultiPeriodDiscriminator, MultiResolutionDiscriminator
from BigVGAN.env import VocoderConfig, load_config
from BigVGAN.utils import load_strict, save_generator
from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.utils.files import save_tensors
from DiffBinaural.utils.mel import mel_l1, mel_spectrogram

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/bigvgan.json").read_text())
ROOT = Path(__file__).parents[2]
CONFIGS = Path(bigvgan.__file__).parent / "configs"
LOOSE = ("tiny_v1_6stage", "tiny_v2_no_tanh_no_bias")  # their float32 and float64 differ by 4e-4
DISCRIMINATORS = {"mpd": MultiPeriodDiscriminator, "mrd": MultiResolutionDiscriminator}
SMALL = dict(
    resblock="1",
    upsample_rates=(16, 16),
    upsample_kernel_sizes=(32, 32),
    upsample_initial_channel=8,
    resblock_kernel_sizes=(3,),
    resblock_dilation_sizes=((1, 3),),
    activation="snakebeta",
    snake_logscale=True,
)


def close(tensor, record, tolerance=2e-4):
    """Whether a tensor is the one that a golden record describes."""
    assert list(tensor.shape) == record["shape"]
    flat = tensor.detach().double().flatten()
    assert flat.square().mean().sqrt().item() == pytest.approx(record["rms"], rel=1e-4)
    atol = tolerance + 1e-5 * flat.abs().max().item()
    assert flat[record["index"]].tolist() == pytest.approx(record["value"], abs=atol, rel=0)


def sig(n, f):
    """The golden files' test signal, (n,) float32."""
    t = torch.arange(n, dtype=torch.float64) / 22050
    terms = ((0.4, f, 0.0), (0.2, 3.01 * f, 0.3), (0.05, 7000, 0.0))
    return sum(a * torch.sin(2 * math.pi * hz * t + phase) for a, hz, phase in terms).float()


def fill(module, linear=False, post_gain=1.0):
    """Give a module the golden parameters, a formula of their names."""
    state = module.state_dict()
    for name, tensor in state.items():
        h = sum(name.encode()) % 97
        i = torch.arange(tensor.numel(), dtype=torch.float64).view(tensor.shape)
        if name.endswith("weight_v"):
            value = torch.sin(0.7 * i + h)
        elif name.endswith("weight_g"):
            value = (1 + 0.1 * torch.sin(i + h)) * (post_gain if name == "conv_post.weight_g" else 1)
        elif name.endswith("bias"):
            value = 0.01 * torch.sin(i + h)
        elif name.endswith(("alpha", "beta")):
            value = 0.1 * torch.sin(i + h) + linear
        else:
            continue
        tensor.copy_(value)
    return module


def small(**changes):
    return fill(BigVGAN(VocoderConfig(**{**SMALL, **changes})), post_gain=0.05).eval()


def golden_generator(record):
    config = {
        key: tuple(map(tuple, value)) if key == "resblock_dilation_sizes" else value
        for key, value in record["config"].items()
    }
    model = BigVGAN(VocoderConfig(**config))
    return fill(model, linear=not config["snake_logscale"], post_gain=record["conv_post_gain"])


@pytest.fixture(scope="module")
def mel():
    return torch.randn(2, 80, 40, generator=torch.Generator().manual_seed(0)) - 4


# --- golden -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmax", [None, 8000])
def test_the_mel_is_nvidias(fmax):
    mels = mel_spectrogram(torch.stack((sig(20480, 440), sig(20480, 220))), MelConfig(fmax=fmax))
    close(mels, GOLDEN["mel"][f"fmax_{fmax}"])


@pytest.mark.parametrize("key", GOLDEN["kaiser_sinc_filter"])
def test_filters_are_nvidias(key):
    cutoff, half_width, taps = (part[1:] for part in key.split("_"))
    taps = kaiser_sinc_filter1d(float(cutoff), float(half_width), int(taps))
    assert taps.flatten().tolist() == pytest.approx(GOLDEN["kaiser_sinc_filter"][key], abs=1e-6)


@pytest.mark.parametrize("key", [key for key in GOLDEN if "Snake" in key])
def test_activations_are_nvidias(key):
    name, log = key.removeprefix("alias_free_").split("_log")
    x = (1.5 * torch.sin(0.3 * torch.arange(300, dtype=torch.float64) + 0.1)).float().view(2, 3, 50)
    act = fill(ACTIVATIONS[name.lower()](3, logscale=log == "1"), linear=log == "0")
    close((Activation1d(act) if key.startswith("alias_free_") else act)(x), GOLDEN[key])


@pytest.mark.parametrize("name", GOLDEN["generator"])
def test_generators_are_nvidias(name):
    record = GOLDEN["generator"][name]
    b, m, t = (
        torch.arange(n, dtype=torch.float64).view(shape)
        for n, shape in ((2, (2, 1, 1)), (80, (1, 80, 1)), (12, (1, 1, 12)))
    )
    model = golden_generator(record)
    assert sum(p.numel() for p in model.parameters()) == record["parameters"]
    with torch.no_grad():
        wav = model((-5 + 3 * torch.sin(0.11 * m + 0.23 * t + 0.5 * b)).float())
    close(wav, record["output"], 2e-3 if name in LOOSE else 2e-4)


@pytest.mark.parametrize("kind", DISCRIMINATORS)
def test_discriminators_are_nvidias(kind):
    record = GOLDEN["discriminators"][kind]
    group = fill(
        DISCRIMINATORS[kind](VocoderConfig(**SMALL, discriminator_channel_mult=record["channel_mult"]))
    )
    assert {k: list(v.shape) for k, v in group.state_dict().items()} == record["manifest"]
    with torch.no_grad():
        real, real_features = group(torch.stack((sig(4096, 440), sig(4096, 300)))[:, None])
        fake, fake_features = group(0.8 * torch.stack((sig(4096, 430), sig(4096, 310)))[:, None])
    for scores, key in ((real, "logits_real"), (fake, "logits_fake")):
        for ours, theirs in zip(scores, record[key], strict=True):
            close(ours, theirs)
    assert [[list(f.shape) for f in features] for features in real_features] == record["feature_shapes"]
    for features, theirs in zip(real_features, record["feature_rms"], strict=True):
        assert [f.square().mean().sqrt().item() for f in features] == pytest.approx(theirs, rel=1e-4)
    losses = {
        "feature_loss": loss.feature_loss(fake_features, real_features),
        "discriminator_loss": loss.discriminator_loss(fake, real),
        "generator_loss": loss.generator_loss(fake),
    }
    for name, value in losses.items():
        assert value.item() == pytest.approx(record[name], rel=1e-4)


def test_the_multiscale_mel_loss_is_nvidias():
    got = loss.multiscale_mel_loss(sig(20480, 440)[None, None], 0.8 * sig(20480, 430)[None, None], 22050)
    assert got.item() == pytest.approx(GOLDEN["multiscale_mel_loss"]["sr22050_T20480"], rel=1e-4)


def test_names_and_shapes_are_nvidias():
    base = dict(
        resblock="1",
        upsample_rates=(8, 8, 2, 2),
        upsample_kernel_sizes=(16, 16, 4, 4),
        upsample_initial_channel=512,
        resblock_kernel_sizes=(3, 7, 11),
        resblock_dilation_sizes=((1, 3, 5),) * 3,
        activation="snakebeta",
        snake_logscale=True,
    )
    with torch.device("meta"):
        models = {"bigvgan_base_22khz_80band": BigVGAN(VocoderConfig(**base))}
        models["tiny_v2_no_tanh_no_bias"] = golden_generator(GOLDEN["generator"]["tiny_v2_no_tanh_no_bias"])
        large = BigVGAN(load_config(CONFIGS / "bigvgan_22khz_80band.json"))
    for name, manifest in GOLDEN["state_dict_manifest"].items():
        assert {k: list(v.shape) for k, v in models[name].state_dict().items()} == manifest
    models["bigvgan_22khz_80band"] = large
    for name, count in GOLDEN["parameters"].items():
        assert sum(p.numel() for p in models[name].parameters()) == count


# --- the generator ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{}, {"resblock": "2"}, {"resblock_kernel_sizes": (3, 5), "resblock_dilation_sizes": ((1,), (2, 1))}],
)
def test_its_overlap_is_its_true_reach(changes, mel):
    model, centre = small(**changes), 20
    touched = mel.clone()
    touched[..., centre] = math.nan  # reaches exactly what depends on this frame
    with torch.no_grad():
        frames = model(touched)[0, 0].view(-1, model.cfg.hop_size).isnan().any(1).nonzero().flatten()
    assert (centre - int(frames[0]), int(frames[-1]) - centre) == (model.overlap, model.overlap)


@pytest.mark.parametrize(("frames", "chunk"), [(1, 1), (1, 512), (2, 1), (8, 8), (9, 8), (25, 4), (40, 13)])
def test_chunks_equal_the_whole(frames, chunk, mel):
    model, part = small(), mel[..., :frames]
    with torch.no_grad():
        whole = model(part)
    assert torch.allclose(model.vocode(part, chunk), whole, atol=1e-5)


def test_no_frames_make_no_sound_and_no_chunk_is_refused(mel):
    assert small().vocode(mel[..., :0]).shape == (2, 1, 0)
    with pytest.raises(ValueError, match="chunk is 0"):
        small().vocode(mel, 0)


def test_swapping_ears_swaps_sounds(mel):
    model = small()
    assert torch.allclose(model.vocode(mel.flip(0)), model.vocode(mel).flip(0), atol=1e-6)


def test_folding_weight_norm_in_keeps_the_sound(mel):
    model = small()
    before = model.vocode(mel)
    after = model.remove_weight_norm().remove_weight_norm().vocode(mel)
    assert "conv_pre.weight" in model.state_dict()
    assert torch.allclose(before, after, atol=1e-5)


# --- files --------------------------------------------------------------------------------------------------


def newer_names(state):
    """As torch.nn.utils.parametrizations.weight_norm would have saved it."""

    def renamed(name):
        new = "parametrizations.weight.original"
        return name.replace("weight_g", f"{new}0").replace("weight_v", f"{new}1")

    return {renamed(name): tensor for name, tensor in state.items()}


def test_the_newer_names_are_torchs_own():
    conv = parametrizations.weight_norm(torch.nn.Conv1d(2, 3, 5))
    plain = weight_normalised(torch.nn.Conv1d(2, 3, 5))
    load_strict(plain, conv.state_dict(), "new.pt")
    x = torch.randn(1, 2, 9)
    assert torch.allclose(plain(x), conv(x), atol=1e-6)


@pytest.mark.parametrize("layout", ["normed", "plain", "newer"])
@pytest.mark.parametrize("fold", [False, True])
def test_every_layout_loads_into_either_model(layout, fold, mel):
    source, target = small(), BigVGAN(VocoderConfig(**SMALL)).eval()
    wanted = source.vocode(mel)
    state = newer_names(source.state_dict()) if layout == "newer" else source.state_dict()
    if layout == "plain":
        state = source.remove_weight_norm().state_dict()
    load_strict(target.remove_weight_norm() if fold else target, state, "g")
    assert torch.allclose(target.vocode(mel), wanted, atol=1e-5)


def test_a_channel_of_zeros_loads_as_silence(mel):
    state = small().remove_weight_norm().state_dict()
    target = BigVGAN(VocoderConfig(**SMALL))
    load_strict(target, {**state, "conv_post.weight": torch.zeros_like(state["conv_post.weight"])}, "g")
    assert target.vocode(mel).isfinite().all()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda s: s.pop("ups.1.0.weight_g"), r"g_1: .*lacks ups\.1\.0\.weight_g"),
        (lambda s: s.update(ups=s.pop("ups.0.0.bias")), r"lacks ups\.0\.0\.bias, has an unknown ups"),
        (
            lambda s: s.update({"conv_pre.bias": torch.zeros(3)}),
            r"conv_pre\.bias is \(3,\) instead of \(8,\)",
        ),
    ],
)
def test_a_key_that_does_not_fit_is_named(edit, message):
    model = small()
    state = model.state_dict()
    edit(state)
    with pytest.raises(ValueError, match=message):
        load_strict(model, state, "g_1")


def write_run(folder, name="g_00000010", **changes):
    model = small(**changes)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**asdict(model.cfg), "num_gpus": 0, "seed": 1234}))
    save_tensors(folder / name, {"generator": model.state_dict()})
    return model


def test_a_checkpoint_loads_for_inference_and_for_training(tmp_path, mel):
    wanted = write_run(tmp_path).vocode(mel)
    ready, trainable = load_generator(tmp_path / "g_00000010"), read_generator(tmp_path / "g_00000010")
    assert torch.allclose(ready.vocode(mel), wanted, atol=1e-5)
    assert not ready.training
    assert "conv_pre.weight" in ready.state_dict()
    assert "conv_pre.weight_g" in trainable.state_dict()


def test_a_folder_gives_nvidias_file_then_the_best_then_the_latest(tmp_path, mel):
    for name in ("g_00000010", "g_00000200", "g_best.pth", "bigvgan_generator.pt"):
        wanted = write_run(tmp_path, name)
        assert generator_file(tmp_path).name == name
    assert torch.equal(BigVGAN.from_pretrained(tmp_path).vocode(mel), wanted.vocode(mel))


def test_a_folder_without_weights_a_stray_file_and_no_folder_say_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no generator there"):
        BigVGAN.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="g_00000001: no such"):
        load_generator(tmp_path / "g_00000001")
    save_tensors(tmp_path / "g_00000001", {"generator": {}})
    with pytest.raises(FileNotFoundError, match=r"config\.json: missing"):
        load_generator(tmp_path / "g_00000001")
    (tmp_path / "g_00000001").unlink()
    with pytest.raises(FileNotFoundError, match="no such folder"):
        BigVGAN.from_pretrained("./nowhere/at/all")
    write_run(tmp_path)
    save_tensors(tmp_path / "do_00000010", {"mpd": {}})
    with pytest.raises(ValueError, match=r"do_00000010: .*'generator'"):
        load_generator(tmp_path / "do_00000010")


def test_torchs_deprecation_of_weight_norm_is_not_shown():
    code = "from tests.bigvgan.test_bigvgan import DISCRIMINATORS, SMALL, VocoderConfig, small; small();" + (
        "[kind(VocoderConfig(**SMALL, discriminator_channel_mult=0.1)) for kind in DISCRIMINATORS.values()]"
    )
    words = [sys.executable, "-W", "error::FutureWarning", "-c", code]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- config -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_our_configs_load(path):
    cfg = load_config(path)
    assert cfg.mel.n_mels == cfg.num_mels
    assert hash(cfg) == hash(load_config(path))


def test_the_full_band_configs_say_the_one_mel():
    for name in ("22khz_80band_256x", "tiny", "tiny_griffin_lim"):
        name = f"bigvgan_binaural_{name}"
        assert load_config(CONFIGS / f"{name}.json").mel == MelConfig()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hop_size": 128}, r"config\.json: .*multiply to 256; hop_size is 128"),
        ({"segment_size": 1000}, "segment_size is 1000"),
        ({"win_size": 800}, "win_size is 800"),
        ({"activation": "relu"}, "activation is 'relu'"),
        ({"resblock": "3"}, "resblock is '3'"),
        ({"upsample_kernel_sizes": [32, 31]}, "upsample_kernel_sizes"),
        ({"upsample_initial_channel": 6}, "multiple of 4"),
        ({"resblock_kernel_sizes": [4]}, "odd"),
        ({"resblock_kernel_sizes": [3, 5]}, "differ in length"),
        ({"lamda_melloss": 15}, "unknown lamda_melloss"),
        ({"snake_logscale": None}, "snake_logscale"),
    ],
)
def test_a_wrong_config_is_refused_by_name(change, message, tmp_path):
    path = tmp_path / "config.json"
    values = {**SMALL, **change}
    path.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    with pytest.raises(ValueError, match=message):
        load_config(path)


def test_missing_keys_mean_what_they_mean_upstream():
    cfg = VocoderConfig(**SMALL)
    assert (cfg.use_tanh_at_final, cfg.use_bias_at_final, cfg.use_multiscale_melloss) == (True, True, False)
    assert (cfg.lambda_melloss, cfg.clip_grad_norm) == (45, 1000)


# --- losses -------------------------------------------------------------------------------------------------


def test_the_silence_threshold_is_in_db_and_the_mel_in_nepers():
    mel = torch.full((1, 80, 3), math.log(1e-5))
    mel[0, 7] = torch.tensor([math.log(1.001e-3), math.log(0.999e-3), math.log(1e-5)])  # around -60 dB
    assert loss.silent_frames(mel, -60.0).flatten().tolist() == [False, True, True]
    assert loss.silent_frames(torch.full((1, 80, 1), -2.0), -50.0).item() is False  # -17 dB is audible


def test_the_silence_loss_counts_only_frames_that_ought_to_be_silent():
    cfg, noise = MelConfig(), 0.01 * torch.randn(1, 1, 20480, generator=torch.Generator().manual_seed(1))
    silence, half = torch.zeros_like(noise), noise.clone()
    half[..., 10240:] = 0
    whole = mel_l1(noise, silence, cfg)
    assert torch.isclose(loss.silence_loss(noise, silence, cfg, -60.0), whole)
    assert loss.silence_loss(silence, noise, cfg, -60.0) == 0
    assert 0.4 * whole < loss.silence_loss(noise, half, cfg, -60.0) < 0.5 * whole


def test_the_mel_loss_of_twice_the_level_is_ln_2():
    noise = torch.randn(1, 1, 20480, generator=torch.Generator().manual_seed(1))
    assert mel_l1(2 * noise, noise, MelConfig()).item() == pytest.approx(math.log(2), abs=1e-3)


@pytest.fixture(scope="module")
def ears():
    return 0.2 * torch.randn(2, 2, 8192, generator=torch.Generator().manual_seed(2))


def delayed(ears, samples, ear=1):
    """One ear later, circularly, so that each ear alone keeps its level."""
    shifted = ears.clone()
    shifted[:, ear] = ears[:, ear].roll(samples, -1)
    return shifted


def test_the_interaural_loss_is_zero_for_equals_and_blind_to_exchanging_both(ears):
    estimate = delayed(ears, 5)
    assert loss.interaural_loss(ears, ears) == 0
    once, swapped = loss.interaural_loss(estimate, ears), loss.interaural_loss(estimate.flip(1), ears.flip(1))
    assert torch.isclose(once, swapped, rtol=1e-4)


def test_the_interaural_loss_sees_a_phase_that_losses_on_single_ears_do_not(ears):
    assert loss.interaural_loss(-ears, ears) < 1e-3  # both ears alike: nothing between them
    inverted = ears * torch.tensor([1.0, -1.0])[:, None]
    assert mel_l1(inverted, ears, MelConfig()) < 1e-5
    assert loss.interaural_loss(inverted, ears) > 0.1


def test_the_interaural_loss_tells_left_from_right(ears):
    # |L + R| and |L - R| are the same after the exchange; a lead has become a lag all the same.
    assert loss.interaural_loss(ears.flip(1), ears) > 0.1


def test_the_level_loss_is_the_difference_of_levels_whatever_the_phase(ears):
    halved = ears * torch.tensor([1.0, 0.5])[:, None]
    assert loss.level_loss(halved, ears, 22050).item() == pytest.approx(math.log(2), abs=2e-3)
    assert loss.level_loss(0.5 * ears, ears, 22050) < 1e-3  # both ears softer: nothing between them
    inverted = ears * torch.tensor([1.0, -1.0])[:, None]
    assert loss.level_loss(inverted, ears, 22050) < 1e-6
    swapped = loss.level_loss(halved.flip(1), ears.flip(1), 22050)
    assert torch.isclose(loss.level_loss(halved, ears, 22050), swapped)


def test_the_losses_have_gradients(ears):
    estimate, uneven = (0.5 * ears).requires_grad_(), torch.tensor([1.0, 0.7])[:, None]
    terms = (
        loss.interaural_loss(estimate, ears),
        loss.level_loss(estimate * uneven, ears, 22050),
        loss.multiscale_mel_loss(estimate, ears, 22050),
        loss.silence_loss(estimate, 1e-4 * ears, MelConfig(), -60.0),
    )
    for term in terms:
        (gradient,) = torch.autograd.grad(term, estimate)
        assert gradient.isfinite().all()
        assert gradient.abs().max() > 0


def test_silence_has_a_finite_gradient():
    estimate = torch.zeros(1, 2, 8192, requires_grad=True)
    total = loss.interaural_loss(estimate, F.pad(sig(8000, 300), (0, 192)).expand(1, 2, -1))
    total = total + loss.multiscale_mel_loss(estimate, torch.zeros_like(estimate), 22050)
    for kind in DISCRIMINATORS.values():
        scores, _ = kind(VocoderConfig(**SMALL, discriminator_channel_mult=0.0625))(estimate[:, :1])
        total = total + loss.generator_loss(scores)
    total.backward()
    assert estimate.grad.isfinite().all()


# --- what a long sound costs --------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(1, 500), chunk=st.sampled_from((16, 64, 257)), seed=st.integers(0, 99))
def test_chunks_of_any_mel_equal_the_whole(frames, chunk, seed):
    model = small()
    part = torch.randn(2, 80, frames, generator=torch.Generator().manual_seed(seed)) - 4
    with torch.no_grad():
        assert torch.allclose(model.vocode(part, chunk), model(part), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 9),
    height=st.integers(1, 9),
    width=st.integers(1, 40),
    taps=st.sampled_from((3, 5, 9)),
    stride=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_neighbours_as_channels_make_the_same_convolution(inputs, outputs, height, width, taps, stride, seed):
    torch.manual_seed(seed)
    conv = NarrowConv2d(inputs, outputs, (3, taps), (1, stride), (1, taps // 2)).double()
    x = torch.randn(2, inputs, height, width, dtype=torch.float64, requires_grad=True)
    fast, plain = conv(x), conv.plain(x)
    assert torch.allclose(fast, plain, atol=1e-12)
    ways = [torch.autograd.grad(y.square().sum(), [x, *conv.parameters()]) for y in (fast, plain)]
    for one, other in zip(*ways, strict=True):
        assert torch.allclose(one, other, atol=1e-9)


@pytest.mark.parametrize(
    "how", [{"dilation": (1, 2)}, {"padding_mode": "reflect"}, {"bias": False}, {"groups": 2}]
)
def test_neighbours_are_channels_of_usual_convolutions_only(how):
    conv, x = NarrowConv2d(2, 2, (3, 9), (1, 2), (1, 4), **how), torch.randn(1, 2, 4, 20)
    assert torch.equal(conv(x), conv.plain(x))


def peak_of(seconds):
    """Peak memory in MB of a process that vocodes a silence, less the mel and the sound themselves."""
    frames, changes = round(seconds * 22050 / 256), "resblock='2', resblock_dilation_sizes=((1,),)"
    code = (
        "import resource, sys, torch; from tests.bigvgan.test_bigvgan import small;"
        f"small({changes}).vocode(torch.full((1, 80, {frames}), -11.5));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024 - 4 * frames * (80 + 256) / 2**20


def test_ten_minutes_take_no_more_memory_than_one():
    assert peak_of(600) < 1.1 * peak_of(60)


# --- the hub ------------------------------------------------------------------------------------------------


def test_a_repository_of_the_hub_loads_from_its_cache(tmp_path, monkeypatch, mel):
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    repo = tmp_path / "models--somebody--vocoder"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs/main").write_text("0" * 40)
    (repo / "snapshots").mkdir()
    wanted = write_run(repo / "snapshots" / ("0" * 40), "bigvgan_generator.pt")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert torch.equal(BigVGAN.from_pretrained("somebody/vocoder").vocode(mel), wanted.vocode(mel))
    with pytest.raises(FileNotFoundError, match=r"somebody/else: .*in the local cache"):
        BigVGAN.from_pretrained("somebody/else")


def test_nvidias_file_is_saved_back_as_it_was(tmp_path):
    write_run(tmp_path, "bigvgan_generator.pt")
    save_generator(tmp_path / "again.pt", read_generator(tmp_path / "bigvgan_generator.pt"))
    theirs, ours = (
        torch.load(tmp_path / name, weights_only=True)["generator"]
        for name in ("bigvgan_generator.pt", "again.pt")
    )
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
