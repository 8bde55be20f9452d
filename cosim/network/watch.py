"""The surrogate beside the exact solution: how far off it is on arrays and inputs of the moment.

A calibration measures its error on arrays of its own; those that training arrives at may lie
elsewhere. What is off by more than a tolerance is anchored on the exact solution. Cells of the
user's own have no equations to compare with; calibration's held-out error is all that is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cosim.array.reads.anchored_tile import AnchoredTile
from cosim.array.reads.kept import Transfers
from cosim.network.models import exact_reads, ohmic_reads
from cosim.network.run import code_full, converter_codes, drive_voltages
from cosim.network.surrogate import SurrogateModel, Tile
from netlists.hardware import Hardware


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
    model: SurrogateModel, conductance_s: Sequence[torch.Tensor], x: torch.Tensor
) -> tuple[TileError, ...]:
    """Compares every tile with its exact solution on inputs [batch, in].

    Each layer is driven with what it would get if those before it were exact. Nothing is found
    where the exact solution is not known (`can_be_watched`).

    Args:
        model: the surrogate; anchors of its tiles may move, as in any read.
        conductance_s: [layer] -> [chip, tile, row, col] in siemens.
        x: digital inputs [batch, in], 1 = full.
    """
    if not can_be_watched(model.hardware):
        return ()
    values, errors = x.unsqueeze(0), []
    used = model.as_watched()
    closed = model.as_watched({}) if model.anchored else used
    with torch.no_grad():
        for number, (plan, cells) in enumerate(zip(model.plans, conductance_s, strict=True)):
            layer = model.layers[number]
            drive_v = drive_voltages(model.hardware, plan, layer, values)
            exact = _exact(model, number).transfer(cells).current_a(drive_v)
            off_used = _off(used.layers[number].reads.transfer(cells).current_a(drive_v), exact)
            off_closed = off_used
            if closed is not used:
                found = closed.layers[number].reads.transfer(cells).current_a(drive_v)
                off_closed = _off(found, exact)
            errors += [
                TileError(
                    (number, tile),
                    f"{plan.name}.{part.name}",
                    float(off_used[tile]),
                    float(off_closed[tile]),
                )
                for tile, part in enumerate(plan.tiles)
            ]
            codes = converter_codes(layer, exact)
            values = codes / code_full(model.hardware, plan)
    return tuple(errors)


def anchored(
    model: SurrogateModel, errors: Sequence[TileError], tolerances: Sequence[float]
) -> tuple[SurrogateModel, tuple[TileError, ...]]:
    """The surrogate with tiles anchored that are off by more than a tolerance, and which these are.

    A tile that is off although it is anchored gets half of its tolerance from then on. Where cells
    are devices that bend, their layers are calibrated anew, at the conductances that come next.

    Args:
        model: the surrogate of one chip.
        errors: of `tile_errors`, with the model as it is.
        tolerances: largest error of currents, relative, of each layer.
    """
    passed = tuple(one for one in errors if not one.used <= tolerances[one.tile[0]])  # also NaN
    if model.devices:
        return model.calibrated_anew({one.tile[0] for one in passed}), passed
    tiles = dict(model.anchored)
    for one in passed:
        before = tiles.get(one.tile)
        limit = tolerances[one.tile[0]] if before is None else 0.5 * before.tolerance
        tiles[one.tile] = _anchored_tile(model, one.tile, limit)
    return model.as_watched(tiles), passed


def anchors_of(model: SurrogateModel) -> dict[str, Any]:
    """Where and how the tiles of a surrogate are anchored, as tensors and numbers.

    Where cells are devices that bend: where their layers were calibrated.
    """
    if model.devices:
        return {str(layer): one.saved() for layer, one in enumerate(model.devices)}
    return {f"{layer}.{tile}": one.saved() for (layer, tile), one in model.anchored.items()}


def with_anchors(model: SurrogateModel, saved: Mapping[str, Any]) -> SurrogateModel:
    """The surrogate as it was when `anchors_of` said this of it.

    Args:
        model: as it was calibrated.
        saved: of `anchors_of`.
    """
    if model.devices:
        for name, one in saved.items():
            model.devices[int(name)].restore(one)
        return model.as_watched()
    tiles = dict(model.anchored)
    for name, one in saved.items():
        layer, _, tile = name.partition(".")
        number = int(layer), int(tile)
        tiles[number] = _anchored_tile(model, number, one["tolerance"])
        tiles[number].restore(one)
    return model.as_watched(tiles)


def _anchored_tile(model: SurrogateModel, number: Tile, tolerance: float) -> AnchoredTile:
    layer, tile = number
    wires, held_v = model.reads[layer].of_tile(tile)
    solve = ohmic_reads(
        model.hardware, model.layers[layer].layout, wires.bit.sense_ohm, held_v
    ).transfer
    return AnchoredTile(wires, held_v, solve, tolerance=tolerance)


def _exact(model: SurrogateModel, number: int) -> Transfers:
    """A layer's wires exactly, behind the sense resistances that the surrogate has found."""
    reads, layout = model.reads[number], model.layers[number].layout
    return exact_reads(model.hardware, layout, reads.wires.bit.sense_ohm, reads.held_v)


def _off(found: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """By tile, of currents [chip, tile, batch, col]."""
    size = torch.linalg.vector_norm(exact, dim=(0, 2, 3))
    off: torch.Tensor = torch.linalg.vector_norm(found - exact, dim=(0, 2, 3))
    share: torch.Tensor = off / size.clamp_min(torch.finfo(exact.dtype).tiny)
    return share
