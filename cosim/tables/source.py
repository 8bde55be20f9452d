"""Who measures what a pulse does: torch, or ngspice with a column of cells side by side."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.form import DeviceForm
from cosim.devices.polarity import place_states
from cosim.devices.run_torch import run_torch
from cosim.devices.switching_time import switching_state
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import run_spice
from cosim.ngspice import Ngspice, Outcome
from cosim.tables.heat import missed_heat
from cosim.tables.kept_points import KeptPoints, Measure, Measured, measurement
from netlists.pulse import Pulse
from netlists.wires import Wires

Array = NDArray[np.float64]

_LOOKS = 16  # at the current on the level, for its energy; more follow where it changes much
_LOOKS_INTERNAL = 64  # of devices with an internal quantity, whose branch only a whole run knows
_TOLERANCE = 1e-7  # of torch
# Cells in torch at once: a step costs hardly more for 8,000 than for 1,000. A quarter of the whole
# at most, so that it can be said how far it is.
_FEW_AT_ONCE, _AT_ONCE = 1000, 8000
_CELLS = 128  # of a deck
_STEPS = 400  # of ngspice's through a pulse at least: states right to some 1e-4 of their change


def in_torch(
    model: CompactModel,
    parameter_set: ParameterSet,
    pulse: Pulse,
    *,
    looks: int | None = None,
    tolerance: float = _TOLERANCE,
    report: Callable[[int, int], None] | None = None,
    kept: KeptPoints | None = None,
) -> Measure:
    """Pulses of one timing, integrated in torch.

    Args:
        model: the device.
        parameter_set: its numbers.
        pulse: whose timing is used.
        looks: at the current on the level, for its energy; None is enough for 1 %; with 0 energies
            are rough.
        tolerance: of the integration, see `run_torch`.
        report: called with points done and points in all.
        kept: what need not be measured again, and gets what is.
    """
    corners = pulse.corner_times_s()
    if looks is None:
        looks = _LOOKS_INTERNAL if model.internals else _LOOKS
    parts = (max(looks // 8, 1), max(looks, 1), max(looks // 8, 1))
    straight = zip(pairwise(corners), parts, strict=True)
    sides = [np.linspace(a, b, n, endpoint=False) for (a, b), n in straight]
    times = np.concatenate([*sides, [corners[-1]]])
    shape = np.interp(times, corners, (0.0, 1.0, 1.0, 0.0))
    functions, place = torch_model(model), switching_state(model)
    p = functions.parameters(dict(parameter_set.values))

    def further(
        start: dict[str, Array], volts: Array, along_s: Array
    ) -> tuple[dict[str, Array], Array]:
        with torch.no_grad():
            found = run_torch(
                model,
                parameter_set.values,
                {name: torch.from_numpy(column) for name, column in start.items()},
                along_s.tolist(),
                torch.from_numpy(volts),
                tolerance=tolerance,
            )
        return {k: column.numpy() for k, column in found.states.items()}, found.current_a.numpy()

    def piece(x: Array, voltage_v: Array) -> Measured:
        states = place_states(functions, parameter_set, place, torch.from_numpy(x))
        volts = voltage_v[:, None] * shape
        with torch.no_grad():
            trace = run_torch(
                model,
                parameter_set.values,
                {one.name: s for one, s in zip(model.states, states, strict=True)},
                times.tolist(),
                torch.from_numpy(volts),
                tolerance=tolerance,
            )
            last = [trace.states[one.name][:, -1] for one in model.states]
            after = functions.fractions(last, p)[place]
        current_a = trace.current_a.numpy()
        energy = np.trapezoid(volts * current_a, times, axis=1)
        lost = ~trace.alive.numpy()
        if looks and not model.internals:
            rough, ends = energy.copy(), np.cumsum((0, *parts))
            for first, last in pairwise(ends.tolist()):
                on = slice(first, last + 1)
                looked = {name: column.numpy()[:, on] for name, column in trace.states.items()}
                span_s = float(times[last] - times[first]) / (last - first)
                energy += missed_heat(
                    further, looked, volts[:, on], current_a[:, on], span_s, rough
                )
        return Measured(
            np.where(lost, np.nan, np.clip(after.numpy(), 0, 1)),
            np.where(lost, np.nan, energy),
            "torch",
            Outcome.NO_CONVERGENCE if lost.any() else Outcome.OK,
        )

    one: Measure = piece
    if kept is not None:
        engine = f"torch {torch.__version__}, {looks} looks, tolerance {tolerance!r}"
        one = kept.through(piece, measurement(model, parameter_set, pulse, engine))

    def measure(x: Array, voltage_v: Array) -> Measured:
        found: list[Measured] = []
        at_once = min(max(len(x) // 4, _FEW_AT_ONCE), _AT_ONCE)
        for k in range(0, len(x), at_once):
            found.append(one(x[k : k + at_once], voltage_v[k : k + at_once]))
            if report is not None:
                report(min(k + at_once, len(x)), len(x))
        if not found:
            return piece(x, voltage_v)
        whole = _together(found)
        lost = int(np.isnan(whole.after).sum())
        reason = f"{lost} of {len(x)} devices could not be solved" if lost else ""
        return replace(whole, reason=reason)

    return measure


def in_ngspice(
    model: CompactModel,
    parameter_set: ParameterSet,
    pulse: Pulse,
    ngspice: Ngspice,
    *,
    form: DeviceForm,
    decks: int = 1,
    report: Callable[[int, int], None] | None = None,
    kept: KeptPoints | None = None,
) -> Measure:
    """Pulses of one timing in ngspice, a device on each word line of a column without wires.

    A deck that fails is halved until what fails is a single device, or few enough.

    Args:
        model: the device.
        parameter_set: its numbers.
        pulse: whose timing is used.
        ngspice: from `find_ngspice`.
        form: in which it gets the device, from `device_form`.
        decks: at a time.
        report: called with points done and points in all.
        kept: what need not be measured again, and gets what is.
    """
    functions, place = torch_model(model), switching_state(model)
    p = functions.parameters(dict(parameter_set.values))
    times = np.array(pulse.corner_times_s())
    shape = np.array([0.0, 1.0, 1.0, 0.0])

    def deck(x: Array, voltage_v: Array) -> Measured:
        states = place_states(functions, parameter_set, place, torch.from_numpy(x))
        array = PulsedArray(
            model,
            parameter_set,
            (len(x), 1),
            Wires(r_wordline_ohm=0, r_bitline_ohm=0),
            times,
            word_v=voltage_v[:, None] * shape,
            bit_v=np.zeros((1, len(times))),
            initial={o.name: s.numpy()[:, None] for o, s in zip(model.states, states, strict=True)},
        )
        run = run_spice(array, ngspice, compiled=form.compiled, steps=_STEPS)
        simulation = run.simulation
        if simulation is None:
            raise AssertionError("ngspice leaves its run")
        engine = f"{simulation.engine}, {form.label}"
        if not run.ok:
            if len(x) > 8:
                half = len(x) // 2
                parts = [deck(x[:half], voltage_v[:half]), deck(x[half:], voltage_v[half:])]
                return _together(parts)
            lost = np.full(len(x), np.nan)
            return Measured(lost, lost, engine, run.outcome, run.reason)
        last = [torch.from_numpy(run.states[one.name][:, 0]) for one in model.states]
        after = functions.fractions(last, p)[place].numpy()
        plot = simulation.plot
        axis = plot.axis
        # The run begins a little before the pulse, at its first voltage, which is none.
        level = np.interp(axis - (axis[-1] - times[-1]), times, shape)
        energy = [
            -v * np.trapezoid(level * plot.signal(f"i(vwl_{k})"), axis)
            for k, v in enumerate(voltage_v.tolist())
        ]
        return Measured(np.clip(after, 0, 1), np.array(energy), engine)

    piece: Measure = deck
    if kept is not None:
        engine = f"ngspice {ngspice.version}, {form.label}"
        piece = kept.through(deck, measurement(model, parameter_set, pulse, engine))

    def measure(x: Array, voltage_v: Array) -> Measured:
        # Alike voltages side by side: where nothing happens the steps of time are long.
        order = np.argsort(voltage_v, kind="stable")
        pieces = [order[k : k + _CELLS] for k in range(0, len(order), _CELLS)]
        found: list[Measured] = []
        with ThreadPoolExecutor(decks) as pool:
            for one in pool.map(lambda some: piece(x[some], voltage_v[some]), pieces):
                found.append(one)
                if report is not None:
                    report(sum(len(part.after) for part in found), len(x))
        whole = _together(found)
        back = np.argsort(np.concatenate(pieces))
        return Measured(
            whole.after[back], whole.energy_j[back], whole.engine, whole.outcome, whole.reason
        )

    return measure


def _together(parts: list[Measured]) -> Measured:
    bad = next((one for one in parts if one.outcome is not Outcome.OK), parts[0])
    good = next((one for one in parts if one.outcome is Outcome.OK), parts[0])
    return Measured(
        np.concatenate([one.after for one in parts]),
        np.concatenate([one.energy_j for one in parts]),
        good.engine,
        bad.outcome,
        bad.reason,
    )
