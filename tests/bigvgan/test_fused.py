"""The activation's one pass over memory gives what its plain form gives, forward and backward."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from BigVGAN.activations import ACTIVATIONS
from BigVGAN.alias_free_activation.act import Activation1d

pytestmark = pytest.mark.usefixtures("two_threads")
TILES = (1023, 1024, 1025, 1029, 2047, 2048, 2049, 3071, 5000)  # around the borders of tiles


def activation(name, logscale, seed):
    random = torch.Generator().manual_seed(seed)
    act = Activation1d(ACTIVATIONS[name](3, logscale=logscale))
    for parameter in act.parameters():
        parameter.data += 0.3 * torch.randn(3, generator=random)
    return act, random


def both(act, x, cotangent):
    """(value, gradients by x and the parameters) of the one pass and of the plain form."""
    for form in (act, act.plain):
        y = form(x)
        yield y.detach(), torch.autograd.grad(y, [x, *act.parameters()], cotangent)


@settings(max_examples=30, deadline=None)
@given(
    size=st.one_of(st.integers(1, 60), st.sampled_from(TILES)),
    batch=st.integers(1, 3),
    name=st.sampled_from(sorted(ACTIVATIONS)),
    logscale=st.booleans(),
    level=st.sampled_from((0.1, 1, 30)),
    seed=st.integers(0, 99),
)
def test_value_and_gradients_are_those_of_the_plain_form(size, batch, name, logscale, level, seed):
    act, random = activation(name, logscale, seed)
    x = (level * torch.randn(batch, 3, size, generator=random)).requires_grad_()
    (fused, ours), (plain, theirs) = both(act, x, torch.randn(batch, 3, size, generator=random))
    assert torch.allclose(fused, plain, atol=1e-5 * max(level, 1))
    for one, other in zip(ours, theirs, strict=True):
        assert (one - other).norm() <= 1e-4 * max(other.norm(), 1e-3)


def test_what_is_no_number_reaches_as_far_as_in_the_plain_form():
    act, _ = activation("snakebeta", True, 0)
    x = torch.randn(1, 3, 3000)
    x[0, 1, 1024] = math.nan
    assert torch.equal(act(x).isnan(), act.plain(x).isnan())
    assert act(x).isnan().sum() == 2 * act.reach + 1


def test_channels_that_lie_apart_in_memory_are_read_rightly():
    act, random = activation("snake", True, 1)
    x = torch.randn(2, 40, 3, generator=random).transpose(1, 2)
    assert torch.allclose(act(x), act.plain(x), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_take_the_plain_form_or_float32(dtype):
    act, random = activation("snakebeta", False, 2)
    x = torch.randn(1, 3, 50, generator=random)
    got = act.to(torch.float64 if dtype == torch.float64 else torch.float32)(x.to(dtype))
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.allclose(got.float(), act.float().plain(x), atol=0.05 if dtype == torch.bfloat16 else 1e-5)
