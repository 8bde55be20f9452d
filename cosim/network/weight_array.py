"""What holds the weights of a planned layer: one array, or several that are read as their sum."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch

from compact_models.variation import Stream
from cosim.array.analog_array import AnalogArray
from cosim.array.combined import Combined, Policy, WeightArray
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import PairedCells
from cosim.array.protocols import Reads, SimulatedReads, Updates
from cosim.array.reads.anchored import AnchoredReads
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.ideal import IdealReads
from cosim.array.reads.spice import SpiceReads
from cosim.array.reads.vectors import VectorReads
from cosim.array.surroundings import Ends
from cosim.array.updates.device import DeviceUpdates
from netlists.tiles import LayerPlan

AnyReads = Reads | SimulatedReads


def weight_array(
    plan: LayerPlan,
    layout: TileLayout,
    cells: PairedCells,
    reads: AnyReads,
    updates: Updates[Any],
    *,
    unit: float,
    policy: Policy,
    stream: Stream,
    dtype: torch.dtype,
) -> WeightArray:
    """The array of a layer, or the sum of its arrays, one chip.

    Args:
        plan: the layer.
        layout: its tiles.
        cells: of its first array; the others are like them.
        reads: who computes the tiles of all arrays.
        updates: who computes updates of one.
        unit: the logical weight of a cell's weight of 1 in all arrays together.
        policy: what pulses for the sum do.
        stream: of the chip's sample.
        dtype: of the cells' states.

    Raises:
        ValueError: these reads are not known tile by tile.
    """
    if plan.arrays == 1:
        return AnalogArray(layout, cells, reads, updates, unit=unit, dtype=dtype)
    size = layout.each.tiles
    parts = [
        AnalogArray(
            layout.each,
            cells if k == 0 else cells.like(stream, name_of_array(k), 1),
            _of_tiles(reads, slice(k * size, (k + 1) * size)),
            _moving(updates, layout.each, slice(k * size, (k + 1) * size)),
            unit=unit / sum(plan.factors),
            dtype=dtype,
        )
        for k in range(plan.arrays)
    ]
    return Combined(parts, plan.factors, updates=policy)


def name_of_array(number: int) -> str:
    """What an array after the first is called below the path of the cells of its layer."""
    return f"array_{number}"


def _moving(updates: Updates[Any], layout: TileLayout, some: slice) -> Updates[Any]:
    """Who updates one of several arrays, which has some of the tiles."""
    if isinstance(updates, DeviceUpdates):
        return updates.of_tiles(layout, some)
    return copy.deepcopy(updates)


def _of_tiles(reads: AnyReads, some: slice) -> AnyReads:
    """Who computes some of the tiles."""
    if isinstance(reads, IdealReads):
        return reads
    if isinstance(reads, AnchoredReads):
        return AnchoredReads(_exact(reads.exact, some), reads.tolerance, reads.weights)
    if isinstance(reads, ExactReads):
        return _exact(reads, some)
    if isinstance(reads, SpiceReads):
        forward, backward = (_ends(one, some) for one in (reads.forward, reads.backward))
        return replace(reads, forward=forward, backward=backward)
    if isinstance(reads, VectorReads):
        forward, backward = (
            _ends(one, some) for one in (reads.exact.forward, reads.exact.backward)
        )
        exact = replace(reads.exact, forward=forward, backward=backward)
        if isinstance(reads.reads, DeviceExactReads):
            return VectorReads(exact, exact)
        return VectorReads(reads.reads.between(forward, backward), exact)
    raise ValueError(f"nobody knows the tiles of {type(reads).__name__} one by one")


def _exact(reads: ExactReads, some: slice) -> ExactReads:
    forward, backward = (_ends(one, some) for one in (reads.forward, reads.backward))
    return replace(reads, forward=forward, backward=backward)


def _ends(ends: Ends, some: slice) -> Ends:
    """Of some tiles, of values for all tiles or [..., tile, line]."""

    def own(value: Any) -> Any:
        by_tile = isinstance(value, torch.Tensor) and value.ndim > 1 and value.shape[-2] > 1
        return value[..., some, :] if by_tile else value

    return Ends(own(ends.r_driver_ohm), own(ends.r_sense_ohm), own(ends.held_v))
