"""The periphery by curves that were fitted to ngspice."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cosim.surrogate.curves import Curves
from netlists.adcs import quantiser
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan


@dataclass(frozen=True, eq=False)
class FittedPeriphery:
    """Of one layer.

    Attributes:
        hardware: the chip's description.
        plan: the layer.
        driver_gain: [tile, 1, row].
        driver_offset_v: [tile, 1, row].
        amplifiers: output voltage over current, curves [tile, 1, col].
        neurons: output over input voltage, curves [out].
        adc_gain: [out].
        adc_offset_v: [out].
    """

    hardware: Hardware
    plan: LayerPlan
    driver_gain: torch.Tensor
    driver_offset_v: torch.Tensor
    amplifiers: Curves
    neurons: Curves
    adc_gain: torch.Tensor
    adc_offset_v: torch.Tensor

    @property
    def straight_ohm(self) -> float | None:
        """None: amplifiers have rails, and each its own feedback."""
        return None

    def drive_v(self, level_v: torch.Tensor) -> torch.Tensor:
        """What drivers put out for the levels of their DACs, [chip, tile, batch, row] both."""
        if not self.hardware.driver.differs:
            return level_v
        return level_v * self.driver_gain + self.driver_offset_v

    def amplify_v(self, current_a: torch.Tensor) -> torch.Tensor:
        """Amplifier outputs for currents, [chip, tile, batch, col] both."""
        return self.amplifiers(current_a)

    def activate_v(self, sum_v: torch.Tensor) -> torch.Tensor:
        """Neuron outputs, [chip, batch, out] both."""
        return self.neurons(sum_v)

    def continuous_code(self, v: torch.Tensor) -> torch.Tensor:
        """Converter codes before rounding and clipping, [chip, batch, out] both."""
        return quantiser.continuous_code(
            v,
            self.hardware.adc,
            signed=self.plan.signed_output,
            v_offset_v=self.adc_offset_v,
            gain=self.adc_gain,
        )
