"""The alias-free activation on the CPU as one pass over memory, forward and backward, compiled by numba.

The plain form writes the up-sampled signal to memory four times, which takes most of a vocoder's time.  Here
a tile of a channel stays in the cache.  At the doubled rate, sample 2n is e[n] and sample 2n + 1 is o[n]:

    e[n] = Σ w[5 - 2d] x[n + d], d = -3 … 2        o[n] = Σ w[6 - 2d] x[n + d], d = -2 … 3
    y[n] = Σ f[5 + 2d] e[n + d], d = -2 … 3  +  Σ f[6 + 2d] o[n + d], d = -3 … 2

with the filters w, up, and f, down; the gradients' way back is the same two sums with f and w exchanged.
Beyond its ends x continues with its outer samples, and so does the activated signal at the doubled rate.
"""

import math

import numpy as np
import torch
from numba import config, njit, prange, set_num_threads
from torch import Tensor

TILE = 1024                                   # samples of a channel at once
HALO = 6                                      # of x on each side on which a tile depends
SIDE = 3                                      # of e and o on each side
MOST = 2 * TILE                               # the last tile of a channel takes the rest
# not "fast": a value that is no number must stay one
LOOSE = {"reassoc", "contract", "arcp", "nsz"}
PI = np.float32(math.pi)
# sin r / r and cos r on [-π/2, π/2] as polynomials in r²: Taylor's, good to 4e-8 and 5e-7 there
S = tuple(np.float32((-1) ** k / math.factorial(2 * k + 1)) for k in range(7))
C = tuple(np.float32((-1) ** k / math.factorial(2 * k)) for k in range(7))

# numba's first call starts its threads, and resets the number of torch's where both run on OpenMP
_torchs = torch.get_num_threads()
set_num_threads(1)
torch.set_num_threads(_torchs)

compiled = njit(fastmath=LOOSE, cache=True, error_model="numpy", inline="never")


@compiled
def reduced(t):
    """t less the nearest multiple of π: sin² and sin·cos do not notice."""
    return t - PI * np.float32(np.rint(t * np.float32(1 / math.pi)))


@compiled
def sine(r):
    """sin r for |r| ≤ π/2."""
    q = r * r
    return r * (S[0] + q * (S[1] + q * (S[2] + q * (S[3] + q * (S[4] + q * (S[5] + q * S[6]))))))


@compiled
def cosine(r):
    """cos r for |r| ≤ π/2."""
    q = r * r
    return C[0] + q * (C[1] + q * (C[2] + q * (C[3] + q * (C[4] + q * (C[5] + q * C[6])))))


@compiled
def take(x, first, stop, edge, out):
    """out = x[first - HALO : stop + HALO]; beyond the ends of x its outer samples, or 0 without `edge`."""
    size = x.shape[0]
    for k in range(stop - first + 2 * HALO):
        i = first - HALO + k
        if 0 <= i < size:
            out[k] = x[i]
        elif edge:
            out[k] = x[0] if i < 0 else x[size - 1]
        else:
            out[k] = 0


@compiled
def doubled(x, taps, n, even, odd):
    """even, odd (n + 2 SIDE): both phases of x (n + 2 HALO) at twice the rate, as many as can be known."""
    for k in range(n + 2 * SIDE):
        c = k + HALO - SIDE
        even[k] = (taps[11] * x[c - 3] + taps[9] * x[c - 2] + taps[7] * x[c - 1] + taps[5] * x[c]
                   + taps[3] * x[c + 1] + taps[1] * x[c + 2])
        odd[k] = (taps[10] * x[c - 2] + taps[8] * x[c - 1] + taps[6] * x[c] + taps[4] * x[c + 1]
                  + taps[2] * x[c + 2] + taps[0] * x[c + 3])


@compiled
def halved(even, odd, taps, n, out):
    """out (n): every second sample of what even and odd (n + 2 SIDE) are together, filtered."""
    for k in range(n):
        c = k + SIDE
        out[k] = (taps[1] * even[c - 2] + taps[3] * even[c - 1] + taps[5] * even[c] + taps[7] * even[c + 1]
                  + taps[9] * even[c + 2] + taps[11] * even[c + 3]
                  + taps[0] * odd[c - 3] + taps[2] * odd[c - 2] + taps[4] * odd[c - 1] + taps[6] * odd[c]
                  + taps[8] * odd[c + 1] + taps[10] * odd[c + 2])


@compiled
def activate(u, alpha, height, n):
    """u + height sin²(alpha u), in place."""
    for k in range(n):
        s = sine(reduced(alpha * u[k]))
        u[k] += height * s * s


