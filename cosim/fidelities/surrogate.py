"""The `surrogate` fidelity: closed-form wires and fitted curves, differentiable throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cosim.surrogate.curves import Curves
from cosim.surrogate.wires import WireModel
from netlists.adcs import quantiser
from netlists.hardware import Hardware
from netlists.mapping import LayerPlan


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


class SurrogateModel:
    """What calibration has fitted, as stages of the forward pass."""

    name = "surrogate"

    def __init__(
        self, hardware: Hardware, plans: Sequence[LayerPlan], layers: Sequence[FittedLayer]
    ) -> None:
        self._hardware = hardware
        self._plans = tuple(plans)
        self.layers = tuple(layers)

    def tile_current_a(
        self, layer: int, tile: int, drive_v: torch.Tensor, conductance_s: torch.Tensor
    ) -> torch.Tensor:
        """See `LayerModel`."""
        fitted = self.layers[layer].tiles[tile]
        transfer = fitted.wires.transfer_s(conductance_s)
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
            self._hardware.adc,
            signed=self._plans[layer].signed_output,
            v_offset_v=fitted.adc_offset_v,
            gain=fitted.adc_gain,
        )
