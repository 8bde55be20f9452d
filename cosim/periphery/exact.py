"""The periphery by the netlist's equations, every instance as it was drawn."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from cosim.periphery.drawn import DrawnPeriphery
from netlists.adcs import quantiser
from netlists.hardware import Hardware
from netlists.neurons.spec import neuron_by_name
from netlists.readout import tia
from netlists.tiles import LayerPlan


@dataclass(frozen=True, eq=False)
class ExactPeriphery:
    """Of one layer on one chip or many.

    Attributes:
        hardware: the chip's description.
        plan: the layer.
        drawn: what was drawn.
    """

    hardware: Hardware
    plan: LayerPlan
    drawn: DrawnPeriphery

    @property
    def straight_ohm(self) -> float | None:
        """None: amplifiers have rails, and each its own feedback."""
        return None

    def drive_v(self, level_v: torch.Tensor) -> torch.Tensor:
        """What drivers put out for the levels of their DACs, [chip, tile, batch, row] both."""
        if not self.hardware.driver.differs:
            return level_v
        gain, offset_v = self.drawn.driver_gain, self.drawn.driver_offset_v
        return level_v * gain.unsqueeze(-2) + offset_v.unsqueeze(-2)

    def amplify_v(self, current_a: torch.Tensor) -> torch.Tensor:
        """Amplifier outputs for currents, [chip, tile, batch, col] both."""
        return tia.output_v(
            current_a,
            self.hardware.tia,
            self.drawn.r_feedback_ohm.unsqueeze(-2),
            self.drawn.v_offset_v.unsqueeze(-2),
        )

    def activate_v(self, sum_v: torch.Tensor) -> torch.Tensor:
        """Neuron outputs, [chip, batch, out] both."""
        return neuron_by_name(self.plan.neuron).output_v(
            sum_v * self.drawn.neuron_gain.unsqueeze(-2) + self.drawn.neuron_offset_v.unsqueeze(-2),
            self.hardware.neuron,
            v_full_v=self.hardware.adc.v_full_scale_v,
            span=self.plan.span,
        )

    def continuous_code(self, v: torch.Tensor) -> torch.Tensor:
        """Converter codes before rounding and clipping, [chip, batch, out] both."""
        return quantiser.continuous_code(
            v,
            self.hardware.adc,
            signed=self.plan.signed_output,
            v_offset_v=self.drawn.adc_offset_v.unsqueeze(-2),
            gain=self.drawn.adc_gain.unsqueeze(-2),
        )
