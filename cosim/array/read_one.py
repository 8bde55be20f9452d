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
from cosim.array.in_ngspice import read_in_ngspice
from cosim.laws.passive import impossible_current
from cosim.ngspice import Ngspice, Outcome, find_ngspice
from cosim.nodal.lines import as_ohm
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.wires import wire_model
from netlists.array import ReadArray

Array = NDArray[np.float64]

_IDEAL, _CLOSED = "V @ G", "closed-form wires, second order"


@dataclass(frozen=True, eq=False)
class ArrayCurrents:
    """The currents of one read.

    Args:
        current_a: [batch, col] in amperes, out of the bit lines; NaN where it failed.
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
    """Currents out of the bit lines of an array.

    Args:
        array: the array.
        input_v: [batch, row] in volts.
        fidelity: ideal, surrogate, exact or spice.
        ngspice: the simulator for `spice`; found if not given.
        jobs: decks at a time for `spice`.

    Raises:
        InputError: inputs of a wrong shape or not finite, or an unknown fidelity.
    """
    rows = array.crossbar.rows
    if input_v.ndim != 2 or input_v.shape[1] != rows or not len(input_v):
        raise InputError(
            "wrong shape",
            where="input_v",
            value=input_v.shape,
            allowed=f"[batch, row] = (n, {rows})",
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


def _impossible(array: ReadArray, input_v: Array, answer: _Answer) -> str:
    """Why no circuit can give these currents; empty if one can."""
    crossbar, wires = array.crossbar, array.crossbar.wires
    first, last = np.zeros(crossbar.rows), np.zeros(crossbar.cols)
    if answer.engine != _IDEAL:  # which knows no resistance
        shape = crossbar.conductance_s.shape
        first = array.driver_ohm + np.broadcast_to(wires.r_wordline_ohm, shape)[:, 0]
        last = array.sense_ohm + np.broadcast_to(wires.r_bitline_ohm, shape)[-1]
    wrong = impossible_current(
        torch.from_numpy(answer.current_a),
        torch.from_numpy(input_v),
        torch.from_numpy(crossbar.conductance_s),
        r_first_ohm=torch.from_numpy(first),
        r_last_ohm=torch.from_numpy(last),
    )
    return f"{answer.engine} gave {wrong}" if wrong else ""


@dataclass(frozen=True, eq=False)
class _Answer:
    current_a: Array
    engine: str
    outcome: Outcome = Outcome.OK
    reason: str = ""
    note: str = ""


def _ideal(array: ReadArray, input_v: Array, _ngspice: Ngspice | None, _jobs: int) -> _Answer:
    note = ""
    if array.has_opens:
        note = f"{_IDEAL} knows neither wires nor ends, so no opens either: use exact or spice"
    return _Answer(input_v @ array.crossbar.conductance_s, _IDEAL, note=note)


def _surrogate(array: ReadArray, input_v: Array, _ngspice: Ngspice | None, _jobs: int) -> _Answer:
    crossbar = array.crossbar
    if array.has_opens:
        return _Answer(
            np.full((len(input_v), crossbar.cols), np.nan),
            _CLOSED,
            Outcome.INVALID,
            "the closed form knows no opens: use exact or spice",
        )
    model = wire_model(
        crossbar.rows,
        crossbar.cols,
        r_wordline_ohm=as_ohm(crossbar.wires.r_wordline_ohm),
        r_bitline_ohm=as_ohm(crossbar.wires.r_bitline_ohm),
        r_driver_ohm=as_ohm(array.r_driver_ohm),
        r_sense_ohm=as_ohm(array.r_sense_ohm),
    )
    conductance = torch.from_numpy(crossbar.conductance_s)
    outside = model.outside(conductance)
    note = f"{outside}: use exact" if outside else ""
    current = input_v @ model.with_losses(conductance)[0].numpy()
    return _Answer(current, _CLOSED, note=note)


def _exact(array: ReadArray, input_v: Array, _ngspice: Ngspice | None, _jobs: int) -> _Answer:
    crossbar = array.crossbar
    transfer = solve_transfer(
        torch.from_numpy(crossbar.conductance_s),
        r_wordline_ohm=as_ohm(crossbar.wires.r_wordline_ohm),
        r_bitline_ohm=as_ohm(crossbar.wires.r_bitline_ohm),
        r_driver_ohm=as_ohm(array.r_driver_ohm),
        r_sense_ohm=as_ohm(array.r_sense_ohm),
    )
    current = transfer.current_a(torch.from_numpy(input_v)).numpy()
    return _Answer(current, "nodal solver")


def _spice(array: ReadArray, input_v: Array, ngspice: Ngspice | None, jobs: int) -> _Answer:
    (read,) = read_in_ngspice([array], [input_v], ngspice or find_ngspice(), jobs=jobs)
    return _Answer(read.current_a, read.engine, read.outcome, read.reason, read.note)


FIDELITIES: dict[str, Callable[[ReadArray, Array, Ngspice | None, int], _Answer]] = {
    "ideal": _ideal,
    "surrogate": _surrogate,
    "exact": _exact,
    "spice": _spice,
}
