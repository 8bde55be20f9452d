"""How large the noise of a measurement is: read from what a smooth curve has not.

Differences of neighbours take the curve away and leave the noise. The first few orders are asked,
and the least answer is taken: what is left of the curve only adds. Medians in blocks let neither a
few outliers nor an abrupt switching count.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError

Array = NDArray[np.float64]

_FLOOR = 1e-6  # of the largest value: no floor is below
_LOWEST = 0.25  # the part of the points, the smallest, that the floor is read from
_ORDERS = (2, 3, 4)
_NORMAL = 0.6745  # median magnitude of a normal number of deviation 1
_BLOCK = 24  # points, of which a median is taken


def noise_floor(values: Array) -> float:
    """Below what the values say nothing, in their unit; at least 1e-6 of the largest.

    Ask of all that was measured, in its order: between the points of a thinned record lies more of
    the curve.

    Args:
        values: what was measured [point].

    Raises:
        InputError: all values are zero.
    """
    size = np.abs(values)
    if not size.max() > 0:
        raise InputError("all values are zero", where="the measured column")
    found = []
    for bent in _differences(values):
        middle = size[(size.size - bent.size) // 2 :][: bent.size]
        small = middle <= np.quantile(middle, _LOWEST)
        found.append(float(np.median(np.abs(bent[small]))) / _NORMAL)
    return max(min(found, default=0.0), _FLOOR * float(size.max()))


def scatter(values: Array) -> float:
    """Root mean square of the noise of values that lie along a smooth curve, in their unit.

    The noise may differ from place to place: it is read block by block.

    Args:
        values: in the order in which the curve is smooth [point].

    Returns:
        The noise; 0 for fewer than five points.
    """
    found = []
    for bent in _differences(values):
        count = max(1, round(bent.size / _BLOCK))
        medians = [float(np.median(np.abs(part))) for part in np.array_split(bent, count)]
        found.append(math.sqrt(float(np.mean(np.square(medians)))) / _NORMAL)
    return min(found, default=0.0)


def _differences(values: Array) -> list[Array]:
    """Differences of several orders, each as large as the noise of one value."""
    return [
        np.diff(values, order) / math.sqrt(math.comb(2 * order, order))
        for order in _ORDERS
        if values.size > _ORDERS[-1]
    ]
