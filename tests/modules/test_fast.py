"""The fast forms of stage 1's layers give what their plain forms give."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.configs.advanced_diffusion_config import preset_config
from DiffBinaural.modules.kernels.winograd import WinogradConv2d, toom_cook
from DiffBinaural.modules.networks import Conv2dPlus, Upsample, quickest
from DiffBinaural.modules.norms import group_norm_silu, two_passes
from DiffBinaural.modules.unet import UNet

pytestmark = pytest.mark.usefixtures("two_threads")


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 3),
    channels=st.sampled_from((1, 3, 8, 24, 64)),
    height=st.integers(2, 40),
    width=st.integers(1, 40),
    film=st.booleans(),
    inplace=st.booleans(),
    level=st.sampled_from((1e-3, 1.0, 50.0)),
    offset=st.sampled_from((0.0, 3.0)),
    seed=st.integers(0, 99),
)
def test_norm_and_silu_in_two_passes(batch, channels, height, width, film, inplace, level, offset, seed):
    random = torch.Generator().manual_seed(seed)
    norm = group_norm_silu(channels, inplace=inplace)
    for parameter in norm.parameters():
        parameter.data = torch.randn(channels, generator=random)
    x = level * (torch.randn(batch, channels, height, width, generator=random) + offset)
    x = x.contiguous(memory_format=torch.channels_last)
    more = torch.randn(2, batch, channels, generator=random) if film else (None, None)
    with torch.inference_mode():
        plain, before = norm.plain(x, *more), x.clone()
        got = norm(x, *more)
    assert torch.equal(x, got if inplace else before)
    assert two_passes() is not None
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(got, plain, rtol=1e-4, atol=1e-4)


def test_silu_at_both_ends():
    norm = group_norm_silu(1)
    x = torch.tensor([-3e4, -100.0, -88.0, -20.0, 0.0, 20.0, 100.0, 3e4]).view(1, 1, 1, -1)
    norm.bias.data, norm.weight.data = torch.zeros(1), torch.full((1,), x.var(correction=0).sqrt().item())
    with torch.inference_mode():
        assert torch.allclose(norm(x), norm.plain(x), rtol=1e-4, atol=1e-3)


def test_what_is_no_number_stays_one():
    norm, x = group_norm_silu(8), torch.randn(2, 8, 5, 5).contiguous(memory_format=torch.channels_last)
    x[0, 3, 2, 2] = math.nan
    with torch.inference_mode():
        assert torch.equal(norm(x).isnan(), norm.plain(x).isnan())


def test_gradients_take_the_plain_form():
    norm, x = group_norm_silu(8), torch.randn(2, 8, 5, 5, requires_grad=True)
    assert torch.equal(norm(x), norm.plain(x))
    norm(x).sum().backward()
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("preset", ["tiny", "base"])
@pytest.mark.parametrize(("windows", "frames"), [(1, 80), (3, 80), (2, 33)])
def test_the_unet_for_inference_is_the_one_that_was_trained(preset, windows, frames):
    torch.manual_seed(0)
    cfg = replace(preset_config(preset, id="", data_root="").model, dim=24)
    net = UNet(cfg, 80, 4).eval()
    x, mono = torch.randn(windows, 4, 80, frames), torch.randn(windows, 1, 80, frames)
    inputs = (x, torch.arange(windows) * 300, mono, torch.randn(windows, 20, cfg.context_dim))
    wanted = net(*inputs).detach()
    net.fold(cpu=True).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        got = net(*inputs)
    assert wanted.std() > 0.01
    assert torch.allclose(got, wanted, atol=1e-4 * float(wanted.std()))


def test_products_at_points_are_a_convolution():
    into, kernel, back = toom_cook([0, 1, -1, 2, 3])
    random = np.random.default_rng(0)
    edge, taps = random.normal(size=6), random.normal(size=3)
    assert back @ (kernel @ taps * (into @ edge)) == pytest.approx(np.correlate(edge, taps))


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 30),
    inputs=st.sampled_from((48, 49, 96)),
    outputs=st.sampled_from((48, 80)),
    height=st.integers(1, 22),
    width=st.integers(1, 22),
    plus=st.booleans(),
    inplace=st.booleans(),
    last=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_quarter_of_the_multiplications(batch, inputs, outputs, height, width, plus, inplace, last, seed):
    torch.manual_seed(seed)
    conv = Conv2dPlus(inputs, outputs, 3, padding=1, inplace=inplace)
    order = torch.channels_last if last else torch.contiguous_format
    x = torch.randn(batch, inputs, height, width).contiguous(memory_format=order)
    more = torch.randn(batch, outputs, height, width).contiguous(memory_format=order) if plus else None
    wanted = torch.nn.functional.conv2d(x.double(), conv.weight.double(), conv.bias.double(), padding=1)
    wanted = wanted + more.double() if plus else wanted
    fast = quickest(conv)
    assert isinstance(fast, WinogradConv2d)
    before = [x.clone(), more.clone() if plus else None]
    with torch.inference_mode():
        got = fast(x, more)
    assert torch.equal(x, before[0])
    assert not plus or inplace or torch.equal(more, before[1])
    assert (got - wanted).abs().max() < 2e-5


def test_other_convolutions_stay_as_they_are():
    for conv in (
        torch.nn.Conv2d(64, 64, 3),
        torch.nn.Conv2d(64, 64, 3, padding=1, stride=2),
        torch.nn.Conv2d(64, 64, 1),
        torch.nn.Conv2d(64, 4, 3, padding=1),
        torch.nn.Conv2d(64, 64, 3, padding=1, groups=2),
        torch.nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect"),
        torch.nn.Conv2d(64, 64, 3, padding=1, bias=False),
        torch.nn.Conv2d(64, 64, 3, padding=1).double(),
    ):
        assert quickest(conv) is conv


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 2), (7, 8)])
def test_upsampling_and_its_convolution_are_one(size):
    layer, x = Upsample(6, 4).double(), torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    got, plain = layer(x), layer.plain(x)
    assert torch.allclose(got, plain, atol=1e-12)
    assert torch.allclose(layer.folded().double()(x), got, atol=1e-6), "its weights are float32"
    ways = [torch.autograd.grad(y.square().sum(), [x, *layer.parameters()]) for y in (got, plain)]
    for one, other in zip(*ways, strict=True):
        assert torch.allclose(one, other, atol=1e-10)
