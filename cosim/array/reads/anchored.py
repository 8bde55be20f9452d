"""Tiles by the closed form, each anchored on its exact solution while it moves by pulses.

Where the estimate of a tile's error passes the tolerance it is solved exactly again; the rest of
the time its transfer is the closed form with the anchor's factors, forward and backward.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from cosim.array.reads.anchored_tile import AnchoredTile, anchored_tile
from cosim.array.reads.exact import ExactReads
from cosim.array.surroundings import Ends, TileTransfer, TileWires, flipped
from cosim.nodal.lines import Ohm
from cosim.surrogate.wires import THEORY


@dataclass(eq=False)
class AnchoredReads:
    """The surrogate of ohmic tiles on their way through training.

    Attributes:
        exact: what they are anchored on; wires and ends.
        tolerance: largest estimated error of a transfer (Frobenius, relative): half of it for the
            closed form beside its anchor, half for cells that have moved since it was evaluated.
        weights: of the closed form, forward; those of theory if nothing was calibrated.
    """

    exact: ExactReads
    tolerance: float
    weights: tuple[float, float, float, float] = THEORY
    name: str = "surrogate"
    conductance_only: bool = False
    _forward: dict[tuple[int, int], AnchoredTile] = field(default_factory=dict, repr=False)
    _backward: dict[tuple[int, int], AnchoredTile] = field(default_factory=dict, repr=False)
    _before: int = field(default=0, repr=False)

    @property
    def moved_tolerance(self) -> float:
        """See `cosim.array.protocols.Reads`."""
        return 0.5 * self.tolerance

    @property
    def anchors(self) -> int:
        """How often tiles have been solved exactly, in both directions."""
        kept = (*self._forward.values(), *self._backward.values())
        return self._before + sum(tile.anchors for tile in kept)

    def forget(self) -> None:
        """Drops all anchors; the count goes on."""
        self._before = self.anchors
        self._forward.clear()
        self._backward.clear()

    @property
    def estimate(self) -> float:
        """The largest estimate of the error of a transfer."""
        kept = [t.estimate for tiles in (self._forward, self._backward) for t in tiles.values()]
        return max(kept, default=0.0)

    def transfer(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From word lines to bit lines, for [chip, tile, row, col]; differentiable."""
        one = self.exact
        return self._of(conductance_s, self._forward, one.wires, one.forward, self.weights)

    def transposed(self, conductance_s: torch.Tensor) -> TileTransfer:
        """From bit lines to word lines, [chip, tile, col, row]; differentiable."""
        one = self.exact
        turned = self._of(
            flipped(conductance_s), self._backward, one.wires.flipped, one.backward.flipped, THEORY
        )
        return turned.flipped

    def _of(
        self,
        g: torch.Tensor,
        kept: dict[tuple[int, int], AnchoredTile],
        wires: TileWires,
        ends: Ends,
        weights: tuple[float, float, float, float],
    ) -> TileTransfer:
        chips, tiles, rows, cols = g.shape
        transfers, held = [], []
        for place in ((chip, tile) for chip in range(chips) for tile in range(tiles)):
            own = kept.get(place)
            if own is None:
                own = self._tile(g, place, wires, ends, weights)
                kept[place] = own
            found = own.transfer(g[place])
            transfers.append(found.transfer_s)
            if found.held_a is not None:
                held.append(found.held_a)
        stacked = torch.stack(transfers).view(chips, tiles, rows, cols)
        return TileTransfer(stacked, torch.stack(held).view(chips, tiles, cols) if held else None)

    def _tile(
        self,
        g: torch.Tensor,
        place: tuple[int, int],
        wires: TileWires,
        ends: Ends,
        weights: tuple[float, float, float, float],
    ) -> AnchoredTile:
        driver, sense = (_at(ohm, place) for ohm in (ends.r_driver_ohm, ends.r_sense_ohm))
        held = None if ends.held_v is None else ends.held_v.expand(*g.shape[:2], -1)[place]
        own = Ends(driver, sense, held)
        return anchored_tile(g, wires, own, tolerance=0.5 * self.tolerance, weights=weights)


def _at(ohm: Ohm, place: tuple[int, int]) -> Ohm:
    """The resistances of one tile."""
    if not isinstance(ohm, torch.Tensor) or ohm.ndim < 2:
        return ohm
    return ohm[place[1]] if ohm.ndim == 2 else ohm[place]
