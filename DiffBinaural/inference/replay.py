"""CUDA graphs: a network's launches on a GPU, recorded once for each shape of its inputs, then replayed."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

PLAIN_CALLS = 2  # of a shape, before it is recorded: many shapes do not come again
KEPT = 8  # shapes that stay recorded: each holds inputs and output of its own, the memory between is shared


class Recorded(NamedTuple):
    """A network's launches for one shape of inputs."""

    replay: Callable[[], None]
    inputs: list[Tensor | None]  # what they read
    output: Tensor  # what they write


class Replayed:
    """A module's forward pass without gradients, replayed after the first calls with inputs of a shape.

    The host needs milliseconds for a UNet's thousand launches, in which a small batch is done on a GPU; a
    replay is one launch.  Weights may get new values; where they move in memory, all is recorded anew.
    """

    def __init__(self, module: nn.Module):
        self.module, self.plain = module, module.forward
        self.weights: list[nn.Parameter] = []
        self.places: list[int] = []  # of the weights that the recorded launches read
        self.calls: Counter[tuple] = Counter()
        self.recorded: OrderedDict[tuple, Recorded] = OrderedDict()
        self.where: tuple[Any, Any] | None = None  # :func:`memory_and_stream`
        self.lock = threading.Lock()

    def __call__(self, *inputs: Tensor | None) -> Tensor:
        """As of the module."""
        if torch.is_grad_enabled():
            return self.plain(*inputs)
        shapes = [None if x is None else (x.shape, x.dtype) for x in inputs]
        modes = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cuda")
        key = (*shapes, *modes, torch.get_autocast_dtype("cuda"))
        with self.lock:  # threads would overwrite each other's inputs
            self._forget_moved()
            if key not in self.recorded:
                self.calls[key] += 1
                if self.calls[key] <= PLAIN_CALLS:
                    return self.plain(*inputs)
                if len(self.recorded) == KEPT:
                    self.recorded.popitem(last=False)
                self.recorded[key] = self._record(inputs)
            self.recorded.move_to_end(key)
            one = self.recorded[key]
            for own, given in zip(one.inputs, inputs, strict=True):
                if own is not None and given is not None:
                    own.copy_(given)
            one.replay()
            return one.output.clone()

    def _forget_moved(self) -> None:
        """Forget what was recorded with weights that are elsewhere now."""
        if not self.weights or self.weights[0] is not next(self.module.parameters()):
            self.weights = list(self.module.parameters())
        places = [weight.data_ptr() for weight in self.weights]
        if places != self.places:
            self.places, self.where = places, None
            self.recorded.clear()

    def _record(self, inputs: tuple[Tensor | None, ...]) -> Recorded:
        own = [None if x is None else x.clone() for x in inputs]
        enabled, dtype = torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")

        def work():
            # without autocast's cache: the weights in bfloat16 that it holds are gone at the replay
            with torch.autocast("cuda", dtype, enabled=enabled, cache_enabled=False):
                return self.plain(*own)

        self.where = self.where or memory_and_stream(self.weights[0].device)
        replay, output = capture(work, *self.where)
        return Recorded(replay, own, output)


def memory_and_stream(device: torch.device) -> tuple[Any, torch.cuda.Stream]:
    """What recorded works have in common whose results are read before another one is replayed."""
    return torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)


def capture(
    work: Callable[[], Tensor], pool: Any, stream: torch.cuda.Stream
) -> tuple[Callable[[], None], Tensor]:
    """Record the launches of some work.  -> their replay, the tensor that each replay writes anew

    work          waits for nothing, and reads the same memory each time
    pool, stream  of :func:`memory_and_stream`
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(stream.device):
        here = torch.cuda.current_stream()
        stream.wait_stream(here)
        with torch.cuda.stream(stream):  # what libraries set up for a new stream is not to be recorded
            work()
        here.wait_stream(stream)
        # other threads, such as a loader's, may go on allocating memory
        with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
            output = work()
    return graph.replay, output
