"""The `surrogate` fidelity: closed-form wires and fitted curves, differentiable throughout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cosim.array.layout import TileLayout
from cosim.array.reads.anchored_tile import AnchoredTile
from cosim.array.reads.device_surrogate import DeviceSurrogateReads
from cosim.array.reads.kept import Transfers
from cosim.array.reads.surrogate import SurrogateReads, stacked_wires
from cosim.array.surroundings import Ends
from cosim.network.models import bent_cells, tile_wires
from cosim.network.run import LayerModel
from cosim.periphery.drawn import DrawnPeriphery
from cosim.periphery.surrogate import FittedBlocks
from cosim.surrogate.wires import WireModel
from netlists.chip import LayerPeriphery
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan

Tile = tuple[int, int]
"""Layer and tile, both from 0."""


@dataclass(frozen=True, eq=False)
class FittedLayer:
    """What was fitted to a layer, for all chips.

    Attributes:
        wires: the closed form of its largest tile.
        blocks: its drivers, amplifiers, neurons and converters.
    """

    wires: WireModel
    blocks: FittedBlocks


class SurrogateModel:
    """What calibration has fitted, as the layers of a network; see `NetworkModel`.

    Outside the region of its closed form it warns, once for each tile, unless the tile is anchored
    or watched: compared with the exact solution by whoever uses it (`cosim.network.watch`).

    Args:
        hardware: what the chips share.
        plans: the layers.
        fitted: what was fitted to each.
        chips: what was drawn, [chip][layer].
        anchored: tiles whose wires are anchored on their exact solution, where there is one chip.
        watched: somebody compares the currents with the exact ones.
        devices: layers whose cells are devices that bend; None where no cell does.
    """

    name = "surrogate"

    def __init__(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        fitted: Sequence[FittedLayer],
        chips: Sequence[Sequence[LayerPeriphery]],
        *,
        anchored: Mapping[Tile, AnchoredTile] | None = None,
        watched: bool = False,
        devices: Sequence[DeviceSurrogateReads] | None = None,
    ) -> None:
        self.hardware = hardware
        self.plans = tuple(plans)
        self.fitted = tuple(fitted)
        self.chips = tuple(chips)
        self.anchored = dict(anchored or {})
        self.watched = watched
        self._drawn = tuple(
            DrawnPeriphery.of(plan, TileLayout.of(plan), [chip[number] for chip in self.chips])
            for number, plan in enumerate(self.plans)
        )
        self.reads = tuple(self._reads_of(number) for number in range(len(self.plans)))
        self.devices = self._devices() if devices is None else tuple(devices)
        used: Sequence[Transfers] = self.devices or self.reads
        self.layers = tuple(
            LayerModel(TileLayout.of(plan), reads, layer.blocks.periphery(hardware, plan, drawn))
            for plan, reads, layer, drawn in zip(
                self.plans, used, self.fitted, self._drawn, strict=True
            )
        )

    def _devices(self) -> tuple[DeviceSurrogateReads, ...]:
        """Reads of cells that bend, calibrated at the first conductances that they see."""
        cells = bent_cells(self.hardware)
        if cells is None:
            return ()
        made = []
        for number, (plan, ohmic) in enumerate(zip(self.plans, self.reads, strict=True)):
            full_v = self.hardware.driver.v_read_v
            made.append(
                DeviceSurrogateReads(
                    cells,
                    tile_wires(self.hardware, TileLayout.of(plan)),
                    Ends(
                        self.hardware.driver.r_driver_ohm, ohmic.wires.bit.sense_ohm, ohmic.held_v
                    ),
                    low_v=-full_v if plan.signed_input else 0.0,
                    high_v=full_v,
                    seed=number,
                )
            )
        return tuple(made)

    def _reads_of(self, number: int) -> SurrogateReads:
        plan, fitted, drawn = self.plans[number], self.fitted[number], self._drawn[number]
        return SurrogateReads(
            stacked_wires(fitted.wires, TileLayout.of(plan), fitted.blocks.sense_ohm(plan, drawn)),
            fitted.blocks.sense_v(plan, drawn),
            [f"{plan.name}.{tile.name}" for tile in plan.tiles],
            anchored={tile: one for (of, tile), one in self.anchored.items() if of == number},
            watched=self.watched,
        )

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
            self.chips,
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

    def of_chips(self, chips: Sequence[Sequence[LayerPeriphery]]) -> SurrogateModel:
        """Of other chips of the same design, without anchors.

        Args:
            chips: what was drawn, [chip][layer].
        """
        return SurrogateModel(self.hardware, self.plans, self.fitted, chips, watched=self.watched)
