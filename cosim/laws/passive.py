"""What no array of passive cells can give, whatever computed it.

Cells, wires and ends are resistors between drivers and grounded sense nodes. All voltages then lie
between the least and the largest that is applied, ground included, and pulling every word line to
the largest one only raises the current of a bit line: it never exceeds that voltage over the
resistance that its cells side by side and its end still have. Likewise a driver never gives more
than its voltage over what its word line's cells side by side and its end have, and a voltage of one
sign never makes a current of the other. These bounds need no solver, so they hold all of them.
"""

from __future__ import annotations

import torch

# A right result may be beyond by what rounding leaves of the largest current that is possible.
TOLERANCE = 1e-6


def impossible_current(
    current_a: torch.Tensor,
    drive_v: torch.Tensor,
    conductance_s: torch.Tensor,
    *,
    r_first_ohm: torch.Tensor,
    r_last_ohm: torch.Tensor,
    held_v: float = 0.0,
) -> str:
    """Why these currents are none of this array; empty if they may be.

    Args:
        current_a: out of the bit lines, [batch, col].
        drive_v: at the drivers, [batch, row].
        conductance_s: of the cells, [row, col].
        r_first_ohm: from each driver to its first cell at least, [row], infinite for an open.
        r_last_ohm: from each last cell to its sense node at least, [col], likewise.
        held_v: how far sense nodes may be from ground.
    """
    if not bool(torch.isfinite(current_a).all()):
        return "a current is not finite"
    bounds = _Bounds(drive_v, conductance_s, r_first_ohm, r_last_ohm, held_v)
    beyond = bounds.beyond(current_a)
    if not bool(beyond.any()):
        return ""
    at = int(beyond.nonzero()[0])
    largest = float(current_a[at].abs().max())
    most = torch.maximum(bounds.high, -bounds.low) * bounds.of_col.max()
    return (
        f"input {at}: currents up to {largest:.3g} A, which no passive array of these cells and"
        f" voltages can give (at most {float(most[at]):.3g} A a bit line,"
        f" {float(bounds.given[at]):.3g} A together)"
    )


def impossible_array(
    current_a: torch.Tensor,
    drive_v: torch.Tensor,
    conductance_s: torch.Tensor,
    *,
    held_v: float = 0.0,
) -> tuple[tuple[int, ...], str] | None:
    """The first of stacked arrays whose currents are none of it, and why; None if all may be.

    Args:
        current_a: out of the bit lines, [..., batch, col].
        drive_v: at the drivers, [..., batch, row].
        conductance_s: of the cells, [..., row, col].
        held_v: how far sense nodes may be from ground.
    """
    none = conductance_s.new_zeros(())
    beyond = ~torch.isfinite(current_a).all(-1)
    if not bool(beyond.any()):
        beyond = _Bounds(drive_v, conductance_s, none, none, held_v).beyond(current_a)
    if not bool(beyond.any()):
        return None
    at = tuple(int(k) for k in beyond.any(-1).nonzero()[0])
    lead = current_a.shape[:-2]
    one = (x.expand(*lead, *x.shape[-2:])[at] for x in (current_a, drive_v, conductance_s))
    return at, impossible_current(*one, r_first_ohm=none, r_last_ohm=none, held_v=held_v)


class _Bounds:
    """What stacked arrays can give at most."""

    def __init__(
        self,
        drive_v: torch.Tensor,
        conductance_s: torch.Tensor,
        r_first_ohm: torch.Tensor,
        r_last_ohm: torch.Tensor,
        held_v: float,
    ) -> None:
        in_col, in_row = conductance_s.sum(-2), conductance_s.sum(-1)
        self.of_col = 1 / (1 / in_col + r_last_ohm).unsqueeze(-2)
        of_row = 1 / (1 / in_row + r_first_ohm)
        # A sense node and another one may be that far from ground, to either side.
        self.high = drive_v.amax(-1, keepdim=True).clamp(min=0) + 2 * held_v
        self.low = drive_v.amin(-1, keepdim=True).clamp(max=0) - 2 * held_v
        largest = in_col.amax(-1, keepdim=True).unsqueeze(-1)
        self.scale = TOLERANCE * (self.high - self.low) * largest
        given = drive_v.abs() @ of_row.unsqueeze(-1)
        self.given = given + 2 * held_v * self.of_col.sum(-1, keepdim=True)

    def beyond(self, current_a: torch.Tensor) -> torch.Tensor:
        """Which inputs give more than they can, [..., batch]."""
        above = (current_a - self.high * self.of_col).amax(-1, keepdim=True)
        below = (self.low * self.of_col - current_a).amax(-1, keepdim=True)
        total = current_a.abs().sum(-1, keepdim=True)
        more = total > self.given + self.scale * current_a.shape[-1]
        return ((torch.maximum(above, below) > self.scale) | more).squeeze(-1)


def possible_transfer(transfer_s: torch.Tensor, conductance_s: torch.Tensor) -> bool:
    """Whether a transfer [row, col] may be that of cells [row, col].

    A closed form may leave what is possible where a cell hardly conducts, by far less than its own
    error: the bounds are those of whole lines, and one per cent is forgiven.
    """
    of_col, of_row = conductance_s.sum(-2), conductance_s.sum(-1)
    most_col, most_row = 1.01 * of_col + TOLERANCE * of_col.max(), 1.01 * of_row
    columns, rows = transfer_s.sum(-2).abs(), transfer_s.sum(-1).abs()
    # NaN is not below anything.
    return bool((columns <= most_col).all() & (rows <= most_row + TOLERANCE * of_row.max()).all())
