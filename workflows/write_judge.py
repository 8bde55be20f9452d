"""A few cells of a tile written by ngspice itself, beside what the update surrogate says of it.

Thousands of pulses go through the surrogate. Here the same loop writes one group of cells with
every pulse a transient of the whole tile, and every one of these pulses is given to the surrogate
too: how far it is off is known in all cells, half-selected ones included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.devices.form import device_form
from cosim.ngspice import Ngspice
from cosim.write.array_surrogate import surrogate_engine
from cosim.write.engines import Pulsed, WriteEngine, ngspice_engine
from cosim.write.pulsed_array import PulsedArray
from cosim.write.verify import write_verify
from cosim.write.writable import WritableArray
from workflows.write_plan import WritePlan

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """The same cells, written by both.

    Attributes:
        engine: the simulator.
        form: in which it got the cells, `DeviceForm.label`.
        cells: how many were written.
        met: within the tolerance, in the simulator.
        met_surrogate: the same by the surrogate.
        pulses: steps that the loop took in the simulator.
        pulses_surrogate: the same by the surrogate.
        states_apart: the largest difference of a state after one and the same pulse, over all of
            these pulses and all cells of the tile, as a fraction of the state's range; None if
            the simulator had no answer.
        reason: why a run failed; empty if none did.
    """

    engine: str
    form: str
    cells: int
    met: int
    met_surrogate: int
    pulses: int
    pulses_surrogate: int
    states_apart: float | None
    reason: str


def judge_group(
    fresh: WritableArray,
    target_s: Array,
    plan: WritePlan,
    ngspice: Ngspice,
    on_pulse: Callable[[int], None],
) -> Judged:
    """Writes the group of a row whose targets are highest, by the surrogate and in ngspice.

    Args:
        fresh: the tile before it is written.
        target_s: of all of its cells, [row, col].
        plan: as for the whole tile; `at_once` cells are written.
        ngspice: the simulator.
        on_pulse: called with the pulses that have been simulated.
    """
    at_once, surrogate = plan.spec.at_once, plan.surrogate
    wanted = np.full(target_s.shape, np.nan)
    row, col = _highest(target_s, at_once)
    wanted[row, col : col + at_once] = target_s[row, col : col + at_once]
    form = device_form(fresh.model, fresh.parameter_set, ngspice)
    known = ngspice_engine(ngspice, compiled=form.compiled)
    fast = surrogate_engine(surrogate)
    apart: list[float] = []

    def watched(array: PulsedArray) -> Pulsed:
        found = known(array)
        if not found.failed:
            ours, theirs = (fresh.after(one.states).fractions() for one in (fast(array), found))
            apart.append(float(np.nanmax(np.abs(ours - theirs))))
        on_pulse(len(apart))
        return found

    def written(engine: WriteEngine) -> tuple[int, int, str]:
        pulses = (surrogate.pulse, surrogate.pulse)
        one = write_verify(fresh, wanted, plan.scheme, pulses, engine, plan.rule, plan.spec)
        return int(one.within.sum()), one.ledger.steps, one.failed

    met_surrogate, pulses_surrogate, _ = written(fast)
    met, pulses, reason = written(watched)
    return Judged(
        engine=ngspice.label,
        form=form.label,
        cells=int(np.isfinite(wanted).sum()),
        met=met,
        met_surrogate=met_surrogate,
        pulses=pulses,
        pulses_surrogate=pulses_surrogate,
        states_apart=max(apart, default=None),
        reason=reason,
    )


def _highest(target_s: Array, at_once: int) -> tuple[int, int]:
    """Row and first column of the group with the highest targets, groups as a row is cut."""
    starts = range(0, target_s.shape[1], at_once)
    sums = np.stack([target_s[:, k : k + at_once].sum(1) for k in starts], 1)
    row, group = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(row), int(group) * at_once
