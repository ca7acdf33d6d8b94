"""A model that knows the direct paths of the detected sources: its symmetry, its shares, its losses."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image

from DiffBinaural.configs.advanced_diffusion_config import (
    PRESETS,
    DiffusionConfig,
    MelConfig,
    SamplingConfig,
    TrainConfig,
    ViewConfig,
    steps_of,
)
from DiffBinaural.configs.fields import from_dict
from DiffBinaural.dataset.cutting import SILENCE, clip_with_source, whole_clip
from DiffBinaural.dataset.frame_sources import RecordedFrames, WithoutDetections
from DiffBinaural.dataset.video_transforms import mirrored, on_device, without_detections
from DiffBinaural.heads.direct_path import direct_path, in_bands, levels, statistics
from DiffBinaural.heads.named import head_named
from DiffBinaural.inference import sampler
from DiffBinaural.inference.features import visual_features, window_batch
from DiffBinaural.inference.generation import clip_directions, generate
from DiffBinaural.inference.loading import load_model
from DiffBinaural.modules.direct_path_head import DirectPaths, combined, shown
from DiffBinaural.modules.heard_loss import heard_error, heard_losses
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.spatial_filters import at_bins, band_gains
from DiffBinaural.utils.bundled import BUNDLED
from DiffBinaural.utils.lists import Detection
from DiffBinaural.utils.mel import frame_spectra, mel_of, phasor_of, reflected

CFG = MelConfig()
TINY = TrainConfig(id="t", data_root="d", **PRESETS["tiny"])
SMALL = replace(
    TINY,
    model=replace(TINY.model, dim=8, context_dim=32, direct_path=True),
    view=ViewConfig(frames=2, slots=3, image_size=32),
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(untrained):
    """A small model whose shares are not all alike."""
    net = untrained(SMALL)
    with torch.no_grad():
        net.unet.head.weight.normal_(std=0.2)
    return net


def pictures(count, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (count, 40, 80, 3), dtype=np.uint8)
    return [Image.fromarray(picture) for picture in noise]


def detections(count, until=6):
    """One on the left that moves, for all the time; one on the right that is soon gone."""
    left = [Detection(k / 10, (10 + k / 2, 5, 30 + k / 2, 25), 0.9, "a") for k in range(count)]
    right = [Detection(k / 10, (60, 5, 76, 25), 0.8, "b") for k in range(until)]
    return sorted(left + right, key=lambda d: d.time)


def recording(found, seed=0):
    return RecordedFrames(pictures(40, seed), 10, found, SMALL.view)


def clip(frames, seed=0, found=None, source=None):
    mel = torch.from_numpy(np.random.default_rng(seed).normal(-5, 2, (1, 80, frames)).astype(np.float32))
    source = source or recording(detections(40) if found is None else found, seed)
    return whole_clip(f"clip{seed}", {"mono_mel": mel}, source, 0.0, CFG)


def run(model, item, **options):
    return generate(model, item, SamplingConfig(**options))


def mirror_image(item):
    """The clip of the mirrored scene."""
    flips = item["box"].new_tensor([-1, 1, 1, 1])
    sides = item["directions"].new_tensor([[-1], [1], [1]])
    return {
        **item,
        "objects": item["objects"].flip(-1),
        "box": item["box"] * flips,
        "directions": item["directions"] * sides,
    }


def training_window(seed=0, level=0.1, found=None):
    """A window of noise from two places, as a dataset with spectra and direct paths gives it."""
    source = recording(detections(40, 40) if found is None else found, seed)
    window = source.window(0.0, 0.93)
    directions = window.pop("directions")
    direct = direct_path(head_named("sphere"), directions, CFG)
    dry = level * torch.randn(2, 80 * CFG.hop, generator=torch.Generator().manual_seed(seed))
    parts = frame_spectra(reflected(dry, CFG), CFG)
    spectra = torch.stack((parts.sum(0), ((1 + direct) * parts).sum(0), ((1 - direct) * parts).sum(0)))
    mels = mel_of(spectra, CFG)
    return {
        **window,
        "mono_mel": mels[:1],
        "binaural_mel": mels[1:],
        "phasor": phasor_of(spectra[1:], CFG),
        "spectra": spectra,
        "direct": direct,
        "sounding": directions[:, 2],
    }


def batched(*samples):
    return on_device({name: torch.stack([s[name] for s in samples]) for name in samples[0]}, CPU)


# --- symmetry -----------------------------------------------------------------------------------------------


def random_paths(slots=3, frames=6, batch=2):
    random = torch.Generator().manual_seed(3)
    direct = torch.randn(batch, slots, CFG.n_fft // 2 + 1, frames, dtype=torch.complex64, generator=random)
    sounding = torch.rand(batch, slots, frames, generator=random)
    return DirectPaths.of(direct, sounding, CFG), DirectPaths.of(-direct, sounding, CFG)


def test_the_mirror_image_of_paths_is_that_of_minus_d():
    here, there = random_paths()
    assert torch.allclose(here.mirrored().rows, there.rows, atol=1e-4)
    assert torch.equal(here.mirrored().sounding, here.sounding)
    assert torch.equal(here.mirrored().mirrored().rows, here.rows)


def test_what_the_head_makes_of_exchanged_output_and_mirrored_paths_is_exchanged(model):
    paths, _ = random_paths(slots=2)
    output = torch.randn(2, 4 + 2 + 2, 80, 6, generator=torch.Generator().manual_seed(0))
    swapped = torch.cat((model.exchange(output[:, :4]), output[:, 4:]), dim=1)
    here = combined(output, paths, CFG, 0.2)
    there = combined(swapped, paths.mirrored(), CFG, 0.2)
    assert torch.allclose(model.exchange(here), there, atol=1e-5)
    assert not torch.allclose(here, there, atol=1e-2)


@pytest.mark.parametrize("steps", [1, 3])
def test_what_is_made_symmetrically_of_the_mirrored_scene_is_exchanged(model, steps, monkeypatch):
    item = clip(100)
    noise, apart = sampler.Noise.__call__, {}
    for way in (False, True):
        here = run(model, item, symmetric=way, sampling_timesteps=steps)
        with monkeypatch.context() as patch:
            patch.setattr(sampler.Noise, "__call__", lambda *a: model.exchange(noise(*a)))
            there = run(model, mirror_image(item), symmetric=way, sampling_timesteps=steps)
        apart[way] = float((here - model.exchange(there)).abs().max())
    assert apart[True] < 2e-3 < 2e-2 < apart[False]


def test_a_mirrored_sample_exchanges_truth_and_paths_alike():
    """The losses of an exchanged prediction for the mirrored window are the same."""
    sample = training_window()
    here, there = batched(sample), batched(mirrored(sample))
    random = torch.Generator().manual_seed(0)
    made = here["binaural_mel"] + 0.3 * torch.randn(1, 2, 80, 80, generator=random)
    made = torch.cat((made, 0.8 * here["phasor"]), dim=1)
    shares = torch.rand(1, 2, 80, 80, generator=random) / 2
    swapped = torch.cat((made[:, [1, 0]], made[:, 2:3], -made[:, 3:]), dim=1)
    one, other = heard_losses(made, shares, here, CFG), heard_losses(swapped, shares, there, CFG)
    for name in one:
        assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-4)
        assert float(one[name]) > 0.01
    assert torch.allclose(phasor_of(there["spectra"][0, 1:], CFG), there["phasor"][0], atol=1e-5)
    assert torch.allclose(mel_of(there["spectra"][0, 1:], CFG), there["binaural_mel"][0], atol=1e-4)
    assert torch.equal(mirrored(mirrored(sample))["direct"], sample["direct"])


# --- slots --------------------------------------------------------------------------------------------------


def test_directions_of_an_empty_slot_change_nothing(model):
    item = clip(100)
    wild = {**item, "directions": item["directions"].clone()}
    empty = wild["directions"][:, :, 2] == 0
    assert empty.any()
    assert not empty.all()
    for row, value in ((0, 77.0), (1, -30.0)):
        wild["directions"][:, :, row][empty] = value
    assert torch.equal(run(model, item), run(model, wild))


def test_rows_of_an_empty_slot_reach_neither_the_unet_nor_its_result():
    paths, _ = random_paths()
    sounding = paths.sounding.clone()
    sounding[:, 1] = 0
    output = torch.randn(2, 4 + 3 + 2, 80, 6, generator=torch.Generator().manual_seed(0))
    wild = paths.rows.clone()
    wild[:, 1] = 50 * torch.rand(wild[:, 1].shape)
    here, there = (DirectPaths(rows, sounding) for rows in (paths.rows, wild))
    mel = torch.randn(2, 1, 80, 6, generator=torch.Generator().manual_seed(1)) - 4
    assert torch.equal(shown(here, mel, CFG), shown(there, mel, CFG))
    assert torch.equal(combined(output, here, CFG, 0.2), combined(output, there, CFG, 0.2))
    heard = DirectPaths(wild, paths.sounding)
    assert not torch.equal(shown(paths, mel, CFG), shown(heard, mel, CFG))


def test_where_a_source_is_and_whether_it_sounds_change_the_result(model):
    item, there = clip(100), clip(100)
    there["directions"] = there["directions"].clone()
    there["directions"][:, 0, 0] += 25
    silent = {**item, "directions": item["directions"] * torch.tensor([[1.0], [1.0], [0.1]])}
    made = run(model, item)
    assert (made - run(model, there)).abs().max() > 0.05
    assert (made - run(model, silent)).abs().max() > 0.05


def test_the_listeners_head_changes_the_result(model):
    item = clip(100)
    made = [run(model, {**item, "head": head}) for head in ("sphere", "sphere:10", "kemar")]
    assert (made[0] - made[1]).abs().max() > 0.02
    assert (made[0] - made[2]).abs().max() > 0.02


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sampling_timesteps": 3},
        {"sampling_timesteps": 3, "eta": 1.0},
        {"sampling_timesteps": 3, "sampler": "ddpm"},
        {"sampling_timesteps": 3, "sampler": "dpm++"},
        {"symmetric": True},
        {"guidance_scale": 0.0},
    ],
)
def test_shares_are_parts_of_one_and_nothing_in_empty_slots(model, how):
    item = clip(260)
    made = run(model, item, **how)
    shares = made[4:]
    assert made.shape == (6, 80, 260)
    assert made.isfinite().all()
    assert shares.min() >= 0
    assert shares.sum(0).max() <= 1 + 1e-5
    assert made[2:4].norm(dim=0).max() <= 1 + 1e-5
    empty = clip_directions(item, SMALL)[:, 2] == 0
    assert 0.3 < empty.float().mean() < 0.7
    assert not shares.movedim(1, 2)[empty].any()
    if how.get("guidance_scale") == 0.0:
        assert not shares.any()
    else:
        assert shares.movedim(1, 2)[~empty].std() > 0.02, "the network decides"


def test_guidance_exaggerates_shares_within_bounds(model):
    shares = run(model, clip(100), guidance_scale=4.0)[4:]
    assert shares.min() >= 0
    assert shares.max() <= 1
    assert shares.mean() > run(model, clip(100))[4:].mean()


def test_without_detections_nothing_is_left_of_them(model):
    hidden = clip(100, source=WithoutDetections(recording(detections(40))))
    never = clip(100, found=[])
    made = run(model, hidden)
    assert torch.equal(made, run(model, never))
    assert not made[4:].any()
    assert (made - run(model, clip(100))).abs().max() > 0.05


# --- blocks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how", [{}, {"symmetric": True}, {"sampling_timesteps": 4, "eta": 1.0}, {"guidance_scale": 2.0}]
)
def test_blocks_of_any_size_give_the_clip_at_once(model, how, monkeypatch):
    monkeypatch.setattr(sampler, "BLOCK", 100)
    item, cfg = clip(311), SamplingConfig(**how)
    whole = generate(model, item, cfg, count=1000)
    for count in (1, 2, 5):
        assert torch.allclose(generate(model, item, cfg, count=count), whole, atol=1e-3), count
    assert torch.allclose(run(model, item, batch_windows=1, **how), run(model, item, **how), atol=1e-3)


def test_a_clip_read_lazily_is_the_same_clip(model):
    """With its frame source in place of its pictures; also its directions, for the renderer."""
    item, source = clip(200), recording(detections(40))
    lazy = clip_with_source(item["stem"], {"mono_mel": item["mono_mel"]}, source, 0.0, CFG)
    assert torch.equal(run(model, lazy), run(model, item))
    places = clip_directions(lazy, SMALL)
    assert torch.equal(places, clip_directions(item, SMALL))
    times = (np.arange(200) + 0.5) * CFG.hop / CFG.sample_rate
    assert torch.allclose(places, source.directions(times), atol=1e-3)


def test_validation_takes_the_paths_of_the_clips_own_head(model):
    item = {**clip(120), "head": "sphere:10"}
    batch = window_batch(item, visual_features(model, item), torch.tensor([1]), SMALL)
    truth = direct_path(head_named("sphere:10"), item["directions"][1], CFG)
    assert torch.equal(batch["direct"][0], truth)
    assert torch.equal(batch["sounding"][0], item["directions"][1, :, 2])


# --- losses -------------------------------------------------------------------------------------------------


def losses(model, batch, hidden=False, t=600):
    count = len(batch["mono_mel"])
    noise = torch.randn(count, 6, 80, 80, generator=torch.Generator().manual_seed(0))
    return model(batch, torch.full((count,), t), noise, torch.full((count,), hidden))


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(
    "kind", ["sound", "silence", "one silent ear", "no detections", "none sounds", "loud"]
)
def test_losses_and_gradients_are_finite(model, kind, hidden):
    sample = training_window(level={"silence": 0.0, "loud": 1.0}.get(kind, 0.1))
    if kind == "one silent ear":
        sample["spectra"][1] = 0
        sample["binaural_mel"][0], sample["phasor"] = SILENCE, torch.zeros(2, 80, 80)
    if kind == "no detections":
        sample = without_detections(sample)
    if kind == "none sounds":
        sample = {**sample, "sounding": torch.zeros(2, 80), "direct": torch.zeros_like(sample["direct"])}
    model.zero_grad()
    found = losses(model, batched(sample), hidden)
    assert set(found) == {"diffusion", "heard", "cue"}
    assert all(value.isfinite() for value in found.values())
    sum(found.values()).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


def test_each_loss_reaches_the_shares_and_the_residual(model):
    batch = batched(training_window())
    for name in ("diffusion", "heard", "cue"):
        model.zero_grad()
        losses(model, batch)[name].backward()
        each = model.unet.head.weight.grad.unflatten(0, (8, -1)).flatten(1).norm(dim=1)
        assert (each[[0, 1]] > 0).all(), name
        assert (each[4:] > 0).all(), name


def test_in_bfloat16_the_losses_are_nearly_those_of_float32(model, monkeypatch):
    batch = batched(training_window())
    exact = losses(model, batch)
    monkeypatch.setattr(model, "amp", "bf16")
    model.zero_grad()
    narrow = losses(model, batch)
    assert all(value.dtype == torch.float32 for value in narrow.values())
    for name, value in exact.items():
        assert float(narrow[name]) == pytest.approx(float(value), rel=0.02), name
    assert any(float(narrow[name]) != float(exact[name]) for name in exact)
    sum(narrow.values()).backward()
    assert model.unet.head.weight.grad.isfinite().all()


def test_weights_of_the_losses_scale_them(model):
    batch = batched(training_window())
    with torch.no_grad():
        plain = losses(model, batch)
        model.cfg = replace(SMALL, diffusion=DiffusionConfig(heard_weight=0.3, cue_weight=0.05))
        scaled = losses(model, batch)
    model.cfg = SMALL
    assert float(scaled["heard"]) == pytest.approx(3 * float(plain["heard"]), rel=1e-4)
    assert float(scaled["cue"]) == pytest.approx(5 * float(plain["cue"]), rel=1e-4)
    assert torch.equal(scaled["diffusion"], plain["diffusion"])


def test_the_heard_loss_of_one_source_that_has_all_is_nothing_and_else_more():
    found = [Detection(k / 10, (62, 5, 78, 25), 0.9) for k in range(40)]
    sample = training_window(found=found)
    spectra, direct = sample["spectra"], sample["direct"]
    mono = spectra[0]
    spectra = torch.stack((mono, (1 + direct[0]) * mono, (1 - direct[0]) * mono))
    mels = mel_of(spectra, CFG)
    batch = batched({**sample, "spectra": spectra, "mono_mel": mels[:1], "binaural_mel": mels[1:]})
    known = levels(in_bands(statistics(direct[0]), CFG))[None]
    made = torch.cat((batch["mono_mel"] + known[:, :2], known[:, 2:]), dim=1)
    ones, none = torch.ones(1, 2, 80, 80), torch.zeros(1, 2, 80, 80)
    all_, nothing = ones * torch.tensor([1.0, 0.0])[:, None, None], none
    exact = heard_losses(made, all_, batch, CFG)
    assert float(exact["heard"]) < 1e-4
    assert float(exact["cue"]) < 0.05
    half = heard_losses(made, all_ / 2, batch, CFG)
    coarse = heard_losses(made, nothing, batch, CFG)
    assert float(exact["heard"]) < float(half["heard"]) < float(coarse["heard"])
    flat = torch.cat((batch["mono_mel"], batch["mono_mel"], torch.ones(1, 1, 80, 80), none[:, :1]), dim=1)
    copy = heard_losses(flat, nothing, batch, CFG)
    assert float(copy["cue"]) > 10 * float(exact["cue"])

    def error_of(bands):
        gain = band_gains(mono[None], bands[:, :2], CFG)
        filters = at_bins(gain, bands[:, 2:], CFG, nothing, batch["direct"])
        return float(heard_error(filters, mono[None], spectra[None, 1:]))

    assert error_of(flat) > 10 * error_of(made)


def test_the_heard_loss_of_two_sources_is_least_near_their_true_shares():
    """Two of equal power: equal shares beat any that favour one."""
    sample = training_window(seed=4)
    batch, direct = batched(sample), sample["direct"]
    rows = in_bands(statistics(direct), CFG)
    error = {}
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        shares = torch.tensor([part, 1 - part])[None, :, None, None].expand(1, 2, 80, 80)
        known = levels((shares[0, :, None] * rows).sum(0))[None]
        made = torch.cat((batch["mono_mel"] + known[:, :2], known[:, 2:]), dim=1)
        error[part] = float(heard_losses(made, shares, batch, CFG)["heard"])
    assert min(error, key=error.get) == 0.5
    assert error[0.5] < 0.8 * min(error[0.0], error[1.0])


# --- settings, older runs -----------------------------------------------------------------------------------


def test_a_few_words_of_settings():
    assert SMALL.model.interaural_phase, "it implies the phase between the ears"
    assert steps_of(SamplingConfig(), SMALL) == 1
    assert steps_of(SamplingConfig(), TINY) == 2
    assert steps_of(SamplingConfig(sampling_timesteps=7), SMALL) == 7
    for wrong, message in (
        ({"ears": "left"}, "--ears both"),
        ({"diffusion": DiffusionConfig(objective="pred_noise")}, "--objective"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(SMALL, **wrong)
    assert from_dict(TrainConfig, asdict(SMALL), "config.json") == SMALL


def test_predictions_of_x0_work_too(model):
    cfg = replace(SMALL, diffusion=DiffusionConfig(objective="pred_x0"))
    torch.manual_seed(0)
    net = ModelBuilder(cfg).build().eval()
    made = run(net, clip(90))
    assert made.shape == (6, 80, 90)
    assert made.isfinite().all()
    assert all(value.isfinite() for value in losses(net, batched(training_window())).values())


def test_a_run_without_direct_paths_is_what_it_was():
    """Settings that do not know the new fields; the weights that come with the project; directions unused."""
    old = asdict(TINY)
    for part, name in (("model", "direct_path"), ("diffusion", "heard_weight"), ("diffusion", "cue_weight")):
        del old[part][name]
    assert from_dict(TrainConfig, old, "config.json") == TINY


def test_the_bundled_model_takes_no_notice_of_directions():
    net = load_model(BUNDLED / "stage1", CPU)
    if net.slots:
        pytest.skip("it knows direct paths")
    view = net.cfg.view
    source = RecordedFrames(pictures(12), 10, detections(12), view)
    mel = torch.from_numpy(np.random.default_rng(0).normal(-5, 2, (1, 80, 80)).astype(np.float32))
    item = whole_clip("a", {"mono_mel": mel}, source, 0.0, CFG)
    wild = {**item, "directions": item["directions"] * 3 + 5, "head": "kemar"}
    made = run(net, item)
    assert made.shape == (4, 80, 80)
    assert torch.equal(made, run(net, wild))
