"""Where the table of an update surrogate needs points: levels of the pulse, and states before it.

The torch model says it, which costs little: levels are put between those at whose middle a straight
line is wrong, and states where the map bends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.surrogate.update_rows import Row, from_rows
from cosim.tables.kept_points import Measure
from netlists.pulse import Pulse

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How fine the table is.

    Attributes:
        levels: of the pulse to begin with, over both signs.
        level_rounds: times that levels are put between others.
        states: before the pulse to begin with.
        state_rounds: times that states are put between others.
        error: where a straight line is wrong by less it is good enough: over the largest change of
            a level, and between levels over the rms of all, with the part of the range between.
        held_out: random points on which the error is measured.
    """

    levels: int = 21
    level_rounds: int = 6
    states: int = 17
    state_rounds: int = 5
    error: float = 2e-3
    held_out: int = 10_000


# On a cliff one point of a thousand is worth as much as all others together: few of them would tell
# a root mean square by luck. Behavioural sources take four times as long for `FULL`, minutes.
FULL = Effort()
QUICK = Effort(levels=13, level_rounds=6, states=13, state_rounds=4, error=7e-3, held_out=1000)
_BESIDE = 1e-6  # of a threshold: so far from it are the levels on either side
_NEAR_END = np.array([1e-3, 1e-2])  # of the range: a bound cuts small steps short
_NEAREST = 1e-5  # of the range: states are no nearer to each other
# Of the way from level to level, to see if a table of both is right there; the first one stays. One
# place may be right by chance where a cliff moves with the level, three hardly ever are.
_TRIED = (0.5, 0.2, 0.8)
_PARTS = 3  # of an interval of states in which the map bends
_INSIDE = range(1, _PARTS)


def lay_out(
    guide: Measure, range_v: tuple[float, float], effort: Effort, thresholds_v: Sequence[float]
) -> list[Row]:
    """Rows of points that the table needs, as the guide measures them, of rising levels.

    Args:
        guide: who measures.
        range_v: the least and the greatest level [V].
        effort: how fine.
        thresholds_v: levels at which the step may jump: each has a row on either side.
    """
    low, high = range_v
    even = np.linspace(low, high, effort.levels)
    sides = [v * (1 + side * _BESIDE) for v in thresholds_v for side in (-1, 1) if v]
    marks = np.array([0.0, *sides])
    marks = marks[(marks > low) & (marks < high)]
    apart = np.abs(even[:, None] - marks[None]).min(1, initial=np.inf) > 1e-3 * (high - low)
    apart[[0, -1]] = True
    levels = np.unique(np.concatenate([even[apart], marks]))
    rows = measured_rows(guide, levels, effort)
    wanted = [bool(gap) for gap in np.diff(levels) > 1e-4 * (high - low)]
    for _ in range(effort.level_rounds):
        pairs = [pair for pair, far in zip(pairwise(rows), wanted, strict=True) if far]
        if not pairs:
            break
        tried = [
            a.voltage_v + (b.voltage_v - a.voltage_v) * part for a, b in pairs for part in _TRIED
        ]
        new = iter(measured_rows(guide, np.array(tried), effort))
        whole = max(_rms_of_all(rows), 1e-12)
        joined, following = [rows[0]], []
        for (before, after), wrong in zip(pairwise(rows), wanted, strict=True):
            if wrong:
                found = [next(new) for _ in _TRIED]
                wrong_by = max(
                    _rms(one.x, one.after - _blended(before, after, one)) for one in found
                )
                part = (after.voltage_v - before.voltage_v) / (high - low)
                far = wrong_by * np.sqrt(part) > effort.error * whole
                joined.append(found[0])
                following += [bool(far)] * 2
            else:
                following.append(False)
            joined.append(after)
        rows, wanted = joined, following
    return rows


def _blended(before: Row, after: Row, between: Row) -> Array:
    """States after the pulses of a row, as a table of the rows on either side has them."""
    pair = from_rows(
        [before, after],
        model="",
        parameter_set="",
        pulse=Pulse(0.0, 1.0, 1.0, 1.0),
        state="",
        source="",
        smooth=False,
    )
    level = torch.full((len(between.x),), between.voltage_v, dtype=torch.float64)
    return pair.after(torch.from_numpy(between.x), level).numpy()


def _rms_of_all(rows: Sequence[Row]) -> float:
    """The rms of the change of state over all states and levels."""
    levels = np.array([row.voltage_v for row in rows])
    squares = np.array([_rms(row.x, row.after - row.x) ** 2 for row in rows])
    return float(np.sqrt(np.trapezoid(squares, levels) / (levels[-1] - levels[0])))


def _rms(x: Array, y: Array) -> float:
    """The rms over an even spread of states of what is known at others."""
    known = np.isfinite(y)
    if not known.any():
        return 0.0
    even = np.interp(np.linspace(0, 1, 501), x[known], y[known])
    return float(np.sqrt(np.mean(even**2)))


def measured_rows(guide: Measure, levels: Array, effort: Effort) -> list[Row]:
    """Rows at some levels, with states where each bends, as the guide measures them."""
    even = np.linspace(0.0, 1.0, effort.states)
    xs = [np.unique(np.concatenate([even, _NEAR_END, 1 - _NEAR_END])) for _ in levels]
    rows: list[Row] = []
    fresh = xs
    for turn in range(effort.state_rounds + 1):
        count = [len(x) for x in fresh]
        if not sum(count):
            break
        found = guide(np.concatenate(fresh), np.repeat(levels, count))
        ends = np.cumsum(count)[:-1]
        parts = zip(fresh, np.split(found.after, ends), np.split(found.energy_j, ends), strict=True)
        new = [Row(float(v), *part) for v, part in zip(levels, parts, strict=True)]
        rows = new if not turn else [_joined(a, b) for a, b in zip(rows, new, strict=True)]
        fresh = [_where_it_bends(row, effort.error) for row in rows]
    return rows


def _joined(one: Row, other: Row) -> Row:
    order = np.argsort(np.concatenate([one.x, other.x]), kind="stable")
    columns = [
        np.concatenate(pair)[order]
        for pair in (
            (one.x, other.x), (one.after, other.after), (one.energy_j, other.energy_j),
        )
    ]  # fmt: skip
    return Row(one.voltage_v, *columns)


def _where_it_bends(row: Row, error: float) -> Array:
    """States within the intervals in which straight lines from end to end may be wrong."""
    u, w = row.x + row.after, row.after - row.x
    most = max(float(np.nanmax(np.abs(w))), 1e-12)
    heat = row.energy_j / max(float(np.nanmax(np.abs(row.energy_j))), 1e-300)
    wrong = (_off(u, w) > error * most) | (_off(u, heat) > error)
    wrong &= np.diff(row.x) > _NEAREST
    first, length = row.x[:-1][wrong], np.diff(row.x)[wrong]
    return np.asarray(np.sort(np.concatenate([first + length * k / _PARTS for k in _INSIDE])))


def _off(u: Array, y: Array) -> Array:
    """How far a bent curve may be from straight lines, in every interval [point - 1]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        bend = np.abs(np.diff(np.diff(y) / np.diff(u)))
    beside = np.concatenate([[0.0], bend]) + np.concatenate([bend, [0.0]])
    return np.asarray(np.nan_to_num(beside) * np.diff(u) / 8)
