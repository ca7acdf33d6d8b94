"""Training stabilisers: optimizer steps that skip bad gradients, averaged weights."""

import copy

import torch
from torch import nn


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
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        if finite := bool(torch.isfinite(norm)):
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self.skipped += not finite
        self.in_a_row = 0 if finite else self.in_a_row + 1
        if self.in_a_row >= self.patience:
            raise ValueError(
                f"the gradient was not finite for {self.patience} steps in a row; "
                "the weights are those of the last good step: "
                "lower the learning rates or check the clips"
            )
        return float(norm)

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

    @torch.no_grad()
    def update(self) -> None:
        """Average in the net's parameters, copy its buffers."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for ours, theirs in zip(self.shadow.parameters(), self.net.parameters(), strict=True):
            ours.lerp_(theirs, 1 - decay)
        for ours, theirs in zip(self.shadow.buffers(), self.net.buffers(), strict=True):
            ours.copy_(theirs)

    def state_dict(self) -> dict:
        """The state that a resumed run needs."""
        return {"shadow": self.shadow.state_dict(), "updates": self.updates}

    def load_state_dict(self, state: dict) -> None:
        """Restore :meth:`state_dict`."""
        self.shadow.load_state_dict(state["shadow"])
        self.updates = state["updates"]
