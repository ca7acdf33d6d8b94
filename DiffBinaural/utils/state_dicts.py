"""Weights under other names than a model's own."""

from torch import Tensor

LISTED = 3  # names in a message


def unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights without the names of what a model was wrapped in when it was saved.

    `_orig_mod.` is what torch.compile puts before the names of what it compiled, at any depth; `module.` is
    what DistributedDataParallel and DataParallel put before all of them.
    """
    names = {name: _without_compiled(name) for name in state}
    while names and all(name.startswith("module.") for name in names.values()):
        names = {name: short.removeprefix("module.") for name, short in names.items()}
    if len(set(names.values())) < len(names):  # a plain and a wrapped model in one: nothing is certain
        return state
    return {short: state[name] for name, short in names.items()}


def _without_compiled(name: str) -> str:
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


def misfit(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    """What keeps weights from being those of a model, in a few words; "" where they fit."""
    wrong = [f"lacks {name}" for name in wanted if name not in state]
    wrong += [f"has an unknown {name}" for name in state if name not in wanted]
    wrong += [
        f"{name} is {tuple(state[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in state and state[name].shape != tensor.shape
    ]
    rest = f", and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
    return ", ".join(str(one)[:120] for one in wrong[:LISTED]) + rest
