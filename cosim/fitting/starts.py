"""Starts of a fit far from the given set: spread over all that the data allow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

from cosim.fitting.space import Space

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_EXPONENTS = math.log(5.0)  # numbers without a unit lie within this factor of the start
_PLACES = 1.5  # logits of an initial state: most lie between 1 % and 99 % of its range
_EDGE = 1e-3


def wide_starts(space: Space, free: Mask, count: int, seed: int) -> Array:
    """Starts drawn over the ranges that the data tell, [start, unknown].

    Args:
        space: of the fit.
        free: what is drawn; the rest stays at the start [unknown].
        count: how many.
        seed: of the draw.
    """
    size = len(space.unknowns)
    sobol = qmc.Sobol(size, scramble=False).random_base2(max(1, math.ceil(math.log2(count))))
    # Shifted on the torus, as those around the start are.
    drawn = (sobol[:count] + np.random.default_rng(seed).random(size)) % 1
    starts = np.zeros((count, size))
    for k in np.flatnonzero(free).tolist():
        one, part = space.unknowns[k], drawn[:, k]
        if one.turn == "logit":
            place = np.clip(part, _EDGE, 1 - _EDGE)
            starts[:, k] = _PLACES * np.log(place / (1 - place)) - math.log(
                one.start / (1 - one.start)
            )
        elif one.wide is not None:
            starts[:, k] = one.wide[0] + part * (one.wide[1] - one.wide[0])
        elif one.turn == "linear" and one.unit == "1" and not one.initial:
            starts[:, k] = one.low + part * (one.high - one.low)
        else:
            reach = min(one.spread, _EXPONENTS) if one.unit == "1" else one.spread
            starts[:, k] = (2 * part - 1) * reach
    return np.asarray(np.clip(starts, space.low, space.high))
