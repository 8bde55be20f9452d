"""A weighted sum of arrays, read as one: Tiki-Taka's gamma A + C, several devices a weight.

The circuit: every array lies in tiles of its own. Drivers put the same inputs on the word lines of
all; each bit line ends in an amplifier of its own, whose feedback resistor is the array's factor
times that of the layer, and the adder of the layer's outputs, which sums its row blocks anyway,
sums those of all arrays. Backward likewise: the same errors on all bit lines, and amplifiers at the
word lines whose feedback goes with the factor. So the arrays see nothing of each other, which bit
lines of several cells side by side on one amplifier would; a factor costs no part, and one that is
0 leaves the array out of the sum but not out of the chip. A sign is no resistor: factors are not
negative (exchange plus and minus).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from compact_models.errors import InputError
from compact_models.variation import Draw, Stream
from cosim.array.analog_array import AnalogArray, Probe
from cosim.array.paired_cells import Pair, PairedCells
from cosim.array.protocols import Moved
from cosim.array.surroundings import TileTransfer
from cosim.ngspice import Outcome
from cosim.pulses.trains import PulseTrains

Policy = Literal["refused", "all", "in turn"]
"""What pulses for the sum do: nothing, as an algorithm updates the arrays one by one; reach every
array, whose word lines share their generators; or one array an update, each in its turn."""

POLICIES: tuple[Policy, ...] = ("refused", "all", "in turn")
_ALIKE = 1e-9  # how much the logical weight of a siemens may differ between arrays


class Combined(nn.Module):
    """Arrays of one shape that are read as their weighted sum.

    Weights are those of the sum. Where cells are given or shown, those of all arrays are one matrix
    whose word lines follow each other, [chip, side, arrays * row, out].

    Args:
        arrays: of one layout, as many chips each, whose weights are as many siemens.
        factors: of each, the gain of its amplifiers, >= 0 and not all 0.
        updates: what pulses for the sum do.

    Attributes:
        turn: how many updates there have been, int64: whose turn it is.

    Raises:
        InputError: arrays that do not go together, or no such factors or policy.
    """

    turn: torch.Tensor

    def __init__(
        self,
        arrays: Sequence[AnalogArray],
        factors: Sequence[float],
        *,
        updates: Policy = "refused",
    ) -> None:
        super().__init__()
        _check(arrays, factors, updates)
        self.arrays = nn.ModuleList(arrays)
        self.factors = tuple(float(one) for one in factors)
        self.policy: Policy = updates
        self.layout = replace(arrays[0].layout, arrays=len(arrays))
        self.chips = arrays[0].chips
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    @property
    def each(self) -> tuple[AnalogArray, ...]:
        """The arrays."""
        return tuple(one for one in self.arrays if isinstance(one, AnalogArray))

    @property
    def gains(self) -> torch.Tensor:
        """The factor of every tile's amplifiers, [tile]."""
        factors = torch.tensor(self.factors, dtype=torch.float64)
        return factors.repeat_interleave(self.layout.each.tiles)

    @property
    def version(self) -> int:
        """Moved on by everything that changes the state of an array."""
        return sum(one.version for one in self.each)

    @property
    def w(self) -> torch.Tensor:
        """Weights of the cells in their own units, copied."""
        return torch.cat([one.w for one in self.each], 2)

    @property
    def steps(self) -> torch.Tensor:
        """Steps that every cell has been asked for, copied."""
        return torch.cat([one.steps for one in self.each], 2)

    @property
    def is_weight(self) -> bool:
        """No tensor of the state is the logical weights."""
        return False

    @property
    def dtype(self) -> torch.dtype:
        """Of the state."""
        return self.each[0].w.dtype

    @property
    def cells(self) -> StackedCells:
        """What the cells are."""
        return StackedCells(tuple(one.cells for one in self.each), self._moved_at_once)

    @property
    def _moved_at_once(self) -> float:
        """By how much a step of a coincidence moves the sum, over that of one array's weight."""
        total = sum(self.factors)
        return total / len(self.factors) if self.policy == "in turn" else total

    @property
    def unit(self) -> float:
        """The logical weight of a cell's weight of 1 in an array of factor 1."""
        return self.each[0].unit

    @property
    def weight_per_s(self) -> float:
        """The logical weight of a difference of 1 S, in an array of factor 1."""
        return self.each[0].weight_per_s

    def weight(self) -> torch.Tensor:
        """The logical weights of the sum, [chip, row, out]."""
        return self.weight_of(0, self.layout.rows)

    def weight_of(self, first: int, stop: int) -> torch.Tensor:
        """Those of some word lines, [chip, row, out]."""
        parts = [
            factor * one.weight_of(first, stop)
            for factor, one in zip(self.factors, self.each, strict=True)
        ]
        return torch.stack(parts).sum(0)

    def conductance_s(self) -> torch.Tensor:
        """Of the cells in siemens."""
        return torch.cat([one.conductance_s() for one in self.each], 2)

    def transfer(self) -> TileTransfer:
        """From word lines to bit lines [chip, tile, row, col], without gains."""
        return _joined([one.transfer() for one in self.each])

    def transposed(self) -> TileTransfer:
        """From bit lines to word lines [chip, tile, col, row], without gains."""
        return _joined([one.transposed() for one in self.each])

    def matrix(self) -> torch.Tensor:
        """Current of a pair per volt on a word line, [chip, row, out], with gains."""
        return self._sum([one.matrix() for one in self.each])

    def matrix_transposed(self) -> torch.Tensor:
        """Current of a word line per volt on a pair, [chip, row, out], with gains."""
        return self._sum([one.matrix_transposed() for one in self.each])

    def pair_current_a(self, drive_v: torch.Tensor, *, times: float = 1.0) -> torch.Tensor:
        """Currents of pairs with gains, [chip, batch, out], for voltages [chip, batch, row]."""
        return self._sum([one.pair_current_a(drive_v, times=times) for one in self.each])

    def line_current_a(self, drive_v: torch.Tensor, *, times: float = 1.0) -> torch.Tensor:
        """Currents of word lines with gains, [chip, batch, row], for those of pairs."""
        return self._sum([one.line_current_a(drive_v, times=times) for one in self.each])

    def read_blocks(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the bit lines of every row block of every array, without gains.

        [chip, array and row block, side, batch, out]; see `AnalogArray.read_blocks`.
        """
        return torch.cat([one.read_blocks(drive_v) for one in self.each], 1)

    def read_blocks_transposed(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the word lines, [chip, array and block of outputs, batch, row]."""
        return torch.cat([one.read_blocks_transposed(drive_v) for one in self.each], 1)

    def _sum(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        weighed = [f * part for f, part in zip(self.factors, parts, strict=True)]
        return torch.stack(weighed).sum(0)

    def read(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the bit lines of all tiles, [chip, tile, batch, col], without gains.

        Args:
            drive_v: of the drivers at their word lines, [chip, tile, batch, row].
        """
        parts = drive_v.chunk(len(self.arrays), 1)
        return torch.cat([one.read(v) for one, v in zip(self.each, parts, strict=True)], 1)

    def read_transposed(self, drive_v: torch.Tensor) -> torch.Tensor:
        """Currents out of the word lines of all tiles, [chip, tile, batch, row], without gains.

        Args:
            drive_v: of the drivers at their bit lines, [chip, tile, batch, col].
        """
        parts = drive_v.chunk(len(self.arrays), 1)
        return torch.cat(
            [one.read_transposed(v) for one, v in zip(self.each, parts, strict=True)], 1
        )

    def read_perturbed(
        self, drive_v: torch.Tensor, cells: torch.Tensor, delta_s: torch.Tensor
    ) -> torch.Tensor:
        """A read while some cells conduct more or less, which they do not keep.

        Args:
            drive_v: [chip, tile, batch, row].
            cells: which, as (side, row, out), [cell, 3]; rows of the second array follow.
            delta_s: by how much each conducts more, [cell] in siemens.

        Raises:
            InputError: a cell would conduct less than nothing.
        """
        rows, found = self.layout.rows, []
        for k, (one, v) in enumerate(
            zip(self.each, drive_v.chunk(len(self.arrays), 1), strict=True)
        ):
            own = cells[:, 1] // rows == k
            shift = torch.tensor([0, k * rows, 0], device=cells.device)
            found.append(one.read_perturbed(v, cells[own] - shift, delta_s[own]))
        return torch.cat(found, 1)

    def update(self, trains: Sequence[PulseTrains], draw: Draw | None) -> Moved:
        """Pulses on the lines by the stated policy: -x d on the sum in the mean.

        Args:
            trains: of each chip.
            draw: where the noise is drawn from; None for the mean device.

        Raises:
            InputError: the policy is to refuse, or not as many trains as chips.
        """
        if self.policy == "refused":
            raise InputError(
                "pulses for a sum of arrays: which of them are to move?",
                where="Combined.update",
                hint="update an array of `each`, or make it with updates='all' or 'in turn'",
            )
        whose = range(len(self.arrays))
        if self.policy == "in turn":
            whose = range(k := int(self.turn) % len(self.arrays), k + 1)
        parts = [
            self.each[k].update(trains, None if draw is None else draw.part(f"array_{k}"))
            for k in whose
        ]
        self.turn += 1
        energies = [one.energy_j for one in parts if one.energy_j is not None]
        failed = next((one for one in parts if one.outcome is not Outcome.OK), parts[0])
        return Moved(
            sum(one.coincidences for one in parts),
            sum(one.pulses for one in parts),
            sum(energies) if len(energies) == len(parts) else None,
            outcome=failed.outcome,
            reason=failed.reason,
        )

    def program(self, weight: torch.Tensor) -> torch.Tensor:
        """Brings the cells of all arrays to equal weights whose sum this is, as far as they reach.

        Args:
            weight: [row, out], or [chip, row, out] for chips that differ.

        Returns:
            What every weight is short of it, [chip, row, out].

        Raises:
            InputError: another shape, or a weight that is not finite.
        """
        for one in self.each:
            one.program(weight / sum(self.factors))
        return weight.to(self.dtype) - self.weight()

    def forget(self) -> None:
        """Drops what reads have learnt."""
        for one in self.each:
            one.forget()

    def like(self, stream: Stream, name: str) -> Combined:
        """A second one of the same kind; see `AnalogArray.like`."""
        return Combined(
            [one.like(stream, name) for one in self.each], self.factors, updates=self.policy
        )

    def probe(self) -> Probe:
        """The state, copied."""
        parts = [one.probe() for one in self.each]
        return Probe(
            self.w,
            self.conductance_s(),
            self.steps,
            sum(one.at_bound for one in parts) / len(parts),
            self.version,
        )


WeightArray = AnalogArray | Combined
"""What holds the weights of a layer."""


@dataclass(frozen=True, eq=False)
class StackedCells:
    """The cells of several arrays as one matrix, see `Combined`.

    Attributes:
        parts: those of every array, of one device.
        moved_at_once: arrays' worth of steps that a coincidence makes in the sum.
    """

    parts: tuple[PairedCells, ...]
    moved_at_once: float = 1.0

    @property
    def pair(self) -> Pair:
        """See `PairedCells`."""
        return self.parts[0].pair

    @property
    def sides(self) -> tuple[int, ...]:
        """See `PairedCells`."""
        return self.parts[0].sides

    @property
    def moving(self) -> tuple[int, ...]:
        """See `PairedCells`."""
        return self.parts[0].moving

    @property
    def slope_s(self) -> float:
        """See `PairedCells`."""
        return self.parts[0].slope_s

    @property
    def dw_min(self) -> float:
        """The step of the sum that an update rule reckons with, in units of w."""
        return self.parts[0].dw_min * self.moved_at_once

    def conductance_s(self, w: torch.Tensor) -> torch.Tensor:
        """Of cells with weights of any shape [S]."""
        return self.parts[0].conductance_s(w)

    def bounds(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Least and largest weight of every cell, [chip, side, arrays * row, out]."""
        pieces = like.chunk(len(self.parts), 2)
        found = [one.bounds(piece) for one, piece in zip(self.parts, pieces, strict=True)]
        return torch.cat([low for low, _ in found], 2), torch.cat([high for _, high in found], 2)


def _joined(parts: Sequence[TileTransfer]) -> TileTransfer:
    held = [one.held_a for one in parts if one.held_a is not None]
    return TileTransfer(
        torch.cat([one.transfer_s for one in parts], 1), torch.cat(held, 1) if held else None
    )


def _check(arrays: Sequence[AnalogArray], factors: Sequence[float], updates: Policy) -> None:
    """Refuses what no circuit sums.

    Raises:
        InputError: see `Combined`.
    """
    if not arrays or len(factors) != len(arrays):
        raise InputError(
            "one factor for every array",
            where="factors",
            value=len(factors),
            allowed=f"{len(arrays)}, and at least 1",
        )
    if not all(0 <= one < math.inf for one in factors) or not any(factors):
        raise InputError(
            "a factor is the gain of amplifiers, their feedback over that of the layer",
            where="factors",
            value=list(factors),
            allowed="finite numbers >= 0, one of them > 0",
            hint="a negative one exchanges the plus and minus lines of its array",
        )
    if updates not in POLICIES:
        raise InputError(
            "no such policy", where="updates", value=updates, allowed=", ".join(POLICIES)
        )
    first = arrays[0]
    for k, one in enumerate(arrays):
        if one.layout != first.layout or one.chips != first.chips or one.w.dtype != first.w.dtype:
            raise InputError(
                "arrays of a sum have one shape",
                where=f"arrays[{k}]",
                value=f"{one.layout}, {one.chips} chips, {one.w.dtype}",
                allowed=f"{first.layout}, {first.chips} chips, {first.w.dtype}",
            )
        if abs(one.weight_per_s / first.weight_per_s - 1) > _ALIKE:
            raise InputError(
                "a siemens is another weight in one array of a sum than in another",
                where=f"arrays[{k}].weight_per_s",
                value=one.weight_per_s,
                allowed=f"{first.weight_per_s:g}; its factor is what weighs an array",
            )
