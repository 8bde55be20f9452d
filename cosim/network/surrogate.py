"""The `surrogate` fidelity: closed-form wires and fitted curves, differentiable throughout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch

from cosim.array.layout import TileLayout
from cosim.array.reads.anchored_tile import AnchoredTile
from cosim.array.reads.device_surrogate import DeviceSurrogateReads
from cosim.array.reads.kept import Transfers
from cosim.array.reads.surrogate import SurrogateReads
from cosim.array.surroundings import Ends
from cosim.network.models import bent_cells, tile_wires
from cosim.network.run import LayerModel
from cosim.periphery.surrogate import FittedPeriphery
from cosim.surrogate.wires import WireModel
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan

Tile = tuple[int, int]
"""Layer and tile, both from 0."""


@dataclass(frozen=True, eq=False)
class FittedLayer:
    """What was fitted to a layer.

    Attributes:
        wires: the closed form of its tiles, sense resistances [tile, col].
        held_v: what amplifiers hold bit lines at, [tile, col].
        periphery: the curves.
    """

    wires: WireModel
    held_v: torch.Tensor
    periphery: FittedPeriphery


class SurrogateModel:
    """What calibration has fitted, as the layers of a network; see `NetworkModel`.

    Outside the region of its closed form it warns, once for each tile, unless the tile is anchored
    or watched: compared with the exact solution by whoever uses it (`cosim.network.watch`).

    Args:
        hardware: the chip's description.
        plans: the layers.
        fitted: what was fitted to each.
        anchored: tiles whose wires are anchored on their exact solution.
        watched: somebody compares the currents with the exact ones.
        devices: layers whose cells are devices that bend; None where no cell does.
    """

    name = "surrogate"

    def __init__(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        fitted: Sequence[FittedLayer],
        *,
        anchored: Mapping[Tile, AnchoredTile] | None = None,
        watched: bool = False,
        devices: Sequence[DeviceSurrogateReads] | None = None,
    ) -> None:
        self.hardware = hardware
        self.plans = tuple(plans)
        self.fitted = tuple(fitted)
        self.anchored = dict(anchored or {})
        self.watched = watched
        self.devices = self._devices() if devices is None else tuple(devices)
        self.reads = tuple(self._reads_of(number) for number in range(len(self.plans)))
        used: Sequence[Transfers] = self.devices or self.reads
        self.layers = tuple(
            LayerModel(TileLayout.of(plan), reads, layer.periphery)
            for plan, reads, layer in zip(self.plans, used, self.fitted, strict=True)
        )

    def _devices(self) -> tuple[DeviceSurrogateReads, ...]:
        """Reads of cells that bend, calibrated at the first conductances that they see."""
        cells = bent_cells(self.hardware)
        if cells is None:
            return ()
        made = []
        for number, (plan, layer) in enumerate(zip(self.plans, self.fitted, strict=True)):
            full_v = self.hardware.driver.v_read_v
            made.append(
                DeviceSurrogateReads(
                    cells,
                    tile_wires(self.hardware, TileLayout.of(plan)),
                    Ends(
                        self.hardware.driver.r_driver_ohm, layer.wires.bit.sense_ohm, layer.held_v
                    ),
                    low_v=-full_v if plan.signed_input else 0.0,
                    high_v=full_v,
                    seed=number,
                )
            )
        return tuple(made)

    def _reads_of(self, number: int) -> SurrogateReads:
        plan, layer = self.plans[number], self.fitted[number]
        tiles = [f"{plan.name}.{tile.name}" for tile in plan.tiles]
        own = {tile: one for (of, tile), one in self.anchored.items() if of == number}
        return SurrogateReads(layer.wires, layer.held_v, tiles, anchored=own, watched=self.watched)

    def as_watched(self, anchored: Mapping[Tile, AnchoredTile] | None = None) -> SurrogateModel:
        """The same, whose user compares it with the exact solution or has said that he cannot.

        Args:
            anchored: tiles that are anchored; None for those that are.
        """
        tiles = self.anchored if anchored is None else anchored
        return SurrogateModel(
            self.hardware,
            self.plans,
            self.fitted,
            anchored=tiles,
            watched=True,
            devices=self.devices,
        )

    def calibrated_anew(self, layers: Collection[int]) -> SurrogateModel:
        """The same, in which the cells of these layers are calibrated at what they see next."""
        made = self.as_watched()
        for number in layers:
            made.devices[number].forget()
        return made
