"""A device by independent routes, and how far apart they are.

The routes: torch, ngspice (B sources, compiled), and a reference written from the paper, integrated
by scipy with hard bounds. All see the same two periods of a triangle, which is straight between its
corners: no route has to approximate the stimulus.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from compact_models.model import CompactModel, ParameterSet
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import Ngspice
from tests.devices.references import Current, Numbers, Rates, all_references

Array = NDArray[np.float64]

POINTS_PER_QUARTER = 75
# A state that moves by more than this fraction of its range between neighbouring points switches
# abruptly: there the currents of two right answers may differ by any factor.
ABRUPT = 0.02
# Beside zero voltage, as a fraction of the amplitude, a relative error of the current says little.
LEAST_VOLTAGE = 0.03
_RELEASED = 1e-7  # of the range: so far inside, a state has left its bound


@dataclass(frozen=True)
class Run:
    """One route's answer.

    Attributes:
        time_s: [time].
        voltage_v: [time].
        current_a: [time].
        fractions: every state as a fraction of its range (of its logarithm where the model says
            so), by name [time]; states without bounds are left out.
    """

    time_s: Array
    voltage_v: Array
    current_a: Array
    fractions: dict[str, Array]


@dataclass(frozen=True)
class Difference:
    """Between two runs.

    Attributes:
        current: largest relative error of the current at the points that count.
        points: how many count.
        abrupt: how many do not because a state switches there.
        switching_v: largest difference of a voltage at which a state passes its middle [V].
        switchings: how many such voltages there are.
    """

    current: float
    points: int
    abrupt: int
    switching_v: float
    switchings: int


def triangle(
    parameter_set: ParameterSet, points_per_quarter: int = POINTS_PER_QUARTER
) -> tuple[Array, Array]:
    """Times and voltages of two periods, up first."""
    corners = np.array([0.0, 1.0, 0.0, -1.0, 0.0, 1.0, 0.0, -1.0, 0.0])
    place = np.linspace(0, 8, 8 * points_per_quarter + 1)
    volts = np.interp(place, np.arange(9.0), corners) * parameter_set.amplitude_v
    return place / 4 * parameter_set.period_s, volts


def reference_run(
    model: CompactModel, parameter_set: ParameterSet, time_s: Array, voltage_v: Array
) -> Run:
    """The paper's equations, integrated by scipy from corner to corner of the stimulus."""
    reference = _Reference(model, parameter_set)
    slopes = np.diff(voltage_v) / np.diff(time_s)
    bends = np.abs(np.diff(slopes)) > 1e-6 * np.abs(slopes).max()
    corners = [0, *(np.flatnonzero(bends) + 1).tolist(), len(time_s) - 1]
    columns = [reference.start[:, None]]
    x = reference.start
    for a, b in itertools.pairwise(corners):
        part = reference.follow(x, time_s[a : b + 1], voltage_v[a], voltage_v[b])
        columns.append(part[:, 1:])
        x = part[:, -1]
    states = np.concatenate(columns, 1)
    current = [
        reference.current(float(v), dict(zip(reference.names, map(float, column), strict=True)))
        for v, column in zip(voltage_v, states.T, strict=True)
    ]
    return _run(
        model,
        parameter_set,
        time_s,
        voltage_v,
        np.array(current),
        dict(zip(reference.names, states, strict=True)),
    )


def torch_run(
    model: CompactModel, parameter_set: ParameterSet, time_s: Array, voltage_v: Array
) -> Run:
    trace = run_torch(
        model,
        parameter_set.values,
        parameter_set.initial,
        torch.from_numpy(time_s),
        torch.from_numpy(voltage_v),
    )
    assert bool(trace.alive.all())
    states = {name: column.numpy() for name, column in trace.states.items()}
    return _run(model, parameter_set, time_s, voltage_v, trace.current_a.numpy(), states)


