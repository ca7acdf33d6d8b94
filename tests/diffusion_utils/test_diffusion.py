"""The diffusion process against oracles: a network that knows the truth must recover it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.configs.advanced_diffusion_config import DiffusionConfig
from DiffBinaural.diffusion_utils.diffusion_pytorch import (
    Diffusion,
    ddim_step,
    ddpm_step,
    guided,
    noise_from_x0,
    q_sample,
    velocity,
    x0_from_noise,
    x0_from_velocity,
)
from DiffBinaural.diffusion_utils.schedules import SCHEDULES

OBJECTIVES = ("pred_noise", "pred_x0", "pred_v", "pred_residual")
RAMP = torch.linspace(-1, 1, 401, dtype=torch.float64)[None]


def process(objective="pred_x0", **settings):
    return Diffusion(DiffusionConfig(objective=objective, **settings))


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_fall_from_almost_clean_to_almost_noise(name):
    abar = SCHEDULES[name](1000)
    assert abar.dtype == torch.float64
    assert (abar[1:] < abar[:-1]).all()
    assert abar[0] > 0.99
    assert 0 < abar[-1] < 0.01


def test_cosine_schedule_is_the_published_one():
    f = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, 500)]
    assert SCHEDULES["cosine"](1000)[499].item() == pytest.approx(f[1] / f[0], rel=1e-9)


def test_linear_schedule_ends_where_ddpm_says():
    assert SCHEDULES["linear"](1000)[-1].item() == pytest.approx(4.04e-5, rel=0.01)


@given(st.integers(0, 999), st.sampled_from(sorted(SCHEDULES)))
@settings(max_examples=60, deadline=None)
def test_noise_velocity_and_x0_convert_into_one_another(t, name):
    abar = SCHEDULES[name](1000)[t]
    noise = torch.randn(RAMP.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(t))
    x = q_sample(RAMP, abar, noise)
    assert torch.allclose(x0_from_noise(x, noise, abar), RAMP, atol=1e-5)
    assert torch.allclose(x0_from_velocity(x, velocity(RAMP, noise, abar), abar), RAMP, atol=1e-5)
    assert torch.allclose(noise_from_x0(x, RAMP, abar), noise, atol=1e-5)


@pytest.mark.parametrize("source", OBJECTIVES)
@pytest.mark.parametrize("target", OBJECTIVES)
def test_objectives_convert_into_one_another(source, target):
    """Through x₀: the output of one network at any time gives the output of another."""
    random = torch.Generator().manual_seed(0)
    noise, base = (torch.randn(RAMP.shape, dtype=torch.float64, generator=random) for _ in range(2))
    told, wanted, base = process(source), process(target), base.clamp(-1, 1)
    for kind in (torch.float64, torch.float32):
        for t in (*range(8), *range(8, 1000, 9)):
            abar = told.abar[t]
            if kind is torch.float32 and abar <= 1e-3:
                continue
            x0, e, b = (value.to(kind) for value in (RAMP, noise, base))
            x = q_sample(x0, abar, e)
            assert x.dtype == kind
            found = told.to_x0(told.target(x0, e, abar, b), x, abar, b)
            output = wanted.target(found, noise_from_x0(x, found, abar), abar, b)
            off = (output - wanted.target(x0, e, abar, b)).abs().max()
            # in the first four of 1000 steps, 0.2 % noise, rounding the network's output is already more
            assert off < (2e-5 if kind is torch.float32 and t < 4 else 1e-5), (t, kind)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("steps", "eta"), [(1, 0.0), (25, 0.0), (25, 1.0), (1000, 0.0), (1000, 1.0)])
def test_an_oracle_brings_x0_back_through_ddim(objective, steps, eta):
    diffusion, random = process(objective), torch.Generator().manual_seed(0)
    base = 0.3 * torch.randn(RAMP.shape, dtype=torch.float64, generator=random)

    def fresh():
        return torch.randn(RAMP.shape, dtype=torch.float64, generator=random)

    def denoise(x, t):
        abar = diffusion.abar[t]
        truth = diffusion.target(RAMP, noise_from_x0(x, RAMP, abar), abar, base)
        return diffusion.to_x0(truth, x, abar, base)

    start = fresh()
    kept = start.clone()
    assert torch.allclose(diffusion.sample(denoise, start, steps, eta=eta, fresh=fresh), RAMP, atol=1e-4)
    assert torch.equal(start, kept), "the caller's noise was changed"


@pytest.mark.parametrize("steps", [1, 2, 10, 25, 1000])
def test_an_oracle_brings_x0_back_through_dpm_solver(steps):
    start = torch.randn(RAMP.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    out = process().sample(lambda x, t: RAMP, start, steps, sampler="dpm++")
    assert torch.allclose(out, RAMP, atol=1e-4)


def test_the_second_order_sampler_is_nearer_to_the_exact_flow():
    """For normal data the best denoiser is linear and the flow a scaling, so both are known exactly."""
    diffusion, std = process(), 0.25
    start = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64)

    def denoise(x, t):
        abar = diffusion.abar[t]
        return abar.sqrt() * std**2 / (abar * std**2 + 1 - abar) * x

    last = diffusion.abar[-1]
    exact = start * std / (last * std**2 + 1 - last).sqrt()
    off = {
        name: (diffusion.sample(denoise, start, 25, sampler=name) - exact).abs().max().item()
        for name in ("ddim", "dpm++")
    }
    assert off["dpm++"] < 0.3 * off["ddim"], off


def test_guidance_beyond_the_range_is_clipped_before_the_noise_is_derived():
    far = guided(lambda x, t: RAMP, lambda x, t: -RAMP, 3.0)
    for sampler in ("ddim", "dpm++"):
        out = process().sample(far, torch.zeros_like(RAMP), 25, sampler=sampler)
        assert torch.allclose(out, (5 * RAMP).clamp(-1, 1), atol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 25, 1000])
def test_an_oracle_that_knows_the_noise_brings_x0_back_through_ddpm(schedule, steps):
    diffusion, random = process("pred_noise", schedule=schedule), torch.Generator().manual_seed(0)

    def fresh():
        return torch.randn(RAMP.shape, dtype=torch.float64, generator=random)

    def denoise(x, t):
        abar = diffusion.abar[t]
        return diffusion.to_x0(noise_from_x0(x, RAMP, abar), x, abar, RAMP)

    out = diffusion.sample(denoise, fresh(), steps, sampler="ddpm", fresh=fresh)
    assert torch.allclose(out, RAMP, atol=1e-4)


def test_ddpm_leaves_as_much_chance_as_its_posterior_says():
    """One step with x₀ known: mean and variance of Ho et al. 2020, Eq. 7, worked out by hand."""
    a, b, x, x0 = torch.tensor(0.3), torch.tensor(0.5), torch.tensor(0.8), torch.tensor(-0.2)
    fresh = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    out = ddpm_step(x, x0, a, b, fresh=fresh)
    alpha = 0.3 / 0.5
    mean = (0.5**0.5 * (1 - alpha) * -0.2 + alpha**0.5 * 0.5 * 0.8) / 0.7
    assert out.mean().item() == pytest.approx(mean, abs=2e-3)
    assert out.var().item() == pytest.approx(0.5 / 0.7 * (1 - alpha), rel=0.01)


def test_ddim_with_eta_1_is_ddpm():
    abar = SCHEDULES["cosine"](1000)
    x, x0, fresh = (torch.randn(4, 50, dtype=torch.float64) for _ in range(3))
    for t in (1, 10, 500, 999):
        assert torch.allclose(
            ddim_step(x, x0, abar[t], abar[t - 1], eta=1.0, fresh=fresh),
            ddpm_step(x, x0, abar[t], abar[t - 1], fresh=fresh),
            atol=1e-9,
        )


def test_noise_is_derived_from_the_clipped_x0():
    diffusion = process("pred_x0")
    wild, start = torch.full_like(RAMP, 5.0), torch.randn_like(RAMP)
    out = diffusion.sample(lambda x, t: diffusion.to_x0(wild, x, diffusion.abar[t], wild), start, 25)
    assert torch.allclose(out, torch.ones_like(RAMP))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_is_zero_for_the_target_and_its_formula_otherwise(objective):
    x0, noise, base = torch.randn(3, 2, 5, 7), torch.randn(3, 2, 5, 7), torch.randn(3, 1, 5, 7)
    t = torch.tensor([0, 400, 900])
    for loss, off in (("l2", 0.25), ("l1", 0.5)):
        diffusion = process(objective, loss=loss)
        target = diffusion.target(x0, noise, diffusion.signal_power(t, x0), base)
        assert diffusion.loss(lambda x, t, y=target: y, x0, base, t, noise).abs().max() == 0
        shifted = diffusion.loss(lambda x, t, y=target: y + 0.5, x0, base, t, noise)
        assert torch.allclose(shifted, torch.full((3,), off))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", ["uniform", "min_snr", "p2"])
def test_weights_change_the_loss_as_their_formulas_say(objective, kind):
    """Of the formulas as published for the noise, through what the same x₀ error costs every objective."""
    x0, noise, base = (torch.rand(3, 2, 5, 7, dtype=torch.float64) - 0.5 for _ in range(3))
    t = torch.tensor([30, 400, 900])
    diffusion = process(objective, loss_weight=kind)
    snr = (diffusion.abar / (1 - diffusion.abar))[t]
    for_noise = {"min_snr": snr.clamp(max=5) / snr, "p2": 1 / (1 + snr)}  # Hang 2023; Choi 2022
    abar = diffusion.signal_power(t, x0)
    wrong = x0 + 0.01  # every x₀ off by 0.01
    output = diffusion.target(wrong, noise_from_x0(q_sample(x0, abar, noise), wrong, abar), abar, base)
    loss = diffusion.loss(lambda x, t: output, x0, base, t, noise)
    cost = {"pred_noise": snr, "pred_v": snr + 1}.get(objective, torch.ones_like(snr)) * 1e-4
    expected = cost if kind == "uniform" else for_noise[kind] * snr * 1e-4
    assert torch.allclose(loss, expected, rtol=1e-4)


def test_guidance_1_is_the_net_0_the_null_and_2_twice_as_far():
    def net(x, t):
        return x + t

    def null(x, t):
        return 0 * x

    x = torch.randn(5)
    assert torch.equal(guided(net, null, 1.0)(x, 3), net(x, 3))
    assert torch.equal(guided(net, null, 0.0)(x, 3), null(x, 3))
    assert torch.allclose(guided(net, null, 2.0)(x, 3), 2 * net(x, 3))


@pytest.mark.parametrize("steps", [1, 2, 7, 25, 1000])
def test_sample_times_fall_from_the_last_to_a_step_above_clean(steps):
    times = process().sample_times(steps)
    assert len(times) == steps
    assert times[0] == 999
    assert sorted(set(times), reverse=True) == times


def test_more_steps_than_the_process_has_are_refused():
    with pytest.raises(ValueError, match="1001"):
        process().sample_times(1001)
