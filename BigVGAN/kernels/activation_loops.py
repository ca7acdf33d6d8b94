"""CPU loops of the alias-free activation in one pass over memory, compiled by numba.

The plain form writes the upsampled signal to memory four times, which takes most of a vocoder's time.  Here
a tile of it stays in the cache.  At twice the rate, sample 2n is e[n] and sample 2n + 1 is o[n]:

    e[n] = Σ w[5 - 2d] x[n + d], d = -3 … 2        o[n] = Σ w[6 - 2d] x[n + d], d = -2 … 3
    y[n] = Σ f[5 + 2d] e[n + d], d = -2 … 3  +  Σ f[6 + 2d] o[n + d], d = -3 … 2

with the filters w, up, and f, down; the backward pass is the same two sums with f and w exchanged.
Beyond its ends x continues with its outer samples, and so does the activated signal at twice the rate.

In all arrays the channels of one sample are contiguous, as in the convolutions.  They are indexed flat: the
same channel of the next sample lies `step`, the number of channels, further on.
"""

import math

import numpy as np
from numba import prange

from DiffBinaural.modules.kernels.compiled import compiled, parallel

HALO = 6  # samples of x on each side on which a tile depends
SIDE = 3  # of e and o on each side
LANES = 256  # shortest efficient loop over channels
PI = np.float32(math.pi)
# sin r / r and cos r on [-π/2, π/2] as polynomials in r²: Taylor's, good to 4e-8 and 5e-7 there
S = tuple(np.float32((-1) ** k / math.factorial(2 * k + 1)) for k in range(7))
C = tuple(np.float32((-1) ** k / math.factorial(2 * k)) for k in range(7))


