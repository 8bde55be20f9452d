"""An array of dynamic cells with its wires through one pulse in ngspice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.ngspice import state_node
from compact_models.emit.torch_model import torch_model
from compact_models.emit.verilog_a import state_signal
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.lead import at_start, lead_s
from cosim.devices.osdi import compile_osdi, find_openvaf
from cosim.devices.run_ngspice import can_compile
from cosim.devices.short_segments import with_short_refined
from cosim.ngspice import Deck, Ngspice, Outcome, SimulationResult, run_deck, timeout_for
from netlists.cells import memristor
from netlists.circuit import Circuit, Element, ForeignSubcircuit, PiecewiseVoltage
from netlists.device_array import DeviceArray
from netlists.dialects.ngspice import render
from netlists.wires import Wires

Array = NDArray[np.float64]

# Gear damps the ringing that the trapezoidal rule has on stiff states. A state is a charge of at
# most 1 C; chgtol=0.1 with trtol=0.1 holds its error to reltol/100 of its range in a step: those of
# a pulse much shorter than the longest step add up, and it costs 6 % more steps. A smaller
# chgtol would be relative to the charge, which is zero at the start: 30 times the steps.
OPTIONS = (
    ".option klu method=gear reltol=1e-4 abstol=1e-12 vntol=1e-8 chgtol=0.1 trtol=0.1 "
    "itl4=100 gmin=1e-15"
)
# Where the simulator gives up, the run is tried again with so many times the steps.
_FINER = (1, 20, 400)
_STEPS = 100
# Of the run, the shortest that the lead can be: ngspice does not tell apart what is closer than
# 1e-10 longest steps.
_LEAST_LEAD = 5e-12
# A pulse shorter than one longest step gets so many parts: longer ones have steps enough.
_SHORT_PARTS = 16


@dataclass(frozen=True, eq=False)
class PulsedArray:
    """An array, what its cells are, and what is applied to its lines.

    Attributes:
        model: the device; its terminal p is on the word line.
        parameter_set: nominal parameters and initial states.
        shape: rows and columns.
        wires: the segment resistances.
        time_s: times, rising, at least two, [time].
        word_v: voltages at the left ends of the word lines, [row, time].
        bit_v: voltages at the lower ends of the bit lines, [col, time]; straight between the times.
        values: parameters that cells have for themselves, by name, each [row, col].
        initial: initial states likewise.
        stuck_s: conductance of stuck cells in siemens, NaN where a cell works, [row, col]; None if
            all work.

    Raises:
        InputError: a shape, a time or a value that cannot be.
    """

    model: CompactModel
    parameter_set: ParameterSet
    shape: tuple[int, int]
    wires: Wires
    time_s: Array
    word_v: Array
    bit_v: Array
    values: Mapping[str, Array] = field(default_factory=dict)
    initial: Mapping[str, Array] = field(default_factory=dict)
    stuck_s: Array | None = None

    def __post_init__(self) -> None:
        """Checks the stimulus and the initial states."""
        rows, cols = self.shape
        count = self.time_s.shape[0] if self.time_s.ndim == 1 else 0
        if count < 2 or not (np.isfinite(self.time_s).all() and (np.diff(self.time_s) > 0).all()):
            raise InputError(
                "times must rise", where="time_s", allowed="[time], at least two, finite"
            )
        for name, voltage, lines in (("word_v", self.word_v, rows), ("bit_v", self.bit_v, cols)):
            if voltage.shape != (lines, count):
                raise InputError(
                    "wrong shape", where=name, value=voltage.shape, allowed=f"({lines}, {count})"
                )
            if not np.isfinite(voltage).all():
                raise InputError("voltages must be finite", where=name)
        _check_initial(self)

    def device_array(self, *, cell: str, compiled: bool) -> DeviceArray:
        """The array as an element of a circuit, with the named subcircuit or card as its cell."""
        stuck = np.full(self.shape, np.nan) if self.stuck_s is None else self.stuck_s
        if stuck.shape != self.shape:
            raise InputError(
                "wrong shape", where="stuck_s", value=stuck.shape, allowed=f"{self.shape}"
            )
        parameters = memristor.cell_parameters(self.model, self.values, self.initial)
        return DeviceArray(stuck, self.wires, cell, compiled, parameters)

    def value(self, name: str) -> Array:
        """A parameter of every cell, [row, col]."""
        nominal = np.full(self.shape, self.parameter_set.values[name])
        return np.asarray(self.values.get(name, nominal), dtype=np.float64)

    def start(self, name: str) -> Array:
        """The initial value of a state of every cell, [row, col]."""
        nominal = np.full(self.shape, self.parameter_set.initial[name])
        return np.asarray(self.initial.get(name, nominal), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class ArrayPulseResult:
    """What a pulse leaves.

    Attributes:
        states: every state after the pulse in its unit, by name, each [row, col]; NaN where the
            cell is stuck, and everywhere if the run did not end well.
        word_a: currents into the word lines at the times of the stimulus, [row, time].
        bit_a: currents into the bit lines, [col, time].
        outcome: how the run ended.
        reason: why, if it did not end well.
        result: the run itself.
        compiled: the cells were compiled (OSDI) models.
    """

    states: dict[str, Array]
    word_a: Array
    bit_a: Array
    outcome: Outcome
    reason: str
    result: SimulationResult
    compiled: bool


def pulse_array(
    array: PulsedArray, ngspice: Ngspice, *, compiled: bool | None = None, steps: int = _STEPS
) -> ArrayPulseResult:
    """Runs an array through its pulse.

    Args:
        array: the array and what is applied to it.
        ngspice: from `find_ngspice`.
        compiled: use the compiled model; None does so where that is possible.
        steps: the longest time step is the duration over this, >= 1. States are right to about
            5e-4 of their range with 100, and to 2e-5 with 1000 if the pulse fills the run.

    Returns:
        States and currents, or NaN with the outcome. A failed simulation is a result.
    """
    use_compiled = can_compile(ngspice) if compiled is None else compiled
    times_s = _shifted(array)
    deck, elements = pulse_deck(array, compiled=use_compiled, steps=steps)
    for finer in _FINER:
        deck = replace(deck, text=_with_analysis(deck.text, float(times_s[-1]), steps * finer))
        points = 3 * (len(array.time_s) + steps * finer)
        result = run_deck(deck, ngspice, timeout_s=timeout_for(elements, points, ngspice))
        if result.outcome is not Outcome.NO_CONVERGENCE:
            break
    return _read(array, times_s, result, use_compiled)


def pulse_deck(array: PulsedArray, *, compiled: bool, steps: int = _STEPS) -> tuple[Deck, int]:
    """The deck of a pulse without its analysis lines, and how many elements it has.

    Args:
        array: the array and what is applied to it.
        compiled: use the compiled model.
        steps: the longest time step will be the duration over this.

    Raises:
        InputError: a parameter or state that the model does not have or allow.
    """
    files: dict[str, str | bytes] = {}
    blocks: tuple[ForeignSubcircuit, ...] = ()
    items: list[Element] = []
    control = ""
    if compiled:
        compiler = find_openvaf()
        if compiler is None:
            raise AssertionError("asked for a compiled model without a compiler")
        card, text = memristor.compiled(array.model, array.parameter_set)
        files["model.osdi"] = compile_osdi(text, compiler)
        items.append(card)
        cell = card.name
        # Threads would wait for each other at every cell: 50 times slower.
        control = ".control\nset num_threads=1\npre_osdi model.osdi\n.endc\n"
    else:
        block = memristor.behavioural(array.model, array.parameter_set)
        blocks, cell = (block,), block.name
    placed = array.device_array(cell=cell, compiled=compiled)
    times_s = _shifted(array)
    lines = np.concatenate([array.word_v, array.bit_v])
    finer_s = with_short_refined(times_s, lines, float(times_s[-1]) / steps, _SHORT_PARTS)
    items.append(placed)
    for line, voltage_v in (("wl", array.word_v), ("bl", array.bit_v)):
        finer_v = np.array([np.interp(finer_s, times_s, row) for row in voltage_v])
        items += _sources(line, finer_s, finer_v)
    title = f"{array.model.name}, {placed.rows} x {placed.cols}, one pulse"
    circuit = Circuit(title, blocks, tuple(items))
    saved = _saved(array, placed)
    save = "\n".join(f".save {' '.join(saved[k : k + 16])}" for k in range(0, len(saved), 16))
    text = f"{render(circuit)}{control}{OPTIONS}\n{save}\n"
    deck = Deck(text=text, name="array_pulse", expected_signals=tuple(saved), files=files)
    return deck, circuit.element_count()


def _with_analysis(text: str, duration_s: float, steps: int) -> str:
    body = text.partition("\n.tran ")[0].rstrip("\n")
    step_s = duration_s / steps
    return f"{body}\n.tran {step_s!r} {duration_s!r} 0 {step_s!r} uic\n.end\n"


def _shifted(array: PulsedArray) -> Array:
    """The times of the stimulus in the simulation.

    ngspice with `uic` writes zeros at its first point: the run starts a little before the pulse
    does, at its first voltages. Wires only take from those.
    """
    begun = at_start(
        array.model,
        {x.name: torch.from_numpy(array.value(x.name)) for x in array.model.parameters},
        {x.name: torch.from_numpy(array.start(x.name)) for x in array.model.states},
        torch.from_numpy(array.word_v[:, None, 0] - array.bit_v[None, :, 0]),
    )
    begins_s = array.time_s - array.time_s[0]
    least_s = _LEAST_LEAD * float(begins_s[-1])
    return np.asarray(begins_s + lead_s(array.time_s, begun, least_s))


def _sources(line: str, time_s: Array, voltage_v: Array) -> list[Element]:
    times = [0.0, *time_s.tolist()]
    return [
        PiecewiseVoltage(
            f"v{line}_{k}",
            f"{line}_{k}",
            "0",
            tuple(zip(times, [row[0], *row], strict=True)),
        )
        for k, row in enumerate(voltage_v.tolist())
    ]


def _saved(array: PulsedArray, placed: DeviceArray) -> list[str]:
    rows, cols = array.shape
    signals = [f"i(vwl_{row})" for row in range(rows)] + [f"i(vbl_{col})" for col in range(cols)]
    for state in array.model.states:
        for row, col in np.argwhere(np.isnan(placed.stuck_s)).tolist():
            name = placed.cell_name(row, col)
            if placed.compiled:
                signals.append(state_signal(name, state))
            else:
                signals.append(f"v({name}.{state_node(state)})")
    return signals


def _read(
    array: PulsedArray, times_s: Array, result: SimulationResult, compiled: bool
) -> ArrayPulseResult:
    rows, cols = array.shape
    lost = np.full(array.shape, np.nan)
    states = {x.name: lost.copy() for x in array.model.states}
    currents = np.full((rows + cols, len(array.time_s)), np.nan)
    if result.ok:
        plot = result.plot
        saved = [f"i(vwl_{k})" for k in range(rows)] + [f"i(vbl_{k})" for k in range(cols)]
        for k, signal in enumerate(saved):
            # ngspice counts a source's current from plus through it to minus.
            currents[k] = -np.interp(times_s, plot.axis, plot.signal(signal))
        placed = array.device_array(cell="cell", compiled=compiled)
        works = np.isnan(placed.stuck_s)
        names = _saved(array, placed)[rows + cols :]
        last = np.array([plot.signal(name)[-1] for name in names])
        fractions = last.reshape(len(states), int(works.sum()))
        states = _physical(array, fractions, works, from_start=compiled)
    return ArrayPulseResult(
        states,
        currents[:rows],
        currents[rows:],
        result.outcome,
        result.reason,
        result,
        compiled,
    )


def _physical(
    array: PulsedArray, fractions: Array, works: NDArray[np.bool_], *, from_start: bool
) -> dict[str, Array]:
    """The states of all cells from the fractions of those that work, [state, cell]."""
    functions = torch_model(array.model)
    p = functions.parameters(
        {x.name: torch.from_numpy(array.value(x.name)[works]) for x in array.model.parameters}
    )
    found: Sequence[torch.Tensor] = [torch.from_numpy(row) for row in fractions]
    if from_start:
        start = [torch.from_numpy(array.start(x.name)[works]) for x in array.model.states]
        begun = functions.fractions(start, p)
        found = [change + first for change, first in zip(found, begun, strict=True)]
    states = {}
    for state, value in zip(array.model.states, functions.states(found, p), strict=True):
        table = np.full(array.shape, np.nan)
        table[works] = value.numpy()
        states[state.name] = table
    return states


def _check_initial(array: PulsedArray) -> None:
    """Every state starts within its bounds, in every cell."""
    memristor.cell_parameters(array.model, array.values, array.initial)
    functions = torch_model(array.model)
    for name, table in (*array.values.items(), *array.initial.items()):
        if table.shape != array.shape:
            raise InputError("wrong shape", where=name, value=table.shape, allowed=f"{array.shape}")
    p = functions.parameters(
        {x.name: torch.from_numpy(array.value(x.name)) for x in array.model.parameters}
    )
    start = [torch.from_numpy(array.start(x.name)) for x in array.model.states]
    for state, fraction in zip(array.model.states, functions.fractions(start, p), strict=True):
        share = fraction.numpy()
        inside = np.isfinite(share)
        if state.lower is not None:
            # A millionth: rounding of bounds that were computed by another route.
            inside &= (share >= -1e-6) & (share <= 1 + 1e-6)
        if not inside.all():
            row, col = (int(k) for k in np.argwhere(~inside)[0])
            raise InputError(
                f"state {state.name!r} starts out of bounds",
                where=f"initial, cell [{row}, {col}]",
                value=float(array.start(state.name)[row, col]),
                allowed="within the bounds of the cell's own parameters",
                hint="draw_initial places initial states for drawn parameters",
            )
