"""Fits the parameters of a compact model to what was measured of one device.

Search: many starts, around the given set and over all that the data allow, on few points. Settle:
what changes nothing at the place found, or does what others do already, goes back to where it was.
Polish: scipy's least squares on all points. Then the errors of the parameters, from the Jacobian at
the solution.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.fitting.data import Measured, PulseTrain, Sweep
from cosim.fitting.global_search import search
from cosim.fitting.noise import noise_floor
from cosim.fitting.progress import OnProgress, Progress
from cosim.fitting.quality import scaled_noise
from cosim.fitting.ranges import data_ranges
from cosim.fitting.result import NOT_WITHIN, Fit, bounds_of_states, make_result
from cosim.fitting.search import OutOfTimeError, Residuals, polish
from cosim.fitting.settle import Settled, settle
from cosim.fitting.space import make_space

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

KNOWN = "a temperature is known, not fitted; --free fits it"
NOT_ASKED = "not among --free"

_FEW = 120  # points that the search looks at
_ROUGH = 1e-4  # tolerance of the integration there
_WIDE = 512  # starts over all that the data tell, to one that is followed


@dataclass(frozen=True)
class FitOptions:
    """How long and how widely a fit looks.

    Attributes:
        starts: how many of the explored starts are followed; this, the next and the rounds are
            multiplied by the data's `effort`.
        draws: how many starts are explored.
        rounds: most rounds of the descent.
        evaluations: most steps of the polish.
        timeout_s: longest wall time [s].
        seed: of the starts.
        floor: the noise floor in the unit of the data; None reads it from the data.
        noise: root mean square noise of the data scaled with the floor (`scaled_noise`); None reads
            it from the data.
        with_initial: fit the initial states too.
        tolerance: of the integration, as in `run_torch`.
    """

    starts: int = 8
    draws: int = 96
    rounds: int = 25
    evaluations: int = 120
    timeout_s: float = 600.0
    seed: int = 0
    floor: float | None = None
    noise: float | None = None
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
        model,
        start,
        wanted,
        with_initial=options.with_initial,
        highest_v=highest_v or math.inf,
        ranges=data_ranges(model, start, measured, floor),
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
    whole = Residuals(space, measured, floor, deadline, options.tolerance, on_run=progress.ran)
    few = _few(whole, measured, floor, deadline, options, progress.ran)
    outcome, reason = "ok", ""
    found = _Found(whole.best, np.ones(len(space.unknowns), dtype=bool))
    try:
        _solve(found, few, whole, options, measured.effort, settles=free is None, progress=progress)
        if not found.converged:
            outcome = "not_converged"
            reason = f"no solution after {options.evaluations * measured.effort} steps"
    except OutOfTimeError:
        outcome, reason = "not_converged", f"{NOT_WITHIN} {options.timeout_s:g} s of wall time"
        best = whole.best if np.isfinite(whole.best_cost) else few.best
        found.u = np.where(found.active, best, 0.0)
    fixed |= found.why
    if few is not whole:
        whole.evaluations += few.evaluations
        whole.runs += few.runs
    progress.enter("result")
    result = make_result(
        whole, measured, found.u, found.active, fixed, floor, outcome, reason, started,
        options.tolerance, asked=free is not None,
        noise=scaled_noise(measured.values, floor) if options.noise is None else options.noise,
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


@dataclass
class _Found:
    """How far a fit has come, in the coordinates of its space, [unknown] each."""

    u: Array
    active: Mask
    why: dict[str, str] = field(default_factory=dict)
    converged: bool = False


def _few(
    whole: Residuals,
    measured: Measured,
    floor: float,
    deadline: float,
    options: FitOptions,
    on_run: Callable[[], None],
) -> Residuals:
    """Residuals at the points that the search looks at; the same where these are all."""
    if not isinstance(measured, Sweep) or len(measured.values) <= _FEW:
        return whole
    rough = max(options.tolerance, _ROUGH)
    return Residuals(whole.space, measured.thinned(_FEW), floor, deadline, rough, on_run)


def _solve(
    found: _Found,
    few: Residuals,
    whole: Residuals,
    options: FitOptions,
    many: int,
    *,
    settles: bool,
    progress: Progress,
) -> None:
    """Search on few points, choice of what is fitted, solution on all points."""
    last = bounds_of_states(whole.space) & settles
    steps = options.evaluations * many
    u, active, converged = search(
        few,
        last,
        starts=options.starts * many,
        near=options.draws * many,
        wide=_WIDE * options.starts if isinstance(whole.measured, Sweep) else 0,
        rounds=options.rounds * many,
        evaluations=steps,
        seed=options.seed,
    )
    now = Settled(u, active, {}, converged)
    found.u, found.active = u, active
    if few is not whole:
        progress.enter("polish")
        u, converged = polish(whole, u, active, steps)
        now = replace(now, u=u, converged=converged)
    if settles:
        progress.enter("settle")
        now = settle(whole, now, last, steps)
    found.u, found.active, found.why = now.u, now.active, now.why
    found.converged = now.converged