@njit(fastmath=LOOSE, cache=True, parallel=True, error_model="numpy")
def forward(x, alpha, height, up, down, y):
    """x, y (R, T) channels, alpha and height (R,), up and down (12,) float32."""
    rows, size = x.shape
    tiles = max(size // TILE, 1)
    for row in prange(rows):
        part = np.empty(MOST + 2 * HALO, np.float32)
        even, odd = np.empty(MOST + 2 * SIDE, np.float32), np.empty(MOST + 2 * SIDE, np.float32)
        for tile in range(tiles):
            first = tile * TILE
            stop = size if tile == tiles - 1 else first + TILE
            n = stop - first
            take(x[row], first, stop, True, part)
            doubled(part, up, n, even, odd)
            activate(even, alpha[row], height[row], n + 2 * SIDE)
            activate(odd, alpha[row], height[row], n + 2 * SIDE)
            if first == 0:
                for k in range(SIDE):
                    even[k] = odd[k] = even[SIDE]
            if stop == size:
                for k in range(n + SIDE, n + 2 * SIDE):
                    even[k] = odd[k] = odd[n + SIDE - 1]
            halved(even, odd, down, n, y[row, first:stop])


@compiled
def slopes(g, u, alpha, height, n):
    """Turn gradients g after the activation into those before it, and sum up those of alpha and height.

    g, u  (n + 2 SIDE); the sums run over the inner n
    """
    by_alpha, by_height = 0.0, 0.0
    for k in range(SIDE, n + SIDE):
        r = reduced(alpha * u[k])
        s = sine(r)
        by_alpha += g[k] * u[k] * np.float32(2) * s * cosine(r)
        by_height += g[k] * s * s
    for k in range(n + 2 * SIDE):
        r = reduced(alpha * u[k])
        g[k] *= np.float32(1) + height * alpha * np.float32(2) * sine(r) * cosine(r)
    return height * by_alpha, by_height


@njit(fastmath=LOOSE, cache=True, parallel=True, error_model="numpy")
def backward(x, grad, alpha, height, up, down, by_x, by_alpha, by_height):
    """Gradients by x (R, T), and by alpha and height (R,), from those by y."""
    rows, size = x.shape
    tiles = max(size // TILE, 1)
    for row in prange(rows):
        part = np.empty(MOST + 2 * HALO, np.float32)
        even, odd = np.empty(MOST + 2 * SIDE, np.float32), np.empty(MOST + 2 * SIDE, np.float32)
        g_even, g_odd = np.empty(MOST + 2 * SIDE, np.float32), np.empty(MOST + 2 * SIDE, np.float32)
        for tile in range(tiles):
            first = tile * TILE
            stop = size if tile == tiles - 1 else first + TILE
            n = stop - first
            take(grad[row], first, stop, False, part)
            doubled(part, down, n, g_even, g_odd)
            if first == 0:                             # what lies beyond an end is that end's copy
                for k in range(SIDE):
                    g_even[SIDE] += g_even[k] + g_odd[k]
                    g_even[k] = g_odd[k] = 0
            if stop == size:
                for k in range(n + SIDE, n + 2 * SIDE):
                    g_odd[n + SIDE - 1] += g_even[k] + g_odd[k]
                    g_even[k] = g_odd[k] = 0
            take(x[row], first, stop, True, part)
            doubled(part, up, n, even, odd)
            for g, u in ((g_even, even), (g_odd, odd)):
                a, h = slopes(g, u, alpha[row], height[row], n)
                by_alpha[row] += a
                by_height[row] += h
            halved(g_even, g_odd, up, n, by_x[row, first:stop])
            if first == 0:
                by_x[row, 0] += outside(g_even, g_odd, up, n, -SIDE, 0)
            if stop == size:
                by_x[row, size - 1] += outside(g_even, g_odd, up, n, n, n + SIDE)


@compiled
def outside(even, odd, taps, n, first, stop):
    """What :func:`halved` would give beyond an end, from `first` to `stop` in the tile's count, summed."""
    total = np.float32(0)
    for k in range(first, stop):
        for t in range(12):
            at = k + (t - 5) // 2 + SIDE if t % 2 else k + (t - 6) // 2 + SIDE
            if SIDE <= at < n + SIDE:
                total += taps[t] * (even[at] if t % 2 else odd[at])
    return total


class FusedActivation(torch.autograd.Function):
    """x (B, C, T), alpha and height (C,), the filters (12,): all float32 on the CPU -> (B, C, T)."""

    @staticmethod
    def forward(ctx, x: Tensor, alpha: Tensor, height: Tensor, up: Tensor, down: Tensor) -> Tensor:
        """x + height sin²(alpha x), between up- and down-sampling."""
        x = x.contiguous()
        ctx.save_for_backward(x, alpha, height, up, down)
        y, of_row = torch.empty_like(x), [v.detach().repeat(len(x)).numpy() for v in (alpha, height)]
        set_num_threads(min(torch.get_num_threads(), config.NUMBA_NUM_THREADS))
        forward(flat(x), *of_row, up.numpy(), down.numpy(), flat(y))
        return y

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        """Gradients by x, alpha and height."""
        x, alpha, height, up, down = ctx.saved_tensors
        by_x = torch.empty_like(x)
        of_row = [v.repeat(len(x)).numpy() for v in (alpha, height)]
        sums = [np.zeros(len(of_row[0])) for _ in of_row]
        set_num_threads(min(torch.get_num_threads(), config.NUMBA_NUM_THREADS))
        backward(flat(x), flat(grad.contiguous()), *of_row, up.numpy(), down.numpy(), flat(by_x), *sums)
        by_alpha, by_height = (torch.from_numpy(s).view(len(x), -1).sum(0).float() for s in sums)
        return by_x, by_alpha, by_height, None, None


def flat(x: Tensor) -> np.ndarray:
    """(B, C, T) as (B C, T)."""
    return x.detach().view(-1, x.shape[-1]).numpy()
