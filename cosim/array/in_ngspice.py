"""Arrays read in ngspice: a deck an array, a `.dc` sweep over its inputs, every node checked.

Nothing but the netlist says what is computed: a read backward is the netlist of the array between
the ends that it has backward. Node voltages of every point come back and must obey Kirchhoff's law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.device_cells import DeviceCells
from cosim.devices.form import held_form
from cosim.laws.kirchhoff import ArrayVoltages, check_array
from cosim.ngspice import (
    Deck,
    Ngspice,
    Outcome,
    RawPlot,
    SimulationResult,
    run_decks,
    timeout_for,
)
from cosim.ngspice.bench import sweep_deck
from cosim.ngspice.result import KEEP
from netlists.array import ReadArray, array_circuit
from netlists.cells import held
from netlists.circuit import ForeignSubcircuit, ModelCard

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Node voltages of a sweep are held in memory at once: 256 MB of doubles a deck.
_MAX_VALUES = 32_000_000


@dataclass(frozen=True, eq=False)
class Answer:
    """What an engine says about one array.

    Args:
        current_a: out of the sensed lines, [batch, line]; NaN where it failed or was not reached.
        engine: what computed it, e.g. `ngspice-46 KLU`.
        outcome: how it ended.
        reason: why, if it did not end well.
        note: where to find the deck of a failed run; empty of one that ended well.
    """

    current_a: Array
    engine: str
    outcome: Outcome = Outcome.OK
    reason: str = ""
    note: str = ""


def read_in_ngspice(
    arrays: Sequence[ReadArray],
    drive_v: Sequence[Array],
    ngspice: Ngspice,
    *,
    jobs: int = 1,
    cells: DeviceCells | None = None,
) -> list[Answer]:
    """Currents out of the sensed lines of arrays.

    A read that does not end well is a result. Nothing is started after it: arrays that have not
    been read by then have its outcome and its reason.

    Args:
        arrays: the arrays.
        drive_v: what drives each, [batch, driven line] in volts.
        ngspice: the simulator.
        jobs: decks at a time; batches are cut where there are fewer arrays than that.
        cells: what the cells are whose states the arrays have; None of ohmic ones.
    """
    block, library = (None, None) if cells is None else _cell_of(cells, ngspice)
    circuits = [array_circuit(array, title="spiceloop: one array", cell=block) for array in arrays]
    sizes = [circuit.load() for circuit in circuits]
    currents = [
        np.full((len(v), array.sensed), np.nan) for array, v in zip(arrays, drive_v, strict=True)
    ]
    parts: list[tuple[int, slice]] = []
    cuts = -(-jobs // max(1, len(arrays)))
    for k, v in enumerate(drive_v):
        per_deck = max(1, min(-(-len(v) // cuts), _MAX_VALUES // sizes[k]))
        parts += [(k, slice(start, start + per_deck)) for start in range(0, len(v), per_deck)]

    limit_s = {
        _name(k, part): timeout_for(sizes[k], len(drive_v[k][part]), ngspice) for k, part in parts
    }

    def deck(k: int, part: slice) -> Deck:
        return sweep_deck(
            circuits[k],
            [f"in_{line}" for line in range(arrays[k].driven)],
            drive_v[k][part],
            name=_name(k, part),
            expected_signals=_signals(arrays[k]),
            library=library,
        )

    engine, ends = ngspice.label, dict.fromkeys(range(len(arrays)), _OK)
    # As many decks at a time as run at a time: the node voltages of all would not fit in memory.
    for first in range(0, len(parts), jobs):
        some = parts[first : first + jobs]
        decks = [deck(k, part) for k, part in some]
        results = run_decks(decks, ngspice, jobs=jobs, timeout_s=lambda one: limit_s[one.name])
        for (k, part), result in zip(some, results, strict=True):
            engine = result.engine
            end = _judge(arrays[k], result, cells)
            if end is _OK:
                currents[k][part] = result.plot.matrix(_signals(arrays[k]))
            elif ends[k] is _OK:
                ends[k] = end
        failed = next((end for end in ends.values() if end is not _OK), None)
        if failed is not None:
            unread = {k for k, _ in parts[first + jobs :]}
            ends |= {k: failed for k in unread if ends[k] is _OK}
            break
    return [Answer(current, engine, *ends[k]) for k, current in enumerate(currents)]


_End = tuple[Outcome, str, str]
_OK: _End = (Outcome.OK, "", "")


def _name(array: int, part: slice) -> str:
    return f"array_{array}_vectors_{part.start}"


def _signals(array: ReadArray) -> tuple[str, ...]:
    return tuple(f"i(vsense_{line})" for line in range(array.sensed))


def _cell_of(
    cells: DeviceCells, ngspice: Ngspice
) -> tuple[ForeignSubcircuit | ModelCard, bytes | None]:
    """The block of cells that are devices, or the card and its library where they are compiled."""
    form = held_form(cells.device, ngspice)
    if form.library is None:
        return held.behavioural(cells.device), None
    return held.compiled(cells.device)[0], form.library


def _judge(array: ReadArray, result: SimulationResult, cells: DeviceCells | None) -> _End:
    if not result.ok:
        where = "" if result.kept else f"{KEEP}=FOLDER keeps the deck of a failed run"
        return result.outcome, result.reason, where
    crossbar = array.crossbar
    # What rounding leaves of no current must not pass for a current that something is compared to.
    live_s = np.where(array.pieces.live, crossbar.conductance_s, 0.0)
    measured = result.plot.matrix(_signals(array))
    v = _voltages(array, result.plot)
    drawn = None
    if cells is not None:
        law = cells.law(torch.from_numpy(live_s))
        drawn = law(torch.from_numpy(v.word - v.bit))[0].numpy()
    check = check_array(live_s, crossbar.wires, v, measured, sensed=array.ports[1], cell_a=drawn)
    if check.ok.all():
        return _OK
    left = f"{check.worst:.1e} of the largest current is left over"
    return Outcome.INVALID, f"Kirchhoff's current law is broken: {left}", ""


def _voltages(array: ReadArray, plot: RawPlot) -> ArrayVoltages:
    crossbar = array.crossbar
    rows, cols = range(crossbar.rows), range(crossbar.cols)
    # Nodes of merged wires are the tile's ports; without a driver those are the inputs.
    driven = array.ports[0]
    merged = {f"{driven}_{line}": f"v(in_{line})" for line in np.flatnonzero(array.driver_ohm == 0)}

    def node(name: str) -> str:
        if name.startswith(("w_", "b_")):
            return f"v(xtile_0.{name})"
        return merged.get(name, f"v({name})")

    def read(names: Sequence[str], bare: Bools) -> Array:
        """[point, ...]: 0 V where no element touches a node, which the plot then does not have."""
        found = np.zeros((plot.points, bare.size))
        there = np.flatnonzero(~bare).tolist()
        found[:, there] = plot.matrix([node(names[k]) for k in there])
        return found.reshape(-1, *bare.shape)

    pieces = array.pieces
    places = [(row, col) for row in rows for col in cols]
    return ArrayVoltages(
        wordline=read([f"wl_{row}" for row in rows], pieces.bare_wordline),
        word=read([crossbar.word_node(*place) for place in places], pieces.bare_word),
        bit=read([crossbar.bit_node(*place) for place in places], pieces.bare_bit),
        bitline=read([f"bl_{col}" for col in cols], pieces.bare_bitline),
    )
