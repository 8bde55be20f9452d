"""Write-verify: read, pulse what is off its target in the right direction, and read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from cosim.driven.result import Engine
from cosim.driven.writable import WritableArray
from cosim.write.amplitudes import AmplitudeRule, History, LearningRule
from cosim.write.ledger import Ledger, add_reading, apply_pulse
from cosim.write.unmet import Unmet, codes_of_round, no_codes
from netlists.pulse import Pulse
from netlists.write_schemes import WriteScheme

Array = NDArray[np.float64]

ORDERS = ("row", "column", "cell")
_PLACES = 1025  # of the mean device's conductance
_FEWER = 4  # times fewer cells of a line are written at once in every further round
# A cell that takes a wire's voltage away where it conducts has another share in every state. What
# the last pulse showed is best for most; a few go in circles with it, and come to rest with a mean.
# Chosen where the digits' network of the demo is met by them; those of wine and iris are too.
_STUBBORN, _DAMPED = 6, 0.3  # pulses, and the weight of the last one's share after them
_LITTLE, _MOST_DOUBLINGS = 0.01, 6  # of the range
_ROUNDING = 1e-9  # of the largest conductance


@dataclass(frozen=True)
class VerifySpec:
    """When a cell is done, and when it is given up.

    Attributes:
        tolerance_s: how far a reading may be from its target [S], > 0.
        read_v: voltage across a memristor when it is read [V].
        most_pulses: for one cell in one round, >= 1.
        rounds: how often the array is gone through, >= 1: later lines disturb earlier ones. After
            the first time only what is off its target is written, a quarter of it at once.
        order: "row", "column" or "cell": which cells are written at the same time.
        at_once: of a line, at most so many: all at once would starve each other of voltage.
        read_s: how long the reading of a line takes [s], for latency and heat.
        gate_raise_v: gate voltage while a state is raised, with transistors [V].
        gate_lower_v: the same while it is lowered [V].

    Raises:
        InputError: a number cannot be.
    """

    tolerance_s: float
    read_v: float = 0.1
    most_pulses: int = 50
    rounds: int = 2
    order: str = "row"
    at_once: int = 8
    read_s: float = 1e-7
    gate_raise_v: float | None = None
    gate_lower_v: float | None = None

    def __post_init__(self) -> None:
        """Checks the numbers."""
        for name, good, allowed in (
            ("tolerance_s", 0 < self.tolerance_s < np.inf, "> 0 S"),
            ("read_v", 0 < abs(self.read_v) < np.inf, "not 0 V"),
            ("most_pulses", self.most_pulses >= 1, ">= 1"),
            ("rounds", self.rounds >= 1, ">= 1"),
            ("at_once", self.at_once >= 1, ">= 1"),
            ("read_s", 0 <= self.read_s < np.inf, ">= 0 s"),
        ):
            if not good:
                raise InputError(
                    "cannot be used", where=name, value=getattr(self, name), allowed=allowed
                )
        if self.order not in ORDERS:
            raise InputError(
                "no such order", where="order", value=self.order, allowed=", ".join(ORDERS),
                hint=closest(self.order, ORDERS),
            )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Written:
    """An array after it was written.

    Attributes:
        array: with its states.
        conductance_s: of every memristor by itself [S], [row, col].
        within: where that is within the tolerance of its target, [row, col].
        unmet: why a cell that has a target is not: a value of `Unmet`; empty for all others,
            [row, col].
        ledger: what it cost, and what it did to other cells.
        latency_s: pulses and reads one after the other.
        failed: why it ended early; empty if it did not.
    """

    array: WritableArray
    conductance_s: Array
    within: NDArray[np.bool_]
    unmet: NDArray[np.str_]
    ledger: Ledger
    latency_s: float
    failed: str


def write_verify(
    array: WritableArray,
    target_s: Array,
    scheme: WriteScheme,
    pulses: tuple[Pulse, Pulse],
    engine: Engine,
    rule: AmplitudeRule,
    spec: VerifySpec,
    *,
    report: Callable[[int, int], None] | None = None,
) -> Written:
    """Writes conductances into an array, line by line.

    A reading is that of the memristor alone (a four-point read): what the wires take when the
    array is used belongs to the network that was trained for it.

    Args:
        array: as it is.
        target_s: [row, col]; NaN where a cell is to be left alone.
        scheme: what other lines carry during a pulse.
        pulses: the timing of pulses that raise the state and of those that lower it.
        engine: what computes a pulse.
        rule: how high it is.
        spec: when to end.
        report: called with groups done and groups in all.

    Raises:
        InputError: a target is not the array's shape or out of the device's reach, or the scheme
            needs another order or another cell.
    """
    mean, wanted = check_targets(array, target_s, scheme, spec)
    goal = mean.place(np.where(wanted, target_s, mean.least_s))
    ledger = Ledger.of(array.shape)
    share = np.ones(target_s.size)
    codes = no_codes(target_s.size)
    one_pulse = spec.most_pulses == spec.rounds == 1
    missed = wanted
    for turn in range(spec.rounds):
        # What its neighbours have kept from its target in one round is written with fewer of them.
        fewer = replace(spec, at_once=max(1, spec.at_once // _FEWER**turn))
        groups = [group for group in groups_of(array.shape, fewer) if missed.ravel()[group].any()]
        for k, group in enumerate(groups):
            cells = group[wanted.ravel()[group]]
            target, end = target_s.ravel()[cells], goal.ravel()[cells]
            streak, last = (np.zeros(len(cells), dtype=np.int64) for _ in range(2))
            turned, amplitude = np.zeros(len(cells), dtype=np.bool_), np.zeros(len(cells))
            part, before, moved = share[cells], end, np.full(len(cells), np.nan)
            for tried in range(spec.most_pulses):
                table = array.conductance_of(group, spec.read_v)
                add_reading(ledger, table, spec.read_v, spec.read_s, lines=1)
                reading = table.ravel()[cells]
                todo = np.abs(reading - target) > spec.tolerance_s  # False for NaN
                if not todo.any():
                    break
                now = mean.place(reading)
                pulsed = amplitude != 0
                if isinstance(rule, LearningRule) and pulsed.any():
                    known = part[pulsed]
                    seen = rule.seen(before[pulsed], now[pulsed], amplitude[pulsed], known)
                    part[pulsed] = known + (_DAMPED if tried > _STUBBORN else 1.0) * (seen - known)
                moved = np.where(pulsed, np.abs(now - before), moved)
                before = now
                aim = _aims(mean, now, end, target > reading, turned, streak)
                direction = np.where(todo, np.sign(aim - now), 0).astype(np.int64)
                turned |= direction * last < 0
                streak = np.where(direction == last, streak + 1, 0)
                last = direction
                amplitude = np.zeros(len(cells))
                amplitude[todo] = rule(now[todo], aim[todo], History(streak[todo], part[todo]))
                gates_v = (spec.gate_raise_v, spec.gate_lower_v)
                for sign, pulse, gate_v in zip((1, -1), pulses, gates_v, strict=True):
                    chosen = np.zeros(array.shape)
                    chosen.ravel()[cells] = np.where(direction == sign, amplitude, 0.0)
                    if chosen.any():
                        array = apply_pulse(
                            array, scheme, chosen, pulse, engine, ledger, gate_v=gate_v
                        )
                    if ledger.failed:
                        codes[cells] = Unmet.ENDED_EARLY.value
                        return _result(array, target_s, wanted, ledger, spec, codes)
            share[cells] = part
            codes[cells] = codes_of_round(todo, turned, moved, one_pulse=one_pulse)
            if report is not None:
                report(turn * len(groups) + k + 1, spec.rounds * len(groups))
        reading = array.conductance_s(spec.read_v)
        add_reading(ledger, reading, spec.read_v, spec.read_s, lines=array.shape[0])
        missed = wanted & (np.abs(reading - target_s) > spec.tolerance_s)
        if not missed.any():
            break
    return _result(array, target_s, wanted, ledger, spec, codes)


def check_targets(
    array: WritableArray, target_s: Array, scheme: WriteScheme, spec: VerifySpec
) -> tuple[MeanDevice, NDArray[np.bool_]]:
    """The conductance of the array's device over its state, and which cells are to be written.

    Raises:
        InputError: as `write_verify`.
    """
    if target_s.shape != array.shape:
        raise InputError(
            "wrong shape", where="target_s", value=target_s.shape, allowed=f"{array.shape}"
        )
    wanted = array.works & ~np.isnan(target_s)
    if not wanted.any():
        raise InputError(
            "the schedule never selects a cell",
            where="target_s",
            hint="give at least one working cell a target",
        )
    _check(array, scheme, spec)
    mean = MeanDevice.of(array, spec.read_v)
    mean.check(target_s, wanted)
    return mean, wanted


def _result(
    array: WritableArray,
    target_s: Array,
    wanted: NDArray[np.bool_],
    ledger: Ledger,
    spec: VerifySpec,
    codes: NDArray[np.str_],
) -> Written:
    reading = array.conductance_s(spec.read_v)
    within = wanted & (np.abs(reading - target_s) <= spec.tolerance_s)
    latency_s = ledger.time_s + ledger.reads * spec.read_s
    unmet = np.where(wanted & ~within, codes.reshape(array.shape), Unmet.MET.value)
    return Written(array, reading, within, unmet, ledger, latency_s, ledger.failed)


def _aims(
    mean: MeanDevice,
    now: Array,
    goal: Array,
    too_low: NDArray[np.bool_],
    turned: NDArray[np.bool_],
    streak: NDArray[np.int64],
) -> Array:
    """Where the next pulse of a cell is to lead, [cell]: to its goal, if that is not an end.

    Cells may reach beyond the mean device's ends. What has been on both sides of one is sent half
    of the way. What reads as if it were there already lies beyond; how far is not known, so it is
    tried with little first and twice as much each further time.
    """
    aim = np.where(((goal == 0) | (goal == 1)) & turned, 0.5 * (now + goal), goal)
    step = _LITTLE * 2.0 ** np.minimum(streak, _MOST_DOUBLINGS)
    inward = now + np.where(too_low == mean.rises, step, -step)
    inward = np.where((inward < 0) | (inward > 1), 2 * now - inward, inward)
    return np.clip(np.where(goal == now, inward, aim), 0, 1)


def groups_of(shape: tuple[int, int], spec: VerifySpec) -> list[NDArray[np.intp]]:
    """The cells that are written at the same time, group after group.

    Args:
        shape: rows and columns.
        spec: the order, and how many of a line go together.

    Returns:
        Of every group the places of its cells in the flattened array, rising; every cell is in one.
    """
    rows, cols = np.indices(shape)
    if spec.order == "cell":
        group = rows * shape[1] + cols
    else:
        line, place, length = (
            (rows, cols, shape[1]) if spec.order == "row" else (cols, rows, shape[0])
        )
        group = line * -(-length // spec.at_once) + place // spec.at_once
    # Places, not masks: as many masks as cells would be gigabytes.
    order = np.argsort(group, axis=None, kind="stable")
    starts = np.flatnonzero(np.diff(group.ravel()[order])) + 1
    return np.split(order, starts)


def _check(array: WritableArray, scheme: WriteScheme, spec: VerifySpec) -> None:
    has = "nothing" if array.access is None else type(array.access).__name__.lower()
    if has != scheme.access:
        raise InputError(
            f"scheme {scheme.name!r} needs {scheme.access} before every memristor",
            where="access",
            value=has,
            allowed=scheme.access,
        )
    if scheme.by_rows_only and spec.order == "column":
        raise InputError(
            f"scheme {scheme.name!r} writes along rows",
            where="order",
            value=spec.order,
            allowed="row, cell",
        )
    gates = (spec.gate_raise_v, spec.gate_lower_v)
    if (scheme.access == "transistor") != all(one is not None for one in gates):
        raise InputError(
            "gate voltages for both directions with transistors, none without",
            where="gate_raise_v, gate_lower_v",
            value=gates,
        )


@dataclass(frozen=True, eq=False)
class MeanDevice:
    """The conductance of the device with its set's own numbers, over its state.

    Attributes:
        fraction: of the written state, in the order in which conductances rise [place].
        conductance_s: [place].
        name: of the device.
        read_v: at which it is read [V].
    """

    fraction: Array
    conductance_s: Array
    name: str
    read_v: float

    @staticmethod
    def of(array: WritableArray, read_v: float) -> MeanDevice:
        """That of an array's cells.

        Raises:
            InputError: the conductance at that voltage does not tell the state.
        """
        x = np.linspace(0, 1, _PLACES)[None]
        row = replace(array, values={}, stuck_s=None)
        g = row.at_fractions(x).conductance_s(read_v)[0]
        order = slice(None) if g[-1] >= g[0] else slice(None, None, -1)
        found = MeanDevice(x[0, order], g[order], array.model.name, read_v)
        back = np.diff(found.conductance_s) < -_ROUNDING * np.abs(g).max()
        if back.any():
            raise InputError(
                f"{found.name!r} has one conductance at several states: none can be written by it",
                where="read voltage",
                value=read_v,
                allowed="one at which the conductance rises or falls with the state all the way",
            )
        return found

    @property
    def rises(self) -> bool:
        """The conductance rises with the state."""
        return bool(self.fraction[-1] > self.fraction[0])

    @property
    def range_s(self) -> float:
        """Between the conductances of the ends of the state's range."""
        return float(self.conductance_s[-1] - self.conductance_s[0])

    @property
    def least_s(self) -> float:
        """The least conductance."""
        return float(self.conductance_s[0])

    def place(self, conductance_s: Array) -> Array:
        """The fraction at which the device has a conductance, that of an end beyond it."""
        found: Array = np.interp(conductance_s, self.conductance_s, self.fraction)
        return found

    def check(self, target_s: Array, wanted: NDArray[np.bool_]) -> None:
        """Refuses a target that the device cannot have."""
        least, most = self.least_s, float(self.conductance_s[-1])
        wrong = wanted & ~((target_s >= least * (1 - 1e-9)) & (target_s <= most * (1 + 1e-9)))
        if wrong.any():
            row, col = (int(k) for k in np.argwhere(wrong)[0])
            raise InputError(
                f"{int(wrong.sum())} of {int(wanted.sum())} targets cannot be reached",
                where=f"target conductance_s[{row}, {col}]",
                value=float(target_s[row, col]),
                allowed=f"{least:.6g} to {most:.6g} S, the range of {self.name!r} at"
                f" {self.read_v:g} V",
            )
