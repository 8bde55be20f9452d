"""Fits the parameters of a compact model to what was measured of one device.

Explore: many starts around the given set. Screen: what changes nothing, or does what others do
already, stays as it is. Descend: the best starts side by side. Polish: scipy's least squares on the
best. Then the errors of the parameters, from the Jacobian at the solution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices import fit_screen
from cosim.devices.fit_data import Measured, PulseTrain, noise_floor
from cosim.devices.fit_search import (
    SOFT,
    OnProgress,
    OutOfTimeError,
    Residuals,
    cost,
    descend,
    explore,
    polish,
    walk_back,
)
from cosim.devices.fit_space import Space, Unknown, make_space

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NO_EFFECT = "changes nothing in these data"
DEPENDENT = "others do its work: the data cannot tell them apart"
KNOWN = "a temperature is known, not fitted; --free fits it"
NOT_ASKED = "not among --free"

_AT_BOUND = 1e-3  # of the box
_AS_GOOD = 1.02  # a cost no more than this times another is as good: less than noise does
_EXACT = 1e-3  # root mean square residual, a tenth of a percent: better needs no more parameters
_COUNTS = 3.0  # times the noise floor: from there on, decades mean something
_CLOSE = 0.02  # error, in natural logarithms, below which a fit is one whatever the data


@dataclass(frozen=True)
class FitOptions:
    """How long and how widely a fit looks.

    Attributes:
        starts: how many of the explored starts are followed; this, the next and the rounds are
            multiplied by the data's `effort`.
        draws: how many starts are explored.
        rounds: most rounds of the descent.
        evaluations: most steps of the polish.
        timeout_s: longest time [s].
        seed: of the starts.
        floor: the noise floor in the unit of the data; None reads it from the data.
        with_initial: fit the initial states too.
        tolerance: of the integration, as in `run_torch`.
    """

    starts: int = 8
    draws: int = 96
    rounds: int = 25
    evaluations: int = 60
    timeout_s: float = 600.0
    seed: int = 0
    floor: float | None = None
    with_initial: bool = True
    tolerance: float = 1e-5


@dataclass(frozen=True)
class FittedValue:
    """One fitted parameter or initial state, in its SI unit.

    Attributes:
        value: fitted.
        start: where the fit began.
        stderr: standard error; None where the data does not give one.
        low: least value that the fit could take.
        high: largest.
        at_bound: it is at one of them.
        unit: the unit.
        note: why there is no standard error.
    """

    value: float
    start: float
    stderr: float | None
    low: float
    high: float
    at_bound: bool
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Fit:
    """What a fit came to.

    Attributes:
        outcome: `ok`, `not_converged`, `no_fit` where a constant would do as well, or
            `no_convergence` where no candidate could be solved.
        reason: why it is not `ok`.
        values: the fitted parameters by name.
        initial: the fitted initial states by name.
        fixed: the parameters that were left as they are, and why.
        correlated: pairs of fitted names with a correlation beyond 0.99, and the correlation.
        answer: the fitted model's values [point], in the unit of the data.
        floor: the noise floor used.
        rms: root mean square error, in the unit of the data.
        rms_decades: the same of log10 of the magnitudes, where both are above 3 noise floors.
        max_error: largest error, in the unit of the data.
        evaluations: candidates evaluated.
        runs: runs that took.
        wall_s: time taken.
        space: the unknowns.
        u: the solution in their coordinates [unknown].
    """

    outcome: str
    reason: str
    values: dict[str, FittedValue]
    initial: dict[str, FittedValue]
    fixed: dict[str, str]
    correlated: tuple[tuple[str, str, float], ...]
    answer: Array
    floor: float
    rms: float
    rms_decades: float
    max_error: float
    evaluations: int
    runs: int
    wall_s: float
    space: Space = field(repr=False)
    u: Array = field(repr=False)


def _silent(_done: int, _total: int) -> None:
    """No progress is shown."""


def fit_device(
    model: CompactModel,
    start: ParameterSet,
    measured: Measured,
    free: Sequence[str] | None = None,
    options: FitOptions | None = None,
    on_progress: OnProgress = _silent,
) -> Fit:
    """Fits a model to measured data.

    Args:
        model: the device.
        start: the set that the fit starts from; what is not fitted keeps its values.
        measured: the data.
        free: names of the parameters to fit, all of them whatever the data says; None for those
            that the data says something about.
        options: limits; None for the defaults.
        on_progress: called with steps done and all.

    Raises:
        InputError: a name is no parameter, the model cannot answer such data, or the data is zero.
    """
    options = options or FitOptions()
    if isinstance(measured, PulseTrain) and model.pulse is None:
        raise InputError(
            "pulse data needs a pulse device", where=f"model {model.name!r}", value=model.kind
        )
    if model.kind == "read":
        raise InputError(
            "a device that is only read has nothing to fit", where=f"model {model.name!r}"
        )
    started = time.perf_counter()
    floor = options.floor or noise_floor(measured.values)
    wanted = free
    if wanted is None:
        wanted = [one.name for one in model.parameters if one.unit != "K"]
    space = make_space(model, start, wanted, with_initial=options.with_initial)
    fixed = {
        one.name: KNOWN if free is None else NOT_ASKED
        for one in model.parameters
        if one.name not in wanted
    }
    deadline = started + options.timeout_s
    residuals = Residuals(space, measured, floor, deadline, options.tolerance)
    active = np.ones(len(space.unknowns), dtype=bool)
    many = measured.effort
    outcome, reason = "ok", ""
    solution = residuals.best
    try:
        points = explore(residuals, options.starts * many, options.draws * many, options.seed)
        active, why = _screen(residuals, points, keep_all=free is not None)
        fixed |= why
        # What stays as it is must be at the start's value in every candidate.
        points = np.where(active, points, 0.0)
        points = descend(residuals, points, active, options.rounds * many, on_progress)
        solution, converged = polish(residuals, points[0], active, options.evaluations * many)
        if free is None:
            solution, active, why, settled = _settle(residuals, solution, active, options)
            fixed |= why
            converged |= settled  # what may have kept it from an end is out of the way
        if not converged:
            outcome = "not_converged"
            reason = f"no solution after {options.evaluations * many} steps"
    except OutOfTimeError:
        outcome, reason = "not_converged", f"no solution within {options.timeout_s:g} s"
        solution = np.where(active, residuals.best, 0.0)
    return _result(
        residuals, measured, solution, active, fixed, floor, outcome, reason, started,
        options.tolerance,
    )  # fmt: skip


def _screen(residuals: Residuals, points: Array, *, keep_all: bool) -> tuple[Mask, dict[str, str]]:
    """What is fitted, and why the rest is not."""
    space = residuals.space
    everything = np.ones(len(space.unknowns), dtype=bool)
    if keep_all:
        return everything, {}
    _, jacobians = residuals.with_jacobians(points, everything)
    nothing = fit_screen.insensitive(list(jacobians))
    # Two unknowns may look alike at one place by chance, as where the device hardly switches; those
    # that are alike by the equations are so everywhere.
    last = _bounds_of_states(space)
    masks = [fit_screen.dependent(j, last) for j in jacobians]
    ranks = [
        int((np.sqrt((j**2).mean(0)) >= fit_screen.INSENSITIVE).sum() - mask.sum())
        for j, mask in zip(jacobians, masks, strict=True)
    ]
    double = masks[int(np.argmax(ranks))] & ~nothing
    why = {}
    for k, name in enumerate(space.names):
        if nothing[k] or double[k]:
            why[name] = NO_EFFECT if nothing[k] else DEPENDENT
    return ~(nothing | double), why


def _settle(
    residuals: Residuals, solution: Array, active: Mask, options: FitOptions
) -> tuple[Array, Mask, dict[str, str], bool]:
    """The solution with what it does not determine back at the start, if that is as good.

    Returns it, what is still fitted, why the rest is not, and whether a new solution converged.
    """
    space = residuals.space
    off, jacobians = residuals.with_jacobians(solution[None], active)
    nothing = active & fit_screen.insensitive([jacobians[0]])
    double = fit_screen.dependent(jacobians[0], _bounds_of_states(space)) & active & ~nothing
    loose = nothing | double
    if not loose.any() or (loose == active).all():
        return solution, active, {}, False
    kept = active & ~loose
    back = walk_back(residuals, solution, kept, loose)
    starts = np.stack([back, np.where(loose, 0.0, solution)])
    again = descend(residuals, starts, kept, options.rounds, _silent)
    settled, converged = polish(residuals, again[0], kept, options.evaluations)
    allowed = _AS_GOOD * cost(off)[0] + off.size * _EXACT**2 / 2
    if cost(residuals.at(settled[None]))[0] > allowed:
        return solution, active, {}, False
    names = [(k, name) for k, name in enumerate(space.names) if loose[k]]
    why = {name: NO_EFFECT if nothing[k] else DEPENDENT for k, name in names}
    return settled, kept, why, converged


def _bounds_of_states(space: Space) -> Mask:
    """Unknowns that bound a state: lengths and the like, of which mostly a ratio counts."""
    symbols = {
        symbol.name
        for state in space.model.states
        for bound in (state.lower, state.upper)
        if bound is not None
        for symbol in bound.free_symbols
    }
    return np.array([one.name in symbols for one in space.unknowns])


def _result(
    residuals: Residuals,
    measured: Measured,
    u: Array,
    active: Mask,
    fixed: dict[str, str],
    floor: float,
    outcome: str,
    reason: str,
    started: float,
    tolerance: float,
) -> Fit:
    """The errors of the solution, from one more run."""
    space = residuals.space
    last = Residuals(space, measured, floor, math.inf, tolerance)
    off, jacobians = last.with_jacobians(u[None], active)
    answer = last.answers(u[None])[0]
    if not np.isfinite(answer).all():
        outcome, reason = "no_convergence", "no candidate could be solved"
    elif outcome == "ok" and _says_nothing(answer, measured.values, floor):
        outcome, reason = "no_fit", "the model follows the data no better than a constant would"
    low, high = space.low, space.high
    near = _AT_BOUND * (high - low)
    at_bound = active & ((u - low < near) | (high - u < near))
    soft = (1 + (off[0] / SOFT) ** 2) ** -0.25
    j = jacobians[0] * soft[:, None]
    nothing = active & fit_screen.insensitive([j])
    double = active & fit_screen.dependent(np.where(active, j, 0), _bounds_of_states(space))
    told = active & ~nothing & ~double & ~at_bound
    spread = np.full(len(u), np.nan)
    pairs: tuple[tuple[str, str, float], ...] = ()
    if told.any():
        found = fit_screen.covariance(j[:, told], off[0] * soft)
        spread[told] = np.sqrt(np.diag(found))
        names = [name for name, one in zip(space.names, told, strict=True) if one]
        pairs = fit_screen.correlated(found, names)
    values: dict[str, FittedValue] = {}
    initial: dict[str, FittedValue] = {}
    for k, one in enumerate(space.unknowns):
        if not active[k]:
            continue
        note = NO_EFFECT if nothing[k] else DEPENDENT if double[k] else ""
        fitted = _fitted(space, u, k, float(spread[k]), bool(at_bound[k]), note)
        (initial if one.initial else values)[one.name] = fitted
    error = answer - measured.values
    size, wanted = np.abs(answer), np.abs(measured.values)
    counts = (np.minimum(size, wanted) > _COUNTS * floor) & (answer * measured.values > 0)
    decades = np.log10(size[counts] / wanted[counts])
    return Fit(
        outcome=outcome,
        reason=reason,
        values=values,
        initial=initial,
        fixed=fixed,
        correlated=pairs,
        answer=answer,
        floor=floor,
        rms=float(np.sqrt((error**2).mean())),
        rms_decades=float(np.sqrt((decades**2).mean())) if counts.any() else math.nan,
        max_error=float(np.abs(error).max()),
        evaluations=residuals.evaluations + last.evaluations,
        runs=residuals.runs + last.runs,
        wall_s=time.perf_counter() - started,
        space=space,
        u=u,
    )


def _says_nothing(answer: Array, values: Array, floor: float) -> bool:
    """True where the middle of the data is as near to them as the model."""
    wanted, found = (np.arcsinh(x / (2 * floor)) for x in (values, answer))
    off = float(np.abs(found - wanted).mean())
    return off > _CLOSE and off >= float(np.abs(wanted - np.median(wanted)).mean())


def _fitted(
    space: Space, u: Array, k: int, spread: float, at_bound: bool, note: str
) -> FittedValue:
    """One unknown in its unit, an initial state as a state and not as a place."""
    one: Unknown = space.unknowns[k]
    ends = np.array([u[k], 0.0, space.low[k], space.high[k]])
    if one.initial:
        rows = np.repeat(u[None], len(ends), axis=0)
        rows[:, k] = ends
        rows[1] = 0.0
        number = [state.name for state in space.model.states].index(one.name)
        value, start, low, high = (float(x) for x in space.cells(rows)[1][number])
        start = space.start.initial[one.name]
        near = np.repeat(u[None], 2, axis=0)
        near[:, k] += (1e-4, -1e-4)
        up, down = (float(x) for x in space.cells(near)[1][number])
        slope = abs(up - down) / 2e-4
    else:
        value, start, low, high = (float(x) for x in one.value(ends))
        slope = abs(one.slope(float(u[k])))
    low, high = min(low, high), max(low, high)
    stderr = slope * spread if math.isfinite(spread) else None
    return FittedValue(value, start, stderr, low, high, at_bound, one.unit, note)
