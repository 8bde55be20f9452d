"""The `surrogate` fidelity: closed-form wires and fitted curves, differentiable throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from cosim.surrogate.anchored_tile import AnchoredTile
from cosim.surrogate.curves import Curves
from cosim.surrogate.wires import WireModel, warn_outside
from netlists.adcs import quantiser
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan


@dataclass(frozen=True)
class FittedTile:
    """A tile: its wires, what its amplifiers hold bit lines at, and their curves."""

    wires: WireModel
    held_v: torch.Tensor
    amplifiers: Curves


@dataclass(frozen=True)
class FittedLayer:
    """A layer: its tiles, its neurons' curves and its converters' lines."""

    tiles: tuple[FittedTile, ...]
    neurons: Curves
    adc_gain: torch.Tensor
    adc_offset_v: torch.Tensor


Tile = tuple[int, int]
"""Layer and tile, both from 0."""


class SurrogateModel:
    """What calibration has fitted, as stages of the forward pass.

    Outside the region of its closed form it warns, once for each tile, unless the tile is anchored
    or watched: compared with the exact solution by whoever uses it (`cosim.fidelities.watch`).

    Args:
        hardware: the chip's description.
        plans: the layers.
        layers: what was fitted to each.
        anchored: tiles whose wires are anchored on their exact solution.
        watched: somebody compares the currents with the exact ones.
    """

    name = "surrogate"

    def __init__(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        layers: Sequence[FittedLayer],
        *,
        anchored: Mapping[Tile, AnchoredTile] | None = None,
        watched: bool = False,
    ) -> None:
        self.hardware = hardware
        self.plans = tuple(plans)
        self.layers = tuple(layers)
        self.anchored = dict(anchored or {})
        self.watched = watched
        self._warned: set[Tile] = set()

    def as_watched(self, anchored: Mapping[Tile, AnchoredTile] | None = None) -> SurrogateModel:
        """The same, whose user compares it with the exact solution or has said that he cannot.

        Args:
            anchored: tiles that are anchored; None for those that are.
        """
        tiles = self.anchored if anchored is None else anchored
        return SurrogateModel(self.hardware, self.plans, self.layers, anchored=tiles, watched=True)

    def tile_current_a(
        self, layer: int, tile: int, drive_v: torch.Tensor, conductance_s: torch.Tensor
    ) -> torch.Tensor:
        """See `LayerModel`."""
        anchored = self.anchored.get((layer, tile))
        if anchored is not None:
            return anchored.current_a(drive_v, conductance_s)
        fitted = self.layers[layer].tiles[tile]
        transfer, word, bit = fitted.wires.with_losses(conductance_s)
        if not self.watched and (layer, tile) not in self._warned:
            outside = fitted.wires.outside_by(conductance_s, word, bit)
            if outside:
                self._warned.add((layer, tile))
                plan = self.plans[layer]
                warn_outside(outside, f"{plan.name}.{plan.tiles[tile].name}")
        held = fitted.wires.offset_current_a(conductance_s, transfer, fitted.held_v)
        return drive_v @ transfer + held

    def amplify_v(self, layer: int, tile: int, current_a: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        return self.layers[layer].tiles[tile].amplifiers(current_a)

    def activate_v(self, layer: int, sum_v: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        return self.layers[layer].neurons(sum_v)

    def continuous_code(self, layer: int, v: torch.Tensor) -> torch.Tensor:
        """See `LayerModel`."""
        fitted = self.layers[layer]
        return quantiser.continuous_code(
            v,
            self.hardware.adc,
            signed=self.plans[layer].signed_output,
            v_offset_v=fitted.adc_offset_v,
            gain=fitted.adc_gain,
        )
