"""Checks of the numbers of a run against what its deck promised.

Each function returns the sentence about the first thing that is wrong, or an empty string. They
look at values, never at exit codes: ngspice reports success for all that is caught here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.ngspice import log
from cosim.ngspice.deck import Deck
from cosim.ngspice.raw import RawPlot

# Sweep axes are set by the deck, not computed: a frequency of 10 GHz is no overflow.
_AXIS_KINDS = frozenset({"time", "frequency"})
_VALUES_AT_ONCE = 1 << 16  # half a megabyte of doubles stays in the cache


def plot_problem(deck: Deck, plots: Sequence[RawPlot]) -> str:
    """What is wrong with the plots of a run: none, too short, a signal missing, a bad value."""
    if not plots:
        return "no raw file was written: the deck has no analysis, or it was not run"
    for plot in plots:
        if plot.problem:
            return plot.problem
        if plot.points == 0:
            return f"the plot {plot.name!r} holds no points"
    first = plots[0]
    if deck.expected_points is not None and first.points != deck.expected_points:
        return (
            f"the plot {first.name!r} holds {first.points} points, expected {deck.expected_points}"
        )
    missing = [name for name in deck.expected_signals if not first.has(name)]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return f"the plot {first.name!r} holds no signal {missing[0]!r}{more}"
    for plot in plots:
        problem = value_problem(plot, deck.value_limit)
        if problem:
            return problem
    return ""


def value_problem(plot: RawPlot, limit: float) -> str:
    """The first value of a plot that is not a number or larger than `limit`, in words."""
    # One pass that keeps NaN decides the common case; only a bad plot pays for the search. A few
    # points at a time: the magnitudes of all would be as large as the plot.
    worst = np.zeros(len(plot.names))
    at_once = max(1, _VALUES_AT_ONCE // max(1, len(plot.names)))
    for first in range(0, plot.points, at_once):
        part = _magnitude(plot.data[first : first + at_once])
        np.maximum(worst, np.max(part, axis=0), out=worst)
    ceiling = np.full(len(plot.names), limit)
    if _has_axis(plot):
        ceiling[0] = np.inf
        worst[0] = np.max(_magnitude(plot.axis), initial=0.0)
    bad = np.flatnonzero(~np.isfinite(worst) | ~(worst <= ceiling))
    if bad.size == 0:
        return ""
    column = int(bad[0])
    values = _magnitude(plot.data[:, column])
    point = int(np.flatnonzero(~np.isfinite(values) | ~(values <= ceiling[column]))[0])
    what = f"beyond the limit of {limit:g}" if np.isfinite(values[point]) else "not finite"
    others = "1 other signal is" if bad.size == 2 else f"{bad.size - 1} other signals are"
    more = f"; {others} bad too" if bad.size > 1 else ""
    return f"{plot.names[column]} = {plot.data[point, column]:g} at point {point} is {what}{more}"


def missing_measures(expected: Sequence[str], measures: Mapping[str, float], log_text: str) -> str:
    """The first expected `.meas` that gave no number, with what the log says about it."""
    for name in expected:
        if name.lower() not in measures:
            said = log.measure_failure(log_text, name)
            return f"the measure {name!r} gave no number" + (f": {said}" if said else "")
    return ""


def measure_problem(measures: Mapping[str, float], limit: float) -> str:
    """The first measure that is not a number or larger than `limit`, in words."""
    for name, value in measures.items():
        if not np.isfinite(value) or abs(value) > limit:
            return f"the measure {name!r} = {value:g} is not finite or beyond {limit:g}"
    return ""


def _magnitude(data: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    with np.errstate(all="ignore"):
        magnitude: npt.NDArray[np.float64] = np.abs(data)
    return magnitude


def _has_axis(plot: RawPlot) -> bool:
    return bool(plot.names) and (plot.kinds[0] in _AXIS_KINDS or "-sweep" in plot.names[0])
