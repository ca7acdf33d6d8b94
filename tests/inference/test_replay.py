"""A network's recorded launches: which calls are replayed, what a replay reads, when it is recorded anew.

What a GPU records is played here: work that is done again at each replay, in the same memory.
"""

from copy import deepcopy
from threading import Thread

import pytest
import torch
from torch import nn

from DiffBinaural.configs.advanced_diffusion_config import SamplingConfig
from DiffBinaural.inference import replay
from DiffBinaural.inference.replay import KEPT, PLAIN_CALLS, Replayed
from DiffBinaural.inference.windows import windows_at_once


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    """The times that something was recorded, with a GPU played."""
    times = []

    def capture(work, pool, stream):
        times.append((pool, stream))
        output = work()
        return lambda: output.copy_(work()), output

    monkeypatch.setattr(replay, "capture", capture)
    monkeypatch.setattr(replay, "memory_and_stream", lambda device: (object(), None))
    return times


class Net(nn.Module):
    """Two linear layers with a hint that may be left out."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(5, 7), nn.Linear(7, 3)

    def forward(self, x, t, hint=None):
        y = self.two(self.one(x).tanh()) * t[:, None]
        return y if hint is None else y + hint


def nets():
    torch.manual_seed(0)
    plain = Net().eval()
    net = deepcopy(plain)
    net.forward = Replayed(net)
    return plain, net


def inputs(size, seed, *, hint=False):
    random = torch.Generator().manual_seed(seed)
    x, t = torch.randn(size, 5, generator=random), torch.randint(9, (size,), generator=random)
    return (x, t, torch.randn(size, 3, generator=random)) if hint else (x, t)


@torch.inference_mode()
def test_calls_of_any_shapes_in_any_order_are_the_plain_ones(recorded):
    plain, net = nets()
    results = []
    for seed in range(60):
        given = inputs([1, 4, 16][seed % 3], seed, hint=seed % 4 == 0)
        results.append((net(*given), plain(*given)))
    assert all(torch.equal(*pair) for pair in results), "an earlier result was overwritten"
    assert len(recorded) == 6
    assert len(set(recorded)) == 1, "one pool of memory"


@torch.inference_mode()
def test_a_shape_is_recorded_when_it_has_come_often(recorded):
    _, net = nets()
    for times in range(1, PLAIN_CALLS + 4):
        net(*inputs(4, times))
        net(*inputs(100 + times, times))
        assert len(recorded) == (times > PLAIN_CALLS)


@torch.inference_mode()
def test_new_weights_count_and_moved_ones_are_recorded_anew(recorded):
    plain, net = nets()
    for change in ("in place", "moved", "assigned"):
        for seed in range(PLAIN_CALLS + 2):
            given = inputs(4, seed)
            assert torch.equal(net(*given), plain(*given)), change
        before = len(recorded)
        other = {name: torch.randn(value.shape) for name, value in plain.state_dict().items()}
        plain.load_state_dict(other)
        if change == "moved":
            for weight in net.parameters():
                weight.data = weight.data.clone()
        net.load_state_dict(other, assign=change == "assigned")
        given = inputs(4, 99)
        assert torch.equal(net(*given), plain(*given)), change
        assert len(recorded) == before + (change != "in place"), change
    assert len(set(recorded)) == 3, "each time with memory of its own"


@torch.inference_mode()
def test_only_the_shapes_used_last_stay_recorded(recorded):
    plain, net = nets()
    for size in [*range(1, KEPT + 2), 1]:
        for seed in range(PLAIN_CALLS + 2):
            given = inputs(size, seed)
            assert torch.equal(net(*given), plain(*given))
    assert len(net.forward.recorded) == KEPT
    assert len(recorded) == KEPT + 2


def test_with_gradients_nothing_is_recorded(recorded):
    _, net = nets()
    for seed in range(PLAIN_CALLS + 3):
        net(*inputs(4, seed)).sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())
    assert not recorded


def test_threads_take_turns():
    plain, net = nets()
    found = []

    @torch.inference_mode()
    def work(first):
        for seed in range(first, first + 50):
            given = inputs(4, seed)
            found.append((net(*given), plain(*given)))

    threads = [Thread(target=work, args=(1000 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 200
    assert all(torch.equal(*pair) for pair in found)


def test_a_gpu_gets_more_windows_at_once_unless_told():
    cpu, gpu = (torch.device(name) for name in ("cpu", "cuda"))
    assert windows_at_once(SamplingConfig(), cpu) < windows_at_once(SamplingConfig(), gpu)
    assert {windows_at_once(SamplingConfig(batch_windows=3), device) for device in (cpu, gpu)} == {3}
