"""Exact transfer of an ohmic array: currents at the sense nodes for voltages at the drivers.

The array is eliminated word line by word line, in resistances instead of conductances, so that
a segment of 0 ohm needs no case of its own. With cell voltages w (word side) and b (bit side):

* one word line, driven by v behind R_jk = r_driver + r_wordline (min(j, k) + 1):
  i = G (w - b) and w = v - R i give i = (I + G R)^-1 G (v - b) = D (v - b);
* the bit lines above a segment, seen from below, are an admittance K and a current J; a series
  resistance r turns them into K (I + r K)^-1 and J (I + r K)^-1, and the next word line adds its
  D to K and its D v to J.

I + r K is well conditioned as long as wires and drivers take less than the cells: no digits are
lost where nodal matrices of 1 S wires and 1 uS cells lose six. Behind resistances far above the
cells' own digits go, as many as r G has: 1e9 ohm before cells of 1 S leave seven. Cost
O(row col^3), batched.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compact_models.errors import InputError

# Word lines are eliminated in batches of at most this many doubles (256 MB).
_MAX_VALUES = 32_000_000


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
    eye = torch.eye(cols, dtype=conductance_s.dtype, device=conductance_s.device)
    shared = wordline_resistances(cols, r_wordline_ohm, r_driver_ohm, conductance_s)
    at_once = max(1, _MAX_VALUES // max(1, conductance_s.numel() // rows * cols))
    admittance = torch.zeros_like(eye)
    transfer = conductance_s[..., :0, :]
    for first in range(0, rows, at_once):
        g = conductance_s[..., first : first + at_once, :]
        # (I + G R)^-1 G, many word lines of all arrays in one batched solve.
        lines = torch.linalg.solve(eye + g.unsqueeze(-1) * shared, torch.diag_embed(g))
        injected = lines.sum(-1)  # into each bit line for 1 V at the driver, [..., row, col]
        for row in range(lines.shape[-3]):
            if first + row > 0:
                admittance, transfer = _through(admittance, transfer, r_bitline_ohm * eye, eye)
            admittance = admittance + lines[..., row, :, :]
            transfer = torch.cat([transfer, injected[..., row : row + 1, :]], dim=-2)
    end = torch.as_tensor(r_sense_ohm, dtype=eye.dtype, device=eye.device) + r_bitline_ohm
    admittance, transfer = _through(admittance, transfer, end.unsqueeze(-1) * eye, eye)
    return Transfer(transfer, 0.5 * (admittance + admittance.mT))


def _through(
    admittance: torch.Tensor, transfer: torch.Tensor, series: torch.Tensor, eye: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Admittance and currents behind a diagonal matrix of series resistances."""
    stacked = torch.cat([admittance, transfer], dim=-2)
    behind = torch.linalg.solve((eye + series @ admittance).mT, stacked.mT).mT
    cols = eye.shape[-1]
    return behind[..., :cols, :], behind[..., cols:, :]
