"""Updates by the measured table of one pulse, at the voltages that arrive behind the wires.

A pulse device needs no measurement: its law says what a pulse of any level does, to every cell by
the cell's own parameters.

Many slots, of one update or several, are solved together: the voltages across all cells in all of
them, then by the table what every pulse does at these, then the voltages again for the states that
cells have in the middle of each slot, until the two agree. A cell has one voltage in a slot: steps
of some percent of the range are near, cells that run through it in one pulse are not. Lines whose
pulses last longer or shorter make steps in proportion; what of the longer half is left when the
shorter one is over is left out.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.errors import InputError
from cosim.array.updates.tile import TileUpdate, slot_factor
from cosim.devices.operating_point import operating_point
from cosim.devices.switching_time import switching_state
from cosim.driven.engines import Means
from cosim.driven.lines import DrivenLines, voltages_across
from cosim.driven.train_pulses import TrainPulses, TrainSlots, train_slots
from cosim.driven.writable import WritableArray
from cosim.ngspice import Outcome
from cosim.pulses.pulse_law import PulseLaw
from cosim.pulses.trains import PulseTrains
from cosim.surrogate.update import UpdateNoise, UpdateSurrogate
from netlists.pulse import Pulse

_EXACT = 1e-4  # of the highest voltage: how exactly the wires are solved; the tables know no more
_LITTLE = 1e-3  # of the range: where no cell moved so far the voltages of before are good enough
_AGREE = 2e-4  # of the range: how far states of two rounds may be apart
_ROUNDS = 8  # of states and voltages until they must agree
_SLOW = 0.5  # of what was left in the round before: where more is left fewer slots are tried
_GROW = 1.5  # times as many slots as last time
_AT_ONCE = 1 << 18  # voltages that are solved together


class _OnePulse(Protocol):
    """What one pulse does to cells."""

    @property
    def range_v(self) -> tuple[float, float]:
        """The least and the greatest level that it knows [V]."""
        ...

    def pulse_on(
        self, x: torch.Tensor, voltage_v: torch.Tensor, values: Mapping[str, Value]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States after a pulse, as fractions of their range, and its heat [J], each [...].

        Args:
            x: states before it, likewise.
            voltage_v: its levels [V], likewise.
            values: parameters of the cells, floats or tensors that broadcast to these.
        """
        ...


