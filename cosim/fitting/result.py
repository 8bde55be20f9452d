"""What a fit came to: its values, how well the data determine them, and its outcome."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.fitting import screen
from cosim.fitting.data import Measured, Sweep
from cosim.fitting.partners import finite_steps, leaning
from cosim.fitting.quality import Quality, one_curve, quality
from cosim.fitting.search import SOFT, Residuals
from cosim.fitting.settle import DEPENDENT, NO_EFFECT
from cosim.fitting.space import Space, Unknown
from cosim.fitting.verdicts import as_good, by_bounds, loop_left

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NOT_WITHIN = "no solution within"
# Errors are slopes at a minimum: anywhere else they say nothing, and are off by many sigmas.
STOPPED = "no standard error: the fit was stopped before it converged"

_AT_BOUND = 1e-3  # of the box
_NOTHING_LEFT = 1e-3  # root mean square residual, a tenth of a percent: no fit needs to be nearer
_NOT_NOISE = 3.1  # standard deviations of a correlation of noise: one in a thousand
_COUNTS = 3.0  # times the noise floor: from there on, decades mean something


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
        by_bound: the bound of a state, and at how many points the state sits there, without which
            the data would not determine the value; empty where they would.
        given: names of what stays as it was, or at its bound, and could do this one's work; the
            value holds only if they are right.
        stderr_given: the standard error if they are; there is no `stderr` then.
    """

    value: float
    start: float
    stderr: float | None
    low: float
    high: float
    at_bound: bool
    unit: str
    note: str = ""
    by_bound: str = ""
    given: tuple[str, ...] = ()
    stderr_given: float | None = None


