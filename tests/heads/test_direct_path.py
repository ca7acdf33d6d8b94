"""The direct path as second-order statistics: what a head and the sources' shares make of the mono."""

import numpy as np
import pytest
import torch

from DiffBinaural.configs.advanced_diffusion_config import MelConfig
from DiffBinaural.heads.direct_path import (
    CLIP,
    FEATURES,
    STEP,
    decided,
    diffuse,
    direct_path,
    features,
    in_bands,
    levels,
    mirrored_statistics,
    mixed_path,
    mixture,
    statistics,
)
from DiffBinaural.heads.head import relative_difference
from DiffBinaural.heads.named import head_named
from DiffBinaural.heads.sphere import low_frequency_itd
from DiffBinaural.spatial_filters import at_bins, to_bins, wiener, wiener_at_levels

CFG = MelConfig()
HEADS = ["sphere", "sphere:7", "sphere:9.5:11", "kemar"]
BINS, CPU = CFG.n_fft // 2 + 1, torch.device("cpu")
HZ = np.arange(BINS) * CFG.sample_rate / CFG.n_fft


def standing(*places, frames=1):
    """Directions (S, 3, T) of (azimuth, elevation, probability that it sounds)."""
    return torch.tensor(places, dtype=torch.float32)[..., None].expand(-1, -1, frames)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def ears_of(direct, mono):
    return torch.stack(((1 + direct) * mono, (1 - direct) * mono), dim=-3)


def rendered(rows, mono, how=wiener):
    found = levels(rows)
    return how(mono, found[..., :2, :, :].exp(), torch.complex(*found[..., 2:, :, :].unbind(-3)))


# --- d of a head --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
def test_d_gives_back_the_heads_two_ears(name):
    """L/R of the head, and L + R = 2M; the directions on the grid to which they are rounded."""
    head, azimuth, elevation = head_named(name), np.array([-75.0, 10.25, 40.5]), np.array([0.0, -12.5, 20.0])
    direct = direct_path(head, standing(*zip(azimuth, elevation, [1.0] * 3)), CFG)[..., 0]
    left, right = head.responses(azimuth, elevation, CFG.sample_rate, CFG.n_fft)
    sure = (left + right).abs() ** 2 > 0.4 * (left.abs() ** 2 + right.abs() ** 2)
    assert sure.float().mean() > 0.6
    assert torch.allclose((1 + direct)[sure] * right[sure], (1 - direct)[sure] * left[sure], atol=1e-4)
    assert direct.isfinite().all()
    assert direct.abs().max() < 3.4, "where the ears nearly cancel it is bounded"


def test_d_turns_by_the_spheres_delay_at_low_frequencies():
    direct = direct_path(head_named("sphere"), standing((40, 0, 1)), CFG)[0, :, 0]
    angle = ((1 + direct) * (1 - direct).conj()).angle().numpy()  # L R*
    low = (HZ > 50) & (HZ < 200)
    assert np.allclose(-angle[low] / (2 * np.pi * HZ[low]), low_frequency_itd(40.0), rtol=0.03)


def test_a_source_ahead_leaves_the_mono_as_it_is_and_one_at_the_mirror_side_changes_the_sign():
    places = standing((0, 0, 1), (0, 30, 1), (33, 15, 1), (-33, 15, 1))
    ahead, above, right, left = direct_path(head_named("sphere"), places, CFG)
    assert ahead.abs().max() < 1e-4
    assert above.abs().max() < 1e-4
    assert right.abs().max() > 0.5
    assert torch.allclose(left, -right, atol=1e-4)


def test_directions_are_rounded_to_a_step_and_each_frame_has_its_own():
    head, azimuth = head_named("sphere:8"), np.array([20.0, 20 + 0.4 * STEP, 20 + 1.1 * STEP, -50.0])
    moving = torch.zeros(1, 3, 4)
    moving[0, 0], moving[0, 2] = torch.from_numpy(azimuth), torch.tensor([1.0, 0.3, 1.0, 0.7])
    direct = direct_path(head, moving, CFG)[0]
    assert torch.equal(direct[:, 0], direct[:, 1])
    assert not torch.equal(direct[:, 0], direct[:, 2])
    exact = relative_difference(head.responses(azimuth, np.zeros(4), CFG.sample_rate, CFG.n_fft)).T
    assert (direct - exact).abs().mean() < 0.02


def test_an_empty_slot_has_no_direct_path():
    direct = direct_path(head_named("sphere"), standing((50, 0, 0), (50, 0, 0.01)), CFG)
    assert not direct[0].any()
    assert direct[1].any()
    assert direct_path(head_named("sphere"), torch.zeros(0, 3, 5), CFG).shape == (0, BINS, 5)


