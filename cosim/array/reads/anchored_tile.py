"""One tile by the closed form, anchored on its exact solution.

The transfer is `AnchoredTransfer`'s. What amplifiers drive back by holding their bit lines off
ground is the closed form's, moved by what it was off by at the anchor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cosim.array.reads.exact import solved
from cosim.array.surroundings import Ends, TileTransfer, TileWires
from cosim.surrogate.anchored import AnchoredTransfer
from cosim.surrogate.wires import THEORY, WireModel, wire_model

Solve = Callable[[torch.Tensor], TileTransfer]
"""The exact solution for conductances [row, col]."""


class AnchoredTile:
    """One tile on its way through training.

    Args:
        wires: the closed form.
        held_v: what the amplifiers hold the bit lines at, [col]; None for 0.
        solve: the exact solution, with what that drives back.
        tolerance: largest estimated error (Frobenius, relative) without a new anchor.

    Raises:
        InputError: the tolerance is not positive.
    """

    def __init__(
        self, wires: WireModel, held_v: torch.Tensor | None, solve: Solve, *, tolerance: float
    ) -> None:
        self.tolerance = tolerance
        self._wires, self._held_v, self._solve = wires, held_v, solve
        self._correction_a: torch.Tensor | None = None
        self._anchored = AnchoredTransfer(wires, self._exact, tolerance=tolerance)

    def _exact(self, conductance_s: torch.Tensor) -> torch.Tensor:
        solved = self._solve(conductance_s)
        if self._held_v is not None:
            closed = self._wires.offset_current_a(conductance_s, solved.transfer_s, self._held_v)
            self._correction_a = solved.at_rest_a - closed
        return solved.transfer_s

    @property
    def anchors(self) -> int:
        """How often the tile was solved exactly."""
        return self._anchored.anchors

    def saved(self) -> dict[str, Any]:
        """Where it is anchored and what was measured on the way, as tensors and numbers."""
        return {
            "tolerance": self.tolerance,
            "correction_a": self._correction_a,
            "transfer": self._anchored.saved(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Brings a tile that was just made to where `saved` was taken."""
        self._correction_a = saved["correction_a"]
        self._anchored.restore(saved["transfer"])

    @property
    def estimate(self) -> float:
        """Of the error of the last transfer."""
        return self._anchored.estimate

    def transfer(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From word lines to bit lines, for [row, col]."""
        transfer = self._anchored.transfer_s(conductance_s)
        if self._held_v is None:
            return TileTransfer(transfer)
        held = self._wires.offset_current_a(conductance_s, transfer, self._held_v)
        known = self._correction_a
        return TileTransfer(transfer, held if known is None else held + known)


@dataclass(frozen=True, eq=False)
class _Exact:
    """The exact solution in double precision, whatever the precision of the cells."""

    wires: TileWires
    ends: Ends

    def __call__(self, conductance_s: torch.Tensor) -> TileTransfer:
        exact = solved(conductance_s.to(torch.float64), self.wires, self.ends)
        held_a = None if exact.held_a is None else exact.held_a.to(conductance_s)
        return TileTransfer(exact.transfer_s.to(conductance_s), held_a)


def closed_form(
    like: torch.Tensor,
    wires: TileWires,
    ends: Ends,
    weights: tuple[float, float, float, float] = THEORY,
) -> WireModel:
    """The closed form of wires between ends; arguments as of `anchored_tile`."""
    return wire_model(
        *like.shape[-2:],
        **vars(wires),
        r_driver_ohm=ends.r_driver_ohm,
        r_sense_ohm=ends.r_sense_ohm,
        weights=weights,
        dtype=like.dtype,
        device=like.device,
    )


def anchored_tile(
    like: torch.Tensor,
    wires: TileWires,
    ends: Ends,
    *,
    tolerance: float,
    weights: tuple[float, float, float, float] = THEORY,
) -> AnchoredTile:
    """One tile by the closed form of its wires, anchored on the nodal solver.

    Args:
        like: conductances that the tile may have, [..., row, col]: their shape and type are its.
        wires: the segments.
        ends: what the lines end in, of this tile alone.
        tolerance: largest estimated error (Frobenius, relative) without a new anchor.
        weights: of the closed form.

    Raises:
        InputError: resistances that `wire_model` refuses, or the tolerance is not positive.
    """
    closed = closed_form(like, wires, ends, weights)
    held_v = None if ends.held_v is None else ends.held_v.to(like)
    return AnchoredTile(closed, held_v, _Exact(wires, ends), tolerance=tolerance)
