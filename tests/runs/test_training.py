"""Parts of stage 1's training: bad gradients, averages, schedules, frozen and new encoders."""

import math
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import nn

from DiffBinaural.configs.advanced_diffusion_config import PRESETS, ModelConfig, TrainConfig, ViewConfig
from DiffBinaural.modules.audioVisual_model import make_trunk
from DiffBinaural.modules.models import ModelBuilder
from DiffBinaural.training_stabilizer import EMA, SafeStep
from DiffBinaural.utils.schedule import Budget, Shuffled, rate_factor

TINY = TrainConfig(id="t", data_root="d", **PRESETS["tiny"])


def stepped(gradient, safe, net):
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    for p in net.parameters():
        p.grad = torch.full_like(p, gradient)
    return safe(optimizer)


def test_a_gradient_that_is_not_finite_leaves_the_weights_alone_and_is_counted():
    net, safe = nn.Linear(2, 2), SafeStep(clip_norm=1.0)
    before = net.weight.detach().clone()
    assert math.isnan(stepped(math.nan, safe, net))
    assert torch.equal(net.weight, before)
    assert (safe.skipped, safe.in_a_row) == (1, 1)
    assert stepped(2.0, safe, net) == pytest.approx(2 * 6**0.5)
    assert torch.allclose(before - net.weight, torch.full((2, 2), 6**-0.5)), "clipped to norm 1"
    assert (safe.skipped, safe.in_a_row) == (1, 0)


def test_bad_gradients_in_a_row_end_the_run():
    net, safe = nn.Linear(2, 2), SafeStep(clip_norm=1.0, patience=3)
    for _ in range(2):
        stepped(math.inf, safe, net)
    with pytest.raises(ValueError, match="3 steps in a row"):
        stepped(math.inf, safe, net)


