"""Streams that come in blocks, cut into overlapping pieces."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def pieces(blocks: Iterable[Tensor], size: int, reach: int = 0) -> Iterator[tuple[Tensor, int, int]]:
    """Cut a stream along its last axis into pieces, each with what stands around it.

    blocks  (…, n) each, of any n
    size    of a piece; the last is shorter
    reach   how much more each piece has on both sides, as far as the stream goes
    ->      (piece, how much of it stands before, how much behind)
    """
    held, before = None, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], dim=-1)
        while held.shape[-1] > before + size + reach:
            yield held[..., : before + size + reach], before, reach
            keep = min(before + size, reach)
            held, before = held[..., before + size - keep :], keep
    while held is not None and held.shape[-1] > before:
        behind = min(max(held.shape[-1] - before - size, 0), reach)
        yield held[..., : before + size + behind], before, behind
        keep = min(before + size, reach)
        held, before = held[..., before + size - keep :], keep
