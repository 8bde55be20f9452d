"""Fits the parameters of a compact model to what was measured of one device.

Explore: many starts around the given set. Screen: what changes nothing, or does what others do
already, stays as it is. Descend: the best starts side by side. Polish: scipy's least squares on the
best. Then the errors of the parameters, from the Jacobian at the solution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices import fit_screen
from cosim.devices.fit_data import Measured, PulseTrain, Sweep, noise_floor
from cosim.devices.fit_progress import OnProgress, Progress
from cosim.devices.fit_result import DEPENDENT, NO_EFFECT, Fit, bounds_of_states, make_result
from cosim.devices.fit_search import (
    OutOfTimeError,
    Residuals,
    cost,
    descend,
    explore,
    polish,
    walk_back,
)
from cosim.devices.fit_space import make_space

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

KNOWN = "a temperature is known, not fitted; --free fits it"
NOT_ASKED = "not among --free"

_AS_GOOD = 1.02  # a cost no more than this times another is as good: less than noise does
_EXACT = 1e-3  # root mean square residual, a tenth of a percent: better needs no more parameters


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
        free: names of the parameters to fit, all of them whatever the data says, and of the states
            whose initial value is (none named is all, with `with_initial`); None for those that
            the data says something about.
        options: limits; None for the defaults.
        on_progress: called after every run with the runs done and, as far as can be guessed,
            those in all; at the end both are alike.

    Raises:
        InputError: a name is no parameter or state, the model cannot answer such data, or the data
            is zero.
    """
    options = options or FitOptions()
    _check_model(model, measured)
    started = time.perf_counter()
    floor = options.floor or noise_floor(measured.values)
    wanted = free
    if wanted is None:
        wanted = [one.name for one in model.parameters if one.unit != "K"]
    highest_v = float(np.abs(measured.voltage_v).max()) if isinstance(measured, Sweep) else math.inf
    space = make_space(
        model, start, wanted, with_initial=options.with_initial, highest_v=highest_v or math.inf
    )
    fixed = {
        one.name: KNOWN if free is None else NOT_ASKED
        for one in model.parameters
        if one.name not in wanted
    }
    if options.with_initial:
        fixed |= {state.name: NOT_ASKED for state in model.states if state.name not in space.names}
    deadline = started + options.timeout_s
    progress = Progress(on_progress, settles=free is None)
    residuals = Residuals(space, measured, floor, deadline, options.tolerance, on_run=progress.ran)
    active = np.ones(len(space.unknowns), dtype=bool)
    many = measured.effort
    outcome, reason = "ok", ""
    solution = residuals.best
    try:
        points = explore(residuals, options.starts * many, options.draws * many, options.seed)
        progress.enter("screen")
        active, why = _screen(residuals, points, keep_all=free is not None)
        fixed |= why
        # What stays as it is must be at the start's value in every candidate.
        points = np.where(active, points, 0.0)
        progress.enter("descend")
        points = descend(residuals, points, active, options.rounds * many)
        progress.enter("polish")
        solution, converged = polish(residuals, points[0], active, options.evaluations * many)
        if free is None:
            progress.enter("settle")
            solution, active, why, settled = _settle(residuals, solution, active, options)
            fixed |= why
            converged |= settled  # what may have kept it from an end is out of the way
        if not converged:
            outcome = "not_converged"
            reason = f"no solution after {options.evaluations * many} steps"
    except OutOfTimeError:
        outcome, reason = "not_converged", f"no solution within {options.timeout_s:g} s"
        solution = np.where(active, residuals.best, 0.0)
    progress.enter("result")
    result = make_result(
        residuals, measured, solution, active, fixed, floor, outcome, reason, started,
        options.tolerance, asked=free is not None,
    )  # fmt: skip
    progress.finish()
    return result


def _check_model(model: CompactModel, measured: Measured) -> None:
    """Refuses a model that cannot answer such data."""
    if isinstance(measured, PulseTrain) and model.pulse is None:
        raise InputError(
            "pulse data needs a pulse device",
            where=f"model {model.name!r}",
            value=model.kind,
            hint="take a model of kind pulse, which 'spiceloop device list' prints",
        )
    if model.kind == "read":
        raise InputError(
            "a device that is only read has nothing to fit",
            where=f"model {model.name!r}",
            hint="take a model of kind dynamic or pulse, which 'spiceloop device list' prints",
        )


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
    last = bounds_of_states(space)
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
    double = fit_screen.dependent(jacobians[0], bounds_of_states(space)) & active & ~nothing
    loose = nothing | double
    if not loose.any() or (loose == active).all():
        return solution, active, {}, False
    kept = active & ~loose
    back = walk_back(residuals, solution, kept, loose)
    starts = np.stack([back, np.where(loose, 0.0, solution)])
    again = descend(residuals, starts, kept, options.rounds)
    settled, converged = polish(residuals, again[0], kept, options.evaluations)
    # Three standard deviations of each that went back: the data do not contradict the start.
    spare = max(1, off.size - int(kept.sum()))
    as_good = max(_AS_GOOD, 1 + 9 * int(loose.sum()) / spare)
    allowed = as_good * cost(off)[0] + off.size * _EXACT**2 / 2
    if cost(residuals.at(settled[None]))[0] > allowed:
        return solution, active, {}, False
    names = [(k, name) for k, name in enumerate(space.names) if loose[k]]
    why = {name: NO_EFFECT if nothing[k] else DEPENDENT for k, name in names}
    return settled, kept, why, converged
