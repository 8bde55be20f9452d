"""The closed form anchored on an exact transfer, which says how far it may be from the next one.

At the anchor G0 the closed form is off by the factor T0 / Tc(G0), cell by cell. Nearby the factor
is nearly the same, so T = Tc(G) T0 / Tc(G0). What is left grows with the distance from the anchor,
at a rate that is measured each time the anchor moves: there the exact transfer is known anyway.
Where the estimate passes the tolerance the anchor moves by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from compact_models.errors import InputError
from cosim.surrogate.wires import WireModel

Exact = Callable[[torch.Tensor], torch.Tensor]
"""The exact transfer [row, col] of conductances [row, col]."""

# The first rate is the closed form's own error per change of the array by all of itself, times
# this: nothing has been measured yet, and more than four times that error was seen. The others are
# what was measured, times the second.
_FIRST, _LATER = 16.0, 2.0
_FORGETS = 0.7  # an older, larger rate counts that much of itself at each new anchor
_FACTOR = (0.05, 20.0)  # the least and the largest correction: beyond, a cell hardly conducts


@dataclass(frozen=True)
class Anchor:
    """Where the closed form is exact.

    Attributes:
        conductance_s: [row, col].
        factor: what the closed form is multiplied by, [row, col].
        rate: error of the transfer (Frobenius, relative) per relative change of the array.
    """

    conductance_s: torch.Tensor
    factor: torch.Tensor
    rate: float


class AnchoredTransfer:
    """The transfer of one array on its way through training.

    Args:
        wires: the closed form.
        exact: the exact transfer.
        tolerance: largest estimated error (Frobenius, relative) without a new anchor.

    Attributes:
        estimate: of the error of the last transfer, 0 right after an anchor.
        anchors: how often the exact transfer was asked for.

    Raises:
        InputError: the tolerance is not positive.
    """

    def __init__(self, wires: WireModel, exact: Exact, *, tolerance: float) -> None:
        if not tolerance > 0:
            raise InputError(
                "a tolerance must be positive", where="tolerance", value=tolerance, allowed="> 0"
            )
        self._wires, self._exact, self._tolerance = wires, exact, tolerance
        self._anchor: Anchor | None = None
        self.estimate = 0.0
        self.anchors = 0

    def transfer_s(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The transfer [row, col], differentiable in `conductance_s` [row, col]."""
        closed = self._wires.transfer_s(conductance_s)
        anchor = self._anchor
        if anchor is not None:
            self.estimate = anchor.rate * _change(conductance_s.detach(), anchor.conductance_s)
        if anchor is None or not self.estimate <= self._tolerance:
            anchor = self._moved(conductance_s.detach(), closed.detach())
        return closed * anchor.factor

    def _moved(self, conductance_s: torch.Tensor, closed: torch.Tensor) -> Anchor:
        with torch.no_grad():
            exact = self._exact(conductance_s)
        self.anchors += 1
        self.estimate = 0.0
        before = self._anchor
        if before is None:
            rate = _FIRST * _change(closed, exact)
        else:
            change = _change(conductance_s, before.conductance_s)
            measured = _change(closed * before.factor, exact) / max(change, 1e-12)
            rate = max(_LATER * measured, _FORGETS * before.rate)
        factor = torch.where(closed > 0, exact / closed, 1.0).nan_to_num(nan=1.0).clamp(*_FACTOR)
        self._anchor = Anchor(conductance_s.clone(), factor, rate)
        return self._anchor


def _change(new: torch.Tensor, old: torch.Tensor) -> float:
    """How far apart two matrices are, as a part of the second."""
    return float((new - old).norm() / old.norm().clamp_min(torch.finfo(old.dtype).tiny))
