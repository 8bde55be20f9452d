"""What a row of pulses has cost an array, and what it has done to cells that were not meant."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.driven.result import Engine
from cosim.driven.writable import WritableArray
from netlists.pulse import Pulse
from netlists.write_schemes import WriteScheme

Array = NDArray[np.float64]


@dataclass(eq=False)
class Ledger:
    """Sums over the pulses and the readings of a write, cell by cell.

    Attributes:
        energy_j: heat of every cell in pulses [J], [row, col].
        read_j: heat of every cell in readings [J], [row, col].
        given_j: what all sources have given, wires and drivers included [J].
        pulses: how many pulses were meant for each cell: what its endurance counts, [row, col].
        disturb: how far its written state has moved in pulses that were meant for others, with its
            sign, as a fraction of its range, [row, col].
        disturbing: how many pulses each cell has seen that were meant for others and put any
            voltage across it, [row, col].
        time_s: how long the pulses took, one after the other.
        steps: how many pulses there were, each on one line.
        reads: how many lines were read.
    """

    energy_j: Array
    read_j: Array
    pulses: NDArray[np.int64]
    disturb: Array
    disturbing: NDArray[np.int64]
    given_j: float = 0.0
    time_s: float = 0.0
    steps: int = 0
    reads: int = 0
    failed: str = field(default="")

    @staticmethod
    def of(shape: tuple[int, int]) -> Ledger:
        """Nothing so far."""
        counts = [np.zeros(shape, dtype=np.int64) for _ in range(2)]
        tables = [np.zeros(shape) for _ in range(3)]
        return Ledger(tables[0], tables[1], counts[0], tables[2], counts[1])


def add_reading(
    ledger: Ledger, conductance_s: Array, read_v: float, read_s: float, *, lines: int
) -> None:
    """Adds the reading of some cells: `read_v` across each for `read_s`, states at rest.

    Args:
        ledger: is added to.
        conductance_s: what was read [S], [row, col]; NaN where nothing was.
        read_v: across a memristor [V].
        read_s: for so long [s].
        lines: that were read one after the other.
    """
    known = np.isfinite(conductance_s)
    ledger.read_j[known] += conductance_s[known] * (read_v**2 * read_s)
    ledger.reads += lines


def apply_pulse(
    array: WritableArray,
    scheme: WriteScheme,
    amplitude_v: Array,
    pulse: Pulse,
    engine: Engine,
    ledger: Ledger,
    *,
    gate_v: float | None = None,
) -> WritableArray:
    """The array after one pulse on the cells of one line; what it cost goes to the ledger.

    Where the run does not end well the array is returned as it was, and `ledger.failed` says why.

    Args:
        array: before.
        scheme: what the other lines carry.
        amplitude_v: what every cell should see [V], [row, col]; 0 where it is not selected.
        pulse: its timing.
        engine: what computes it.
        ledger: is added to.
        gate_v: voltage of the selected row's gates, with transistors [V].
    """
    levels = scheme.levels(amplitude_v, gate_v=gate_v)
    found = engine(array.under(levels, pulse))
    if found.failed:
        ledger.failed = found.failed
        return array
    after = array.after(found.states)
    meant = amplitude_v != 0
    _add_disturb(ledger, array, after, ~meant)
    ledger.disturbing += ~meant & (levels.across_v != 0)
    ledger.energy_j += found.energy_j
    ledger.given_j += found.given_j
    ledger.pulses += meant
    ledger.time_s += pulse.duration_s
    ledger.steps += 1
    return after


def _add_disturb(
    ledger: Ledger, array: WritableArray, after: WritableArray, others: NDArray[np.bool_]
) -> None:
    changed = others & array.works & (after.states[array.memory] != array.states[array.memory])
    if changed.any():
        ledger.disturb[changed] += (after.fractions() - array.fractions())[changed]


@dataclass(frozen=True)
class Disturb:
    """The cell that other cells' pulses have moved most.

    Attributes:
        row: where it is.
        col: where it is.
        moved: how far its state went, as a fraction of its range, with its sign.
        pulses: in so many pulses that were meant for others.
        pulses_to_one_percent: how many such pulses move it by 1 % of its range, at this pace; None
            if it has not moved.
    """

    row: int
    col: int
    moved: float
    pulses: int
    pulses_to_one_percent: float | None


_ONE_PERCENT = 0.01
_ROUNDING = 1e-9  # of the range


def worst_disturb(ledger: Ledger) -> Disturb:
    """The cell that was moved most by pulses for others.

    Raises:
        InputError: the array has no cells.
    """
    if not ledger.disturb.size:
        raise InputError("there are no cells", where="ledger")
    at = int(np.abs(ledger.disturb).argmax())
    row, col = (int(k) for k in np.unravel_index(at, ledger.disturb.shape))
    moved, pulses = float(ledger.disturb[row, col]), int(ledger.disturbing[row, col])
    to_one = _ONE_PERCENT * pulses / abs(moved) if abs(moved) > _ROUNDING else None
    return Disturb(row, col, moved, pulses, to_one)
