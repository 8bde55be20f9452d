"""Many pulses of one sign as one affine map, for all cells of the rows that have a pulse.

A step that is straight in the weight, b + s w, has a = 1 + s: n of them are w + (b + s w) G_n with
G_n = 1 + a + ... + a^(n-1). Noise of the same size e at every pulse adds up to the variance
e^2 (1 + a^2 + ... + a^(2n-2)) = e^2 G_n (1 + a^n) / (1 + a). Noise that is a part e of the step
itself gives (b + s w)^2 e^2 D_n with D_n = sum of A^i a^(2(n-1-i)) over i = 0 to n-1 and
A = a^2 + (s e)^2. Both sums are exact; they are built from the bits of n, highest first, so that a
step that does not depend on the weight (s = 0) is no special case. One normal number stands for
the noise of n pulses, and the bounds clip after the last of them instead of after each: the
difference is of the order of the noise of one pulse, at a bound.

All loops are over the columns of one row, without branches: the processor takes eight or more cells
at once. Where few cells are hit `visit` is faster.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.bit_counts import set_bits
from cosim.pulses.jit import loop
from cosim.pulses.random_numbers import (
    F,
    U,
    half_cosine,
    half_sine,
    mixed,
    share_of,
    squared_radius,
)

_PULSES = U((1 << 31) - 1)
_ONE, _TWO = F(1), F(2)


@loop
def map_rows(
    w: NDArray[Any],
    cells: NDArray[Any],
    relative: bool,
    words: NDArray[np.uint32],
    bits: NDArray[np.uint32],
    keys: NDArray[np.uint32],
    noisy: bool,
    counts: NDArray[np.int32],
    top: int,
    end: int,
) -> tuple[int, int]:
    """Moves the weights of some rows by the coincidences of a batch.

    Args:
        w: weights [row, col], changed.
        cells: of every cell [row, col, 8]: the step up at weight 0, how it changes with the weight,
            its noise; the same of the step down; the bounds.
        relative: the noise is a part of the step.
        words: trains on the word lines [batch, row].
        bits: trains on the bit lines [batch, col].
        keys: of the random numbers, one more than there are samples and rounded up to odd.
        noisy: with noise.
        counts: steps of every cell [row, col], which are added; [0, 0] if they are not counted.
        top: first row.
        end: the row after the last one.

    Returns:
        How many steps went up, and how many down.
    """
    ups = downs = 0
    cols = w.shape[1]
    one, two, zero = w.dtype.type(1), w.dtype.type(2), w.dtype.type(0)
    own = np.empty((8, cols), w.dtype)
    now = np.empty(cols, w.dtype)
    index = np.empty(cols, np.uint32)
    radius2 = np.empty(cols, np.float32)
    turns = np.empty((2, cols), np.float32)
    n = np.empty(cols, np.uint32)
    b, s, e = np.empty(cols, w.dtype), np.empty(cols, w.dtype), np.empty(cols, w.dtype)
    total, variance = np.empty(cols, w.dtype), np.empty(cols, w.dtype)
    for row in range(top, end):
        fresh = True
        for pair in range(0, words.shape[0], 2):
            last = min(pair + 2, words.shape[0])
            any_pulse = U(words[pair, row] & _PULSES)
            if last > pair + 1:
                any_pulse = U(any_pulse | U(words[pair + 1, row] & _PULSES))
            if any_pulse == U(0):
                continue
            if fresh:
                fresh = False
                for c in range(cols):
                    now[c] = w[row, c]
                    index[c] = mixed(U(U(row * cols + c) ^ keys[0]))
                    for k in range(8):
                        own[k, c] = cells[row, c, k]
                    if not relative:
                        # The root of 2 + s: see the variance below.
                        own[2, c] /= w.dtype.type(math.sqrt(two + own[1, c]))
                        own[5, c] /= w.dtype.type(math.sqrt(two + own[4, c]))
            if noisy:
                first, second = keys[pair + 1], keys[pair + 2]
                for c in range(cols):
                    radius2[c] = squared_radius(share_of(mixed(U(index[c] ^ first))))
                    word = mixed(U(index[c] ^ second))
                    sine = half_sine(word)
                    turns[0, c] = F(_ONE - _TWO * sine * sine)
                    turns[1, c] = F(_TWO * sine * half_cosine(word))
            for k in range(pair, last):
                word = words[k, row]
                levels = 0
                while (set_bits(U(word & _PULSES)) >> U(levels)) != U(0):
                    levels += 1
                if levels == 0:
                    continue
                turn = turns[k - pair]
                steps = up_steps = 0
                for c in range(cols):
                    other = U(bits[k, c])
                    up = np.int32(U(word ^ other)) < np.int32(0)
                    count = set_bits(U(U(word & other) & _PULSES))
                    n[c] = count
                    steps += int(count)
                    up_steps += int(count) if up else 0
                    b[c] = own[0, c] if up else own[3, c]
                    s[c] = own[1, c] if up else own[4, c]
                    e[c] = own[2, c] if up else own[5, c]
                ups += up_steps
                downs += steps - up_steps
                if counts.shape[0] > 0:
                    for c in range(cols):
                        counts[row, c] += np.int32(n[c])
                top_bit = U(U(1) << U(levels - 1))
                for c in range(cols):
                    total[c] = one if U(n[c] & top_bit) != U(0) else zero
                    variance[c] = total[c]
                for level in range(levels - 2, -1, -1):
                    bit = U(U(1) << U(level))
                    if relative and noisy:
                        for c in range(cols):
                            a, extra = one + s[c], (s[c] * e[c]) * (s[c] * e[c])
                            power = one + s[c] * total[c]
                            power *= power
                            doubled = variance[c] * (two * power + extra * variance[c])
                            sum_ = total[c] * (two + s[c] * total[c])
                            power = one + s[c] * sum_
                            power *= power
                            odd = U(n[c] & bit) != U(0)
                            variance[c] = (a * a + extra) * doubled + power if odd else doubled
                            total[c] = one + a * sum_ if odd else sum_
                    else:
                        for c in range(cols):
                            sum_ = total[c] * (two + s[c] * total[c])
                            odd = U(n[c] & bit) != U(0)
                            total[c] = one + (one + s[c]) * sum_ if odd else sum_
                if not noisy:
                    for c in range(cols):
                        moved = now[c] + (b[c] + s[c] * now[c]) * total[c]
                        now[c] = min(max(moved, own[6, c]), own[7, c])
                elif relative:
                    # One root for the size of the noise and for the radius of the normal number.
                    for c in range(cols):
                        size = w.dtype.type(math.sqrt(variance[c] * radius2[c]))
                        step = b[c] + s[c] * now[c]
                        moved = now[c] + step * (total[c] + e[c] * size * turn[c])
                        now[c] = min(max(moved, own[6, c]), own[7, c])
                else:
                    for c in range(cols):
                        squares = total[c] * (two + s[c] * total[c])
                        size = w.dtype.type(math.sqrt(squares * radius2[c]))
                        moved = now[c] + (b[c] + s[c] * now[c]) * total[c] + e[c] * size * turn[c]
                        now[c] = min(max(moved, own[6, c]), own[7, c])
        if not fresh:
            for c in range(cols):
                w[row, c] = now[c]
    return ups, downs