@dataclass(frozen=True)
class _Measured:
    """By a table of the device with the numbers of its set."""

    table: UpdateSurrogate

    @property
    def range_v(self) -> tuple[float, float]:
        return self.table.range_v

    def pulse_on(
        self, x: torch.Tensor, voltage_v: torch.Tensor, values: Mapping[str, Value]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.table.pulse_on(x, voltage_v)


@dataclass(frozen=True, eq=False)
class _Tile:
    """What stays of a tile through a batch.

    Attributes:
        array: before the batch.
        functions: its device.
        values: its parameters, floats, or [row, col] where cells have their own.
        p: the same with the constants of nature.
        lines: its wires and drivers.
        works: where a cell is not stuck, [row, col].
        stuck_s: conductance of the others, 0 where a cell works, likewise.
        fractions: states in the order of the model, each [row, col]; the set's initial values where
            a cell is stuck.
        index: of the written one.
    """

    array: WritableArray
    functions: TorchModel
    values: Mapping[str, Value]
    p: Mapping[str, Value]
    lines: DrivenLines
    works: torch.Tensor
    stuck_s: torch.Tensor
    fractions: list[torch.Tensor]
    index: int

    @staticmethod
    def of(array: WritableArray) -> _Tile:
        rest = array.at_rest()
        functions = torch_model(array.model)
        own = {name: torch.from_numpy(np.asarray(x)) for name, x in array.values.items()}
        values: dict[str, Value] = {**array.parameter_set.values, **own}
        p = functions.parameters(values)
        begun = [torch.from_numpy(rest.start(one.name)) for one in array.model.states]
        stuck_s = np.zeros(array.shape) if array.stuck_s is None else array.stuck_s
        return _Tile(
            array=array,
            functions=functions,
            values=values,
            p=p,
            lines=rest.lines,
            works=torch.from_numpy(array.works),
            stuck_s=torch.from_numpy(np.where(array.works, 0.0, stuck_s)),
            fractions=list(functions.fractions(begun, p)),
            index=switching_state(array.model),
        )

    def states(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """All states with the written one at fractions [..., row, col], by name."""
        now = [*self.fractions[: self.index], x, *self.fractions[self.index + 1 :]]
        names = [one.name for one in self.array.model.states]
        return dict(zip(names, self.functions.states(now, self.p), strict=True))

    def voltages(
        self,
        x: torch.Tensor,
        word_v: torch.Tensor,
        bit_v: torch.Tensor,
        guess_v: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Across the cells, [slot, row, col], and what sources give over what cells take, [slot].

        Args:
            x: the written states, [row, col] for all slots, or [slot, row, col].
            word_v: of the drivers of word lines, [slot, row].
            bit_v: of bit lines, [slot, col].
            guess_v: to start from, [slot, row, col].
        """
        states, values = self.states(x), self.values

        def cell(u: torch.Tensor, _word_v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            point = operating_point(self.array.model, values, states, u)
            current = torch.where(self.works, point.current_a, self.stuck_s * u)
            return current, torch.where(self.works, point.conductance_s, self.stuck_s)

        driven = word_v[:, :, None] - bit_v[:, None]
        found = voltages_across(
            cell, self.lines, word_v, bit_v,
            guess_v=guess_v, tolerance_v=_EXACT * float(driven.abs().max()),
        )  # fmt: skip
        if not bool(found.converged.all()):
            return None
        own = (found.current_a * found.voltage_v).sum((-2, -1))
        given = (found.current_a * driven).sum((-2, -1))
        return found.voltage_v, torch.where(own > 0, given / own, 1.0)

    def values_at(self, row: torch.Tensor, col: torch.Tensor) -> dict[str, Value]:
        """The parameters of some cells."""
        return {
            name: one[row, col] if isinstance(one, torch.Tensor) else one
            for name, one in self.values.items()
        }

    def after(self, x: torch.Tensor) -> WritableArray:
        """The array in the states of now; cells that did not move keep theirs to the last digit."""
        name, begun = self.array.memory, self.fractions[self.index].clamp(0, 1)
        moved = (self.works & (x != begun)).numpy()
        state = np.where(moved, self.states(x)[name].numpy(), self.array.states[name])
        return self.array.after({**self.array.states, name: state})


@dataclass(frozen=True, eq=False)
class _Slots:
    """Slots that follow each other, and what cells get in them.

    Attributes:
        kind: which table it needs, [slot].
        word_v: levels of word lines, [slot, row].
        bit_v: of bit lines, [slot, col].
        hit: where both lines of a working cell have a pulse, [slot, row, col].
        idle: where none has, likewise.
        share: of its change that a cell makes, by its lines' widths and the noise, likewise.
        width: how long its voltage lasts over its pulse's width, likewise.
    """

    kind: torch.Tensor
    word_v: torch.Tensor
    bit_v: torch.Tensor
    hit: torch.Tensor
    idle: torch.Tensor
    share: torch.Tensor
    width: torch.Tensor

    def part(self, first: int, last: int) -> _Slots:
        return _Slots(*(x[first:last] for x in vars(self).values()))


@dataclass(frozen=True, eq=False)
class _Moved:
    """What slots did.

    Attributes:
        x: the written states after them, [row, col].
        middle: in the middle of each, [slot, row, col].
        heat_j: of every cell, [row, col].
        given_j: of all sources.
    """

    x: torch.Tensor
    middle: torch.Tensor
    heat_j: torch.Tensor
    given_j: float


def updates(
    array: WritableArray,
    trains: PulseTrains,
    pulses: TrainPulses,
    means: Means,
    noise: UpdateNoise | None = None,
) -> TileUpdate:
    """See `cosim.array.updates.tile.update_tile`.

    Raises:
        InputError: there is no table of a pulse's timing, device or levels; or the cells of a
            device that has a table have parameters of their own; or there is something before them.
    """
    up, down = (_fitting(array, pulses, means.tables, up=up) for up in (True, False))
    tables = [(up, pulses.up)] if up == down else [(up, pulses.up), (down, pulses.down)]
    every = [train_slots(trains, k) for k in range(len(trains.words))]
    ends = list(accumulate(len(one) for one in every))
    with torch.no_grad():
        tile = _Tile.of(array)
        whole = _laid_out(tile, every, pulses, noise, kinds=len(tables))
        x = kept_x = tile.fractions[tile.index].clamp(0, 1)
        heat_j, given_j = torch.zeros(array.shape, dtype=torch.float64), 0.0
        kept = heat_j, given_j
        at, reached, failed = 0, 0, ""
        size = most = max(1, _AT_ONCE // array.works.size)
        while at < len(whole.kind):
            size = min(size, len(whole.kind) - at)
            found = _through(tile, whole.part(at, at + size), x, tables)
            if isinstance(found, str):
                if size > 1:
                    size //= 2
                    continue
                failed = found
                break
            x, heat_j, given_j = found.x, heat_j + found.heat_j, given_j + found.given_j
            at, size = at + size, min(most, 1 + int(_GROW * size))
            if at in ends:
                kept_x, kept, reached = x, (heat_j, given_j), at
    done = len(every) if not failed else bisect_right(ends, reached)
    return TileUpdate(
        array=tile.after(kept_x),
        energy_j=kept[0].numpy(),
        given_j=kept[1],
        pulses=sum(one.pulses for one in every[:done]),
        coincidences=sum(one.coincidences for one in every[:done]),
        done=done,
        outcome=Outcome.NO_CONVERGENCE if failed else Outcome.OK,
        reason=f"update {done}: {failed}" if failed else "",
    )


UPDATES = updates


def _laid_out(
    tile: _Tile,
    every: Sequence[TrainSlots],
    pulses: TrainPulses,
    noise: UpdateNoise | None,
    *,
    kinds: int,
) -> _Slots:
    """All slots of a batch."""
    rows, cols = tile.array.shape
    slots = TrainSlots(
        np.concatenate([np.zeros(0, dtype=bool), *(one.up for one in every)]),
        np.concatenate([np.zeros((0, rows), dtype=bool), *(one.rows for one in every)]),
        np.concatenate([np.zeros((0, cols), dtype=bool), *(one.cols for one in every)]),
    )
    word, bit = pulses.widths(tile.array.shape)
    of_row, of_col = slots.rows[:, :, None], slots.cols[:, None]
    width = np.minimum(np.where(of_row, word[:, None], np.inf), np.where(of_col, bit, np.inf))
    idle = ~(of_row | of_col)
    width = np.where(idle, 1.0, width)
    share = width
    if noise is not None:
        factors = [
            slot_factor(noise, sample, k, tile.array.shape)
            for sample, one in enumerate(every)
            for k in range(len(one))
        ]
        share = width * np.reshape(factors, width.shape)
    word_v, bit_v = pulses.levels_v(slots)
    kind = np.where(slots.up, 0, kinds - 1)
    given = (kind, word_v, bit_v, of_row & of_col & tile.works.numpy(), idle, share, width)
    return _Slots(*(torch.from_numpy(x) for x in given))


_Tables = Sequence[tuple[_OnePulse, Pulse]]


def _through(tile: _Tile, slots: _Slots, x: torch.Tensor, tables: _Tables) -> _Moved | str:
    """The tile after some slots; a text is why there is no result."""
    middle, guess_v, left = x, None, math.inf
    for turn in range(_ROUNDS):
        solved = tile.voltages(middle, slots.word_v, slots.bit_v, guess_v)
        if solved is None:
            return "the voltages across the cells were not found"
        guess_v, taken = solved
        found = _moved(tile, slots, x, middle.expand_as(guess_v), guess_v, taken, tables)
        if found is None:
            return "a table has no answer"
        off = float((found.middle - middle).abs().max())
        # In one slot a cell that takes its own voltage away would go to and fro, and one that gives
        # way further and further: there it is the voltage of half of what it does at the first.
        if off <= (_AGREE if turn else _LITTLE) or (turn and len(slots.kind) == 1):
            return found
        if turn > 1 and off > _SLOW * left:
            break
        middle, left = found.middle, off
    return "states and voltages do not agree"


def _moved(
    tile: _Tile,
    slots: _Slots,
    x: torch.Tensor,
    middle: torch.Tensor,
    across_v: torch.Tensor,
    taken: torch.Tensor,
    tables: _Tables,
) -> _Moved | None:
    """States and heat after slots at given voltages; None where a table has no answer.

    Cells that are half-selected or idle hardly move: all slots at once, at states that are known
    nearly. Coincidences follow each other: the first of every cell, the second ones, and so on.

    Args:
        tile: the tile.
        slots: its slots.
        x: states before them, [row, col].
        middle: nearly those in the middle of every slot, [slot, row, col].
        across_v: voltages across the cells, likewise.
        taken: what sources give over what cells take, [slot].
        tables: of every kind.
    """
    heat = torch.zeros_like(across_v)
    change = torch.zeros_like(across_v)
    for kind, (table, pulse) in enumerate(tables):
        at = slots.kind == kind
        if bool(at.any()):
            u, rests = across_v[at], slots.idle[at]
            u = torch.where(rests, u.clamp(*table.range_v), u)
            u = torch.where(slots.hit[at], 0.0, u)  # where nothing moves and nothing is heated
            after, energy = table.pulse_on(middle[at], u, tile.values)
            change[at] = torch.where(tile.works, (after - middle[at]) * slots.share[at], 0.0)
            stuck_j = tile.stuck_s * across_v[at] ** 2 * pulse.square_s
            heat[at] = torch.where(tile.works, energy, stuck_j) * slots.width[at]
    if not bool(torch.isfinite(change).all()):
        return None
    drift, hits = change.cumsum(0) - change, torch.zeros_like(x)
    when, row, col = slots.hit.nonzero(as_tuple=True)
    turn = (slots.hit.cumsum(0) - 1)[when, row, col]
    for k in range(int(turn.max()) + 1 if len(turn) else 0):
        for kind, (table, _) in enumerate(tables):
            chosen = (turn == k) & (slots.kind[when] == kind)
            if not bool(chosen.any()):
                continue
            at, i, j = when[chosen], row[chosen], col[chosen]
            before = (x[i, j] + hits[i, j] + drift[at, i, j]).clamp(0, 1)
            after, energy = table.pulse_on(before, across_v[at, i, j], tile.values_at(i, j))
            if not bool(torch.isfinite(after).all()):
                return None
            moved = before + (after - before) * slots.share[at, i, j]
            change[at, i, j] = moved.clamp(0, 1) - before
            hits[i, j] += change[at, i, j]
            heat[at, i, j] = energy * slots.width[at, i, j]
    way = change.cumsum(0)
    return _Moved(
        x=(x + way[-1]).clamp(0, 1),
        middle=(x + way - 0.5 * change).clamp(0, 1),
        heat_j=heat.sum(0),
        given_j=float((heat.sum((-2, -1)) * taken).sum()),
    )


def _fitting(
    array: WritableArray, pulses: TrainPulses, tables: tuple[UpdateSurrogate, ...], *, up: bool
) -> _OnePulse:
    """What the pulses of one direction do."""
    pulse, name = pulses.pulse(up=up), "up" if up else "down"
    law = array.model.pulse is not None
    if array.access is not None or (array.values and not law):
        raise InputError(
            "the update table is of the bare device with the numbers of its set",
            where="array: " + ("access" if array.access is not None else "values"),
            hint="take the fidelity ode or spice",
        )
    if law:
        return PulseLaw(array.model, pulse.at(1.0))
    level_v = pulses.highest_v(up=up)
    wanted = (array.model.name, array.parameter_set.name, *pulse.timing_s)
    for table in tables:
        same = (table.model, table.parameter_set) == wanted[:2]
        timed = all(
            math.isclose(a, b, rel_tol=1e-9)
            for a, b in zip(table.pulse.timing_s, pulse.timing_s, strict=True)
        )
        low, high = table.range_v
        if same and timed and low - 1e-9 <= level_v <= high + 1e-9 and low <= 0 <= high:
            return _Measured(table)
    raise InputError(
        f"there is no update table of the pulse {name!r}",
        where="tables",
        value=[f"{x.model} {x.parameter_set}, {x.range_v[0]:g} to {x.range_v[1]:g} V, "
               f"{x.pulse.width_s:g} s" for x in tables] or None,
        allowed=f"one of {wanted[0]} {wanted[1]} for {pulse.width_s:g} s between edges of"
        f" {pulse.rise_s:g} and {pulse.fall_s:g} s, from 0 to {level_v:g} V",
        hint="cosim.tables.cache.cached_update makes one",
    )  # fmt: skip
