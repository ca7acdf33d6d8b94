"""Stage 1's networks, data and generation: what may change an output, and what must not."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import (
    PRESETS,
    DiffusionConfig,
    MelConfig,
    SamplingConfig,
    TrainConfig,
    ViewConfig,
)
from DiffBinaural.dataset.cutting import SILENCE, covering, extract_windows, stitch, whole_clip
from DiffBinaural.dataset.frame_sources import RecordedFrames
from DiffBinaural.dataset.video_transforms import mirrored, on_device
from DiffBinaural.diffusion_utils.diffusion_pytorch import Diffusion
from DiffBinaural.diffusion_utils.training_noise import WithNoise, draw_noise
from DiffBinaural.inference import sampler
from DiffBinaural.inference.features import visual_features, window_batch
from DiffBinaural.inference.generation import generate
from DiffBinaural.inference.sampler import sound_key
from DiffBinaural.modules.audioVisual_model import kept_slots
from DiffBinaural.modules.models import ModelBuilder, from_unit, to_unit
from DiffBinaural.utils.helpers import generator_for
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.mel import interaural_phasor, mel_spectrogram

TINY = TrainConfig(id="t", data_root="d", **PRESETS["tiny"])
SMALL = replace(
    TINY, model=replace(TINY.model, dim=8, context_dim=32), view=ViewConfig(frames=2, slots=3, image_size=32)
)


@pytest.fixture(scope="module")
def model(untrained):
    """A small untrained model."""
    return untrained(SMALL)


def pictures(count, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (count, 40, 80, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in noise]


def detections(count):
    return [Detection(k / 10, (10 + k, 5, 30 + k, 25), 0.9) for k in range(count)]


def clip(frames, seed=0):
    mel = torch.from_numpy(np.random.default_rng(seed).normal(-5, 2, (1, 80, frames)).astype(np.float32))
    source = RecordedFrames(pictures(40, seed), 10, detections(40), SMALL.view)
    return whole_clip(f"clip{seed}", {"mono_mel": mel}, source, 0.0, MelConfig())


def seen_window(seed=0):
    window = RecordedFrames(pictures(10, seed), 10, detections(10), SMALL.view).window(0.0, 0.9)
    return batched(window)


def batched(window):
    return on_device({name: value[None] for name, value in window.items()}, torch.device("cpu"))


# --- mel range ----------------------------------------------------------------------------------------------


def test_unit_range_has_silence_at_minus_one_and_returns_exactly():
    cfg = DiffusionConfig()
    mel = torch.linspace(cfg.mel_low, cfg.mel_high, 1000)
    unit = to_unit(mel, cfg.mel_low, cfg.mel_high)
    assert unit[0] == -1
    assert unit[-1] == pytest.approx(1, abs=1e-6)
    assert torch.allclose(from_unit(unit, cfg.mel_low, cfg.mel_high), mel, atol=1e-5)


def test_silence_is_the_mels_floor_and_frames_are_whole_hops():
    mel = mel_spectrogram(torch.zeros(2, 20_480 + 255), MelConfig())
    assert mel.shape == (2, 80, 80)
    assert torch.allclose(mel, torch.full_like(mel, SILENCE), atol=1e-5)
    assert math.log(1e-5) == SILENCE


def test_swapping_ears_swaps_mels():
    wav = torch.randn(2, 5000)
    assert torch.equal(mel_spectrogram(wav.flip(0), MelConfig()), mel_spectrogram(wav, MelConfig()).flip(0))


# --- cut and stitch -----------------------------------------------------------------------------------------


@given(st.integers(1, 400), st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=200, deadline=None)
def test_stitch_undoes_cut_for_every_length(n, size, hop):
    hop = min(hop, size)
    x = torch.randn(2, 3, max(n, size), dtype=torch.float64)
    starts = covering(x.shape[-1], size, hop)
    assert starts[0] == 0
    assert starts[-1] + size == x.shape[-1]
    assert torch.allclose(stitch(extract_windows(x, starts, size), starts, x.shape[-1]), x)


# --- the visual encoder -------------------------------------------------------------------------------------


def test_nothing_in_a_padded_slot_reaches_the_context(model):
    window = seen_window()
    assert window["mask"][0, :, 2].all(), "one detection: the third slot is padding"
    wild = {name: value.clone() for name, value in window.items()}
    wild["objects"][:, :, 2], wild["box"][:, :, 2] = 1e3, -7.0
    assert torch.equal(model.context(window), model.context(wild))


@pytest.mark.parametrize("change", ["objects", "box"])
def test_a_valid_slots_picture_and_its_place_alone_change_the_context(model, change):
    window = seen_window()
    other = {name: value.clone() for name, value in window.items()}
    other[change][:, :, 1] += 0.3
    assert (model.context(window) - model.context(other)).abs().max() > 1e-3


def test_a_source_that_moves_in_a_whole_picture_changes_the_context(model):
    def context(x):
        picture = np.zeros((40, 80, 3), dtype=np.uint8)
        picture[10:25, x : x + 12] = (250, 120, 30)
        source = RecordedFrames([Image.fromarray(picture)] * 10, 10, [], SMALL.view)
        return model.context(batched(source.window(0.0, 0.9)))

    assert (context(8) - context(60)).abs().max() > 1e-3


def test_order_of_pictures_matters(model):
    window = seen_window()
    back = {name: value.flip(1) for name, value in window.items()}
    assert (model.context(window) - model.context(back)).abs().max() > 1e-3


def test_a_frame_source_holds_the_first_and_last_picture():
    source = RecordedFrames(pictures(3), 10, [], SMALL.view)
    assert torch.equal(source.window(50.0, 0.9)["objects"][0], source.window(0.25, 1e-3)["objects"][0])


def test_detections_at_another_rate_do_not_crowd_each_other_out():
    sources = ((0, 0.9), (50, 0.8))
    found = [Detection(k / 30, (x, 0, x + 20, 20), score) for k in range(30) for x, score in sources]
    window = RecordedFrames(pictures(10), 10, found, SMALL.view).window(0.0, 0.9)
    assert torch.allclose(window["box"][:, 1, 0], torch.tensor(-0.75))
    assert torch.allclose(window["box"][:, 2, 0], torch.tensor(0.5))
    assert RecordedFrames(pictures(10), 10, found[:2], SMALL.view).paths.detected(0.2) == [None] * 2


def test_slots_are_the_whole_picture_then_the_detections_by_score():
    found = [
        Detection(0.0, (0, 0, 40, 40), 0.2),
        Detection(0.0, (40, 0, 80, 40), 0.9),
        Detection(0.0, (0, 0, 8, 4), 0.1),
    ]
    window = RecordedFrames(pictures(1), 10, found, SMALL.view).window(0.0, 0.1)
    assert torch.allclose(window["box"][0], torch.tensor([[0, 0, 1, 1], [0.5, 0, 0.5, 1], [-0.5, 0, 0.5, 1]]))
    assert not window["mask"].any()


def test_mirroring_twice_is_nothing_and_once_is_the_mirrored_scene():
    flat = [Image.fromarray(np.asarray(p)[:, ::-1].copy()) for p in pictures(10)]
    flipped = [replace(d, box=(80 - d.box[2], d.box[1], 80 - d.box[0], d.box[3])) for d in detections(10)]
    ears = torch.randn(2, 80, 80)
    sample = {
        "binaural_mel": ears,
        **RecordedFrames(pictures(10), 10, detections(10), SMALL.view).window(0.0, 0.9),
    }
    truth = {"binaural_mel": ears.flip(0), **RecordedFrames(flat, 10, flipped, SMALL.view).window(0.0, 0.9)}
    once, twice = mirrored(sample), mirrored(mirrored(sample))
    for name, value in truth.items():
        assert torch.allclose(once[name].float(), value.float(), atol=0.04), name
        assert torch.equal(twice[name], sample[name]), name


# --- the UNet and generation --------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 3, 80, 83])
def test_the_unet_takes_any_length_and_listens_to_all_its_inputs(model, frames):
    x, mono, context = torch.randn(2, 2, 80, frames), torch.randn(2, 1, 80, frames), torch.randn(2, 8, 32)
    t = torch.tensor([10, 900])
    with torch.no_grad():
        out = model.unet(x, t, mono, context)
        assert out.shape == x.shape
        for changed in (
            (x + 1, t, mono, context),
            (x, t + 50, mono, context),
            (x, t, mono + 1, context),
            (x, t, mono, context + 1),
        ):
            assert (model.unet(*changed) - out).abs().max() > 1e-4


def test_cross_attention_tells_tokens_apart(model):
    """Same mean, other tokens: an attention that is a constant would not notice."""
    x, mono, context = torch.randn(1, 2, 80, 16), torch.randn(1, 1, 80, 16), torch.randn(1, 8, 32)
    other = 3 * (context - context.mean(1, keepdim=True)) + context.mean(1, keepdim=True)
    with torch.no_grad():
        a, b = (model.unet(x, torch.tensor([500]), mono, c) for c in (context, other))
    assert (a - b).abs().max() > 1e-4


def run(model, item, **options):
    return generate(model, item, SamplingConfig(**{"sampling_timesteps": 2, **options}))


@pytest.mark.parametrize("frames", [1, 5, 79, 80, 81, 139, 141, 200, 399])
def test_every_frame_is_generated(model, frames):
    mel = run(model, clip(frames))
    assert mel.shape == (2, 80, frames)
    assert mel.isfinite().all()
    assert mel.min() >= SILENCE - 1e-4


def test_the_result_does_not_depend_on_the_batch(model):
    one, three, all_ = (run(model, clip(300), batch_windows=n) for n in (1, 3, 16))
    assert torch.allclose(one, three, atol=1e-4)
    assert torch.allclose(one, all_, atol=1e-4)


def test_borders_of_windows_do_not_show(model):
    """From frame to frame the mel changes no more where a window begins or ends than elsewhere."""
    at_borders, elsewhere = [], []
    for seed in range(3):
        item = clip(400, seed)
        change = run(model, item, sampling_timesteps=8).diff(dim=-1).abs().mean((0, 1))
        borders = {s + edge for s in item["starts"] for edge in (-1, 0, 79, 80)} - {-1, 0, 399, 400}
        inside = torch.tensor([k in borders for k in range(1, 400)])
        at_borders.append(change[inside])
        elsewhere.append(change[~inside])
    ratio = torch.cat(at_borders).mean() / torch.cat(elsewhere).mean()
    assert ratio <= 1.1, ratio


@pytest.mark.parametrize(
    "how", [{}, {"eta": 1.0}, {"sampler": "ddpm"}, {"sampler": "dpm++"}, {"guidance_scale": 2.0}]
)
@pytest.mark.parametrize("frames", [140, 141, 437])
def test_blocks_of_any_size_give_the_clip_at_once(model, frames, how, monkeypatch):
    """The noise, too, comes in tiles, here of 100 frames."""
    monkeypatch.setattr(sampler, "BLOCK", 100)
    item, cfg = clip(frames), SamplingConfig(sampling_timesteps=5, **how)
    whole = generate(model, item, cfg, count=1000)
    for count in (1, 2, 5):
        assert torch.allclose(generate(model, item, cfg, count=count), whole, atol=1e-3), count


def test_a_clip_of_one_block_is_sampled_as_the_process_says(model):
    """Bit for bit what Diffusion.sample makes of all windows, merged at every step, and of one noise."""
    item, size = clip(300), SMALL.view.window
    starts, maps = item["starts"], visual_features(model, item)
    batch = window_batch(item, maps, torch.arange(len(starts)), SMALL)
    with torch.inference_mode():
        denoiser = model.denoiser(batch["mono_mel"], model.context(batch))
        drawn = generator_for(0, f"{sound_key(batch['mono_mel'][0])} 0 0")  # of step 0, tile 0
        noise = torch.randn(2, 80, 300, generator=drawn)
        unit = model.diffusion.sample(
            lambda x, t: stitch(denoiser(extract_windows(x, starts, size), t), starts, 300), noise, 7
        )
    assert torch.equal(run(model, item, sampling_timesteps=7), model.to_mel(unit))


def test_the_samplers_differ_but_not_by_much(model):
    ddim, dpm = (run(model, clip(100), sampling_timesteps=20, sampler=name) for name in ("ddim", "dpm++"))
    assert not torch.equal(ddim, dpm)
    assert (ddim - dpm).abs().mean() < 0.5


@pytest.mark.parametrize("how", [{}, {"eta": 1.0}, {"sampler": "ddpm"}])
def test_the_same_seed_gives_the_same_clip_and_another_seed_or_sound_another(model, how):
    once = run(model, clip(90), seed=3, **how)
    assert torch.equal(run(model, clip(90), seed=3, **how), once)
    assert not torch.allclose(run(model, clip(90), seed=4, **how), once, atol=1e-2)
    assert torch.equal(run(model, {**clip(90), "stem": "b"}, seed=3, **how), once)
    louder = {**clip(90), "mono_mel": clip(90)["mono_mel"] + 0.2}
    assert (run(model, louder, seed=3, **how) - once).abs().mean() > 0.25


def test_guidance_1_sees_and_0_is_blind(model):
    item, other = clip(100), clip(100, seed=5)
    swapped = {**item, **{name: other[name] for name in ("objects", "box", "mask", "which")}}
    assert not torch.allclose(run(model, item), run(model, swapped), atol=1e-3)
    assert torch.equal(run(model, item, guidance_scale=0.0), run(model, swapped, guidance_scale=0.0))


# --- the phase between the ears -----------------------------------------------------------------------------

PHASE = replace(SMALL, model=replace(SMALL.model, interaural_phase=True))


@pytest.fixture(scope="module")
def phase_model():
    torch.manual_seed(0)
    net = ModelBuilder(PHASE).build().eval()
    torch.nn.init.normal_(net.unet.head.weight, std=0.3)
    return net


def test_the_model_of_two_channels_is_what_it_was(model, monkeypatch):
    """Figures of the code before there was a phasor: the start, a sample, the noise of a training step."""
    torch.manual_seed(0)
    start = ModelBuilder(SMALL).build().state_dict()
    assert len(start) == 195
    size = sum(float(v.double().abs().sum()) for v in start.values())
    assert size == pytest.approx(8453.90841182456, rel=1e-9)
    # the noise followed from the clip's name then, and DDIM draws none after its start
    monkeypatch.setattr(sampler, "generator_for", lambda seed, key: generator_for(seed, "clip0"))
    made = run(model, clip(90))
    assert made.shape == (2, 80, 90)
    assert [made[0, 10, 5].item(), made[1, 70, 80].item()] == pytest.approx([-4.888039, -6.926687], abs=1e-3)
    drawn = draw_noise(["sample 3"], (2, 80, 80), model.diffusion, 0.1, 0)
    assert drawn["t"].item() == 496
    assert float(drawn["noise"].double().sum()) == pytest.approx(-119.229504, rel=1e-6)


@pytest.mark.parametrize("objective", ["pred_residual", "pred_noise"])
@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
def test_the_phasor_is_two_channels_more_within_the_unit_circle(phase_model, objective, guidance):
    net = phase_model
    net.diffusion = Diffusion(replace(PHASE.diffusion, objective=objective))
    made = run(net, clip(100), guidance_scale=guidance)
    assert made.shape == (4, 80, 100)
    assert made[:2].min() >= SILENCE - 1e-4
    assert made[2:].norm(dim=0).max() <= 1 + 1e-5
    assert made[2:].std() > 0.01


@pytest.mark.parametrize("way", [False, True])
def test_the_phasor_too_is_the_same_in_blocks_of_any_size(phase_model, way, monkeypatch):
    monkeypatch.setattr(sampler, "BLOCK", 100)
    phase_model.diffusion = Diffusion(PHASE.diffusion)
    cfg, item = SamplingConfig(sampling_timesteps=3, symmetric=way), clip(300)
    whole = generate(phase_model, item, cfg, count=1000)
    assert whole.shape == (4, 80, 300)
    for count in (1, 2):
        assert torch.allclose(generate(phase_model, item, cfg, count=count), whole, atol=1e-3), count


def test_a_quiet_bands_phasor_counts_less_and_a_mel_as_before(phase_model):
    mono = torch.full((2, 1, 80, 16), -1.0)
    mono[:, :, :40] = 0.5
    weights = phase_model.error_weights(mono)
    assert (weights[:, :2] == 1).all()
    assert not weights[:, 2:, 40:].any()
    assert weights[:, 2:].mean() == pytest.approx(PHASE.diffusion.phase_weight, rel=1e-5)
    assert phase_model.error_weights(torch.full((1, 1, 80, 16), -1.0)).isfinite().all(), "silence throughout"


def test_both_terms_of_the_objective_reach_the_head(phase_model):
    batch = {
        **seen_window(),
        "mono_mel": torch.randn(1, 1, 80, 80) - 5,
        "binaural_mel": torch.randn(1, 2, 80, 80) - 5,
        "phasor": torch.rand(1, 2, 80, 80) - 0.5,
    }
    phase_model.zero_grad()
    loss = phase_model(batch, torch.tensor([700]), torch.randn(1, 4, 80, 80), torch.tensor([False]))
    loss["diffusion"].backward()
    each = phase_model.unet.head.weight.grad.unflatten(0, (4, -1)).flatten(1).norm(dim=1)
    assert (each > 0).all()


def test_mirrored_ears_have_the_conjugate_phasor():
    pair = torch.randn(2, 5000) * 0.1
    here, there = ({"phasor": interaural_phasor(x, MelConfig())} for x in (pair, pair.flip(0)))
    assert torch.allclose(mirrored(here)["phasor"], there["phasor"], atol=1e-6)
    assert torch.equal(mirrored(mirrored(here))["phasor"], here["phasor"])


def test_what_is_made_symmetrically_of_the_mirrored_scene_is_mirrored(phase_model, monkeypatch):
    """The noise exchanged likewise: a trained model is only nearly so, a symmetric one exactly."""
    net, item = phase_model, clip(100)
    there = {
        **item,
        "objects": item["objects"].flip(-1),
        "box": item["box"] * item["box"].new_tensor([-1, 1, 1, 1]),
    }
    noise, apart = sampler.Noise.__call__, {}
    for way in (False, True):
        here = run(net, item, symmetric=way)
        with monkeypatch.context() as patch:
            patch.setattr(sampler.Noise, "__call__", lambda *a: net.exchange(noise(*a)))
            apart[way] = float((here - net.exchange(run(net, there, symmetric=way))).abs().max())
    assert apart[True] < 1e-3 < 1e-2 < apart[False]
    made = run(net, item, symmetric=True)
    assert made.shape == (4, 80, 100)
    assert not torch.allclose(made, run(net, item))


@pytest.mark.parametrize("ears", ["left", "right"])
def test_one_ear_has_no_phase_to_another(ears):
    with pytest.raises(ValueError, match="--interaural_phase needs --ears both"):
        replace(PHASE, ears=ears)


def test_the_loader_draws_the_noise_that_a_samples_number_seeds():
    diffusion = Diffusion(DiffusionConfig())
    data = WithNoise([{"n": n, "mono_mel": torch.zeros(1, 8, 6)} for n in range(3)], 2, diffusion, 0.5, 7)
    assert len(data) == 3
    wanted = draw_noise(["sample 2", "sample 0"], (2, 8, 6), diffusion, 0.5, 7)
    got = torch.utils.data.default_collate([data[2], data[0]])
    assert all(torch.equal(got[name], value) for name, value in wanted.items())


def test_a_context_is_the_same_where_the_slots_that_are_kept_are_known(model):
    batch = seen_window()
    assert batch["mask"].any()
    known = model.context({**batch, "kept": kept_slots(batch["mask"])})
    assert torch.equal(known, model.context(batch))
