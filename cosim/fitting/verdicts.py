"""What a fit is worth: whether something simpler would do, and what its values rest on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from compact_models.symbols import State
from cosim.fitting.data import Measured, Sweep, scaled
from cosim.fitting.search import cost

Array = NDArray[np.float64]

_CHANCE = 1e-3  # of an F as large where the parameters follow noise: above, they say nothing
_EXACT = 1e-3  # root mean square residual that is as good as zero
_TRIED = 101  # values of a constant or a resistor
_NEAR = 1e-3  # of the range of a state: nearer to a bound it sits there
_BINS = 20  # of the voltage: where both branches of a loop are compared
_OFTEN = 0.05  # of the points
LEANS = 3.0  # times larger an error than the number of points alone would make it
_STILL = 0.02  # of the range of a state: one that moves by less does not switch
_STRONG = 0.7  # correlation of a residual with the next: no noise, and no slip at one place
_OPEN = 0.5  # of the residuals' size: branches that are farther apart are a loop
_LOST = 1e-6  # of a column's length: a combination with less effect is not determined


def as_good(measured: Measured, off: Array, floor: float, fitted: int, *, resistor: bool) -> str:
    """What follows the data as well as the model, as a reason; empty where the model is better.

    That is an F test of the softened squares that a fit makes small, with one residual per point.
    A fit with many parameters is nearer to noise than a constant is, always; here it must be nearer
    than such parameters come by chance.

    Args:
        measured: the data.
        off: the residuals of the model [point].
        floor: the noise floor.
        fitted: how many unknowns were fitted.
        resistor: ask of a resistor too, beside a constant: where one does as well, the data say
            nothing about switching.
    """
    target = scaled(measured.values, floor)
    levels = np.quantile(measured.values, np.linspace(0, 1, _TRIED))
    simple = {"a constant would": [np.full_like(target, level) for level in (0.0, *levels)]}
    if resistor and isinstance(measured, Sweep):
        through = measured.current_a * measured.voltage_v > 0
        if through.any():
            slopes = measured.current_a[through] / measured.voltage_v[through]
            slopes = np.quantile(slopes, np.linspace(0, 1, _TRIED))
            simple["a resistor would, which never switches"] = [
                slope * measured.voltage_v for slope in slopes
            ]
    points = len(target)
    spare = max(1, points - fitted)
    ours = 2 * float(cost(off)) + points * _EXACT**2
    for name, answers in simple.items():
        theirs = min(2 * float(cost(scaled(answer, floor) - target)) for answer in answers)
        ratio = (theirs - ours) / max(1, fitted - 1) / (ours / spare)
        chance = float(f_distribution.sf(max(ratio, 0.0), max(1, fitted - 1), spare))
        if chance > _CHANCE:
            return (
                f"the model follows the data no better than {name}: {fitted} fitted values come as"
                f" near to {points} points by chance (F test, p = {chance:.2g})"
            )
    return ""


def loop_left(voltage_v: Array, off: Array, moved: float) -> str:
    """Why a model that never switches is no fit to a loop, as a reason; empty where it may be one.

    Args:
        voltage_v: of the sweep [point].
        off: the residuals of the model [point].
        moved: how far its state went, as a part of its range.
    """
    size = float(np.sqrt((off**2).mean()))
    if moved > _STILL or size < _EXACT:
        return ""
    along = float(
        (off[:-1] * off[1:]).sum() / np.sqrt((off[:-1] ** 2).sum() * (off[1:] ** 2).sum())
    )
    rising = np.gradient(voltage_v) > 0
    edges = np.linspace(voltage_v.min(), voltage_v.max(), _BINS + 1)
    where = np.clip(np.digitize(voltage_v, edges) - 1, 0, _BINS - 1)
    apart = [
        float(off[rising & (where == k)].mean() - off[~rising & (where == k)].mean())
        for k in range(_BINS)
        if (rising & (where == k)).any() and (~rising & (where == k)).any()
    ]
    if along < _STRONG or not apart or float(np.sqrt(np.mean(np.square(apart)))) < _OPEN * size:
        return ""
    return (
        f"the data are a loop and the model's state stays within {100 * max(moved, 1e-3):.2g} % of"
        " its range: it never switches, at these thresholds and speeds"
    )


def by_bounds(states: Sequence[State], fractions: Array, jacobian: Array) -> list[str]:
    """For every unknown the bound without which the data would not determine it, or nothing.

    A state that sits at its bound makes the current simple there, and what it depends on seem well
    known. Of such a bound the points are left out: what the others leave much less certain, leans
    on it. Whether the real device stops there, the data do not say.

    Args:
        states: of the model.
        fractions: of their ranges [state, point].
        jacobian: of the residuals, softened, of full rank [point, unknown].
    """
    found = [""] * jacobian.shape[1]
    whole = spread_of(jacobian)
    points = len(jacobian)
    for state, s in zip(states, fractions, strict=True):
        if state.lower is None:
            continue
        for name, there in (("lower", s < _NEAR), ("upper", s > 1 - _NEAR)):
            count = int(there.sum())
            if count <= _OFTEN * points:
                continue
            fewer = np.sqrt(points / max(1, points - count))
            leans = spread_of(jacobian[~there]) > LEANS * fewer * whole
            text = f"{state.name} at its {name} bound at {count} of {points} points"
            for k in np.flatnonzero(leans).tolist():
                found[k] = f"{found[k]}, {text}" if found[k] else text
    return found


def spread_of(jacobian: Array) -> Array:
    """Standard errors for residuals of one, large where nothing is determined, [unknown]."""
    if not len(jacobian):
        return np.full(jacobian.shape[1], np.inf)
    length = np.linalg.norm(jacobian, axis=0)
    size = np.where(length > 0, length, 1.0)
    unit = jacobian / size
    squares, turned = np.linalg.eigh(unit.T @ unit)
    spread = np.linalg.norm(turned / np.sqrt(np.maximum(squares, _LOST**2)), axis=1) / size
    return np.asarray(np.where(length > 0, spread, np.inf))
