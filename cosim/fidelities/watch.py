"""The surrogate beside the exact solution: how far off it is on arrays and inputs of the moment.

A calibration measures its error on arrays of its own; those that training arrives at may lie
elsewhere. What is off by more than a tolerance is anchored on the exact solution. Cells of the
user's own have no equations to compare with; calibration's held-out error is all that is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cosim.fidelities.exact import solve_tile
from cosim.fidelities.surrogate import SurrogateModel, Tile
from cosim.network.run import forward
from cosim.nodal.transfer import Transfer
from cosim.surrogate.anchored_tile import AnchoredTile
from netlists.hardware import Hardware

INPUTS = 64
"""So many inputs say how far off currents are."""


@dataclass(frozen=True)
class TileError:
    """How far the currents of one tile are off, relative, in the Frobenius norm.

    Attributes:
        tile: layer and tile.
        name: in words.
        used: of the surrogate as it is used.
        closed: of the closed form without an anchor.
    """

    tile: Tile
    name: str
    used: float
    closed: float


def can_be_watched(hardware: Hardware) -> bool:
    """Whether the exact solution of the chip's arrays is known."""
    return "cell" not in hardware.blocks


def tile_errors(
    model: SurrogateModel, conductance_s: Sequence[Sequence[torch.Tensor]], x: torch.Tensor
) -> tuple[TileError, ...]:
    """Compares every tile with its exact solution on inputs [batch, in].

    Each layer is driven with what it would get if those before it were exact. Nothing is found
    where the exact solution is not known (`can_be_watched`).

    Args:
        model: the surrogate; anchors of its tiles may move, as in any read.
        conductance_s: [layer][tile] -> [row, col] in siemens.
        x: digital inputs [batch, in], 1 = full.
    """
    if not can_be_watched(model.hardware):
        return ()
    compared = _Compared(model)
    with torch.no_grad():
        forward(model.hardware, model.plans, conductance_s, compared, x)
    return tuple(compared.errors)


def anchored(
    model: SurrogateModel, errors: Sequence[TileError], tolerance: float
) -> tuple[SurrogateModel, tuple[TileError, ...]]:
    """The surrogate with tiles anchored that are off by more than a tolerance, and which these are.

    A tile that is off although it is anchored gets half of its tolerance from then on.

    Args:
        model: the surrogate.
        errors: of `tile_errors`, with the model as it is.
        tolerance: largest error of currents, relative.
    """
    passed = tuple(one for one in errors if not one.used <= tolerance)  # True for NaN
    tiles = dict(model.anchored)
    for one in passed:
        before = tiles.get(one.tile)
        limit = tolerance if before is None else 0.5 * before.tolerance
        layer, tile = one.tile
        fitted = model.layers[layer].tiles[tile]
        solve = _Solve(model.hardware, fitted.wires.bit.sense_ohm)
        tiles[one.tile] = AnchoredTile(fitted.wires, fitted.held_v, solve, tolerance=limit)
    return model.as_watched(tiles), passed


@dataclass(frozen=True)
class _Solve:
    """Solves a tile exactly, behind the sense resistances that the surrogate has found."""

    hardware: Hardware
    sense_ohm: torch.Tensor

    def __call__(self, conductance_s: torch.Tensor) -> Transfer:
        return solve_tile(self.hardware, conductance_s, self.sense_ohm)


class _Compared:
    """The surrogate with exact wires, which notes how far its own are off."""

    name = "exact wires"

    def __init__(self, model: SurrogateModel) -> None:
        self.errors: list[TileError] = []
        self._model = model.as_watched()
        self._closed = model.as_watched({})
        self.amplify_v = model.amplify_v
        self.activate_v = model.activate_v
        self.continuous_code = model.continuous_code

    def tile_current_a(
        self, layer: int, tile: int, drive_v: torch.Tensor, conductance_s: torch.Tensor
    ) -> torch.Tensor:
        """See `LayerModel`."""
        fitted = self._model.layers[layer].tiles[tile]
        solve = _Solve(self._model.hardware, fitted.wires.bit.sense_ohm)
        exact = solve(conductance_s).current_a(drive_v, fitted.held_v)
        used, closed = (
            model.tile_current_a(layer, tile, drive_v, conductance_s)
            for model in (self._model, self._closed)
        )
        plan = self._model.plans[layer]
        self.errors.append(
            TileError(
                (layer, tile),
                f"{plan.name}.{plan.tiles[tile].name}",
                _off(used, exact),
                _off(closed, exact),
            )
        )
        return exact


def _off(found: torch.Tensor, exact: torch.Tensor) -> float:
    size = exact.norm().clamp_min(torch.finfo(exact.dtype).tiny)
    return float((found - exact).norm() / size)
