"""Attention blocks, masked where needed."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from DiffBinaural.modules.norms import group_norm


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al. 2017) of queries over a context."""

    def __init__(self, dim: int, context: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k = nn.Linear(dim, dim, bias=False), nn.Linear(context, dim, bias=False)
        self.to_v, self.to_out = nn.Linear(context, dim, bias=False), nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, context: Tensor, mask: Tensor | None = None, values: Tensor | None = None
    ) -> Tensor:
        """Every query takes a weighted mean of the context.

        x        (B, Q, dim)
        context  (B, K, context)
        mask     (B, K) bool, True = padding, ignored; every row must leave something
        values   (B, K, context)  what is averaged, where that is not the context itself
        ->       (B, Q, dim)
        """

        def split(y):
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous()  # strided is 3.4x slower

        q, k = split(self.to_q(x)), split(self.to_k(context))
        v = split(self.to_v(context if values is None else values))
        keep = None if mask is None else ~mask[:, None, None, :]
        return self.to_out(F.scaled_dot_product_attention(q, k, v, attn_mask=keep).transpose(1, 2).flatten(2))

    def folded(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """A few tokens (B, K, context) and the layers around them in two matrices, for very many queries.

        -> (B, dim, heads · K), which turns queries into scores, and (B, heads · K, dim), which turns weights
           into outputs, all but their bias; a softmax over each head's K lies between
        """

        def split(y):
            return y.unflatten(-1, (self.heads, -1))

        keys, values = split(self.to_k(context)), split(self.to_v(context))  # (B, K, h, d)
        asking, telling = split(self.to_q.weight.T), split(self.to_out.weight)  # (dim, h, d)
        scale = keys.shape[-1] ** -0.5
        return (
            torch.einsum("chd,bkhd->bchk", asking, keys * scale).flatten(2),
            torch.einsum("bkhd,chd->bhkc", values, telling).flatten(1, 2),
        )


class TransformerBlock(nn.Module):
    """Attention and a two-layer perceptron, each behind a norm and beside a skip."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), Attention(dim, dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, dim) -> (B, K, dim)."""
        y = self.norm1(x)
        x = x + self.attention(y, y)
        return x + self.mlp(self.norm2(x))


class CrossAttention(nn.Module):
    """Cross-attention from the positions of a map, with their band and time, to context tokens."""

    def __init__(self, dim: int, context: int, heads: int):
        super().__init__()
        self.norm, self.place = group_norm(dim), nn.Linear(2 * dim, dim)
        self.attention = Attention(dim, context, heads)

    def forward(self, x: Tensor, context: Tensor, positions: tuple[Tensor, Tensor]) -> Tensor:
        """x (B, dim, H, W), context (B, K, context), positions of bands (H, dim), times (W, dim) -> like x"""
        keys, values = self.attention.folded(context)  # (B, dim, hK), (B, hK, dim)
        bands, times = positions
        rows, columns = self.place.weight.chunk(2, dim=1)
        here = self.norm(x).permute(0, 2, 3, 1).flatten(1, 2) @ keys  # (B, HW, hK)
        positional = (F.linear(bands, rows) @ keys)[:, :, None] + (
            F.linear(times, columns, self.place.bias) @ keys
        )[:, None]  # (B, H, W, hK)
        scores = (here + positional.flatten(1, 2)).unflatten(-1, (self.attention.heads, -1))
        attended = torch.baddbmm(
            self.attention.to_out.bias, scores.softmax(-1).flatten(2), values
        )  # (B, HW, dim)
        return attended.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2).add_(x)


class SelfAttention(nn.Module):
    """Self-attention of a small map."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm, self.attention = group_norm(dim), Attention(dim, dim, heads)

    def forward(self, x: Tensor) -> Tensor:
        """(B, dim, H, W) -> (B, dim, H, W)."""
        y = self.norm(x).flatten(2).transpose(1, 2)
        return x + self.attention(y, y).transpose(1, 2).unflatten(2, x.shape[2:])
