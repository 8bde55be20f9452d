"""Cubic curves read at many places in one pass: value and slope, inputs shifted and scaled.

Where pairs of them are added up, in the same pass.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.jit import loop, part

Array = NDArray[np.floating]


@part
def _at(at: float, polynomials: Array, curve: int) -> tuple[float, float]:
    """Value and slope of a curve so many steps from its first sample; NaN of NaN."""
    if math.isnan(at):
        return at, at
    k = int(min(max(math.floor(at), 0.0), polynomials.shape[1] - 1.0))
    t = at - k
    beyond = t - min(max(t, 0.0), 1.0)  # steps past either end, 0 inside
    t -= beyond
    c0, c1 = polynomials[curve, k, 0], polynomials[curve, k, 1]
    c2, c3 = polynomials[curve, k, 2], polynomials[curve, k, 3]
    rise = c1 + t * (2 * c2 + t * 3 * c3)
    return c0 + t * (c1 + t * (c2 + t * c3)) + beyond * rise, rise


@loop
def read_curves(
    x: Array,
    scale: Array,
    shift: Array,
    start: float,
    step: float,
    polynomials: Array,
    value: Array,
    slope: Array,
) -> None:
    """F(scale x + shift) and its slope by x; beyond the last sample F goes on straight.

    Args:
        x: inputs, [part, batch, col].
        scale: of inputs, [part, col].
        shift: likewise.
        start: input at the first sample.
        step: distance of samples.
        polynomials: of the distance from a sample in steps, [curve, interval, 4], constants first;
            one curve for all columns, or one for each.
        value: to be filled, [part, batch, col].
        slope: likewise.
    """
    parts, batch, cols = x.shape
    for k in range(parts):
        for row in range(batch):
            for col in range(cols):
                curve = col if len(polynomials) > 1 else 0
                at = (x[k, row, col] * scale[k, col] + shift[k, col] - start) / step
                y, rise = _at(at, polynomials, curve)
                value[k, row, col] = y
                slope[k, row, col] = rise * scale[k, col] / step


@loop
def read_pairs(
    x: Array,
    scale: Array,
    shift: Array,
    out_scale: Array,
    out_shift: Array,
    start: float,
    step: float,
    polynomials: Array,
    edges: NDArray[np.int64],
    total: Array,
    slope: Array,
) -> None:
    """Second less first of every pair of columns, s F(a x + b) + t each, added up over tiles.

    Args:
        x: inputs, [chip, tile, batch, col]; tiles side by side follow each other.
        scale: a, [chip, tile, col].
        shift: b, likewise.
        out_scale: s, likewise.
        out_shift: t, likewise.
        start: as for `read_curves`, as the next two.
        step: of samples.
        polynomials: of one curve.
        edges: first output of every block of outputs, and the number of all.
        total: to be filled, [chip, batch, out].
        slope: of the total by x, to be filled, as x; 0 in columns that are only padded.
    """
    chips, tiles, batch, cols = x.shape
    total[:] = 0.0
    steps, first_at, signed = np.empty(cols), np.empty(cols), np.empty(cols)
    for chip in range(chips):
        for tile in range(tiles):
            block = tile % (len(edges) - 1)
            first, live = edges[block], 2 * (edges[block + 1] - edges[block])
            for col in range(live):
                steps[col] = scale[chip, tile, col] / step
                first_at[col] = (shift[chip, tile, col] - start) / step
                signed[col] = out_scale[chip, tile, col] * (1.0 if col % 2 else -1.0)
            for row in range(batch):
                for out in range(live // 2):
                    plus, minus = 2 * out, 2 * out + 1
                    y, rise = _at(
                        x[chip, tile, row, plus] * steps[plus] + first_at[plus], polynomials, 0
                    )
                    slope[chip, tile, row, plus] = signed[plus] * rise * steps[plus]
                    added = signed[plus] * y - out_shift[chip, tile, plus]
                    y, rise = _at(
                        x[chip, tile, row, minus] * steps[minus] + first_at[minus], polynomials, 0
                    )
                    slope[chip, tile, row, minus] = signed[minus] * rise * steps[minus]
                    added += signed[minus] * y + out_shift[chip, tile, minus]
                    total[chip, row, first + out] += added
                for col in range(live, cols):
                    slope[chip, tile, row, col] = 0.0


@loop
def pairs_gradient(of_total: Array, slope: Array, edges: NDArray[np.int64], of_x: Array) -> None:
    """By the inputs of `read_pairs`: its slope times the gradient by the total, into `of_x`."""
    chips, tiles, batch, cols = slope.shape
    for chip in range(chips):
        for tile in range(tiles):
            block = tile % (len(edges) - 1)
            first, live = edges[block], 2 * (edges[block + 1] - edges[block])
            for row in range(batch):
                for col in range(live):
                    by = of_total[chip, row, first + col // 2]
                    of_x[chip, tile, row, col] = slope[chip, tile, row, col] * by
                for col in range(live, cols):
                    of_x[chip, tile, row, col] = 0.0


@loop
def read_side_sums(
    x: Array,
    scale: Array,
    shift: Array,
    out_scale: Array,
    out_shift: Array,
    start: float,
    step: float,
    polynomials: Array,
    total: Array,
) -> None:
    """As `read_pairs` of planes instead of tiles, without slopes: second sides less first ones.

    Args:
        x: inputs, [chip, part, side, batch, col].
        scale: a, [chip, part, side, 1, col]; one chip for all is enough.
        shift: b, likewise.
        out_scale: s, likewise.
        out_shift: t, likewise.
        start: see `read_curves`, as the next two.
        step: of samples.
        polynomials: of one curve.
        total: to be filled, [chip, batch, col].
    """
    chips, parts, sides, batch, cols = x.shape
    found = np.empty(cols, np.float64)
    for chip in range(chips):
        own = chip if len(scale) > 1 else 0
        for row in range(batch):
            found[:] = 0.0
            for block in range(parts):
                for side in range(sides):
                    sign = 2.0 * side - 1.0
                    for col in range(cols):
                        at = x[chip, block, side, row, col] * scale[own, block, side, 0, col]
                        at = (at + shift[own, block, side, 0, col] - start) / step
                        y, _ = _at(at, polynomials, 0)
                        y = y * out_scale[own, block, side, 0, col]
                        found[col] += sign * (y + out_shift[own, block, side, 0, col])
            for col in range(cols):
                total[chip, row, col] = found[col]
