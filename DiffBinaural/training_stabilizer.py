"""Training stabilisers: optimizer steps that skip bad gradients, averaged weights."""

import copy
import math

import torch
from torch import Tensor, nn


class SafeStep:
    """Optimizer steps with gradient clipping; a step whose gradient is not finite is skipped.

    clip_norm  gradients of a larger norm are scaled to it
    patience   skipped steps in a row after which the run stops
    """

    def __init__(self, clip_norm: float, patience: int = 20):
        self.clip_norm, self.patience = clip_norm, patience
        self.skipped = self.in_a_row = 0

    def __call__(self, optimizer: torch.optim.Optimizer) -> float:
        """Clip, step and clear the gradients.

        -> the gradient's norm before clipping; inf or nan when the step was skipped
        Raises ValueError after `patience` skipped steps in a row.
        """
        norm = self._clip(optimizer)
        if torch.isfinite(norm):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.count(float(norm))
        return float(norm)

    def launch(self, optimizer: torch.optim.Optimizer) -> Tensor:
        """The same, without waiting for a GPU to know whether the step is skipped: :meth:`count` comes later.

        optimizer  a fused one
        ->         the gradient's norm before clipping, ()
        """
        norm = self._clip(optimizer)
        optimizer.grad_scale, optimizer.found_inf = None, (~torch.isfinite(norm)).float()
        optimizer.step()  # which itself leaves weights and moments alone where found_inf is 1
        optimizer.zero_grad(set_to_none=True)
        return norm

    def _clip(self, optimizer: torch.optim.Optimizer) -> Tensor:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        return torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)

    def count(self, norm: float) -> None:
        """Note a step's norm.  Raises ValueError after `patience` skipped steps in a row."""
        finite = math.isfinite(norm)
        self.skipped += not finite
        self.in_a_row = 0 if finite else self.in_a_row + 1
        if self.in_a_row >= self.patience:
            raise ValueError(
                f"the gradient was not finite for {self.patience} steps in a row; "
                "the weights are those of the last good step: "
                "lower the learning rates or check the clips"
            )

    def state_dict(self) -> dict:
        """The state that a resumed run needs."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state: dict) -> None:
        """Restore :meth:`state_dict`."""
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]


class EMA:
    """Exponential moving average of a network's weights, with a smaller decay in the first updates.

    shadow  an eval-mode copy that holds the averages
    """

    def __init__(self, net: nn.Module, decay: float):
        self.net, self.decay, self.updates = net, decay, 0
        self.shadow = copy.deepcopy(net).eval().requires_grad_(False)
        self._parameters = list(self.shadow.parameters()), list(net.parameters())
        self._buffers = list(self.shadow.buffers()), list(net.buffers())

    @torch.no_grad()
    def update(self) -> None:
        """Average in the net's parameters, copy its buffers."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(*self._parameters, 1 - decay)  # on a GPU one launch, not one for each
        if self._buffers[0]:
            torch._foreach_copy_(*self._buffers)

    def state_dict(self) -> dict:
        """The state that a resumed run needs."""
        return {"shadow": self.shadow.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        """Restore :meth:`state_dict`."""
        self.shadow.load_state_dict(state["shadow"])
        self.updates = state["updates"]
