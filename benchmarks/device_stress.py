"""Every dynamic model and parameter set under stimuli that break simulators."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.library import all_models
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.form import can_compile
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import Ngspice, find_ngspice

TITLE = "Devices under stress"
TEXT = """
For every dynamic model and parameter set 26 stimuli: one period of a triangle at 1 Hz to 100 MHz,
1 s at a constant voltage and pulses of 1 ns of both polarities, each at the set's amplitude and at
three times it. `ok` counts the runs that end well with no NaN and with every state within 1e-3
of its range. `outside` is the farthest that a state goes beyond its range, as a fraction of it, and
`to torch` the largest difference of a final state to torch, of its range.
"""

_SLACK = 1e-3
_POINTS_PER_QUARTER = 10


@dataclass(frozen=True)
class Stimulus:
    """A voltage over time, straight between its points.

    Attributes:
        name: what it is.
        time_s: [time].
        voltage_v: [time].
    """

    name: str
    time_s: NDArray[np.float64]
    voltage_v: NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """How a run went.

    Attributes:
        ok: it ended well, without NaN, with every state in its range.
        outside: the farthest that a state went beyond its range, as a fraction of it.
        final: the last value of every bounded state, as a fraction of its range.
        said: the simulator's words where it did not end well.
    """

    ok: bool
    outside: float
    final: tuple[float, ...]
    said: str = ""


def stimuli(amplitude_v: float) -> Iterator[Stimulus]:
    """The whole list."""
    place = np.linspace(0, 4, 4 * _POINTS_PER_QUARTER + 1)
    shape = np.interp(place, np.arange(5.0), [0.0, 1.0, 0.0, -1.0, 0.0])
    for factor in (1.0, 3.0):
        high = factor * amplitude_v
        for decade in range(9):
            period_s = 10.0**-decade
            yield Stimulus(f"{factor:g}x 1e{decade} Hz", place / 4 * period_s, high * shape)
        for sign in (1.0, -1.0):
            volts = sign * high
            yield Stimulus(f"{sign * factor:+g}x DC", np.array([0.0, 1.0]), np.full(2, volts))
            yield Stimulus(
                f"{sign * factor:+g}x 1 ns",
                np.array([0.0, 1e-10, 1.1e-9, 1.2e-9, 5e-9]),
                np.array([0.0, volts, volts, 0.0, 0.0]),
            )


def judge(
    model: CompactModel, one: ParameterSet, current_a: NDArray[np.float64],
    states: dict[str, NDArray[np.float64]], said: str,
) -> Verdict:  # fmt: skip
    """The verdict on a run's current and states."""
    outside, final = 0.0, []
    finite = bool(np.isfinite(current_a).all())
    for state in model.states:
        x = states[state.name]
        finite = finite and bool(np.isfinite(x).all())
        pair = model.bounds(one.values)[state.name]
        if pair is None or not finite:
            continue
        low, high = pair
        s = np.log(x / low) / math.log(high / low) if state.log else (x - low) / (high - low)
        outside = max(outside, float(-s.min()), float(s.max() - 1))
        final.append(float(s[-1]))
    return Verdict(finite and outside <= _SLACK and not said, outside, tuple(final), said)


def in_torch(model: CompactModel, one: ParameterSet, stimulus: Stimulus) -> Verdict:
    """A stimulus in torch."""
    trace = run_torch(
        model,
        one.values,
        one.initial,
        torch.from_numpy(stimulus.time_s),
        torch.from_numpy(stimulus.voltage_v),
    )
    states = {name: column.numpy() for name, column in trace.states.items()}
    return judge(model, one, trace.current_a.numpy(), states, "")


def in_ngspice(
    model: CompactModel, one: ParameterSet, stimulus: Stimulus, ngspice: Ngspice, *, compiled: bool
) -> Verdict:
    """A stimulus in ngspice."""
    trace = run_ngspice(model, one, stimulus.time_s, stimulus.voltage_v, ngspice, compiled=compiled)
    said = "" if trace.result.ok else f"{trace.result.outcome}: {trace.result.reason}"
    return judge(model, one, trace.current_a, trace.states, said)


def rows() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """One row per model and parameter set; what failed is printed as it happens."""
    ngspice = find_ngspice()
    forms = {"B": False} | ({"OSDI": True} if can_compile(ngspice) else {})
    header = ("model", "set", "torch ok", *(f"{form} ok" for form in forms), "outside", "to torch",
              "seconds")  # fmt: skip
    table = []
    for model in all_models().values():
        for one in model.parameter_sets if model.kind == "dynamic" else ():
            started = time.perf_counter()
            good = dict.fromkeys(("torch", *forms), 0)
            outside, apart, count = 0.0, 0.0, 0
            for stimulus in stimuli(one.amplitude_v):
                count += 1
                base = in_torch(model, one, stimulus)
                found = {"torch": base} | {
                    form: in_ngspice(model, one, stimulus, ngspice, compiled=compiled)
                    for form, compiled in forms.items()
                }
                for route, verdict in found.items():
                    good[route] += verdict.ok
                    if not verdict.ok:
                        print(f"{model.name} {one.name} {stimulus.name} {route}: {verdict}")
                        continue
                    outside = max(outside, verdict.outside)
                    if base.ok:
                        ends = zip(verdict.final, base.final, strict=True)
                        apart = max(apart, *(abs(a - b) for a, b in ends), 0.0)
            seconds = time.perf_counter() - started
            ends = [f"{good[route]} of {count}" for route in good]
            table.append(
                (model.name, one.name, *ends, f"{outside:.1e}", f"{apart:.1e}", f"{seconds:.0f}")
            )
    return header, table
