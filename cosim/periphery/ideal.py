"""The periphery without errors: no offsets, no rails, every gain as planned.

Rounding of DACs and ADCs stays: it belongs to the architecture, not to its imperfections.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from cosim.array.layout import TileLayout
from cosim.periphery.converters import Codes, Converters, PairAmplifiers
from netlists.hardware import Hardware
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

    def pair_amplifiers(self, _layout: TileLayout) -> PairAmplifiers:
        """From currents [chip, row block, side, batch, out] to sums [chip, batch, out] in volts."""
        return lambda current_a: (
            self.plan.r_feedback_ohm * (current_a[:, :, 0] - current_a[:, :, 1]).sum(1)
        )

    def codes(self, total_v: torch.Tensor) -> Codes:
        """What neurons and converters make of sums: the network's own function, scaled to volts."""
        return self._converters(total_v)

    @cached_property
    def _converters(self) -> Converters:
        one, zero = torch.ones(1, 1), torch.zeros(1, 1)
        plan, adc = self.plan, self.hardware.adc
        full_v = adc.v_full_scale_v
        return Converters(
            plan.neuron, 0.0, full_v, plan.span, adc, plan.signed_output, one, zero, one, zero
        )