@dataclass(frozen=True)
class Fit:
    """What a fit came to.

    Attributes:
        outcome: `ok`, `not_converged`, `no_fit` where a constant, a resistor or one curve of the
            voltage would do as well (`verdicts`), `poor_fit` where it is many times as far off as
            the noise (`fit_quality`), `out_of_order` where values contradict their names, as an ON
            resistance above the OFF resistance does (`CompactModel.ordered`), or `no_convergence`
            where no candidate could be solved.
        reason: why it is not `ok`.
        values: the fitted parameters by name.
        initial: the fitted initial states by name.
        fixed: the parameters and initial states that were left as they are, and why.
        correlated: pairs of fitted names with a correlation beyond 0.99, and the correlation.
        answer: the fitted model's values [point], in the unit of the data.
        floor: the noise floor used.
        rms: root mean square error, in the unit of the data.
        rms_decades: the same of log10 of the magnitudes, where both are above 3 noise floors.
        max_error: largest error, in the unit of the data.
        follows_itself: correlation of each residual with the next; noise has none, a model that is
            off somewhere has.
        not_noise: it is larger than noise would make it once in a thousand times.
        evaluations: candidates evaluated.
        runs: runs that took.
        wall_s: time taken.
        space: the unknowns.
        u: the solution in their coordinates [unknown].
        quality: how far it is off, beside the noise.
        unfinished: what an `ok` fit had not come to an end of; mostly empty.
        looked: of every parameter and state that was left because it changes nothing, the range in
            which other starts lay.
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
    follows_itself: float
    not_noise: bool
    evaluations: int
    runs: int
    wall_s: float
    space: Space = field(repr=False)
    u: Array = field(repr=False)
    quality: Quality
    unfinished: str = ""
    looked: dict[str, tuple[float, float]] = field(default_factory=dict)


def make_result(
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
    *,
    asked: bool,
    noise: float,
) -> Fit:
    """The result of a fit: the errors of its solution, from two more runs.

    Args:
        residuals: of the fit, for what it counted.
        measured: the data.
        u: the solution [unknown].
        active: what was fitted [unknown].
        fixed: what was not, and why.
        floor: the noise floor.
        outcome: so far.
        reason: of it.
        started: when, by `time.perf_counter`.
        tolerance: of the integration.
        asked: the user said what to fit.
        noise: of the scaled data.
    """
    space = residuals.space
    last = Residuals(space, measured, floor, math.inf, tolerance, residuals.on_run)
    left = np.array([_by_data(fixed.get(name, "")) for name in space.names]) & ~active
    off, jacobians = last.with_jacobians(u[None], active | left)
    answer = last.answers(u[None])[0]
    if not np.isfinite(answer).all():
        outcome, reason = "no_convergence", "no candidate could be solved"
    worth = quality(off[0], noise)
    unfinished = ""
    if outcome == "not_converged" and worth.good and not reason.startswith(NOT_WITHIN):
        # As near as the noise lets it be, while its last steps moved along a valley.
        outcome, unfinished, reason = "ok", reason, ""
    if outcome == "not_converged" and not asked:
        # More time would not make a loop of them.
        single = one_curve(measured, off[0], floor, noise)
        if single:
            outcome, reason = "no_fit", single
    if outcome == "ok":
        simpler = as_good(measured, off[0], floor, int(active.sum()), resistor=not asked)
        if not simpler and not asked and isinstance(measured, Sweep):
            cell, initially, _ = space.cells(u[None])
            moved = np.ptp(measured.fractions(space.model, cell, initially, tolerance), axis=-1)
            simpler = loop_left(measured.voltage_v, off[0], float(np.max(moved, initial=0.0)))
            simpler = simpler or one_curve(measured, off[0], floor, noise)
        if simpler:
            outcome, reason = "no_fit", simpler
        elif worth.poor:
            outcome, reason = "poor_fit", worth.text()
        elif crossed := _crossed(space, u):
            outcome, reason = "out_of_order", crossed
    low, high = space.low, space.high
    near = _AT_BOUND * (high - low)
    at_bound = active & ((u - low < near) | (high - u < near))
    soft = (1 + (off[0] / SOFT) ** 2) ** -0.25
    j = jacobians[0] * soft[:, None]
    nothing = active & screen.insensitive([j])
    double = active & screen.dependent(np.where(active, j, 0), bounds_of_states(space))
    flat = (active | left) & screen.insensitive([j])
    steps = finite_steps(last, u, off[0], flat)
    j = np.where(steps.found, steps.column * soft[:, None], j)
    nothing &= ~steps.found
    told = active & ~nothing & ~double & ~at_bound
    spread = np.full(len(u), np.nan)
    pairs: tuple[tuple[str, str, float], ...] = ()
    if told.any():
        found = screen.covariance(j[:, told], off[0] * soft)
        spread[told] = np.sqrt(np.diag(found))
        names = [name for name, one in zip(space.names, told, strict=True) if one]
        pairs = screen.correlated(found, names)
    by_bound = [""] * len(u)
    if told.any() and np.isfinite(answer).all():
        cell, initially, _ = space.cells(u[None])
        fractions = measured.fractions(space.model, cell, initially, tolerance)
        leaning = by_bounds(space.model.states, fractions, j[:, told])
        for k, text in zip(np.flatnonzero(told).tolist(), leaning, strict=True):
            by_bound[k] = text
    given, fixed = _partners(space.names, j, told, (active | left) & ~told, fixed)
    partners = {
        one.name: fixed.pop(one.name)
        for k, one in enumerate(space.unknowns)
        if active[k] and one.name in fixed
    }
    values: dict[str, FittedValue] = {}
    initial: dict[str, FittedValue] = {}
    for k, one in enumerate(space.unknowns):
        if not active[k]:
            continue
        note = NO_EFFECT if nothing[k] else ""
        if double[k] or (at_bound[k] and not nothing[k]):
            note = partners.get(one.name, DEPENDENT if double[k] else "")
        step = float(steps.to[k])
        fitted = _fitted(space, u, k, float(spread[k]), bool(at_bound[k]), note, step)
        if outcome == "not_converged":
            fitted = replace(fitted, stderr=None, note=fitted.note or STOPPED)
        if fitted.stderr is not None:
            fitted = replace(fitted, by_bound=by_bound[k])
        if one.name in given and fitted.stderr is not None:
            fitted = replace(fitted, stderr=None, given=given[one.name], stderr_given=fitted.stderr)
        (initial if one.initial else values)[one.name] = fitted
    error = answer - measured.values
    following = _follows_itself(off[0] * soft)
    size, wanted = np.abs(answer), np.abs(measured.values)
    counts = (np.minimum(size, wanted) > _COUNTS * floor) & (answer * measured.values > 0)
    decades = np.log10(size[counts] / wanted[counts])
    return Fit(
        outcome=outcome,
        reason=reason,
        values=values,
        initial=initial,
        fixed=fixed,
        correlated=() if outcome == "not_converged" else pairs,
        answer=answer,
        floor=floor,
        rms=float(np.sqrt((error**2).mean())),
        rms_decades=float(np.sqrt((decades**2).mean())) if counts.any() else math.nan,
        max_error=float(np.abs(error).max()),
        follows_itself=following,
        not_noise=following > _NOT_NOISE / math.sqrt(max(1, len(error))),
        evaluations=residuals.evaluations + last.evaluations,
        runs=residuals.runs + last.runs,
        wall_s=time.perf_counter() - started,
        space=space,
        u=u,
        quality=worth,
        unfinished=unfinished,
        looked=_looked(space, fixed),
    )


def _crossed(space: Space, u: Array) -> str:
    """Which values contradict their names, as a reason; empty where none do."""
    cells, _, _ = space.cells(u[None])
    values = {name: float(torch.as_tensor(x).reshape(-1)[0]) for name, x in cells.items()}
    return "; ".join(
        f"{a.name} = {values[a.name]:.4g} {a.unit} is above {b.name} = {values[b.name]:.4g}"
        f" {b.unit}, against their names ({a.about}; {b.about})"
        for a, b in space.model.out_of_order(values)
    )


def _follows_itself(off: Array) -> float:
    """Correlation of each residual with the next; 0 where there is nothing to correlate."""
    one, following = off[:-1], off[1:]
    size = float(np.sqrt((one**2).sum() * (following**2).sum()))
    exact = float(np.sqrt((off**2).mean())) < _NOTHING_LEFT if off.size else True
    return 0.0 if exact or not size > 0 else float((one * following).sum() / size)


def bounds_of_states(space: Space) -> Mask:
    """Unknowns that bound a state: lengths and the like, of which mostly a ratio counts."""
    symbols = {
        symbol.name
        for state in space.model.states
        for bound in (state.lower, state.upper)
        if bound is not None
        for symbol in bound.free_symbols
    }
    return np.array([one.name in symbols for one in space.unknowns])


def _by_data(reason: str) -> bool:
    """Whether it is the data for which something was left as it is."""
    return reason.startswith((NO_EFFECT, DEPENDENT))


def _partners(
    names: tuple[str, ...], j: Array, told: Mask, others: Mask, fixed: dict[str, str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """What each value leans on, by name, and the reasons with the partners' names in them."""
    given: dict[str, tuple[str, ...]] = {}
    reasons = dict(fixed)
    if not told.any():
        return given, reasons
    for k in np.flatnonzero(others & (np.abs(j).max(0) > 0)).tolist():
        if np.sqrt((j[:, k] ** 2).mean()) < screen.INSENSITIVE:
            continue
        found = np.flatnonzero(told)[leaning(j[:, told], j[:, k])]
        if found.size:
            with_it = [names[one] for one in found]
            reasons[names[k]] = f"{DEPENDENT}: the data cannot tell these from {', '.join(with_it)}"
            given |= {one: (*given.get(one, ()), names[k]) for one in with_it}
    return given, reasons


