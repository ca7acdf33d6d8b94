"""GPU kernels of the alias-free activation in one pass over memory, in Triton.

The sums are those of activation_loops.py, the names as there; the channels of one sample are contiguous
in memory.  A lane, one of BLOCK that run side by side, makes SPAN samples of one channel one by one, from
windows that move with it: x[m - 3 … m + 3] gives e[m] and o[m], of which seven each are kept.  So a value is
loaded, filtered and activated only (SPAN + 6) / SPAN times, and neighbouring lanes read neighbouring memory.

Moment m is the pair e[m], o[m]; those beyond the ends are copies of the outermost, e[0] and o[T - 1].
"""

import triton
import triton.language as tl

SPAN = 16  # samples of a lane
BLOCK = 128  # lanes of a program


@triton.jit
def _taps(filter, gain):
    """The twelve taps of a filter, times a gain."""
    return (
        gain * tl.load(filter).to(tl.float32),
        gain * tl.load(filter + 1).to(tl.float32),
        gain * tl.load(filter + 2).to(tl.float32),
        gain * tl.load(filter + 3).to(tl.float32),
        gain * tl.load(filter + 4).to(tl.float32),
        gain * tl.load(filter + 5).to(tl.float32),
        gain * tl.load(filter + 6).to(tl.float32),
        gain * tl.load(filter + 7).to(tl.float32),
        gain * tl.load(filter + 8).to(tl.float32),
        gain * tl.load(filter + 9).to(tl.float32),
        gain * tl.load(filter + 10).to(tl.float32),
        gain * tl.load(filter + 11).to(tl.float32),
    )


@triton.jit
def _angle(alpha, u):
    """alpha u less the nearest multiple of π, which changes neither sin² nor sin·cos."""
    t = alpha * u
    turns = tl.floor(t * 0.318309886183791 + 0.5)
    return (t - turns * 3.140625) - turns * 9.67653589793e-4  # π in two parts: the first product is exact


@triton.jit
def _sine(r):
    """sin r for |r| ≤ π/2, to 4e-8: Taylor's."""
    q = r * r
    p = 2.7557319e-6 + q * (-2.5052108e-8 + q * 1.6059044e-10)
    return r * (1.0 + q * (-0.16666667 + q * (8.3333333e-3 + q * (-1.9841270e-4 + q * p))))


@triton.jit
def _cosine(r):
    """cos r for |r| ≤ π/2, to 7e-9: Taylor's."""
    q = r * r
    p = -2.7557319e-7 + q * (2.0876757e-9 + q * -1.1470746e-11)
    return 1.0 + q * (-0.5 + q * (4.1666667e-2 + q * (-1.3888889e-3 + q * (2.4801587e-5 + q * p))))


@triton.jit
def _lane(BLOCK: tl.constexpr, SPAN: tl.constexpr, spans, channels, size):
    """This program's lanes, their channels, first samples, and where their channels start in memory."""
    lane = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    channel, row = lane % channels, lane // channels
    first = (row % spans * SPAN).to(tl.int32)
    return lane, channel, first, row // spans * size * channels + channel


@triton.jit
def _parameter(values, channel, live):
    """A parameter of each lane's channel in float32."""
    return tl.load(values + channel, mask=live, other=0.0).to(tl.float32)


@triton.jit
def _outermost(x, start, n, size, channels, live):
    """x[n] in float32; beyond the ends its outermost sample."""
    inside = tl.minimum(tl.maximum(n, 0), size - 1).to(tl.int64)
    return tl.load(x + start + inside * channels, mask=live, other=0.0).to(tl.float32)


@triton.jit
def _or_zero(x, start, n, size, channels, live):
    """x[n] in float32; beyond the ends 0."""
    there = live & (n >= 0) & (n < size)
    return tl.load(x + start + n.to(tl.int64) * channels, mask=there, other=0.0).to(tl.float32)


@triton.jit
def _moved(window, value):
    """The last six of seven values, then this one."""
    return window[1], window[2], window[3], window[4], window[5], window[6], value


@triton.jit
def _even(w, x):
    """Of the middle of seven samples, Σ w[5 - 2d] x[d], d = -3 … 2."""
    return w[11] * x[0] + w[9] * x[1] + w[7] * x[2] + w[5] * x[3] + w[3] * x[4] + w[1] * x[5]


@triton.jit
def _odd(w, x):
    """Of the middle of seven samples, Σ w[6 - 2d] x[d], d = -2 … 3."""
    return w[10] * x[1] + w[8] * x[2] + w[6] * x[3] + w[4] * x[4] + w[2] * x[5] + w[0] * x[6]


@triton.jit
def _joined(f, e, o):
    """Of the middle of seven moments, Σ f[5 + 2d] e[d], d = -2 … 3, + Σ f[6 + 2d] o[d], d = -3 … 2."""
    evens = f[1] * e[1] + f[3] * e[2] + f[5] * e[3] + f[7] * e[4] + f[9] * e[5] + f[11] * e[6]
    return evens + f[0] * o[0] + f[2] * o[1] + f[4] * o[2] + f[6] * o[3] + f[8] * o[4] + f[10] * o[5]


@triton.jit
def _activated(w, x, a, h):
    """The pair of the middle of seven samples, activated."""
    e, o = _even(w, x), _odd(w, x)
    se, so = _sine(_angle(a, e)), _sine(_angle(a, o))
    return e + h * se * se, o + h * so * so


# Whatever their values, integers are no constants: one compilation serves all sizes.  Loops are not unrolled,
# which would take half a minute to compile; the few moments near an end are found by masks.
INTEGERS = ["lanes", "spans", "channels", "size"]


