"""The periphery without errors: no offsets, no rails, every gain as planned.

Rounding of DACs and ADCs stays: it belongs to the architecture, not to its imperfections.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from netlists.adcs import quantiser
from netlists.hardware import Hardware
from netlists.neurons.spec import neuron_by_name
from netlists.tiles import LayerPlan


@dataclass(frozen=True, eq=False)
class IdealPeriphery:
    """Of one layer.

    Attributes:
        hardware: the chip's description.
        plan: the layer.
    """

    hardware: Hardware
    plan: LayerPlan

    @property
    def straight_ohm(self) -> float | None:
        """The feedback of amplifiers that are straight and all alike."""
        return self.plan.r_feedback_ohm

    def drive_v(self, level_v: torch.Tensor) -> torch.Tensor:
        """What drivers put out for the levels of their DACs, [chip, tile, batch, row] both."""
        return level_v

    def amplify_v(self, current_a: torch.Tensor) -> torch.Tensor:
        """Amplifier outputs for currents, [chip, tile, batch, col] both."""
        return -self.plan.r_feedback_ohm * current_a

    def activate_v(self, sum_v: torch.Tensor) -> torch.Tensor:
        """Neuron outputs, [chip, batch, out] both: the network's own function, scaled to volts."""
        v_full = self.hardware.adc.v_full_scale_v
        y = neuron_by_name(self.plan.neuron).ideal(sum_v * (self.plan.span / v_full))
        return y * (v_full / self.plan.output_scale)

    def continuous_code(self, v: torch.Tensor) -> torch.Tensor:
        """Converter codes before rounding and clipping, [chip, batch, out] both."""
        return v / quantiser.lsb_v(self.hardware.adc, signed=self.plan.signed_output)
