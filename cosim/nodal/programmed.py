"""An array that is programmed again and again: after a few changed cells its transfer is updated.

A changed cell is a source beside the old one. Of k unit sources one way up and down the joints says
what they do at each other's cells and at the ends of the lines; the network is reciprocal, so that
is also what the ends do at these cells. The rest is a system of k unknowns (Woodbury, Princeton
Univ. Statistical Research Group, memorandum 42 (1950)): as exact as solving the array again.
"""

from __future__ import annotations

from dataclasses import fields, replace

import torch

from compact_models.errors import InputError
from cosim.nodal.blocks import places
from cosim.nodal.dense import solve
from cosim.nodal.hierarchy import Whole
from cosim.nodal.lines import Lines, check_array
from cosim.nodal.opens import has_opens
from cosim.nodal.state import factorise
from cosim.nodal.transfer import Transfer, solve_transfer

# From so many changed cells on solving again costs less, measured at 64 to 256 rows and columns.
_MOST = 12
# A cell below that part of the largest one may be all that ties a piece down beside open segments.
_LEAST = 1e-6


class ProgrammedArray:
    """The exact transfer of one array along its changes; without gradients.

    Args:
        conductance_s: [row, col] in siemens.
        lines: what runs through the array, the same for good: a later write to its tensors is not
            seen.

    Attributes:
        transfer: of the array as it is now.
        solved: how often the array was solved from the ground up.

    Raises:
        InputError: as `solve_transfer`, or more than one array was given.
    """

    def __init__(self, conductance_s: torch.Tensor, lines: Lines) -> None:
        if conductance_s.ndim != 2:
            raise InputError(
                "one array at a time",
                where="conductance_s",
                value=tuple(conductance_s.shape),
                allowed="[row, col]",
            )
        self._lines = _own(lines)
        self.solved = 0
        self._solve(conductance_s)

    def program(self, conductance_s: torch.Tensor) -> Transfer:
        """The transfer with new conductances [row, col].

        Raises:
            InputError: as `solve_transfer`.
        """
        check_array(conductance_s, self._lines)
        if conductance_s.shape != self._base.shape:
            raise InputError(
                "the array has another shape",
                where="conductance_s",
                value=tuple(conductance_s.shape),
                allowed=str(tuple(self._base.shape)),
            )
        now = conductance_s.detach()
        changed = (now != self._base).nonzero()
        old, new = self._base[tuple(changed.T)], now[tuple(changed.T)]
        if len(changed) > _MOST or (len(changed) and self._may_float(old, new)):
            self._solve(now)
        elif len(changed):
            self.transfer = self._updated(changed, new - old)
        else:
            self.transfer = self._of_base
        return self.transfer

    def _solve(self, conductance_s: torch.Tensor) -> None:
        self._base = conductance_s.detach().clone()
        # What updates need costs as much again: only the first one asks for it.
        self._whole: Whole | None = None
        with torch.no_grad():
            ohms = {one.name: getattr(self._lines, one.name) for one in fields(self._lines)}
            self._of_base = solve_transfer(self._base, **ohms)
        self.transfer = self._of_base
        self.solved += 1

    def _may_float(self, old_s: torch.Tensor, new_s: torch.Tensor) -> bool:
        """Whether such changes of cells may cut a piece off, or tie one down, beside an open."""
        if not has_opens(self._lines):
            return False
        least = torch.minimum(old_s, new_s).amin()
        return bool(least <= _LEAST * torch.maximum(self._base.amax(), new_s.amax()))

    def _updated(self, cells: torch.Tensor, change_s: torch.Tensor) -> Transfer:
        base, count = self._base, len(cells)
        if self._whole is None:
            with torch.no_grad():
                self._whole = factorise(base, self._lines, "sources")
        whole = self._whole
        source = base.new_zeros(count, *base.shape)
        source[(torch.arange(count, device=base.device), *cells.T)] = 1.0
        nothing = base.new_zeros(whole.block.hybrid.shape[-1], count)
        with torch.no_grad():
            outputs, _, word_v, bit_v = whole.answer(nothing, source)
            out = places(whole.block.outputs, whole.block.way)

            def at(groups: str, lines: int) -> torch.Tensor:  # [source, line]
                rows = [outputs[out[k].start : out[k].start + lines] for k in groups]
                return torch.stack(rows).sum(0).mT

            drivers = "L" if self._lines.r_driver_right_ohm is None else "LR"
            sensors = "B" if self._lines.r_sense_top_ohm is None else "BT"
            driver = at(drivers, base.shape[0]).flip(-1)
            sensed = at(sensors, base.shape[1])
            # [cell, source]: the voltage across a cell by a source beside another.
            across = (word_v - bit_v)[(slice(None), *cells.T)].mT
            matrix = -change_s.unsqueeze(-1) * across
            matrix.diagonal().add_(1.0)
            answer = solve(matrix, change_s.diag()) @ sensed
        old = self._of_base
        return Transfer(old.transfer_s + driver.mT @ answer, old.sense_s + sensed.mT @ answer)


def _own(lines: Lines) -> Lines:
    """A copy that nobody else can write to."""
    ohms = {one.name: getattr(lines, one.name) for one in fields(lines)}
    return replace(
        lines,
        **{k: x.detach().clone() for k, x in ohms.items() if isinstance(x, torch.Tensor)},
    )
