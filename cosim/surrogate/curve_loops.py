"""Cubic curves read at many places in one pass: value and slope, inputs shifted and scaled."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from cosim.pulses.jit import loop

Array = NDArray[np.floating]


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
    curves, count, _ = polynomials.shape
    for part in range(parts):
        for row in range(batch):
            for col in range(cols):
                curve = col if curves > 1 else 0
                at = (x[part, row, col] * scale[part, col] + shift[part, col] - start) / step
                if math.isnan(at):
                    value[part, row, col] = at
                    slope[part, row, col] = at
                    continue
                k = int(min(max(math.floor(at), 0.0), count - 1.0))
                t = at - k
                beyond = t - min(max(t, 0.0), 1.0)  # steps past either end, 0 inside
                t -= beyond
                c0, c1 = polynomials[curve, k, 0], polynomials[curve, k, 1]
                c2, c3 = polynomials[curve, k, 2], polynomials[curve, k, 3]
                rise = c1 + t * (2 * c2 + t * 3 * c3)
                value[part, row, col] = c0 + t * (c1 + t * (c2 + t * c3)) + beyond * rise
                slope[part, row, col] = rise * scale[part, col] / step
