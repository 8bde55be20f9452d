"""What a fitted value leans on: unknowns that could do its work and are not in its standard error.

A parameter that stays as it was, sits at its bound, or does what others do has no place in the
covariance. Where the error of another would be several times as large with it, that error holds
only if the one left out is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.fitting import screen
from cosim.fitting.search import Residuals
from cosim.fitting.verdicts import LEANS, spread_of

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Steps of a coordinate on a plateau, where a small one changes nothing: of the logarithm of a
# parameter up to a factor of 20, of a state from a bound to its middle.
_LOG_STEPS = (0.5, 1.0, 2.0, 3.0)
_PLACE_STEPS = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0)
_SEEN = 3.0  # times the least effect that counts


@dataclass(frozen=True)
class Steps:
    """Effects of finite steps, for unknowns of which a small one changes nothing.

    Attributes:
        column: change of the residuals by the step [point, unknown]; 0 where none was found.
        to: the coordinate that the step leads to [unknown]; NaN where none was found.
    """

    column: Array
    to: Array

    @property
    def found(self) -> Mask:
        """Which unknowns have one."""
        return np.isfinite(self.to)


def finite_steps(residuals: Residuals, u: Array, off: Array, wanted: Mask) -> Steps:
    """The smallest steps that are seen in the data, one run for all.

    A conductance of 1e-10 S beside currents of 1e-6 A changes nothing if it doubles, and yet its
    growing to 1e-6 S may do the work of another unknown.

    Args:
        residuals: of the fit.
        u: the solution [unknown].
        off: its residuals [point].
        wanted: which unknowns to step [unknown].
    """
    space = residuals.space
    column, to = np.zeros((off.size, u.size)), np.full(u.size, np.nan)
    tried: list[tuple[int, float]] = []
    for k in np.flatnonzero(wanted).tolist():
        one = space.unknowns[k]
        sizes = _PLACE_STEPS if one.turn == "logit" else _LOG_STEPS
        if u[k]:  # the way back to the start may be longer
            sizes = (*sizes, *(abs(u[k]) * part for part in (0.25, 0.5, 0.75, 1.0)))
        places = {float(np.clip(u[k] + s * x, one.low, one.high)) for x in sizes for s in (1, -1)}
        tried += [(k, place) for place in sorted(places, key=lambda x: abs(x - u[k]))]
    if not tried:
        return Steps(column, to)
    cells = np.repeat(u[None], len(tried), axis=0)
    for row, (k, place) in enumerate(tried):
        cells[row, k] = place
    changes = residuals.at(cells) - off
    least = _SEEN * screen.INSENSITIVE
    for (k, place), change in zip(tried, changes, strict=True):
        if np.isnan(to[k]) and np.sqrt((change**2).mean()) >= least:
            column[:, k], to[k] = change, place
    return Steps(column, to)


def leaning(jacobian: Array, other: Array) -> Mask:
    """Unknowns whose error would be several times as large with another unknown, [unknown].

    Args:
        jacobian: of what has standard errors, softened [point, unknown].
        other: the column of the other unknown [point].
    """
    alone = spread_of(jacobian)
    beside = spread_of(np.column_stack([jacobian, other]))[:-1]
    return np.asarray(beside > LEANS * alone)