def spice_run(
    model: CompactModel,
    parameter_set: ParameterSet,
    time_s: Array,
    voltage_v: Array,
    ngspice: Ngspice,
    *,
    compiled: bool,
) -> Run:
    trace = run_ngspice(model, parameter_set, time_s, voltage_v, ngspice, compiled=compiled)
    assert trace.result.ok, f"{model.name} {parameter_set.name}: {trace.result.reason}"
    return _run(model, parameter_set, time_s, voltage_v, trace.current_a, trace.states)


def difference(run: Run, truth: Run) -> Difference:
    """How far `run` is from `truth`."""
    amplitude = np.abs(truth.voltage_v).max()
    counts = np.abs(truth.voltage_v) >= LEAST_VOLTAGE * amplitude
    quick = np.zeros(len(truth.time_s), dtype=bool)
    for one in (truth, run):
        for s in one.fractions.values():
            jumps = np.flatnonzero(np.abs(np.diff(s)) > ABRUPT)
            for shift in (-1, 0, 1, 2):  # both ends of the interval and a neighbour either side
                quick[np.clip(jumps + shift, 0, len(quick) - 1)] = True
    valid = counts & ~quick
    error = np.abs(run.current_a - truth.current_a)[valid] / np.abs(truth.current_a)[valid]
    apart = [0.0]
    for name, s in truth.fractions.items():
        if np.ptp(s) < 0.2:
            continue
        middle = 0.5 * (s.max() + s.min())
        a = _crossings(truth.voltage_v, s, middle)
        b = _crossings(truth.voltage_v, run.fractions[name], middle)
        apart += [math.inf] if len(a) != len(b) else np.abs(np.subtract(a, b)).tolist()
    return Difference(
        float(error.max()), int(valid.sum()), int((counts & quick).sum()), max(apart),
        len(apart) - 1,
    )  # fmt: skip


def switching_time_s(run: Run, name: str, middle: float = 0.5) -> float:
    """When a state first passes `middle`; infinite if it never does."""
    times = _crossings(run.time_s, run.fractions[name], middle)
    return times[0] if times else math.inf


def reference_switching_time_s(
    model: CompactModel, parameter_set: ParameterSet, voltage_v: float, name: str, longest_s: float
) -> float:
    """The same at a constant voltage by the reference; infinite if longer than `longest_s`."""
    reference = _Reference(model, parameter_set)
    # Decades of time, each in steps of its own.
    edges = longest_s * np.logspace(-12, 0, 25)
    x, start = reference.start, 0.0
    for end in edges:
        times = np.linspace(start, end, 101)
        part = reference.follow(x, times, voltage_v, voltage_v)
        states = dict(zip(reference.names, part, strict=True))
        s = fractions(model, parameter_set, states)[name]
        found = _crossings(times, s, 0.5)
        if found:
            return found[0]
        x, start = part[:, -1], float(end)
    return math.inf


def _crossings(places: Array, s: Array, middle: float) -> list[float]:
    """Where along `places` the curve passes `middle`, by straight lines between its points."""
    above = s > middle
    found = []
    for k in np.flatnonzero(above[1:] != above[:-1]):
        part = (middle - s[k]) / (s[k + 1] - s[k])
        found.append(float(places[k] + part * (places[k + 1] - places[k])))
    return found


