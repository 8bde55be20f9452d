"""Reading one array at any of the four fidelities, behind one interface.

A fidelity is a function of (array, input voltages, context); all of them return `ArrayCurrents`,
which carries the name of the engine that made it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from cosim.array.in_ngspice import Answer, read_in_ngspice
from cosim.array.reads.anchored_tile import closed_form
from cosim.array.reads.exact import solved
from cosim.array.surroundings import Ends, TileTransfer, TileWires, flipped
from cosim.laws.passive import impossible_current
from cosim.ngspice import Ngspice, Outcome, find_ngspice
from cosim.nodal.lines import as_ohm
from netlists.array import ReadArray

Array = NDArray[np.float64]

_IDEAL, _CLOSED = "V @ G", "closed-form wires, second order"


@dataclass(frozen=True, eq=False)
class ArrayCurrents:
    """The currents of one read.

    Args:
        current_a: [batch, sensed line] in amperes, out of these; NaN where it failed.
        fidelity: which of the four.
        engine: what computed it, e.g. `ngspice-46 KLU`.
        outcome: how it ended.
        reason: why, if it did not end well.
        wall_s: seconds.
        note: what the user must know about the numbers; empty when there is nothing.
    """

    current_a: Array
    fidelity: str
    engine: str
    outcome: Outcome
    reason: str
    wall_s: float
    note: str = ""


def read_array(
    array: ReadArray,
    input_v: Array,
    fidelity: str,
    *,
    ngspice: Ngspice | None = None,
    jobs: int = 1,
) -> ArrayCurrents:
    """Currents out of the sensed lines of an array.

    Args:
        array: the array, with the direction in which it is read.
        input_v: [batch, driven line] in volts.
        fidelity: ideal, surrogate, exact or spice.
        ngspice: the simulator for `spice`; found if not given.
        jobs: decks at a time for `spice`.

    Raises:
        InputError: inputs of a wrong shape or not finite, or an unknown fidelity.
    """
    lines, line = array.driven, "row" if array.direction == "forward" else "col"
    if input_v.ndim != 2 or input_v.shape[1] != lines or not len(input_v):
        raise InputError(
            "wrong shape",
            where="input_v",
            value=input_v.shape,
            allowed=f"[batch, {line}] = (n, {lines})",
        )
    if not np.isfinite(input_v).all():
        index = [int(k) for k in np.argwhere(~np.isfinite(input_v))[0]]
        raise InputError(
            "inputs must be finite", where=f"input_v{index}", value=float(input_v[tuple(index)])
        )
    if fidelity not in FIDELITIES:
        raise InputError(
            "unknown fidelity",
            value=fidelity,
            allowed=", ".join(FIDELITIES),
            hint=closest(fidelity, FIDELITIES),
        )
    started = time.perf_counter()
    with np.errstate(over="ignore", invalid="ignore"):  # told by the check below
        answer = FIDELITIES[fidelity](array, input_v, ngspice, jobs)
    if answer.outcome is Outcome.OK:
        wrong = _impossible(array, input_v, answer)
        if wrong:
            answer = replace(answer, outcome=Outcome.INVALID, reason=wrong)
    wall_s = time.perf_counter() - started
    return ArrayCurrents(
        answer.current_a,
        fidelity,
        answer.engine,
        answer.outcome,
        answer.reason,
        wall_s,
        answer.note,
    )


def _impossible(array: ReadArray, input_v: Array, answer: Answer) -> str:
    """Why no circuit can give these currents; empty if one can."""
    conductance_s = array.crossbar.conductance_s
    if array.direction == "backward":
        conductance_s = conductance_s.T
    first, last = np.zeros(array.driven), np.zeros(array.sensed)
    if answer.engine != _IDEAL:  # which knows no resistance
        first, last = _to_first_cells(array)
    wrong = impossible_current(
        torch.from_numpy(answer.current_a),
        torch.from_numpy(input_v),
        torch.from_numpy(conductance_s),
        r_first_ohm=torch.from_numpy(first),
        r_last_ohm=torch.from_numpy(last),
        held_v=float(np.abs(array.held_v).max()),
    )
    return f"{answer.engine} gave {wrong}" if wrong else ""


def _to_first_cells(array: ReadArray) -> tuple[Array, Array]:
    """From the ends of the driven lines, and of the sensed ones, to their nearest cells [ohm]."""
    wires, shape = array.crossbar.wires, array.crossbar.conductance_s.shape
    near = (
        np.broadcast_to(wires.r_wordline_ohm, shape)[:, 0],
        np.broadcast_to(wires.r_bitline_ohm, shape)[-1],
    )
    if array.direction == "backward":
        near = near[::-1]
    return array.driver_ohm + near[0], array.sense_ohm + near[1]


def _transfer(array: ReadArray, of: _Forward) -> TileTransfer:
    """Of an array in the direction in which it is read."""
    wires, held = array.crossbar.wires, None
    if np.any(array.held_v):
        held = torch.from_numpy(np.broadcast_to(array.held_v, (array.sensed,)).copy())
    g = torch.from_numpy(array.crossbar.conductance_s)
    segments = TileWires(as_ohm(wires.r_wordline_ohm), as_ohm(wires.r_bitline_ohm))
    ends = Ends(as_ohm(array.r_driver_ohm), as_ohm(array.r_sense_ohm), held)
    if array.direction == "forward":
        return of(g, segments, ends)
    return of(flipped(g), segments.flipped, ends.flipped).flipped


_Forward = Callable[[torch.Tensor, TileWires, Ends], TileTransfer]


def _ideal(array: ReadArray, input_v: Array, _ngspice: Ngspice | None, _jobs: int) -> Answer:
    note = ""
    if array.has_opens:
        note = f"{_IDEAL} knows neither wires nor ends, so no opens either: use exact or spice"
    transfer = _transfer(array, lambda g, _wires, _ends: TileTransfer(g))
    return Answer(input_v @ transfer.transfer_s.numpy(), _IDEAL, note=note)


def _surrogate(array: ReadArray, input_v: Array, _ngspice: Ngspice | None, _jobs: int) -> Answer:
    if array.has_opens:
        return Answer(
            np.full((len(input_v), array.sensed), np.nan),
            _CLOSED,
            Outcome.INVALID,
            "the closed form knows no opens: use exact or spice",
        )
    notes = []

    def closed(g: torch.Tensor, wires: TileWires, ends: Ends) -> TileTransfer:
        model = closed_form(g, wires, ends)
        outside = model.outside(g)
        notes.append(f"{outside}: use exact" if outside else "")
        transfer = model.with_losses(g)[0]
        held = ends.held_v
        at_rest = None if held is None else model.offset_current_a(g, transfer, held)
        return TileTransfer(transfer, at_rest)

    current = _transfer(array, closed).current_a(torch.from_numpy(input_v))
    return Answer(current.numpy(), _CLOSED, note=notes[0])


def _exact(array: ReadArray, input_v: Array, _ngspice: Ngspice | None, _jobs: int) -> Answer:
    current = _transfer(array, solved).current_a(torch.from_numpy(input_v)).numpy()
    # Behind an open there is no current, where the matrix leaves what rounding makes of it.
    current = np.where(np.isinf(_to_first_cells(array)[1]), 0.0, current)
    return Answer(current, "nodal solver")


def _spice(array: ReadArray, input_v: Array, ngspice: Ngspice | None, jobs: int) -> Answer:
    return read_in_ngspice([array], [input_v], ngspice or find_ngspice(), jobs=jobs)[0]


FIDELITIES: dict[str, Callable[[ReadArray, Array, Ngspice | None, int], Answer]] = {
    "ideal": _ideal,
    "surrogate": _surrogate,
    "exact": _exact,
    "spice": _spice,
}
