"""An array of dynamic cells with its wires through one stimulus in ngspice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.ngspice import state_node
from compact_models.emit.torch_model import torch_model
from compact_models.emit.verilog_a import state_signal
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.form import B_SOURCES, DeviceForm, device_form
from cosim.devices.lead import at_start, lead_s
from cosim.devices.short_segments import with_short_refined
from cosim.driven.heat import heat_j
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import Engine, PulseResult
from cosim.ngspice import Deck, Ngspice, Outcome, RawPlot, SimulationResult, run_deck, timeout_for
from cosim.ngspice.bench import LOAD_OSDI, OSDI_FILE
from netlists.cells import memristor
from netlists.circuit import Circuit, Element, ForeignSubcircuit, PiecewiseVoltage, Resistor
from netlists.device_array import DeviceArray
from netlists.dialects.ngspice import render
from netlists.names import comment

Array = NDArray[np.float64]

# Gear damps the ringing that the trapezoidal rule has on stiff states. A state is a charge of at
# most 1 C; chgtol=0.1 with trtol=0.1 holds its error to reltol/100 of its range in a step: those of
# a pulse much shorter than the longest step add up, and it costs 6 % more steps. A smaller
# chgtol would be relative to the charge, which is zero at the start: 30 times the steps.
OPTIONS = (
    ".option klu method=gear reltol=1e-4 abstol=1e-12 vntol=1e-8 chgtol=0.1 trtol=0.1 "
    "itl4=100 gmin=1e-15"
)
# Where the simulator gives up, the run is tried again with so many times the steps. KLU keeps the
# pivots of its first factors: a transistor that turns off makes one of them nothing, and then there
# is no convergence at any step. With transistors or selectors each try has one with ngspice's other
# solver behind it, which looks for its pivots again.
_FINER = (1, 20, 400)
_KLU = ".option klu "
_STEPS = 100
# Of the run, the shortest that the lead can be: ngspice does not tell apart what is closer than
# 1e-10 longest steps.
_LEAST_LEAD = 5e-12
# The last point of a run may be short of its end, by rounding; there is no measure behind it.
_BEFORE_THE_END = 1 - 1e-6
# A pulse shorter than one longest step gets so many parts: longer ones have steps enough.
_SHORT_PARTS = 16


def run_spice(
    array: PulsedArray,
    ngspice: Ngspice,
    *,
    compiled: bool | None = None,
    steps: int = _STEPS,
    energy: bool = False,
) -> PulseResult:
    """Runs an array through its pulse.

    Args:
        array: the array and what is applied to it.
        ngspice: from `find_ngspice`.
        compiled: use the compiled model; None does so where that is possible.
        steps: the longest time step is the duration over this, >= 1. States are right to about
            5e-4 of their range with 100, and to 2e-5 with 1000 if the pulse fills the run.
        energy: keep the voltages of all nodes too, and find what the cells turn into heat.

    Returns:
        States and currents, or NaN with the outcome. A failed simulation is a result.

    Raises:
        InputError: `compiled` is True and that is not possible; or as `pulse_deck`.
    """
    form = device_form(array.model, array.parameter_set, ngspice, compiled=compiled)
    times_s = _shifted(array)
    deck, elements = pulse_deck(array, form=form, steps=steps, energy=energy)
    solvers = (_KLU,) if array.access is None else (_KLU, ".option ")
    for finer, solver in itertools.product(_FINER, solvers):
        text = deck.text.replace(_KLU, solver)
        tried = replace(deck, text=_with_analysis(text, float(times_s[-1]), steps * finer))
        points = 3 * (len(array.time_s) + steps * finer)
        result = run_deck(tried, ngspice, timeout_s=timeout_for(elements, points, ngspice))
        if result.outcome is not Outcome.NO_CONVERGENCE:
            break
    return _read(array, times_s, result, form, energy=energy)


def spice_engine(ngspice: Ngspice, *, compiled: bool | None = None, steps: int = 200) -> Engine:
    """A transient of the whole array in ngspice, with energies; see `run_spice`.

    A job asks `device_form` once and tells it here as `compiled`, so that all its pulses have one
    form.
    """

    def run(array: PulsedArray) -> PulseResult:
        return run_spice(array, ngspice, compiled=compiled, steps=steps, energy=True)

    return run


def pulse_deck(
    array: PulsedArray, *, form: DeviceForm, steps: int = _STEPS, energy: bool = False
) -> tuple[Deck, int]:
    """The deck of a pulse without its analysis lines, and how many elements it has.

    Args:
        array: the array and what is applied to it.
        form: of the cells.
        steps: the longest time step will be the duration over this.
        energy: keep the voltages of all nodes.

    Raises:
        InputError: a parameter or state that the model does not have or allow.
    """
    files: dict[str, str | bytes] = {}
    blocks: tuple[ForeignSubcircuit, ...] = ()
    items: list[Element] = []
    control = ""
    if form.library is not None:
        card, _ = memristor.compiled(array.model, array.parameter_set)
        files[OSDI_FILE] = form.library
        items.append(card)
        cell = card.name
        control = LOAD_OSDI
    else:
        block = memristor.behavioural(array.model, array.parameter_set)
        blocks, cell = (block,), block.name
    placed = array.device_array(cell=cell, compiled=form.compiled)
    times_s = _shifted(array)
    lines = np.concatenate([array.word_v, array.bit_v])
    finer_s = with_short_refined(times_s, lines, float(times_s[-1]) / steps, _SHORT_PARTS)
    items.append(placed)
    driven = {"wl": array.word_v, "bl": array.bit_v}
    ends_ohm = {"wl": array.r_word_driver_ohm, "bl": array.r_bit_driver_ohm, "gl": 0.0}
    if array.gate_v is not None:
        driven["gl"] = array.gate_v
    for line, voltage_v in driven.items():
        finer_v = np.array([np.interp(finer_s, times_s, row) for row in voltage_v])
        ohm = ends_ohm[line]
        items += _sources(line, finer_s, finer_v, ohm)
    title = f"{array.model.name}, {placed.rows} x {placed.cols}, one pulse"
    circuit = Circuit(title, blocks, tuple(items))
    saved = _saved(array, placed)
    if energy:
        saved += sorted({node for table in _nodes(placed) for node in table.flat})
    save = "\n".join(f".save {' '.join(saved[k : k + 16])}" for k in range(0, len(saved), 16))
    text = f"{render(circuit)}{control}{OPTIONS}\n{save}\n"
    deck = Deck(text=text, name="array_pulse", expected_signals=tuple(saved), files=files)
    return deck, circuit.load()


def states_deck(array: PulsedArray, *, steps: int = _STEPS, header: Sequence[str] = ()) -> Deck:
    """A deck for a designer: it needs no library, and prints where the states begin and end.

    `<state>_<row>_<col>` is the state of a cell that works at the end, `<...>_start` the same
    before the first pulse, in the netlist's own units, which the head of the deck states.

    Args:
        array: the array and what is applied to it.
        steps: the longest time step is the duration over this.
        header: comment lines.

    Raises:
        InputError: as `pulse_deck`.
    """
    deck, _ = pulse_deck(array, form=B_SOURCES, steps=steps)
    end_s = float(_shifted(array)[-1])
    placed = array.device_array(cell="cell", compiled=False)
    working = np.argwhere(np.isnan(placed.stuck_s)).tolist()
    names = [f"{x.name}_{row}_{col}" for x in array.model.states for row, col in working]
    signals = deck.expected_signals[sum(array.shape) :]
    start_s = float(_shifted(array)[0])
    measures = "".join(
        f".meas tran {name}{mark} find {signal} at={at_s!r}\n"
        for mark, at_s in (("_start", start_s), ("", end_s * _BEFORE_THE_END))
        for name, signal in zip(names, signals, strict=True)
    )
    title, _, body = _with_analysis(deck.text, end_s, steps).removesuffix(".end\n").partition("\n")
    told = (*header, *units_of_states(array.model, array.parameter_set))
    comments = "".join(f"* {comment(line)}\n" for line in told)
    return replace(deck, text=f"{title}\n{comments}{body}{measures}.end\n")


def units_of_states(model: CompactModel, nominal: ParameterSet) -> tuple[str, ...]:
    """What the numbers are that a deck prints of each state: a sentence a state.

    Args:
        model: the device.
        nominal: the set whose bounds are told; devices with parameters of their own have others.
    """
    ranges = model.bounds(nominal.values)
    told = []
    for state in model.states:
        name, unit, pair = f"{state.name}_<row>_<col>", state.unit or "1", ranges[state.name]
        if pair is None:
            scale = float(
                state.scale.subs({one: nominal.values[one.name] for one in model.parameters})
            )
            told.append(f"{name}: in units of {scale:.6g} {unit} ({state.about})")
            continue
        of = "the logarithm of its range" if state.log else "its range"
        low, high = pair
        told.append(
            f"{name}: as a fraction of {of}, where 0 is {low:.6g} {unit} and 1 is {high:.6g} {unit}"
            f" ({state.about})"
        )
    return tuple(told)


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


def _sources(line: str, time_s: Array, voltage_v: Array, r_driver_ohm: float) -> list[Element]:
    times = [0.0, *time_s.tolist()]
    found: list[Element] = []
    for k, row in enumerate(voltage_v.tolist()):
        end = f"{line}_{k}"
        source = end if r_driver_ohm == 0 else f"drive_{end}"
        points = tuple(zip(times, [row[0], *row], strict=True))
        found.append(PiecewiseVoltage(f"v{end}", source, "0", points))
        if source != end:
            found.append(Resistor(f"rdrive_{end}", source, end, r_driver_ohm))
    return found


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


def _nodes(placed: DeviceArray) -> tuple[NDArray[np.str_], ...]:
    """The voltages of every cell's ends and of its memristor's upper end, each [row, col]."""

    def table(node: Callable[[int, int], str]) -> NDArray[np.str_]:
        return np.array(
            [[f"v({node(r, c)})" for c in range(placed.cols)] for r in range(placed.rows)]
        )

    word, bit = table(placed.word_node), table(placed.bit_node)
    return word, bit, word if placed.access is None else table(placed.inner_node)


def _read(
    array: PulsedArray, times_s: Array, result: SimulationResult, form: DeviceForm, *, energy: bool
) -> PulseResult:
    rows, cols = array.shape
    lost = np.full(array.shape, np.nan)
    states = {x.name: lost.copy() for x in array.model.states}
    heat, given_j = lost.copy(), np.nan
    currents = np.full((rows + cols, len(array.time_s)), np.nan)
    if result.ok:
        plot = result.plot
        saved = [f"i(vwl_{k})" for k in range(rows)] + [f"i(vbl_{k})" for k in range(cols)]
        # ngspice counts a source's current from plus through it to minus.
        flowing = -np.array([plot.signal(signal) for signal in saved])
        currents = np.array([np.interp(times_s, plot.axis, one) for one in flowing])
        placed = array.device_array(cell="cell", compiled=form.compiled)
        works = np.isnan(placed.stuck_s)
        names = _saved(array, placed)[rows + cols :]
        moving = np.array([plot.signal(name) for name in names])
        fractions = moving.reshape(len(states), int(works.sum()), len(plot.axis))
        states = _physical(array, fractions[..., -1:], works, from_start=form.compiled)
        if energy:
            driven = np.concatenate([array.word_v, array.bit_v])
            ends_v = np.array([np.interp(plot.axis, times_s, one) for one in driven])
            given_j = float(np.trapezoid((ends_v * flowing).sum(0), plot.axis))
            heat = _heat(array, placed, fractions, plot, from_start=form.compiled)
    return PulseResult(
        {name: x[..., -1] for name, x in states.items()},
        heat,
        given_j,
        f"{result.engine}, {form.label}",
        result.outcome,
        result.reason,
        currents[:rows],
        currents[rows:],
        result,
    )


def _heat(
    array: PulsedArray, placed: DeviceArray, fractions: Array, plot: RawPlot, *, from_start: bool
) -> Array:
    """What every cell turns into heat [J], [row, col]; stuck ones too."""
    works = np.isnan(placed.stuck_s)
    word, bit, inner = (
        np.array([plot.signal(name) for name in table.flat]).reshape(*array.shape, -1)
        for table in _nodes(placed)
    )
    heat = np.zeros(array.shape)
    stuck_a = placed.stuck_s[~works, None] * (inner - bit)[~works]
    heat[~works] = np.trapezoid((word - bit)[~works] * stuck_a, plot.axis, axis=-1)
    states = _physical(array, fractions, works, from_start=from_start)
    heat[works] = heat_j(
        array.model,
        {x.name: array.value(x.name)[works] for x in array.model.parameters},
        {name: table[works].T.copy() for name, table in states.items()},
        plot.axis,
        (word - bit)[works].T.copy(),
        (inner - bit)[works].T.copy(),
    )
    return heat


def _physical(
    array: PulsedArray, fractions: Array, works: NDArray[np.bool_], *, from_start: bool
) -> dict[str, Array]:
    """The states of all cells, [row, col, time], from the fractions of those that work.

    Args:
        array: the array.
        fractions: [state, working cell, time].
        works: [row, col].
        from_start: they count from where each state starts.
    """
    functions = torch_model(array.model)
    p = functions.parameters(
        {x.name: torch.from_numpy(array.value(x.name)[works, None]) for x in array.model.parameters}
    )
    found: Sequence[torch.Tensor] = [torch.from_numpy(table) for table in fractions]
    if from_start:
        start = [torch.from_numpy(array.start(x.name)[works, None]) for x in array.model.states]
        begun = functions.fractions(start, p)
        found = [change + first for change, first in zip(found, begun, strict=True)]
    states = {}
    for state, value in zip(array.model.states, functions.states(found, p), strict=True):
        table = np.full((*array.shape, fractions.shape[-1]), np.nan)
        table[works] = value.numpy()
        states[state.name] = table
    return states
