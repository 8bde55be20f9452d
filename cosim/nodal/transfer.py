"""Exact transfer of an ohmic array: currents at the sense nodes for voltages at the drivers.

The array is cut into small blocks, which are solved whole and joined two by two, all of a level at
once: `cosim.nodal.blocks`. A joint of h ports costs O(h^3), so all together O(n^3) for n lines, as
for nested dissection (George, SIAM J. Numer. Anal. 10 (1973) 345, doi 10.1137/0710032). Behind
resistances far above the cells' own digits go, as many as r G has: 1e9 ohm before cells of 1 S
leave seven.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from compact_models.errors import InputError
from cosim.nodal.blocks import Blocks, Way, behind, blocks_of_cells, join

_LARGEST = 4  # rows and columns of the blocks that are solved whole


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
    r_wordline_ohm: float,
    r_bitline_ohm: float,
    r_driver_ohm: float = 0.0,
    r_sense_ohm: float | torch.Tensor = 0.0,
) -> Transfer:
    """The exact transfer of arrays of ohmic cells; differentiable in the conductances.

    Args:
        conductance_s: [..., row, col] in siemens, >= 0; several arrays at once are welcome.
        r_wordline_ohm: word-line segment, the one next to the driver included.
        r_bitline_ohm: bit-line segment, the one next to the sense node included.
        r_driver_ohm: in series at the driver.
        r_sense_ohm: in series at the sense node; one value or [..., col].

    Raises:
        InputError: single precision was given; it loses three to four digits here.
    """
    if conductance_s.dtype != torch.float64:
        raise InputError(
            "the exact solver needs double precision",
            where="conductance_s",
            value=str(conductance_s.dtype),
            allowed="torch.float64",
        )
    rows, cols = conductance_s.shape[-2:]
    blocks = _cut(conductance_s, r_wordline_ohm, r_bitline_ohm)
    if r_driver_ohm:
        series = conductance_s.new_full((blocks.inputs["L"],), r_driver_ohm)
        blocks = _at_edge(blocks, "L", series)
    sense = torch.as_tensor(r_sense_ohm, dtype=torch.float64, device=conductance_s.device)
    if sense.requires_grad or bool((sense != 0).any()):
        sense = sense.expand(*sense.shape[:-1], cols)
        width, grid = blocks.inputs["B"], blocks.hybrid.shape[-3]
        sense = torch.nn.functional.pad(sense, (0, width * grid - cols))
        blocks = _at_edge(blocks, "B", sense.unflatten(-1, (grid, width)))
    whole = _joined(blocks)
    transfer = whole.part("B", "L")[..., 0, 0, :cols, :].mT.flip(-2)[..., -rows:, :]
    admittance = -whole.part("B", "B")[..., 0, 0, :cols, :cols]
    return Transfer(transfer, 0.5 * (admittance + admittance.mT))


def _cut(conductance_s: torch.Tensor, r_wordline_ohm: float, r_bitline_ohm: float) -> Blocks:
    """The array as a grid of small blocks, a power of two each way.

    What is missing is filled with cells of 0 S on the far side of the lines, which change nothing.
    """
    rows, cols = conductance_s.shape[-2:]
    up, across = (2 ** max(0, math.ceil(math.log2(n / _LARGEST))) for n in (rows, cols))
    high, wide = -(-rows // up), -(-cols // across)
    filled = torch.nn.functional.pad(
        conductance_s.flip(-2), (0, wide * across - cols, 0, high * up - rows)
    )
    cells = filled.unflatten(-2, (up, high)).unflatten(-1, (across, wide)).transpose(-3, -2)
    return blocks_of_cells(cells, r_wordline_ohm, r_bitline_ohm, _next_way(up, across, high, wide))


def _at_edge(blocks: Blocks, group: str, series_ohm: torch.Tensor) -> Blocks:
    """The blocks with a resistance in series at the left (L) or the lower (B) edge of the grid."""
    hybrid = blocks.hybrid
    if group == "L":
        edge = behind(replace(blocks, hybrid=hybrid[..., :, 0, :, :]), group, series_ohm).hybrid
        return replace(blocks, hybrid=torch.cat([edge.unsqueeze(-3), hybrid[..., :, 1:, :, :]], -3))
    edge = behind(replace(blocks, hybrid=hybrid[..., 0, :, :, :]), group, series_ohm).hybrid
    rest = hybrid[..., 1:, :, :, :].expand(*edge.shape[:-3], -1, -1, -1, -1)
    return replace(blocks, hybrid=torch.cat([edge.unsqueeze(-4), rest], -4))


def _joined(blocks: Blocks) -> Blocks:
    """All blocks as one, with the ports that the transfer is about."""
    up, across = blocks.hybrid.shape[-4:-2]
    while up * across > 1:
        hybrid = blocks.hybrid
        if blocks.way == "across":
            across //= 2
            near = replace(blocks, hybrid=hybrid[..., 0::2, :, :])
            far = replace(blocks, hybrid=hybrid[..., 1::2, :, :])
            if across == 1:  # the right ends are open; the drivers' own currents are not asked for
                near, far = near.only("BTR", "LBTR"), far.only("LBT", "LBT")
        else:
            up //= 2
            near = replace(blocks, hybrid=hybrid[..., 0::2, :, :, :])
            far = replace(blocks, hybrid=hybrid[..., 1::2, :, :, :])
            if up == 1:  # the upper ends are open
                far = far.only("BLR", "BLR")
        high = blocks.inputs["L"] * (2 if blocks.way == "up" else 1)
        wide = blocks.inputs["B"] * (2 if blocks.way == "across" else 1)
        blocks = join(near, far, _next_way(up, across, high, wide))
    return blocks


def _next_way(up: int, across: int, high: int, wide: int) -> Way:
    """How a grid of blocks is joined next: so that the blocks become squares."""
    if across == 1 or up == 1:
        return "across" if up == 1 else "up"
    return "across" if wide <= high else "up"
