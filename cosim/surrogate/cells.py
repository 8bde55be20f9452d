"""Wires between cells of the user's own, which need not be ohmic.

The closed form of the wires takes ohmic cells. A cell of the user is put in its place by the
conductance that it is nearest to over the drivers' levels, as a curve over its programmed `g`:
exact for a cell with a resistance in series, a mean for one that bends with voltage.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from cosim.surrogate.curves import Curves
from cosim.surrogate.wires import WireModel


@dataclass(frozen=True)
class OwnCellWires(WireModel):
    """The closed form behind a cell's curve.

    Args:
        cell: one curve, effective over programmed conductance, both in siemens.
    """

    cell: Curves = field(kw_only=True)

    def transfer_s(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """See `WireModel.transfer_s`; takes programmed conductances."""
        return super().transfer_s(conductance_s)

    def with_held(
        self, conductance_s: torch.Tensor, sense_v: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `WireModel.with_held`; takes programmed conductances."""
        return super().with_held(effective_s(self.cell, conductance_s), sense_v)

    def mean_loss(self, conductance_s: torch.Tensor) -> float:
        """See `WireModel.mean_loss`; takes programmed conductances."""
        return super().mean_loss(effective_s(self.cell, conductance_s))

    def largest_loss(self, conductance_s: torch.Tensor) -> float:
        """See `WireModel.largest_loss`; takes programmed conductances."""
        return super().largest_loss(effective_s(self.cell, conductance_s))

    def offset_current_a(
        self, conductance_s: torch.Tensor, transfer_s: torch.Tensor, sense_v: torch.Tensor
    ) -> torch.Tensor:
        """See `WireModel.offset_current_a`; takes programmed conductances."""
        effective = effective_s(self.cell, conductance_s)
        return super().offset_current_a(effective, transfer_s, sense_v)


def effective_s(cell: Curves, conductance_s: torch.Tensor) -> torch.Tensor:
    """What a curve makes of conductances of any shape."""
    return cell(conductance_s.unsqueeze(-1)).squeeze(-1)
