"""The GPU's activation, in Triton's interpreter, gives what the plain form gives, forward and backward."""

import os

import pytest
import torch

from BigVGAN.activations import ACTIVATIONS
from BigVGAN.alias_free_activation.act import Activation1d
from BigVGAN.kernels import gpu_activation

pytest.importorskip("triton")
pytestmark = [
    pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") != "1", reason="for Triton's interpreter"),
    # a lane's span is 4 here: the interpreter takes its time over every sample of it
    pytest.mark.usefixtures("short_spans"),
]
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 20, 21, 33, 300)  # 300: several programs


@pytest.fixture
def short_spans(monkeypatch):
    monkeypatch.setattr("BigVGAN.kernels.activation_triton.SPAN", 4)


@pytest.fixture
def chosen(monkeypatch):
    """Activation1d takes this form on the CPU, too."""
    monkeypatch.setattr("BigVGAN.alias_free_activation.act.GPUS", ("cpu",))
    monkeypatch.setitem(gpu_activation._RUNS, torch.device("cpu"), True)


def case(size, number=0, level=2.0):
    """An activation of one of the four kinds, an input, a cotangent."""
    random = torch.Generator().manual_seed(size)
    name = sorted(ACTIVATIONS)[number % 2]
    act = Activation1d(ACTIVATIONS[name](3, logscale=number // 2 % 2 == 0))
    for parameter in act.parameters():
        parameter.data += 0.3 * torch.randn(3, generator=random)
    x, g = (torch.randn(2, 3, size, generator=random) for _ in range(2))
    return act, (level * x).requires_grad_(), g


def fused(act, x, dtype=torch.float32):
    return gpu_activation.alias_free(x, *act.act.coefficients(), *act.filters(), dtype)


def distance(got, wanted):
    return ((got - wanted).norm() / wanted.norm()).item()


def in_double(act, x, g):
    """The plain form's value and gradients in float64."""
    act, x = act.double(), x.detach().double().requires_grad_()
    y = act.plain(x)
    found = y.detach(), torch.autograd.grad(y, [x, *act.parameters()], g.double())
    act.float()
    return found


@pytest.mark.parametrize(("number", "size"), [*enumerate(LENGTHS)])
def test_value_and_gradients_are_those_of_the_plain_form(number, size):
    act, x, g = case(size, number)
    wanted, slopes = in_double(act, x, g)
    y = fused(act, x)
    assert distance(y, wanted) < 1e-6
    for got, slope in zip(torch.autograd.grad(y, [x, *act.parameters()], g), slopes, strict=True):
        assert distance(got, slope) < 1e-5


def test_a_lanes_span_changes_nothing(monkeypatch):
    act, x, g = case(40)
    monkeypatch.setattr("BigVGAN.kernels.activation_triton.SPAN", 16)
    wanted, slopes = in_double(act, x, g)
    y = fused(act, x)
    assert distance(y, wanted) < 1e-6
    for got, slope in zip(torch.autograd.grad(y, [x, *act.parameters()], g), slopes, strict=True):
        assert distance(got, slope) < 1e-5


def test_large_values_are_reduced_to_few_turns():
    act, x, _ = case(20, level=300.0)
    assert distance(fused(act, x).detach(), act.double().plain(x.double())) < 1e-6


def test_what_is_no_number_reaches_as_far_as_in_the_plain_form():
    act, x, _ = case(40)
    x = x.detach()
    x[0, 1, 20] = torch.nan
    y = fused(act, x)
    assert torch.equal(y.isnan(), act.plain(x).isnan())
    assert y.isnan().sum() == 2 * act.reach + 1


def test_either_order_in_memory_is_read_and_channels_come_last():
    act, x, _ = case(9)
    x = x.detach()
    apart = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(fused(act, apart), fused(act, x))
    assert fused(act, x).stride(1) == 1


def test_under_autocast_it_is_float32_inside_and_rounded_once(chosen):
    act, x, g = case(12)
    with torch.autocast("cpu", torch.bfloat16):
        y = act(x)
    assert y.dtype == torch.bfloat16
    exact = act(x).detach()  # the interpreter cuts off what the card rounds
    assert ((y - exact).abs() <= 2**-7 * exact.abs()).all()
    half = x.detach().bfloat16().requires_grad_()
    assert distance(act(half), act.plain(half.float())) < 1e-6
    slope, wanted = (
        torch.autograd.grad(form(z), z, g)[0] for form, z in ((act, half), (act.plain, half.float()))
    )
    assert slope.dtype == torch.bfloat16
    assert distance(slope.float(), wanted) < 1e-2


@pytest.mark.parametrize("amp", [False, True])
def test_a_compiler_sees_one_operator_and_breaks_at_none(chosen, amp):
    act, x, g = case(6)
    compiled = torch.compile(act, backend="aot_eager", fullgraph=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        ways = [form(x) for form in (compiled, act)]
    assert torch.equal(*ways)
    slopes = [torch.autograd.grad(y, [x, *act.parameters()], g.to(y.dtype)) for y in ways]
    assert all(map(torch.equal, *slopes))


def test_the_operators_keep_torchs_rules():
    act, x, g = case(6)
    inputs = [v.detach().clone() for v in (x, *act.act.coefficients(), *act.filters())]
    torch.library.opcheck(torch.ops.bigvgan.alias_free, (*inputs, torch.float32))
    torch.library.opcheck(torch.ops.bigvgan.alias_free_backward, (g, *inputs))


def test_where_triton_fails_the_plain_form_is_taken(monkeypatch):
    def fails(*given):
        raise RuntimeError("Failed to find C compiler.\nand more")

    monkeypatch.setattr(gpu_activation, "alias_free", fails)
    with pytest.warns(UserWarning, match="Failed to find C compiler"):
        assert not gpu_activation._try(torch.device("cpu"))
    assert not gpu_activation.runs_on(torch.device("cpu"))
