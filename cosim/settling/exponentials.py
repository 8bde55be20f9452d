"""Sums of decaying exponentials, and when the last of them has left a band for good.

Such a sum may cross the band often and swing back out of it long after it was first inside: lines
of an array pull each other. So it is looked at on a grid that is dense for every exponential, and
every extremum that could reach out of the band between two points is found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Neighbouring times differ by 5 %: two extrema of a sum that matters do not fit between.
_PER_DECADE = 48
_BISECTIONS = 60


def evaluate(amplitude: Array, rate: Array, times_s: Array) -> Array:
    """sum_k amplitude[line, k] exp(-rate[k] t), [line, time]."""
    found: Array = amplitude @ np.exp(-rate[:, None] * times_s)
    return found


def last_outside(amplitude: Array, rate: Array, band: Array) -> Array:
    """The last time at which the magnitude of every sum is above its band.

    Args:
        amplitude: [line, mode].
        rate: [mode] in 1/s, > 0.
        band: [line], >= 0, in the unit of the amplitudes.

    Returns:
        [line] in seconds; 0 where it never is after t = 0, infinite where the band is 0 and the sum
        is not.
    """
    total = np.abs(amplitude).sum(1)
    found = np.where((band == 0) & (total > 0), np.inf, 0.0)
    some = np.flatnonzero((band > 0) & (total > band))
    if len(some):
        found[some] = _last_crossing(amplitude[some], rate, band[some])
    return found


def _last_crossing(amplitude: Array, rate: Array, band: Array) -> Array:
    """`last_outside` of lines with a band > 0; a line's largest possible sum is above it."""
    times = _grid(amplitude, rate, band)
    sums = evaluate(amplitude, rate, times)
    outside = np.abs(sums) > band[:, None]
    lines, points = outside.shape
    # The last point is inside by construction.
    last = np.where(outside.any(1), points - 1 - outside[:, ::-1].argmax(1), -1)
    low = np.where(last >= 0, times[last], 0.0)
    high = np.where(last >= 0, times[np.minimum(last + 1, points - 1)], 0.0)

    slopes = evaluate(-amplitude * rate, rate, times)
    turns = np.signbit(slopes[:, :-1]) != np.signbit(slopes[:, 1:])
    near = np.maximum(np.abs(sums[:, :-1]), np.abs(sums[:, 1:])) > 0.5 * band[:, None]
    line, point = np.nonzero(turns & near & (np.arange(points - 1) > last[:, None]))
    if len(line):
        peak = _root(-amplitude[line] * rate, rate, times[point], times[point + 1])
        beyond = np.abs(_each(amplitude[line], rate, peak)) > band[line]
        # In order of time, so the latest peak of a line stands.
        low[line[beyond]] = peak[beyond]
        high[line[beyond]] = times[point[beyond] + 1]
    left = np.flatnonzero(high > low)
    found = np.zeros(lines)
    side = np.sign(_each(amplitude[left], rate, low[left]))
    found[left] = _root(amplitude[left], rate, low[left], high[left], side * band[left])
    return found


def _grid(amplitude: Array, rate: Array, band: Array) -> Array:
    """0 and times from before the fastest exponential to where no line can be outside."""
    end = 1.01 * float(np.log(np.abs(amplitude).sum(1) / band).max() / rate.min())
    start = min(1e-3 / float(rate.max()), 0.1 * end)
    points = 2 + int(_PER_DECADE * np.log10(end / start))
    return np.append(0.0, np.geomspace(start, end, points))


def _each(amplitude: Array, rate: Array, time_s: Array) -> Array:
    """One time for every line, [line]."""
    found: Array = (amplitude * np.exp(-rate * time_s[:, None])).sum(1)
    return found


def _root(
    amplitude: Array, rate: Array, low: Array, high: Array, level: Array | float = 0.0
) -> Array:
    """Where every line's sum passes its level between two times, [line], by bisection."""
    above = _each(amplitude, rate, low) > level
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        same = (_each(amplitude, rate, middle) > level) == above
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return 0.5 * (low + high)