@triton.jit(do_not_specialize=INTEGERS)
def forward_lanes(
    x,
    alpha,
    height,
    up,
    down,
    y,
    lanes,
    spans,
    channels,
    size,
    BLOCK: tl.constexpr,
    SPAN: tl.constexpr,
):
    """x, y (B, T, C); alpha and height (C,); up and down (12,); lanes = B · spans · C, spans = ⌈T / SPAN⌉."""
    lane, channel, first, start = _lane(BLOCK, SPAN, spans, channels, size)
    live = lane < lanes
    w, f = _taps(up, 2.0), _taps(down, 1.0)
    a, h = _parameter(alpha, channel, live), _parameter(height, channel, live)
    none = a * 0
    xs = (none, none, none, none, none, none, none)
    es, os = xs, xs
    for j in range(6):
        xs = _moved(xs, _outermost(x, start, first + (j - 6), size, channels, live))
    for j in range(6, SPAN + 12):
        xs = _moved(xs, _outermost(x, start, first + (j - 6), size, channels, live))
        m = first + (j - 9)  # the moment in the middle of the window
        e, o = _activated(w, xs, a, h)
        e, o = tl.where(m < size, e, os[6]), tl.where(m < size, o, os[6])
        b = m == 0  # of the first lanes: the moments before it are its copies
        e4, e5, e6 = tl.where(b, e, es[4]), tl.where(b, e, es[5]), tl.where(b, e, es[6])
        o4, o5, o6 = tl.where(b, e, os[4]), tl.where(b, e, os[5]), tl.where(b, e, os[6])
        es, os = (es[1], es[2], es[3], e4, e5, e6, e), (os[1], os[2], os[3], o4, o5, o6, o)
        n = m - 3
        made = _joined(f, es, os).to(y.dtype.element_ty)
        here = live & (j >= 12) & (n < size)
        tl.store(y + start + n.to(tl.int64) * channels, made, mask=here)


@triton.jit(do_not_specialize=INTEGERS)
def backward_lanes(
    x,
    grad,
    alpha,
    height,
    up,
    down,
    by_x,
    by_alpha,
    by_height,
    lanes,
    spans,
    channels,
    size,
    BLOCK: tl.constexpr,
    SPAN: tl.constexpr,
):
    """Gradients by x (B, T, C), from those by y; by alpha and height, (B · spans, C), each lane's part."""
    lane, channel, first, start = _lane(BLOCK, SPAN, spans, channels, size)
    live = lane < lanes
    w, f = _taps(up, 2.0), _taps(down, 1.0)
    a, h = _parameter(alpha, channel, live), _parameter(height, channel, live)
    none = a * 0
    to_alpha, to_height = none, none
    xs = (none, none, none, none, none, none, none)
    gs, es, os = xs, xs, xs
    for j in range(6):
        xs = _moved(xs, _outermost(x, start, first + (j - 6), size, channels, live))
        gs = _moved(gs, _or_zero(grad, start, first + (j - 6), size, channels, live))
    for j in range(6, SPAN + 12):
        xs = _moved(xs, _outermost(x, start, first + (j - 6), size, channels, live))
        gs = _moved(gs, _or_zero(grad, start, first + (j - 6), size, channels, live))
        m = first + (j - 9)  # the moment in the middle of the windows
        # by the moments after the activation; those beyond an end are copies, whose gradients they take
        ge, go = _even(f, gs), _odd(f, gs)
        before = (f[0] + f[1] + f[2]) * (gs[3] + gs[4]) + (f[3] + f[4]) * gs[3] + f[0] * gs[5]
        ge += tl.where(m == 0, before, 0.0)
        behind = (f[9] + f[10] + f[11]) * (gs[3] + gs[2]) + (f[7] + f[8]) * gs[3] + f[11] * gs[1]
        go += tl.where(m == size - 1, behind, 0.0)
        e, o = _even(w, xs), _odd(w, xs)
        re, ro = _angle(a, e), _angle(a, o)
        se, so = _sine(re), _sine(ro)
        twice_e, twice_o = 2 * se * _cosine(re), 2 * so * _cosine(ro)
        inside = (m >= 0) & (m < size)
        ge, go = tl.where(inside, ge, 0.0), tl.where(inside, go, 0.0)
        own = (j >= 9) & (j < SPAN + 9)  # of this lane
        to_height += tl.where(own, ge * se * se + go * so * so, 0.0)
        to_alpha += tl.where(own, ge * e * twice_e + go * o * twice_o, 0.0)
        es = _moved(es, ge * (1 + a * h * twice_e))
        os = _moved(os, go * (1 + a * h * twice_o))
        n = m - 3
        made = _joined(w, es, os)
        # x beyond an end is its outermost sample, which takes those gradients
        before = (w[7] + w[9] + w[11]) * es[3] + (w[9] + w[11]) * es[4] + w[11] * es[5]
        before += (w[8] + w[10]) * os[3] + w[10] * os[4]
        made += tl.where(n == 0, before, 0.0)
        behind = (w[0] + w[2] + w[4]) * os[3] + (w[0] + w[2]) * os[2] + w[0] * os[1]
        behind += (w[1] + w[3]) * es[3] + w[1] * es[2]
        made += tl.where(n == size - 1, behind, 0.0)
        here = live & (j >= 12) & (n < size)
        tl.store(by_x + start + n.to(tl.int64) * channels, made.to(by_x.dtype.element_ty), mask=here)
    tl.store(by_alpha + lane, h * to_alpha, mask=live)
    tl.store(by_height + lane, to_height, mask=live)
