"""The closed form of the wires and its gradient, tile by tile in one loop each.

The formula is that of `cosim.surrogate.wires`, whose head names the terms; there it is written with
torch, for resistances that are trained. Every sum along a line is a running sum: along word lines
from the far end to the driver and back, along bit lines from the first row to the sense end and
back. A tile's numbers stay in the processor's cache meanwhile, and sums that run together share
their passes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.jit import loop

Array = NDArray[Any]


@loop
def closed_form(
    g: Array,
    word_segment: Array,
    word_own: Array,
    driver: Array,
    bit_segment: Array,
    bit_path: Array,
    sense: Array,
    inverse: Array,
    held_v: Array,
    weights: tuple[float, float, float, float],
    transfer: Array,
    held_a: Array,
    a: Array,
    b: Array,
    kept: Array,
) -> None:
    """Fills the last five.

    Args:
        g: conductances, [part, row, col].
        word_segment: on the left of every cell, [1 or row, col].
        word_own: of the path of every cell to the driver, likewise.
        driver: in series there, [row].
        bit_segment: below every cell, [row, col].
        bit_path: of the path of every cell to the sense end, without what is in series there.
        sense: in series there, [1 or part, col].
        inverse: 1 over what a cell shares with the others of its word line,
            [1 or part, 1 or row, col]; 0 where that is nothing.
        held_v: what bit lines are held at, [1 or part, col].
        weights: t0 to t3.
        transfer: [part, row, col].
        held_a: what the held bit lines drive into themselves, [part, col].
        a: what word lines take, to first order, [part, row, col].
        b: what bit lines take.
        kept: for `gradient`, [part, 5, row, col].
    """
    parts, rows, cols = g.shape
    t0, t1, t2, t3 = weights
    sums = np.empty((3, rows, cols))
    line = np.empty((3, cols))
    along = np.empty((3, cols))
    for part in range(parts):
        ends = sense[part if len(sense) > 1 else 0]
        held = held_v[part if len(held_v) > 1 else 0]
        others = inverse[part if len(inverse) > 1 else 0]
        own, elsewhere, sneak = kept[part, 0], kept[part, 1], kept[part, 2]
        below, lifted = kept[part, 3], kept[part, 4]
        along[:] = 0.0
        for i in range(rows):
            segment = word_segment[i if len(word_segment) > 1 else 0]
            path = word_own[i if len(word_own) > 1 else 0]
            x, at, up = g[part, i], a[part, i], bit_path[i]
            s0 = s1 = s2 = 0.0
            for k in range(cols):
                j = cols - 1 - k
                s0 += x[j]
                s1 += (up[j] + ends[j]) * x[j] * x[j]
                s2 += x[j] * held[j]
                line[0, j], line[1, j], line[2, j] = s0, s1, s2
            s0, s1, s2 = driver[i] * s0, driver[i] * s1, driver[i] * s2
            for j in range(cols):
                s0 += segment[j] * line[0, j]
                s1 += segment[j] * line[1, j]
                s2 += segment[j] * line[2, j]
                at[j], own[i, j] = s0, s1
                lifted[i, j] = (1.0 + s0) * held[j] - s2
            s0 = 0.0
            for k in range(cols):
                j = cols - 1 - k
                s0 += x[j] * at[j]
                line[0, j] = s0
            s0 = driver[i] * s0
            for j in range(cols):
                s0 += segment[j] * line[0, j]
                below[i, j] = at[j] * at[j] - s0
            for j in range(cols):
                along[0, j] += x[j]
                sums[0, i, j] = along[0, j]
            for j in range(cols):
                along[1, j] += path[j] * x[j] * x[j]
                sums[1, i, j] = along[1, j]
            for j in range(cols):
                along[2, j] += x[j] * (at[j] - path[j] * x[j])
                sums[2, i, j] = along[2, j]
        for j in range(cols):
            along[0, j] *= ends[j]
            along[1, j] *= ends[j]
            along[2, j] *= ends[j]
        for k in range(rows):
            i = rows - 1 - k
            path = word_own[i if len(word_own) > 1 else 0]
            far = others[i if len(others) > 1 else 0]
            x, at, bt, up, segment = g[part, i], a[part, i], b[part, i], bit_path[i], bit_segment[i]
            for n in range(3):
                for j in range(cols):
                    along[n, j] += segment[j] * sums[n, i, j]
            for j in range(cols):
                bt[j] = along[0, j]
                own[i, j] += along[1, j] - (up[j] + ends[j]) * path[j] * x[j] * x[j]
            for j in range(cols):
                rest = at[j] - path[j] * x[j]
                away = along[2, j] - (up[j] + ends[j]) * x[j] * rest
                elsewhere[i, j] = away
                through = own[i, j] * x[j] + rest * far[j] * away
                sneak[i, j] = through / (1.0 + at[j] + bt[j])
        along[0] = 0.0
        for i in range(rows):
            for j in range(cols):
                along[0, j] += g[part, i, j] * b[part, i, j]
                sums[0, i, j] = along[0, j]
        for j in range(cols):
            along[0, j] *= ends[j]
            along[1, j] = 0.0
        for k in range(rows):
            i = rows - 1 - k
            x, at, bt, segment = g[part, i], a[part, i], b[part, i], bit_segment[i]
            found = transfer[part, i]
            for j in range(cols):
                along[0, j] += segment[j] * sums[0, i, j]
                first = 1.0 + at[j] + bt[j]
                bit = bt[j] * bt[j] - along[0, j]
                full = first + t0 * below[i, j] + t1 * bit + t2 * at[j] * bt[j]
                # Far beyond its region the correction may be as large as what it corrects, and
                # negative: half of the first order is left, so that currents stay bounded.
                bounded = full < 0.5 * first
                least = max(full, 0.5 * first)
                found[j] = (x[j] + t3 * sneak[i, j]) / least
                below[i, j] = -least if bounded else least
            for j in range(cols):
                along[1, j] -= found[j] * lifted[i, j]
        for j in range(cols):
            held_a[part, j] = along[1, j]


@loop
def gradient(
    g: Array,
    word_segment: Array,
    word_own: Array,
    driver: Array,
    bit_segment: Array,
    bit_path: Array,
    sense: Array,
    inverse: Array,
    held_v: Array,
    weights: tuple[float, float, float, float],
    transfer: Array,
    a: Array,
    b: Array,
    kept: Array,
    of_transfer: Array,
    of_held: Array,
    of_g: Array,
) -> None:
    """Fills the last one: every sum along a line is symmetric, so it is its own transpose.

    Args:
        g: as for `closed_form`, as all before `transfer`.
        word_segment: of word lines.
        word_own: of paths along them.
        driver: at their ends.
        bit_segment: of bit lines.
        bit_path: of paths along them.
        sense: at their ends.
        inverse: of what word lines share.
        held_v: of bit lines.
        weights: t0 to t3.
        transfer: as `closed_form` filled it, as the next three.
        a: of word lines.
        b: of bit lines.
        kept: the terms.
        of_transfer: the gradient by the transfer, [part, row, col].
        of_held: by the current of held bit lines, [1 or part, col].
        of_g: by the conductances, [part, row, col].
    """
    parts, rows, cols = g.shape
    t0, t1, t2, t3 = weights
    sums = np.empty((3, rows, cols))
    line = np.empty((3, cols))
    along = np.empty((3, cols))
    spare = np.empty((4, rows, cols))
    of_a, of_b, of_sneak, squares = spare[0], spare[1], spare[2], spare[3]
    of_full = np.empty(cols)
    for part in range(parts):
        ends = sense[part if len(sense) > 1 else 0]
        held = held_v[part if len(held_v) > 1 else 0]
        others = inverse[part if len(inverse) > 1 else 0]
        back = of_held[part if len(of_held) > 1 else 0]
        own, elsewhere, sneak = kept[part, 0], kept[part, 1], kept[part, 2]
        below, lifted = kept[part, 3], kept[part, 4]
        along[:] = 0.0
        for i in range(rows):
            segment = word_segment[i if len(word_segment) > 1 else 0]
            path = word_own[i if len(word_own) > 1 else 0]
            far = others[i if len(others) > 1 else 0]
            x, at, bt, out = g[part, i], a[part, i], b[part, i], of_g[part, i]
            found, given = transfer[part, i], of_transfer[part, i]
            for j in range(cols):
                least = below[i, j]
                by = (given[j] - back[j] * lifted[i, j]) / abs(least)
                of_below = -found[j] * by
                full = 0.0 if least < 0 else of_below
                through = t3 * by / (1.0 + at[j] + bt[j])  # of C
                of_first = full - through * sneak[i, j] + 0.5 * (of_below - full)
                out[j] = by
                of_full[j] = full
                of_sneak[i, j] = through
                of_a[i, j] = (
                    of_first + full * (2 * t0 * at[j] + t2 * bt[j]) - back[j] * found[j] * held[j]
                )
                of_b[i, j] = of_first + full * (2 * t1 * bt[j] + t2 * at[j])
            s0 = s1 = s2 = 0.0
            for k in range(cols):
                j = cols - 1 - k
                s0 += of_full[j]
                s1 += of_sneak[i, j] * x[j]
                s2 += back[j] * found[j]
                line[0, j], line[1, j], line[2, j] = s0, s1, s2
            s0, s1, s2 = driver[i] * s0, driver[i] * s1, driver[i] * s2
            for j in range(cols):
                s0 += segment[j] * line[0, j]
                s1 += segment[j] * line[1, j]
                s2 += segment[j] * line[2, j]
                out[j] += held[j] * s2 - t0 * s0 * at[j]
                of_a[i, j] -= t0 * s0 * x[j]
                squares[i, j] = s1
            for j in range(cols):
                along[0, j] += of_full[j]
                sums[0, i, j] = along[0, j]
            for j in range(cols):
                along[1, j] += of_sneak[i, j] * x[j]
                sums[1, i, j] = along[1, j]
            for j in range(cols):
                along[2, j] += of_sneak[i, j] * (at[j] - path[j] * x[j]) * far[j]
                sums[2, i, j] = along[2, j]
        for j in range(cols):
            along[0, j] *= ends[j]
            along[1, j] *= ends[j]
            along[2, j] *= ends[j]
        for k in range(rows):
            i = rows - 1 - k
            path = word_own[i if len(word_own) > 1 else 0]
            far = others[i if len(others) > 1 else 0]
            x, at, bt, up = g[part, i], a[part, i], b[part, i], bit_path[i]
            out, segment = of_g[part, i], bit_segment[i]
            for n in range(3):
                for j in range(cols):
                    along[n, j] += segment[j] * sums[n, i, j]
            for j in range(cols):
                of_b[i, j] -= t1 * along[0, j] * x[j]
                out[j] += of_sneak[i, j] * own[i, j] - t1 * along[0, j] * bt[j]
            for j in range(cols):
                by, end = of_sneak[i, j], up[j] + ends[j]
                by_bit = along[1, j] - end * by * x[j]
                out[j] += 2.0 * (squares[i, j] * end + by_bit * path[j]) * x[j]
            for j in range(cols):
                by, end = of_sneak[i, j], up[j] + ends[j]
                rest = at[j] - path[j] * x[j]
                of_paths = along[2, j] - end * by * rest * far[j]
                of_rest = by * elsewhere[i, j] * far[j] + of_paths * x[j]
                out[j] += of_paths * rest - path[j] * of_rest
                of_a[i, j] += of_rest
            segment = word_segment[i if len(word_segment) > 1 else 0]
            s0 = 0.0
            for n in range(cols):
                j = cols - 1 - n
                s0 += of_a[i, j]
                line[0, j] = s0
            s0 = driver[i] * s0
            for j in range(cols):
                s0 += segment[j] * line[0, j]
                out[j] += s0
        along[0] = 0.0
        for i in range(rows):
            for j in range(cols):
                along[0, j] += of_b[i, j]
                sums[0, i, j] = along[0, j]
        for j in range(cols):
            along[0, j] *= ends[j]
        for k in range(rows):
            i = rows - 1 - k
            out, segment = of_g[part, i], bit_segment[i]
            for j in range(cols):
                along[0, j] += segment[j] * sums[0, i, j]
                out[j] += along[0, j]
