"""Streams that come in blocks, cut into overlapping pieces."""

import torch
from torch import Tensor


class Pieces:
    """Cuts a stream along its last axis into pieces, each with its surroundings.

    The pieces are the same however the stream is divided into blocks.

    size   of a piece; the last is shorter
    reach  how much more a piece has on each side, as far as the stream goes
    """

    def __init__(self, size: int, reach: int = 0):
        self.size, self.reach = size, reach
        self.held: Tensor | None = None
        self.before = 0  # how much of what is held precedes the next piece

    def push(self, block: Tensor, *, last: bool = False) -> list[tuple[Tensor, int, int]]:
        """Append a block (…, n), n >= 0.

        last  nothing follows the block
        ->    the pieces that are now complete: (piece, its context before, its context behind)
        """
        self.held = block if self.held is None else torch.cat([self.held, block], dim=-1)
        complete = []
        while self._exceeds(self.size + self.reach):
            complete.append(self._take(self.reach))
        while last and self._exceeds(0):
            behind = self.held.shape[-1] - self.before - self.size
            complete.append(self._take(min(max(behind, 0), self.reach)))
        return complete

    def _exceeds(self, count: int) -> bool:
        return self.held.shape[-1] > self.before + count

    def _take(self, behind: int) -> tuple[Tensor, int, int]:
        end, before = self.before + self.size, self.before
        piece = self.held[..., : end + behind]
        self.before = min(end, self.reach)
        self.held = self.held[..., end - self.before :]
        return piece, before, behind
