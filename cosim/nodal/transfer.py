"""Exact transfer of an ohmic array: currents at the sense nodes for voltages at the drivers.

The array is cut into small blocks, which are solved whole and joined two by two:
`cosim.nodal.hierarchy`. Behind resistances far above the cells' own digits go, as many as r G has:
1e9 ohm before cells of 1 S leave seven; open lines and segments, infinite, lose none, however many.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch

from cosim.budget.in_threads import in_threads, with_threads
from cosim.nodal.adjoint import port_matrix
from cosim.nodal.blocks import Blocks
from cosim.nodal.hierarchy import Grid
from cosim.nodal.lines import Lines, Ohm, check_array, check_volts

_WORTH_A_THREAD = 1 << 22  # products of numbers
_CELLS_AT_ONCE = 16 << 10  # of many arrays; their temporaries stay in a core's cache


@dataclass(frozen=True)
class Transfer:
    """What an array does between its ports: i = v_drive @ transfer_s - v_sense @ sense_s.

    Args:
        transfer_s: [..., row, col] in siemens.
        sense_s: [..., col, col] in siemens, symmetric.
    """

    transfer_s: torch.Tensor
    sense_s: torch.Tensor

    def current_a(self, drive_v: torch.Tensor, sense_v: torch.Tensor | None = None) -> torch.Tensor:
        """Currents out of the bit lines, [..., batch, col], in amperes.

        Args:
            drive_v: voltages behind the drivers' resistance, [..., batch, row].
            sense_v: voltages behind the sense resistance, [..., col]; None is ground.

        Raises:
            InputError: no tensor of double precision; another number of lines; not finite.
        """
        rows, cols = self.transfer_s.shape[-2:]
        check_volts("drive_v", drive_v, rows)
        if sense_v is not None:
            check_volts("sense_v", sense_v, cols)
        current = _product(drive_v, self.transfer_s)
        if sense_v is None:
            return current
        return current - (sense_v.unsqueeze(-2) @ self.sense_s)


def _product(drive_v: torch.Tensor, transfer_s: torch.Tensor) -> torch.Tensor:
    """Not on torch's own threads, which would be in the way of the next solution's."""
    if drive_v.device.type != "cpu":
        return drive_v @ transfer_s
    many = drive_v.ndim > 1 and drive_v.numel() * transfer_s.shape[-1] >= _WORTH_A_THREAD
    with with_threads(1) as threads:
        if not many or threads == 1:
            return drive_v @ transfer_s
        parts = drive_v.chunk(threads, -2)
        return torch.cat(in_threads(lambda some: some @ transfer_s, parts, threads), -2)


def wordline_resistances(
    cols: int, r_wordline_ohm: float, r_driver_ohm: float, like: torch.Tensor
) -> torch.Tensor:
    """Resistance shared by the paths to cells j and k of a word line, [col, col], in ohm."""
    index = torch.arange(cols, dtype=like.dtype, device=like.device)
    return r_driver_ohm + r_wordline_ohm * (torch.minimum(index[:, None], index) + 1)


def bitline_resistances(rows: int, r_bitline_ohm: float, like: torch.Tensor) -> torch.Tensor:
    """Resistance shared by the paths of cells i and k of a bit line to its end, [row, row]."""
    index = torch.arange(rows, dtype=like.dtype, device=like.device)
    return r_bitline_ohm * (rows - torch.maximum(index[:, None], index))


def solve_transfer(
    conductance_s: torch.Tensor,
    *,
    r_wordline_ohm: Ohm,
    r_bitline_ohm: Ohm,
    r_driver_ohm: Ohm = 0.0,
    r_sense_ohm: Ohm = 0.0,
    r_driver_right_ohm: Ohm | None = None,
    r_sense_top_ohm: Ohm | None = None,
) -> Transfer:
    """The exact transfer of arrays of ohmic cells; differentiable in all that it is given.

    With drivers at both ends of the word lines both have the same voltage; with sense nodes at both
    ends of the bit lines both are held at the same voltage, and the current is that of both.
    Gradients are those of the adjoint network, which have no derivatives in turn: a second
    derivative raises an InputError. The currents of `solve_state` have them.

    Args:
        conductance_s: [..., row, col] in siemens, >= 0; several arrays at once are welcome.
        r_wordline_ohm: word-line segment on the left of every cell, the one next to the driver
            included; one value or [..., row, col], 0 for a short, infinite for an open.
        r_bitline_ohm: bit-line segment below every cell, the one next to the sense node included;
            likewise.
        r_driver_ohm: in series at the driver; one value or [..., row], infinite where a word line
            floats.
        r_sense_ohm: in series at the sense node; one value or [..., col], infinite where a bit line
            floats.
        r_driver_right_ohm: in series at a second driver, right of the last column, its segment
            included; likewise. None without.
        r_sense_top_ohm: in series at a second sense node, above the first row, its segment
            included; likewise. None without.

    Raises:
        InputError: single precision was given; it loses three to four digits here. A number is not
            a conductance or a resistance, or a shape does not fit.
    """
    lines = Lines(
        r_wordline_ohm,
        r_bitline_ohm,
        r_driver_ohm,
        r_sense_ohm,
        r_driver_right_ohm,
        r_sense_top_ohm,
    )
    check_array(conductance_s, lines)
    several = _in_parts(conductance_s, lines)
    if several is None:
        return _solve(conductance_s, lines)
    shape, parts = several
    solved = in_threads(lambda part: _solve(*part), parts)
    return Transfer(
        torch.cat([one.transfer_s for one in solved]).unflatten(0, shape),
        torch.cat([one.sense_s for one in solved]).unflatten(0, shape),
    )


def _solve(conductance_s: torch.Tensor, lines: Lines) -> Transfer:
    right, top = lines.r_driver_right_ohm is not None, lines.r_sense_top_ohm is not None
    out = "BT" if top else "B"
    whole, hybrid = port_matrix(conductance_s, lines, out, "LB" + "R" * right + "T" * top)
    return _transfer_of(replace(whole.block, hybrid=hybrid), whole.grid, lines)


def _transfer_of(block: Blocks, grid: Grid, lines: Lines) -> Transfer:
    """The transfer of an array that is one block; both ends of a line are taken together."""
    rows, cols = grid.rows, grid.cols
    out = "B" if lines.r_sense_top_ohm is None else "BT"

    def part(outputs: str, inputs: str) -> torch.Tensor:
        return sum((block.part(k, j) for k in outputs for j in inputs), torch.zeros(()))

    drivers = "L" if lines.r_driver_right_ohm is None else "LR"
    transfer = part(out, drivers)[..., :cols, :].mT.flip(-2)[..., -rows:, :]
    admittance = -part(out, out)[..., :cols, :cols]
    return Transfer(transfer, 0.5 * (admittance + admittance.mT))


def _in_parts(
    conductance_s: torch.Tensor, lines: Lines
) -> tuple[torch.Size, list[tuple[torch.Tensor, Lines]]] | None:
    """Many arrays, a few at a time. None for few."""
    each = conductance_s.shape[-2:]
    axes = {"r_wordline_ohm": 2, "r_bitline_ohm": 2}
    ohms = {one.name: getattr(lines, one.name) for one in fields(lines)}
    tensors = {k: x for k, x in ohms.items() if isinstance(x, torch.Tensor) and x.ndim}
    shape = torch.broadcast_shapes(
        conductance_s.shape[:-2], *(x.shape[: -axes.get(k, 1)] for k, x in tensors.items())
    )
    at_once = max(1, _CELLS_AT_ONCE // each.numel())
    if conductance_s.device.type != "cpu" or shape.numel() <= at_once:
        return None

    def cut(x: torch.Tensor, own: int) -> tuple[torch.Tensor, ...]:
        whole = x.expand(*shape, *x.shape[x.ndim - own :]).flatten(0, -own - 1)
        return tuple(whole[k : k + at_once] for k in range(0, len(whole), at_once))

    cells = cut(conductance_s, 2)
    wires = {k: cut(x, axes.get(k, 1)) for k, x in tensors.items() if x.ndim > axes.get(k, 1)}
    return shape, [
        (one, replace(lines, **{k: x[n] for k, x in wires.items()})) for n, one in enumerate(cells)
    ]