def test_sources_divide_the_mono_as_they_are_likely_to_sound():
    head = head_named("sphere")
    places = standing((50, 0, 1), (-20, 0, 1))
    direct = direct_path(head, places, CFG)
    assert torch.allclose(mixed_path(direct, places), direct.mean(0), atol=1e-6)
    alone, faint = standing((50, 0, 1), (-20, 0, 0)), standing((50, 0, 0.25), (-20, 0, 0))
    one = direct_path(head, alone, CFG)
    assert torch.allclose(mixed_path(one, alone), direct[0], atol=1e-6)
    assert torch.allclose(mixed_path(one, faint), direct[0] / 2, atol=1e-6), "the other half is in the middle"
    unequal = standing((50, 0, 0.6), (-20, 0, 0.2))
    assert torch.allclose(mixed_path(direct, unequal), 0.9 * direct[0] + 0.1 * direct[1], atol=1e-6)
    assert not mixed_path(direct, torch.zeros(2, 3, 1)).any()


@pytest.mark.parametrize(
    ("chances", "expected"),
    [
        ((1.0, 1.0, 0.0), (1.0, 1.0, 0.0)),
        ((0.7, 0.0, 0.0), (1.0, 0.0, 0.0)),
        ((0.6, 0.3, 0.0), (1.0, 0.25, 0.0)),
        ((0.2, 0.05, 0.0), (0.5, 0.5 / 16, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_who_is_decided_to_sound(chances, expected):
    slots = torch.tensor(chances)[None, :, None].expand(2, -1, 5)
    assert torch.allclose(decided(slots), torch.tensor(expected)[None, :, None].expand(2, -1, 5))
    turned = decided(slots.flip(1)).flip(1)
    assert torch.equal(turned, decided(slots))


# --- statistics ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("how", [wiener, wiener_at_levels])
@pytest.mark.parametrize("azimuth", [-70, 0, 12, 50])
def test_one_source_that_has_all_of_the_mono_is_rendered_exactly(name, how, azimuth):
    direct = direct_path(head_named(name), standing((azimuth, 10, 1), frames=7), CFG)[0]
    mono = noise(BINS, 7)
    truth = ears_of(direct, mono)
    rows = statistics(direct)
    sure = rows[:2].min(0).values > 1e-3
    assert sure.float().mean() > 0.95
    made = rendered(rows, mono, how)
    assert torch.allclose(made[:, sure], truth[:, sure], atol=1e-3)
    assert ((made - truth).abs() <= 0.02 * mono.abs() + 1e-3).all(), "an ear 30 dB below is only nearly right"


@pytest.mark.parametrize("how", [wiener, wiener_at_levels])
def test_bands_that_say_what_the_direct_path_says_are_rendered_exactly_at_the_bins(how):
    """As the renderer has it: gains and phasor in the bands, shares, and d at the bins."""
    direct = direct_path(head_named("sphere"), standing((35, 0, 1), (-60, 5, 1), frames=5), CFG)
    shares = torch.stack((torch.ones(CFG.n_mels, 5), torch.zeros(CFG.n_mels, 5)))
    bands = levels(mixture(shares, in_bands(statistics(direct), CFG), diffuse(CFG, CPU, bands=True)))
    mono = noise(BINS, 5)
    made = how(mono, *at_bins(bands[:2], bands[2:], CFG, shares, direct))
    assert torch.allclose(made, ears_of(direct[0], mono), atol=2e-3)
    plain = how(mono, *at_bins(bands[:2], bands[2:], CFG))
    coarse = (plain - ears_of(direct[0], mono)).abs().mean()
    assert coarse > 20 * (made - ears_of(direct[0], mono)).abs().mean(), "bands alone are coarser"


def test_statistics_are_the_moments_of_uncorrelated_sources_and_a_diffuse_field():
    random = np.random.default_rng(1)
    direct = torch.from_numpy(random.normal(size=(3, 6)) + 1j * random.normal(size=(3, 6))).to(
        torch.complex64
    )
    shares = torch.from_numpy(random.dirichlet(np.ones(4), 6).T[:3]).float()  # what is left is diffuse
    rest = diffuse(CFG, CPU, bands=False)[:, [2, 8, 20, 60, 200, 500]]
    count = 200_000
    parts = shares.sqrt()[..., None] * noise(3, 6, count)
    left, right = (((1 + sign * direct[..., None]) * parts).sum(0) for sign in (1, -1))
    power, coherence = rest[0, :, 0], rest[2, :, 0] / rest[0, :, 0]
    one, other = noise(2, 6, count, seed=2) * (power * (1 - shares.sum(0)))[None, :, None].sqrt()
    mixed = coherence[:, None] * one + (1 - coherence**2).sqrt()[:, None] * other
    left, right = left + one, right + mixed
    cross = (left * right.conj()).mean(-1)
    mono = ((left + right).abs() ** 2).mean(-1) / 4
    found = torch.stack(((left.abs() ** 2).mean(-1), (right.abs() ** 2).mean(-1), cross.real, cross.imag))
    known = mixture(shares[..., None], statistics(direct[..., None]), rest)[..., 0]
    assert torch.allclose(mono, torch.ones(6), atol=0.03), "the shares are of the mono's power"
    assert torch.allclose(known, found, rtol=0.03, atol=0.05)


@pytest.mark.parametrize("name", HEADS)
def test_statistics_of_whatever_shares_belong_to_a_mono_of_power_one(name):
    """(|L|² + |R|² + 2 Re L R*)/4, at the bins and in the bands."""
    direct = direct_path(head_named(name), standing((-40, 0, 1), (70, -20, 1), frames=4), CFG)
    shares = torch.rand(2, CFG.n_mels, 4, generator=torch.Generator().manual_seed(0)) / 2
    for bands in (False, True):
        rows = in_bands(statistics(direct), CFG) if bands else statistics(direct)
        parts = shares if bands else to_bins(shares, CFG)
        found = mixture(parts, rows, diffuse(CFG, CPU, bands=bands))
        left, right, real, imaginary = found
        assert torch.allclose((left + right + 2 * real) / 4, torch.ones_like(left), atol=1e-4)
        assert (real**2 + imaginary**2 <= left * right * (1 + 1e-4)).all(), "Cauchy and Schwarz"


def test_a_diffuse_field_is_as_strong_in_both_ears_and_agrees_in_the_bass():
    for bands in (False, True):
        left, right, real, imaginary = diffuse(CFG, CPU, bands=bands)[..., 0]
        assert torch.allclose((left + right + 2 * real) / 4, torch.ones_like(left), atol=1e-5)
        assert torch.equal(left, right)
        assert not imaginary.any()
        coherence = real / left
        assert coherence[0] > 0.98
        assert coherence[-20:].abs().max() < 0.15
    assert diffuse(CFG, CPU, bands=True).shape == (4, CFG.n_mels, 1)


def test_statistics_of_the_mirror_image_are_those_of_minus_d():
    direct = noise(2, BINS, 3)
    rows = statistics(direct)
    assert torch.allclose(mirrored_statistics(rows), statistics(-direct), atol=1e-5)
    assert torch.equal(mirrored_statistics(mirrored_statistics(rows)), rows)
    assert torch.allclose(
        mirrored_statistics(in_bands(rows, CFG)), in_bands(statistics(-direct), CFG), atol=1e-5
    )


def test_bands_are_means():
    constant = torch.rand(4, 1, 3).expand(4, BINS, 3)
    assert torch.allclose(in_bands(constant, CFG), constant[:, :1].expand(4, CFG.n_mels, 3), atol=1e-5)
    assert torch.allclose(to_bins(constant[:, : CFG.n_mels], CFG), constant, atol=1e-5)


# --- features -----------------------------------------------------------------------------------------------


def test_features_are_in_proportion_to_the_probability_that_a_slot_sounds():
    direct = direct_path(head_named("kemar"), standing((-70, 0, 1), (20, 10, 1), frames=6), CFG)
    rows = in_bands(statistics(direct), CFG)
    whole = features(rows, torch.ones(2, 6))
    assert whole.shape == (2 * FEATURES, CFG.n_mels, 6)
    sounding = torch.rand(2, 6)
    scaled = whole.unflatten(0, (2, FEATURES)) * sounding[:, None, None]
    assert torch.allclose(features(rows, sounding), scaled.flatten(0, 1), atol=1e-6)
    assert not features(rows, torch.zeros(2, 6)).any()
    there = features(rows, sounding).unflatten(0, (2, FEATURES))[:, -1]
    assert torch.equal(there, sounding[:, None].expand_as(there))


def test_features_tell_left_from_right_and_are_bounded():
    direct = direct_path(head_named("sphere:10"), standing((80, 0, 1), (-80, 0, 1)), CFG)
    right, left = features(in_bands(statistics(direct), CFG), torch.ones(2, 1)).unflatten(0, (2, FEATURES))
    assert torch.allclose(right[[1, 0, 2]], left[[0, 1, 2]], atol=1e-4)
    assert torch.allclose(right[3], -left[3], atol=1e-4)
    assert (right[1] - right[0])[40:].min() > 0.2, "the right ear is louder"
    wild = features(in_bands(statistics(30 * noise(1, BINS, 4)), CFG), torch.ones(1, 4))
    assert wild[:2].abs().max() <= CLIP
    assert wild[2:4].norm(dim=0).max() <= 1 + 1e-4
    assert wild.isfinite().all()


@pytest.mark.parametrize("d", [0.0, 1.0, -1.0, 1j, 3 + 3j, -1e3])
def test_levels_are_finite_where_an_ear_is_silent(d):
    rows = statistics(torch.full((5, 2), d, dtype=torch.complex64))
    found = levels(rows)
    assert found.isfinite().all()
    assert found[2:].norm(dim=0).max() <= 1 + 1e-4
