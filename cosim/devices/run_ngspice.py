"""A single device under a stimulus in ngspice, as B sources or as a compiled model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.ngspice import state_node, subcircuit
from compact_models.emit.torch_model import torch_model
from compact_models.emit.verilog_a import state_signal
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.form import DeviceForm, device_form
from cosim.devices.lead import Start, at_start, lead_s
from cosim.devices.short_segments import with_short_refined
from cosim.ngspice import Deck, Ngspice, Outcome, SimulationResult, run_deck, timeout_for
from cosim.ngspice.bench import LOAD_OSDI, OSDI_FILE

Array = NDArray[np.float64]

# Gear damps the ringing that the trapezoidal rule has on stiff states. A step may be wrong by
# reltol*trtol of a state, a charge of at most 1 C: a pulse much shorter than the longest step is
# some fifty steps whose errors add up. Below chgtol it need not be resolved, so a state may start
# at 0. A compiled model counts from where its state starts, not from the bound, which is stricter.
_BASE = (
    ".option klu method=gear reltol=1e-5 abstol=1e-15 vntol=1e-9 chgtol=1e-8 itl4=100 gmin=1e-15"
)
OPTIONS = f"{_BASE} trtol=0.01"
OPTIONS_COMPILED = f"{_BASE} trtol=0.03"
_OPTIONS_LOOSE = f"{_BASE} trtol=1"
# Longest time steps as fractions of the run, tried in turn, and whether errors in a step are held
# to what is asked for above: ngspice gives up where a step would be below 1e-11 of the longest, and
# switching can be faster than that. After every point of the stimulus it takes a step of first
# order; the first of these keeps the errors of those below 1e-4.
# Last the number of parts of a short pulse: B sources can fail at one step and not at another.
_TRIES = (
    (20_000, True, 24),
    (20_000, True, 8),
    (100_000, True, 24),
    (100_000, True, 8),
    (100_000, False, 24),
    (1_000_000, False, 8),
)
_SHORT_STEPS = 50  # longest steps: a shorter pulse gets parts
# ngspice with `uic` writes zeros at its first point, and finds the current of a filament model only
# from a neighbouring voltage. The run starts a little before the stimulus does, rests at zero, and
# comes to the first voltage from there in so many steps, or as many as are no shorter than a part
# of the run: it gives up on steps much shorter than that.
_LEAD_POINTS = 200
_LEAST_LEAD_STEP = 5e-14
# Of the run, the shortest that the lead can be: ngspice does not tell apart what is closer than
# 1e-10 longest steps, a part in 200 of this.
_LEAST_LEAD = 1e-12
_LEAST_TIMEOUT_S = 1e-3  # what is left when the time is up: the next try ends as a timeout
# A state may overshoot a bound by a simulator's error, not by more of its range than this.
_OUTSIDE = 1e-3


@dataclass(frozen=True)
class NgspiceTrace:
    """What a run leaves.

    Attributes:
        time_s: the times of the stimulus [time].
        voltage_v: the stimulus [time].
        current_a: the current at those times [time].
        states: every state at those times, in its unit, by name [time].
        result: the run itself; the arrays are NaN if it did not end well.
        form: in which the device was simulated.
    """

    time_s: Array
    voltage_v: Array
    current_a: Array
    states: dict[str, Array]
    result: SimulationResult
    form: DeviceForm


def device_deck(
    model: CompactModel,
    parameter_set: ParameterSet,
    time_s: Array,
    voltage_v: Array,
    *,
    form: DeviceForm,
    steps: int = _TRIES[0][0],
    strict: bool = True,
    parts: int = _TRIES[0][2],
) -> Deck:
    """The deck of one device between a source and ground.

    Args:
        model: the device.
        parameter_set: its parameters and initial states.
        time_s: times of the stimulus, rising, [time].
        voltage_v: its voltages, straight between the times [time].
        form: compiled, as `model.osdi` beside the deck, or B sources.
        steps: the longest time step is the duration over this.
        strict: hold errors in a step far below reltol.
        parts: of a pulse that is short beside the longest step.
    """
    times = _shifted(time_s, _start(model, parameter_set, voltage_v))
    lead = float(times[0])
    duration = float(times[-1])
    ramp_steps = min(_LEAD_POINTS, max(2, round(0.5 * lead / (_LEAST_LEAD_STEP * duration))))
    ramp = np.linspace(0.0, 1.0, ramp_steps)[:-1]
    start = zip((lead * (0.5 + 0.5 * ramp)).tolist(), (ramp * voltage_v[0]).tolist(), strict=True)
    finer = with_short_refined(times, voltage_v, _SHORT_STEPS * duration / steps, parts)
    volts = np.interp(finer, times, voltage_v)
    points = [(0.0, 0.0), *start, *zip(finer.tolist(), volts.tolist(), strict=True)]
    pairs = "\n".join(f"+ {t!r} {v!r}" for t, v in points)
    name = f"device_{model.name}"
    files: dict[str, str | bytes] = {}
    if form.library is not None:
        files[OSDI_FILE] = form.library
        block = f".model card {name}\n{LOAD_OSDI}"
        instance = "ndut p 0 card"
        states = [state_signal("ndut", x) for x in model.states]
    else:
        block = subcircuit(model, parameter_set, name)
        instance = f"xdut p 0 {name}"
        states = [f"v(xdut.{state_node(x)})" for x in model.states]
    options = (OPTIONS_COMPILED if form.compiled else OPTIONS) if strict else _OPTIONS_LOOSE
    saved = ["v(p)", "i(vdut)", *states]
    text = (
        f"* {model.name}, parameter set {parameter_set.name}\n{block}"
        f"vdut p 0 pwl(\n{pairs}\n+ )\n{instance}\n{options}\n.save {' '.join(saved)}\n"
        f".tran {duration / steps!r} {duration!r} 0 {duration / steps!r} uic\n.end\n"
    )
    return Deck(
        text=text,
        name=name,
        expected_signals=tuple(saved),
        files=files,
    )


def run_ngspice(
    model: CompactModel,
    parameter_set: ParameterSet,
    time_s: Array,
    voltage_v: Array,
    ngspice: Ngspice,
    *,
    compiled: bool | None = None,
    timeout_s: float | None = None,
    tell: Callable[[str], None] | None = None,
) -> NgspiceTrace:
    """Runs a device along a stimulus that is straight between its points.

    Where ngspice does not converge it is tried again with other steps, six times in all.

    Args:
        model: the device.
        parameter_set: its parameters and initial states.
        time_s: times, rising, at least two, [time].
        voltage_v: voltages at those times [time].
        ngspice: from `find_ngspice`.
        compiled: use the compiled model; None does so where that is possible.
        timeout_s: for all tries together [s]; None gives each what its points should need.
        tell: called with a line where the device could not be compiled, and before every try
            but the first.

    Returns:
        Current and states at the times of the stimulus, or NaN with the outcome in `result`.

    Raises:
        InputError: the timeout is not positive, or `compiled` is True and that is not possible.
    """
    if timeout_s is not None and not timeout_s > 0:
        raise InputError("no time to run in", where="timeout_s", value=timeout_s, allowed="> 0")
    ends_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
    form = device_form(model, parameter_set, ngspice, compiled=compiled)
    if form.why_not and tell is not None:
        tell(
            f"  not compiled, {form.why_not}: running as B sources, up to ten times slower"
            " ('spiceloop check' says what helps)"
        )
    for turn, (steps, strict, parts) in enumerate(_TRIES):
        if turn and tell is not None:
            tell(
                f"ngspice did not converge; try {turn + 1} of {len(_TRIES)}, steps of at most "
                f"1/{steps} of the run"
            )
        deck = device_deck(
            model,
            parameter_set,
            time_s,
            voltage_v,
            form=form,
            steps=steps,
            strict=strict,
            parts=parts,
        )
        allowed_s = timeout_for(20, 3 * (len(time_s) + steps), ngspice)
        if timeout_s is not None:
            allowed_s = max(ends_s - time.monotonic(), _LEAST_TIMEOUT_S)
        result = run_deck(deck, ngspice, timeout_s=allowed_s)
        if result.outcome is not Outcome.NO_CONVERGENCE:
            break
    if timeout_s is not None and result.outcome is Outcome.TIMEOUT:
        reason = f"it did not finish within {timeout_s:g} s, in try {turn + 1} of {len(_TRIES)}"
        result = replace(result, reason=reason)
    return _trace(model, parameter_set, time_s, voltage_v, result, form)


def _trace(
    model: CompactModel,
    parameter_set: ParameterSet,
    time_s: Array,
    voltage_v: Array,
    result: SimulationResult,
    form: DeviceForm,
) -> NgspiceTrace:
    if not result.ok:
        lost = np.full(time_s.shape, np.nan)
        states = {x.name: lost for x in model.states}
        return NgspiceTrace(time_s, voltage_v, lost, states, result, form)
    plot = result.plot
    begun = _start(model, parameter_set, voltage_v)
    times = _shifted(time_s, begun)

    def at_times(signal: str) -> Array:
        found: Array = np.interp(times, plot.signal("time"), plot.signal(signal))
        return found

    fractions = []
    for x, first in zip(model.states, begun.fractions, strict=True):
        if form.compiled:
            fractions.append(at_times(state_signal("ndut", x)) + float(first))
        else:
            fractions.append(at_times(f"v(xdut.{state_node(x)})"))
    current_a = -at_times("i(vdut)")
    problem = _not_a_solution(model, fractions, current_a)
    if problem:
        failed = replace(result, outcome=Outcome.INVALID, reason=problem)
        return _trace(model, parameter_set, time_s, voltage_v, failed, form)
    functions = torch_model(model)
    p = functions.parameters(dict(parameter_set.values))
    physical = functions.states([torch.from_numpy(s) for s in fractions], p)
    states = {x.name: column.numpy() for x, column in zip(model.states, physical, strict=True)}
    # The first row is what was asked for, not where the lead has brought it.
    current_a[0] = float(begun.current_a)
    for name, column in states.items():
        column[0] = parameter_set.initial[name]
    return NgspiceTrace(
        time_s,
        voltage_v,
        current_a,
        states,
        result,
        form,
    )


def _start(model: CompactModel, parameter_set: ParameterSet, voltage_v: Array) -> Start:
    """What the device does at the first voltage."""
    return at_start(
        model, parameter_set.values, parameter_set.initial, torch.tensor(float(voltage_v[0]))
    )


def _shifted(time_s: Array, begun: Start) -> Array:
    """The times of the stimulus in the simulation."""
    begins_s = time_s - time_s[0]
    return np.asarray(begins_s + lead_s(time_s, begun, _LEAST_LEAD * float(begins_s[-1])))


def _not_a_solution(model: CompactModel, fractions: list[Array], current_a: Array) -> str:
    """Why numbers that ngspice calls a solution are none; empty where they may be one."""
    if not np.isfinite(current_a).all():
        return "the current is not finite"
    for x, s in zip(model.states, fractions, strict=True):
        if not np.isfinite(s).all():
            return f"state {x.name!r} is not finite"
        if x.lower is not None and (s.min() < -_OUTSIDE or s.max() > 1 + _OUTSIDE):
            far = max(-float(s.min()), float(s.max()) - 1)
            end = "lower" if far == -float(s.min()) else "upper"
            return f"state {x.name!r} left its bounds, {far:.4g} of its range beyond the {end} one"
    return ""