@pytest.mark.parametrize("gradients", [[2.0, math.nan, 0.1, math.inf, 0.3]])
def test_steps_that_are_not_waited_for_do_the_same(gradients):
    nets, safes = [nn.Linear(3, 2) for _ in range(2)], [SafeStep(clip_norm=1.0) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers = [torch.optim.AdamW(net.parameters(), lr=0.1, fused=True) for net in nets]
    norms = []
    for gradient in gradients:
        for net in nets:
            for p in net.parameters():
                p.grad = torch.full_like(p, gradient)
        norms.append((safes[0](optimizers[0]), safes[1].launch(optimizers[1])))
    for norm, later in norms:
        assert norm == pytest.approx(later.item(), nan_ok=True)
        safes[1].count(later.item())
    assert all(torch.equal(*pair) for pair in zip(*(net.parameters() for net in nets), strict=True))
    assert safes[0].state_dict() == safes[1].state_dict() == {"skipped": 2, "in_a_row": 0}


def test_averages_decay_faster_in_the_first_updates():
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ema = EMA(net, decay=0.99)
    nn.init.ones_(net.weight)
    ema.update()
    assert ema.shadow.weight.item() == pytest.approx(1 - 2 / 11)
    ema.updates = 10_000
    nn.init.zeros_(net.weight)
    kept = ema.shadow.weight.item()
    ema.update()
    assert ema.shadow.weight.item() == pytest.approx(0.99 * kept)


@pytest.mark.parametrize("start", [0, 3, 7, 16])
def test_the_order_goes_on_where_it_was_left(start):
    whole = iter(Shuffled(7, seed=1))
    seen = [next(whole) for _ in range(30)]
    rest = iter(Shuffled(7, seed=1, start=start))
    assert [next(rest) for _ in range(30 - start)] == seen[start:]
    assert len(set(seen)) == 30, "no number twice"
    assert sorted(n % 7 for n in seen[:7]) == list(range(7))
    assert [n % 7 for n in seen[:7]] != [n % 7 for n in seen[7:14]]


def test_rates_rise_then_fall_to_nothing():
    assert rate_factor(0, 0.0, 10) == pytest.approx(0.1)
    assert rate_factor(50, 0.5, 10) == pytest.approx(0.5)
    assert rate_factor(99, 1.0, 10) == pytest.approx(0.0)
    assert rate_factor(0, 0.0, 0) == 1.0
    halves = [rate_factor(99, done, 10, "exponential") for done in (0.0, 0.5, 1.0)]
    assert halves == pytest.approx([1, 0.1, 0.01])


def test_a_budget_is_over_by_steps_or_by_seconds():
    assert Budget({"seconds": 0.0}, 100, None).done(25) == 0.25
    assert Budget({"seconds": 90.0}, 100, 60.0).done(1) >= 1


# --- the visual encoder's trunk and start -------------------------------------------------------------------


def test_torchvisions_weights_load_from_a_file(tmp_path):
    net = torchvision.models.resnet18(weights=None).eval()
    torch.save(net.state_dict(), tmp_path / "r.pth")
    trunk, x = make_trunk("resnet18", str(tmp_path / "r.pth")).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        pooled = net.fc(trunk(x).mean((2, 3)))
        assert torch.allclose(pooled, net(x), atol=1e-4)
    with pytest.raises(ValueError, match=r"r\.pth: weights of another network.*--arch_frame"):
        make_trunk("resnet50", str(tmp_path / "r.pth"))


def test_imagenet_weights_that_cannot_be_fetched_are_one_line_with_a_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(ValueError, match=r"https://\S+resnet18\S+ cannot be fetched.*give its path"):
        make_trunk("resnet18", "imagenet")
    with pytest.raises(ValueError, match="no imagenet weights"):
        make_trunk("small", "imagenet")


@pytest.mark.parametrize("arch", ["resnet18", "resnet50"])
def test_resnets_keep_a_map_of_7_by_7(arch):
    trunk = make_trunk(arch, "random").eval()
    with torch.no_grad():
        assert trunk(torch.zeros(1, 3, 224, 224)).shape == (1, trunk.channels, 7, 7)


@pytest.mark.parametrize("amp", [False, True])
def test_a_frozen_resnet_stays_as_it_is_and_the_loss_is_float32(amp):
    torch.manual_seed(0)
    cfg = replace(
        TINY,
        arch_frame="resnet18",
        train_trunk=False,
        model=ModelConfig(dim=8, context_dim=32),
        view=ViewConfig(frames=1, slots=2, image_size=32),
    )
    model = ModelBuilder(cfg).build().train()
    trunk = {name: value.clone() for name, value in model.frame.trunk.state_dict().items()}
    batch = {
        "mono_mel": torch.randn(2, 1, 80, 16) - 5,
        "binaural_mel": torch.randn(2, 2, 80, 16) - 5,
        "objects": torch.randn(2, 1, 2, 3, 32, 32),
        "box": torch.rand(2, 1, 2, 4),
        "mask": torch.zeros(2, 1, 2, dtype=torch.bool),
    }
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        noise, hidden = torch.randn(2, 2, 80, 16), torch.tensor([False, True])
        loss = model(batch, torch.tensor([5, 900]), noise, hidden)
    assert loss["diffusion"].dtype == torch.float32
    loss["diffusion"].backward()
    assert all(p.grad is None for p in model.frame.trunk.parameters())
    assert all(torch.equal(trunk[name], value) for name, value in model.frame.trunk.state_dict().items())
    assert model.frame.place[0].weight.grad.abs().sum() > 0
    assert model.unet.null_vision.grad.abs().sum() > 0


def test_a_new_encoder_encodes_the_position_of_a_source():
    """With torch's own initialisation it was 1 % of the context, which training ignored for 400 steps."""
    torch.manual_seed(0)
    model, view = ModelBuilder(TINY).build().eval(), TINY.view
    positions = 9
    objects = torch.randn(1, view.frames, view.slots, 3, 64, 64).expand(positions, -1, -1, -1, -1, -1)
    box = torch.zeros(positions, view.frames, view.slots, 4)
    box[:, :, 0, 2:], box[:, :, 1:, 2:] = 1.0, 0.1
    box[:, :, 1, 0] = torch.linspace(-0.8, 0.8, positions)[:, None]
    mask = (torch.arange(view.slots) > 1).expand(positions, view.frames, -1)
    with torch.no_grad():
        context = model.context({"objects": objects, "box": box, "mask": mask}).mean(1)
    assert context.std(0).mean() > 0.2 * context.square().mean().sqrt()


def test_a_compiled_unet_has_the_same_loss_and_gradients():
    cfg = replace(TINY, model=replace(TINY.model, dim=8, mults=(1, 2), context_dim=16))
    torch.manual_seed(0)
    unet = ModelBuilder(cfg).build().unet
    x, mono, context = torch.randn(1, 2, 80, 8), torch.randn(1, 1, 80, 8), torch.randn(1, 4, 16)
    found = []
    for _ in range(2):
        loss = unet(x, torch.tensor([500]), mono, context).square().mean()
        found.append((loss, *torch.autograd.grad(loss, [unet.stem.weight, unet.head.weight])))
        unet.compile(backend="eager", fullgraph=True)  # all but the code for a GPU, which takes a minute
    for plain, compiled in zip(*found, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-5, atol=1e-7)
