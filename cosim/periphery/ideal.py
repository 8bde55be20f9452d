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
        """The feedback of amplifiers that are straight and alike, of factor 1."""
        return self.plan.r_feedback_ohm

    def drive_v(self, level_v: torch.Tensor) -> torch.Tensor:
        """What drivers put out for the levels of their DACs, [chip, tile, batch, row] both."""
        return level_v

    def pair_sums_v(self, layout: TileLayout, current_a: torch.Tensor) -> torch.Tensor:
        """What pairs of amplifiers add up to, [chip, batch, out]; see `Periphery`."""
        number = len(self.plan.tiles) // self.plan.arrays
        ohm = self._feedback_ohm(current_a, number)[:, None, None]
        return layout.sum_pairs(-ohm * current_a)

    def pair_amplifiers(self, layout: TileLayout) -> PairAmplifiers:
        """See `PairAmplifiers`."""

        def sums_v(current_a: torch.Tensor) -> torch.Tensor:
            pairs = current_a[:, :, 0] - current_a[:, :, 1]
            return (self._feedback_ohm(pairs, layout.row_blocks)[:, None, None] * pairs).sum(1)

        return sums_v

    def _feedback_ohm(self, like: torch.Tensor, times: int) -> torch.Tensor:
        """Of the arrays in turn, each so many times."""
        factors = like.new_tensor(self.plan.factors).repeat_interleave(times)
        return self.plan.r_feedback_ohm * factors

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