class _Reference:
    """A reference with the numbers of a set, and its states between hard bounds."""

    def __init__(self, model: CompactModel, parameter_set: ParameterSet) -> None:
        known = all_references()
        assert model.name in known, f"no reference for {model.name} in tests/devices/references/"
        current, rates = known[model.name]
        self._current: Current = current
        self._rates: Rates = rates
        self._p: Numbers = dict(parameter_set.values)
        self.names = [state.name for state in model.states]
        self.start = np.array([parameter_set.initial[name] for name in self.names])
        bounds = model.bounds(parameter_set.values)
        self._low = np.array([-math.inf if bounds[n] is None else bounds[n][0] for n in self.names])
        self._high = np.array([math.inf if bounds[n] is None else bounds[n][1] for n in self.names])
        # A logarithmic state is small in most of its range.
        least = [
            lo if state.log else hi - lo if math.isfinite(hi) else float(abs(x) + 1e-3)
            for state, lo, hi, x in zip(
                model.states, self._low, self._high, self.start, strict=True
            )
        ]
        self._size = np.array(least)

    def current(self, v: float, x: Numbers) -> float:
        return self._current(v, x, self._p)

    def follow(self, x: Array, times: Array, v_start: float, v_end: float) -> Array:
        """The states [state, time] along a straight piece of the stimulus.

        A state that comes to a bound is held there, and let go when its rate leads inside.
        """
        slope = (v_end - v_start) / (times[-1] - times[0])
        held = np.where(x >= self._high - _RELEASED * self._size, 1, 0)
        held = np.where(x <= self._low + _RELEASED * self._size, -1, held)
        out = np.empty((len(x), len(times)))
        out[:, 0] = x
        filled, now, end = 1, float(times[0]), float(times[-1])

        def rates(t: float, y: Array) -> Array:
            v = v_start + slope * (t - times[0])
            free = self._rates(v, dict(zip(self.names, map(float, y), strict=True)), self._p)
            return np.array(
                [
                    min(free[n], 0.0) if h > 0 else max(free[n], 0.0) if h < 0 else free[n]
                    for n, h in zip(self.names, held, strict=True)
                ]
            )

        while True:
            events = [self._event(k, int(held[k])) for k in range(len(x))]
            found = solve_ivp(
                rates,
                (now, end),
                x,
                method="LSODA",
                rtol=1e-9,
                atol=1e-11 * self._size,
                max_step=(end - float(times[0])) / 50,
                dense_output=True,
                events=[e for pair in events for e in pair],
            )
            assert found.success, found.message
            reached = found.t[-1]
            stop = int(np.searchsorted(times, reached, side="right"))
            if stop > filled:
                out[:, filled:stop] = found.sol(times[filled:stop])
                filled = stop
            if found.status == 0:
                out[:, -1] = found.y[:, -1]
                break
            x, now = found.y[:, -1].copy(), float(reached)
            flat = [k for k, pair in enumerate(events) for _ in pair]
            k = flat[next(i for i, t in enumerate(found.t_events) if len(t))]
            if held[k]:
                held[k] = 0
            else:
                held[k] = 1 if abs(x[k] - self._high[k]) < abs(x[k] - self._low[k]) else -1
                x[k] = self._high[k] if held[k] > 0 else self._low[k]
        low, high = self._low[:, None], self._high[:, None]
        clipped: Array = np.clip(out, low, high)
        return clipped

    def _event(self, k: int, held: int) -> list[object]:
        """What ends the free motion, or the rest at a bound, of a state."""
        if not math.isfinite(self._high[k]):
            return []
        inside = _RELEASED * self._size[k]
        if held:
            place = self._high[k] - inside if held > 0 else self._low[k] + inside
            return [_passing(k, place, -held)]
        return [_passing(k, self._high[k], 1), _passing(k, self._low[k], -1)]


def _passing(k: int, place: float, direction: int) -> object:
    def event(_t: float, y: Array) -> float:
        return float(y[k] - place)

    event.terminal = True  # type: ignore[attr-defined]  # scipy asks for attributes
    event.direction = direction  # type: ignore[attr-defined]  # as above
    return event


def _run(
    model: CompactModel,
    parameter_set: ParameterSet,
    time_s: Array,
    voltage_v: Array,
    current_a: Array,
    states: dict[str, Array],
) -> Run:
    assert np.isfinite(current_a).all()
    return Run(time_s, voltage_v, current_a, fractions(model, parameter_set, states))


def fractions(
    model: CompactModel, parameter_set: ParameterSet, states: dict[str, Array]
) -> dict[str, Array]:
    result = {}
    for state in model.states:
        pair = model.bounds(parameter_set.values)[state.name]
        if pair is not None:
            low, high = pair
            x = states[state.name]
            result[state.name] = (
                np.log(np.maximum(x, 1e-300) / low) / math.log(high / low)
                if state.log
                else (x - low) / (high - low)
            )
    return result
