"""Exact transfer of an ohmic array: currents at the sense nodes for voltages at the drivers.

The array is cut into small blocks, which are solved whole and joined two by two:
`cosim.nodal.hierarchy`. Behind resistances far above the cells' own digits go, as many as r G has:
1e9 ohm before cells of 1 S leave seven; an open line or segment, infinite, loses none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cosim.nodal.hierarchy import Whole, joined
from cosim.nodal.lines import Lines, Ohm, check_array

_MOST_CELLS = 1 << 21  # at once, without gradients: about a gigabyte on the way


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
        """
        current = drive_v @ self.transfer_s
        if sense_v is None:
            return current
        return current - (sense_v.unsqueeze(-2) @ self.sense_s)


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
    right, top = r_driver_right_ohm is not None, r_sense_top_ohm is not None
    whole = joined(
        conductance_s,
        lines,
        outputs="BT" if top else "B",
        inputs="LB" + "R" * right + "T" * top,
        keep=False,
    )
    return _between_ports(whole, right, top)


def _between_ports(whole: Whole, right: bool, top: bool) -> Transfer:
    """Drivers of a word line and sense nodes of a bit line taken together."""
    rows, cols = whole.shape
    block = whole.block

    def part(outputs: str, inputs: str) -> torch.Tensor:
        return sum((block.part(k, j) for k in outputs for j in inputs), torch.zeros(()))

    out = "BT" if top else "B"
    transfer = part(out, "LR" if right else "L")[..., :cols, :].mT.flip(-2)[..., -rows:, :]
    admittance = -part(out, out)[..., :cols, :cols]
    return Transfer(transfer, 0.5 * (admittance + admittance.mT))
