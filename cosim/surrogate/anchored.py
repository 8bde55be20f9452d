"""The closed form anchored on an exact transfer, which says how far it may be from the next one.

At the anchor G0 the closed form Tc is off by the factor F = T0 / Tc(G0), cell by cell. Nearby the
factor is nearly the same, so T = Tc(G) F + D. A cell that hardly conducts has no factor of its own,
since what comes out of its bit line has come through others: it gets that of its row and column,
and what this leaves at the anchor is D. Three things make the estimate of the error, of which the
first is measured each time the anchor moves, where the exact transfer is known anyway:

- the distance from the anchor, times the rate of the moves that were seen so far;
- by how much lines take more or less than at the anchor, times the error that the closed form has
  by itself. Moves that go the same way in many cells add up along the lines, and a rate that was
  measured where they cancelled says nothing about them;
- what cells without a factor of their own have gained, times how unlike factors are.

Where the estimate passes the tolerance the anchor moves by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from compact_models.errors import InputError
from cosim.laws.passive import possible_transfer
from cosim.surrogate.wires import WireModel

Exact = Callable[[torch.Tensor], torch.Tensor]
"""The exact transfer [row, col] of conductances [row, col]."""

# The first rate is the closed form's own error per change of the array by all of itself, times
# this: nothing has been measured yet, and more than four times that error was seen. The others are
# what was measured, times the second.
_FIRST, _LATER = 16.0, 2.0
_FORGETS = 0.7  # an older, larger rate counts that much of itself at each new anchor
_COHERENT = 1.5  # of the growth by which an error of third order in what lines take grows
# Its error by that of third order is 0.05 to 0.25 where it is within its region, and more beyond:
# an array of few cells that conduct knows little about those that it may get.
_LEAST = 0.25
_UNLIKE = 2.0  # standard deviations of the factors
_FACTOR = (0.05, 20.0)  # the least and the largest correction
_WEAK = 0.1  # of the root mean square: a cell that conducts less has half a factor of its own


@dataclass(frozen=True)
class Anchor:
    """Where the closed form is exact.

    Attributes:
        conductance_s: [row, col].
        closed_s: the closed form there, [row, col].
        word_loss: what word lines take there, to first order, [row, col].
        bit_loss: what bit lines take.
        factor: what the closed form is multiplied by, [row, col].
        rest_s: what is added, [row, col].
        unsure: by how much the factor of a cell may be wrong that has none of its own, [row, col].
        rate: error of the transfer (Frobenius, relative) per relative change of the array.
        per_loss: the same per change of what lines take.
    """

    conductance_s: torch.Tensor
    closed_s: torch.Tensor
    word_loss: torch.Tensor
    bit_loss: torch.Tensor
    factor: torch.Tensor
    rest_s: torch.Tensor
    unsure: torch.Tensor
    rate: float
    per_loss: float

    def transfer_s(self, closed_s: torch.Tensor) -> torch.Tensor:
        """What the closed form becomes."""
        return torch.addcmul(self.rest_s, closed_s, self.factor)

    def estimate(self, conductance_s: torch.Tensor, closed: Losses) -> float:
        """Of the error elsewhere: relative, in the Frobenius norm."""
        word = (closed.word - self.word_loss).abs_()
        lines = word.add_((closed.bit - self.bit_loss).abs_())
        change = _change(conductance_s, self.conductance_s)
        coherent = self.per_loss * _third_order(self.word_loss + self.bit_loss, lines, closed)
        gained = float((self.unsure * (closed.transfer_s - self.closed_s)).norm())
        size = float(self.transfer_s(closed.transfer_s).norm())
        weak = gained / size if gained else 0.0
        return math.hypot(self.rate * change, coherent) + weak


@dataclass(frozen=True)
class Losses:
    """The closed form, and what lines take of it to first order, [row, col] each."""

    transfer_s: torch.Tensor
    word: torch.Tensor
    bit: torch.Tensor


class AnchoredTransfer:
    """The transfer of one array on its way through training.

    The estimate holds the transfer. Gradients are those of the closed form with the factor as it
    stands: at and near the anchor they are off by what the factor's own change would bring, a few
    per cent where lines take a third of the current, and no estimate covers that.

    Args:
        wires: the closed form.
        exact: the exact transfer.
        tolerance: largest estimated error (Frobenius, relative) without a new anchor.

    Attributes:
        estimate: of the error of the last transfer, 0 right after an anchor.
        anchors: how often the exact transfer was asked for.

    Raises:
        InputError: the tolerance is not positive, or resistances require gradients.
    """

    def __init__(self, wires: WireModel, exact: Exact, *, tolerance: float) -> None:
        if not isinstance(tolerance, int | float) or not tolerance > 0:
            raise InputError(
                "a tolerance must be positive", where="tolerance", value=tolerance, allowed="> 0"
            )
        if wires.trained:
            raise InputError(
                "the anchor knows the resistances as they were, and no gradients by them",
                where="wires",
                value="resistances that require gradients",
                allowed="resistances without",
                hint="use solve_transfer, or the closed form without an anchor, or .detach() them",
            )
        self._wires, self._exact, self._tolerance = wires, exact, float(tolerance)
        self._anchor: Anchor | None = None
        self.estimate = 0.0
        self.anchors = 0

    def saved(self) -> dict[str, Any]:
        """The anchor and what was counted, as tensors and numbers."""
        anchor = {} if self._anchor is None else vars(self._anchor)
        return {"anchor": dict(anchor), "estimate": self.estimate, "anchors": self.anchors}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Brings a transfer that was just made to where `saved` was taken."""
        self._anchor = Anchor(**saved["anchor"]) if saved["anchor"] else None
        self.estimate, self.anchors = saved["estimate"], saved["anchors"]

    def transfer_s(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The transfer [row, col], differentiable in `conductance_s` [row, col]."""
        transfer, word, bit = self._wires.with_losses(conductance_s)
        closed = Losses(transfer.detach(), word, bit)
        anchor = self._anchor
        if anchor is not None:
            self.estimate = anchor.estimate(conductance_s.detach(), closed)
            # Whatever an estimate says: a transfer that no circuit has is none.
            if not possible_transfer(anchor.transfer_s(closed.transfer_s), conductance_s.detach()):
                self.estimate = math.inf
        if anchor is None or not self.estimate <= self._tolerance:
            # What is kept may be needed by a later step with gradients.
            with torch.inference_mode(False), torch.no_grad():
                kept = Losses(*(x.detach().clone() for x in (transfer, word, bit)))
                anchor = self._moved(conductance_s.detach().clone(), kept)
        return anchor.transfer_s(transfer)

    def _moved(self, conductance_s: torch.Tensor, closed: Losses) -> Anchor:
        exact = self._exact(conductance_s).contiguous()  # else every later sum runs across rows
        self.anchors += 1
        self.estimate = 0.0
        before = self._anchor
        own = _change(closed.transfer_s, exact)
        if before is None:
            rate = _FIRST * own
        else:
            change = _change(conductance_s, before.conductance_s)
            measured = _change(before.transfer_s(closed.transfer_s), exact) / max(change, 1e-12)
            rate = max(_LATER * measured, _FORGETS * before.rate)
        factor, unsure = _factors(closed.transfer_s, exact)
        lines = closed.word + closed.bit
        lost = _third_order(torch.zeros_like(lines), lines, closed)
        self._anchor = Anchor(
            conductance_s=conductance_s,
            closed_s=closed.transfer_s,
            word_loss=closed.word,
            bit_loss=closed.bit,
            factor=factor,
            rest_s=exact - closed.transfer_s * factor,
            unsure=unsure,
            rate=rate,
            per_loss=max(_LEAST, _COHERENT * own / lost) if lost > 0 else _LEAST,
        )
        return self._anchor


def _factors(closed: torch.Tensor, exact: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The factor of every cell, and by how much it may be wrong where it is that of neighbours."""
    tiny = torch.finfo(closed.dtype).tiny
    size = closed.square().mean().sqrt()
    square = (closed / size.clamp_min(tiny)).square()
    own = square / (square + _WEAK**2)
    measured = torch.where(closed > 0, exact / closed, 1.0).nan_to_num(nan=1.0).clamp(*_FACTOR)
    weighed = own * measured
    mean = weighed.sum() / own.sum().clamp_min(tiny)
    # A line of few cells that conduct says little about itself: it is drawn to the mean.
    rows = (weighed.sum(-1, keepdim=True) + mean) / (own.sum(-1, keepdim=True) + 1)
    cols = (weighed.sum(-2, keepdim=True) + mean) / (own.sum(-2, keepdim=True) + 1)
    smooth = (rows + cols - mean).clamp(*_FACTOR)
    spread = ((own * (measured - smooth).square()).sum() / own.sum().clamp_min(tiny)).sqrt()
    return torch.lerp(smooth, measured, own), (1 - own) * (_UNLIKE * spread)


def _third_order(before: torch.Tensor, lines: torch.Tensor, closed: Losses) -> float:
    """What lines take, of all of the current, cubed: by how much it grows.

    Cell by cell, as the Frobenius norm weighs them.

    Args:
        before: what lines took, to first order.
        lines: what they take more.
        closed: the closed form.
    """
    full = (closed.word + closed.bit).add_(1.0)
    share, more = before / full, lines.div_(full)
    # (share + more)^3 - share^3
    sums = (3 * share).mul_(share + more).addcmul_(more, more).mul_(more)
    size = float(closed.transfer_s.norm())
    return float(sums.mul_(closed.transfer_s).norm()) / size if size > 0 else 0.0


def _change(new: torch.Tensor, old: torch.Tensor) -> float:
    """How far apart two matrices are, as a part of the second."""
    return float((new - old).norm() / old.norm().clamp_min(torch.finfo(old.dtype).tiny))
