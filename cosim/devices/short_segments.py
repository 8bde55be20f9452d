"""Points that a circuit simulator needs within segments of a stimulus that are short for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A simulator searches a source's points from the first at every step: more would cost more than
# the steps do.
_MOST_POINTS = 4000


def with_short_refined(time_s: Array, voltage_v: Array, short_s: float, points: int) -> Array:
    """The times, with more of them where a pulse is short beside the rest.

    A simulator restarts at every point of a source with a step of a tenth of the way to the next,
    chosen without regard to errors: it knows the states only from the long steps before. Points
    within a short pulse keep that step small beside the pulse, so does each after the first.
    Segments that follow each other and are all short need no more points than are missing: those
    of a waveform that is sampled finely from end to end stay as they are.

    Args:
        time_s: times, rising, at least two, [time].
        voltage_v: voltages, straight between the times, [..., time].
        short_s: what lasts less than this is short.
        points: how many parts a short pulse has at least, >= 1.

    Returns:
        All of `time_s` and what was added, rising.
    """
    lengths = np.diff(time_s)
    volts = np.abs(voltage_v).reshape(-1, len(time_s)).max(0)
    driven = np.maximum(volts[1:], volts[:-1]) > 0
    wanted = (lengths < short_s) & driven
    ends = np.flatnonzero(np.diff(np.concatenate([[0], wanted.astype(int), [0]])))
    runs = [
        (first, last)
        for first, last in ends.reshape(-1, 2).tolist()
        if time_s[last] - time_s[first] < short_s
    ]
    if not runs:
        return time_s
    most = min(points, 1 + _MOST_POINTS // len(runs))
    added = [time_s]
    for first, last in runs:
        parts = -(-most // (last - first))
        if parts > 1:
            inner = np.arange(1, parts) / parts
            starts = time_s[first:last, None]
            added.append((starts + lengths[first:last, None] * inner).ravel())
    return np.unique(np.concatenate(added))