def _looked(space: Space, fixed: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Between which values other starts lay, of what was left because it changes nothing."""
    found = {}
    for one in space.unknowns:
        if fixed.get(one.name) == NO_EFFECT and not one.initial:
            wide = one.wide or (0.0, 0.0)
            least = min(-one.spread + min(0.0, one.shift), wide[0])
            ends = np.clip([least, max(one.spread, wide[1])], one.low, one.high)
            low, high = sorted(float(x) for x in one.value(ends))
            found[one.name] = (low, high)
    return found


def _fitted(
    space: Space, u: Array, k: int, spread: float, at_bound: bool, note: str, step: float
) -> FittedValue:
    """One unknown in its unit, an initial state as a state and not as a place.

    Its error is `spread` times the slope, or times the whole way of a finite step, which leads to
    the coordinate `step`.
    """
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
        if math.isfinite(step):
            near[:, k] = (step, u[k])
        up, down = (float(x) for x in space.cells(near)[1][number])
        slope = abs(up - down) / (1.0 if math.isfinite(step) else 2e-4)
    else:
        value, start, low, high = (float(x) for x in one.value(ends))
        slope = abs(one.slope(float(u[k])))
        if math.isfinite(step):
            slope = float(abs(one.value(np.array([step]))[0] - value))
    low, high = min(low, high), max(low, high)
    stderr = slope * spread if math.isfinite(spread) else None
    return FittedValue(value, start, stderr, low, high, at_bound, one.unit, note)
