"""Some cells of a network written by ngspice itself, beside what the update surrogate says of them.

Thousands of pulses go through the surrogate. Here the same loop writes a few groups of cells with
every pulse a transient of the whole tile, and every one of these pulses is given to the surrogate
too: how far it is off is known in all cells, half-selected ones included. How many times the pulses
and the heat of the surrogate the simulator needed for the same cells stands beside the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.result import Engine, PulseResult
from cosim.driven.table import table_engine
from cosim.driven.writable import WritableArray
from cosim.write.verify import Written, write_verify
from workflows.write_plan import WritePlan

Array = NDArray[np.float64]

_LAYERS = 3  # of which the hardest group is judged; a chip of many would take minutes
Ratio = tuple[float, float]


@dataclass(frozen=True)
class GroupPlace:
    """Cells of a row that are written at once: layer, tile, row and first column."""

    layer: int
    tile: int
    row: int
    col: int


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Cells of the mean device, written by both.

    Attributes:
        cells: how many were written.
        met: within the tolerance, in the simulator.
        met_surrogate: the same by the surrogate.
        pulses: pulses on these cells in the simulator.
        pulses_surrogate: the same by the surrogate.
        energy_j: heat of these pulses in all cells of the tile, in the simulator [J].
        energy_surrogate_j: the same by the surrogate [J].
        states_apart: the largest difference of a state after one and the same pulse, over all of
            these pulses and all cells of the tile, as a fraction of the state's range; None if
            the simulator had no answer.
        reason: why the first run that failed did; empty if none did.
    """

    cells: int
    met: int
    met_surrogate: int
    pulses: int
    pulses_surrogate: int
    energy_j: float
    energy_surrogate_j: float
    states_apart: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class JudgedGroup(Tally):
    """The cells of one group.

    Attributes:
        place: where they are.
    """

    place: GroupPlace


@dataclass(frozen=True, kw_only=True)
class Judged(Tally):
    """All groups together.

    Attributes:
        engine: the simulator.
        form: in which it got the cells, `DeviceForm.label`.
        groups: one by one.
        pulses_ratio: the simulator's pulses over the surrogate's, the least and the greatest of
            the groups whose runs did not fail; None if there is none.
        energy_ratio: the same of the heat.
    """

    engine: str
    form: str
    groups: tuple[JudgedGroup, ...]
    pulses_ratio: Ratio | None
    energy_ratio: Ratio | None


def judged_together(engine: str, form: str, groups: Sequence[JudgedGroup]) -> Judged:
    """The groups and what they say together.

    Args:
        engine: the simulator.
        form: in which it got the cells.
        groups: one at least.
    """
    done = [one for one in groups if not one.reason]
    return Judged(
        engine=engine,
        form=form,
        groups=tuple(groups),
        cells=sum(one.cells for one in groups),
        met=sum(one.met for one in groups),
        met_surrogate=sum(one.met_surrogate for one in groups),
        pulses=sum(one.pulses for one in groups),
        pulses_surrogate=sum(one.pulses_surrogate for one in groups),
        energy_j=sum(one.energy_j for one in groups),
        energy_surrogate_j=sum(one.energy_surrogate_j for one in groups),
        pulses_ratio=_ratio([(one.pulses, one.pulses_surrogate) for one in done]),
        energy_ratio=_ratio([(one.energy_j, one.energy_surrogate_j) for one in done]),
        states_apart=max(
            (one.states_apart for one in groups if one.states_apart is not None), default=None
        ),
        reason=next((one.reason for one in groups if one.reason), ""),
    )


def _ratio(pairs: Sequence[tuple[float, float]]) -> Ratio | None:
    found = [ours / theirs for ours, theirs in pairs if theirs > 0]
    return (min(found), max(found)) if found else None


def places_to_judge(targets: Sequence[Sequence[Array]], at_once: int) -> list[GroupPlace]:
    """Groups of a network: the hardest and the middle one of the first tile of some layers.

    Hard is a group whose targets are highest: its cells take most from each other. Of the largest
    of these tiles, which takes a simulator longest, it is the hardest one only.

    Args:
        targets: conductances [S], [layer][tile] -> [row, col].
        at_once: cells of a row that are written at once.
    """
    chosen = sorted({*range(min(_LAYERS - 1, len(targets))), len(targets) - 1})
    largest = max(chosen, key=lambda k: targets[k][0].size)
    places = []
    for k in chosen:
        order = _by_target(targets[k][0], at_once)
        middle = order[len(order) // 2]
        for row, col in [order[-1]] if k == largest and len(chosen) > 1 else [order[-1], middle]:
            places.append(GroupPlace(k, 0, row, col))
    return list(dict.fromkeys(places))


def judge_group(
    fresh: WritableArray,
    target_s: Array,
    place: GroupPlace,
    plan: WritePlan,
    known: Engine,
    on_pulse: Callable[[], None],
) -> JudgedGroup:
    """Writes a group of cells by the surrogate and by who judges it.

    Args:
        fresh: the tile before it is written.
        target_s: of all of its cells, [row, col].
        place: which group.
        plan: as for the whole tile; `at_once` cells are written.
        known: who judges.
        on_pulse: called after every pulse that was simulated.
    """
    surrogate = plan.surrogate
    cells = np.s_[place.row, place.col : place.col + plan.spec.at_once]
    wanted = np.full(target_s.shape, np.nan)
    wanted[cells] = target_s[cells]
    fast = table_engine(surrogate)
    apart: list[float] = []

    def watched(array: PulsedArray) -> PulseResult:
        found = known(array)
        if not found.failed:
            ours, theirs = (fresh.after(one.states).fractions() for one in (fast(array), found))
            apart.append(float(np.nanmax(np.abs(ours - theirs))))
        on_pulse()
        return found

    def written(engine: Engine) -> Written:
        pulses = (surrogate.pulse, surrogate.pulse)
        return write_verify(fresh, wanted, plan.scheme, pulses, engine, plan.rule, plan.spec)

    ours, theirs = written(fast), written(watched)
    return JudgedGroup(
        place=place,
        cells=int(np.isfinite(wanted).sum()),
        met=int(theirs.within.sum()),
        met_surrogate=int(ours.within.sum()),
        pulses=int(theirs.ledger.pulses.sum()),
        pulses_surrogate=int(ours.ledger.pulses.sum()),
        energy_j=float(theirs.ledger.energy_j.sum()),
        energy_surrogate_j=float(ours.ledger.energy_j.sum()),
        states_apart=max(apart, default=None),
        reason=theirs.failed,
    )


def _by_target(target_s: Array, at_once: int) -> list[tuple[int, int]]:
    """Row and first column of every group, groups as a row is cut, of rising targets."""
    starts = range(0, target_s.shape[1], at_once)
    sums = np.stack([target_s[:, k : k + at_once].sum(1) for k in starts], 1)
    order = np.argsort(sums, axis=None, kind="stable")
    rows, groups = np.unravel_index(order, sums.shape)
    return [(int(row), int(group) * at_once) for row, group in zip(rows, groups, strict=True)]