@compiled
def reduced(t):
    """t less the nearest multiple of π, which changes neither sin² nor sin·cos."""
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
def tiles_of(size, step):
    """Samples of a tile that fits the cache, number of tiles; the last takes the rest, up to twice that."""
    tile = max(8192 // step, 64)
    return tile, max(size // tile, 1)


@compiled
def span_of(job, size, step):
    """Index in the batch, first and end sample of a job's tile."""
    tile, tiles = tiles_of(size, step)
    first = job % tiles * tile
    return job // tiles, first, size if job % tiles == tiles - 1 else first + tile


@compiled
def load_tile(x, first, stop, edge, out):
    """out = x[first - HALO : stop + HALO], flat; beyond the ends its outer samples, or 0 without `edge`."""
    size, step = x.shape
    for k in range(stop - first + 2 * HALO):
        wanted = first - HALO + k
        i = min(max(wanted, 0), size - 1)
        for c in range(step):
            out[k * step + c] = x[i, c] if edge or i == wanted else np.float32(0)


@compiled
def filtered(x, first, w0, w1, w2, w3, w4, w5, count, step, out):
    """out[k] = w0 x[first + k] + w1 x[first + k + step] + … + w5 x[first + k + 5 step], k = 0 … count - 1."""
    # six arrays: a loop with offsets known only at run time would not be vectorised
    x0, x1, x2, x3, x4, x5 = (
        x[first:],
        x[first + step :],
        x[first + 2 * step :],
        x[first + 3 * step :],
        x[first + 4 * step :],
        x[first + 5 * step :],
    )
    for k in range(count):
        out[k] = w0 * x0[k] + w1 * x1[k] + w2 * x2[k] + w3 * x3[k] + w4 * x4[k] + w5 * x5[k]


@compiled
def upsampled(x, taps, n, step, even, odd):
    """even, odd (n + 2 SIDE samples): x (n + 2 HALO) at twice the rate, where all its inputs are there."""
    count = (n + 2 * SIDE) * step
    filtered(x, 0, taps[11], taps[9], taps[7], taps[5], taps[3], taps[1], count, step, even)
    filtered(x, step, taps[10], taps[8], taps[6], taps[4], taps[2], taps[0], count, step, odd)


@compiled
def downsampled(even, odd, taps, n, step, out, rest):
    """out (n samples): even and odd (n + 2 SIDE) interleaved, filtered and decimated by two."""
    count = n * step
    filtered(even, step, taps[1], taps[3], taps[5], taps[7], taps[9], taps[11], count, step, out)
    filtered(odd, 0, taps[0], taps[2], taps[4], taps[6], taps[8], taps[10], count, step, rest)
    for i in range(count):
        out[i] += rest[i]


@compiled
def activate(u, alpha, height, count):
    """u + height sin²(alpha u), in place; alpha and height are the channels' repeated."""
    for first in range(0, count, len(alpha)):
        part = u[first : min(first + len(alpha), count)]
        for c in range(len(part)):
            s = sine(reduced(alpha[c] * part[c]))
            part[c] += height[c] * s * s


@compiled
def fill(even, odd, outer, first, stop):
    """Replace samples `first` to `stop` of even and odd by copies of `outer`."""
    step = len(outer)
    for k in range(first, stop):
        for c in range(step):
            even[k * step + c] = odd[k * step + c] = outer[c]


@parallel
def forward(x, alpha, height, up, down, threads, y):
    """x, y (B, T, C); alpha and height (a multiple of C,); up and down (12,): all float32."""
    batch, size, step = x.shape
    tile, tiles = tiles_of(size, step)
    workers = min(4 * threads, batch * tiles)
    for worker in prange(workers):
        part = np.empty((2 * tile + 2 * HALO) * step, np.float32)
        even, odd = np.empty(len(part), np.float32), np.empty(len(part), np.float32)
        for job in range(worker * batch * tiles // workers, (worker + 1) * batch * tiles // workers):
            b, first, stop = span_of(job, size, step)
            n = stop - first
            load_tile(x[b], first, stop, True, part)
            upsampled(part, up, n, step, even, odd)
            activate(even, alpha, height, (n + 2 * SIDE) * step)
            activate(odd, alpha, height, (n + 2 * SIDE) * step)
            if first == 0:
                outer = even[SIDE * step : (SIDE + 1) * step].copy()
                fill(even, odd, outer, 0, SIDE)
            if stop == size:
                outer = odd[(n + SIDE - 1) * step : (n + SIDE) * step].copy()
                fill(even, odd, outer, n + SIDE, n + 2 * SIDE)
            downsampled(even, odd, down, n, step, y[b, first:stop].reshape(-1), part)


@compiled
def sines(u, alpha, squares, twice):
    """sin²(alpha u) and sin(2 alpha u)."""
    for c in range(len(u)):
        r = reduced(alpha[c] * u[c])
        s = sine(r)
        squares[c] = s * s
        twice[c] = np.float32(2) * s * cosine(r)


@compiled
def slopes(g, u, alpha, steepness, first, stop, by_alpha, by_height):
    """Turn gradients g after the activation into those before it, and add up those of alpha and height.

    Each loop writes to few arrays, so that it is vectorised.

    first, stop  range of g and u
    steepness    alpha · height
    """
    squares, twice = np.empty(len(alpha), np.float32), np.empty(len(alpha), np.float32)
    for start in range(first, stop, len(alpha)):
        part, x = g[start : min(start + len(alpha), stop)], u[start : min(start + len(alpha), stop)]
        sines(x, alpha, squares, twice)
        for c in range(len(part)):
            by_height[c] += part[c] * squares[c]
        for c in range(len(part)):
            by_alpha[c] += part[c] * x[c] * twice[c]
        for c in range(len(part)):
            part[c] *= np.float32(1) + steepness[c] * twice[c]


@compiled
def collect(even, odd, first, stop, into, step):
    """Move the sum of samples `first` to `stop` of even and odd into one sample, leaving zeros."""
    for k in range(first, stop):
        for c in range(step):
            into[c] += even[k * step + c] + odd[k * step + c]
            even[k * step + c] = odd[k * step + c] = np.float32(0)


@compiled
def outside(even, odd, taps, n, step, first, stop, total):
    """Add what :func:`downsampled` would give beyond an end, from `first` to `stop` in the tile's count."""
    for k in range(first, stop):
        for t in range(12):
            at = k + (t - 5) // 2 + SIDE if t % 2 else k + (t - 6) // 2 + SIDE
            if SIDE <= at < n + SIDE:
                for c in range(step):
                    total[c] += taps[t] * (even[at * step + c] if t % 2 else odd[at * step + c])


@parallel
def backward(x, grad, alpha, steepness, up, down, threads, by_x, by_alpha, by_height):
    """Gradients by x (B, T, C), from those by y; by alpha and height, one row (like alpha) a job."""
    batch, size, step = x.shape
    tile, tiles = tiles_of(size, step)
    workers = min(4 * threads, batch * tiles)
    for worker in prange(workers):
        part = np.empty((2 * tile + 2 * HALO) * step, np.float32)
        even, odd = np.empty(len(part), np.float32), np.empty(len(part), np.float32)
        g_even, g_odd = np.empty(len(part), np.float32), np.empty(len(part), np.float32)
        unused = np.zeros(len(alpha), np.float32)
        for job in range(worker * batch * tiles // workers, (worker + 1) * batch * tiles // workers):
            b, first, stop = span_of(job, size, step)
            n = stop - first
            load_tile(grad[b], first, stop, False, part)
            upsampled(part, down, n, step, g_even, g_odd)
            if first == 0:  # samples beyond an end are copies of the last one
                collect(g_even, g_odd, 0, SIDE, g_even[SIDE * step :], step)
            if stop == size:
                collect(g_even, g_odd, n + SIDE, n + 2 * SIDE, g_odd[(n + SIDE - 1) * step :], step)
            load_tile(x[b], first, stop, True, part)
            upsampled(part, up, n, step, even, odd)
            inner, behind, end = SIDE * step, (n + SIDE) * step, (n + 2 * SIDE) * step
            for g, u in ((g_even, even), (g_odd, odd)):
                slopes(g, u, alpha, steepness, 0, inner, unused, unused)  # counted in the neighbouring tiles
                slopes(g, u, alpha, steepness, inner, behind, by_alpha[job], by_height[job])
                slopes(g, u, alpha, steepness, behind, end, unused, unused)
            downsampled(g_even, g_odd, up, n, step, by_x[b, first:stop].reshape(-1), part)
            if first == 0:
                outside(g_even, g_odd, up, n, step, -SIDE, 0, by_x[b, 0])
            if stop == size:
                outside(g_even, g_odd, up, n, step, n, n + SIDE, by_x[b, size - 1])
