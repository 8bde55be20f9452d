"""The periphery by the netlist's equations, every instance as it was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from cosim.array.layout import TileLayout
from cosim.periphery.converters import Codes, Converters, PairAmplifiers
from cosim.periphery.drawn import DrawnPeriphery
from netlists.hardware import Hardware
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

    def pair_sums_v(self, layout: TileLayout, current_a: torch.Tensor) -> torch.Tensor:
        """What pairs of amplifiers add up to, [chip, batch, out]; see `Periphery`."""
        volts = tia.output_v(
            current_a,
            self.hardware.tia,
            self.drawn.r_feedback_ohm.unsqueeze(-2),
            self.drawn.v_offset_v.unsqueeze(-2),
        )
        return layout.sum_pairs(volts)

    def pair_amplifiers(self, layout: TileLayout) -> PairAmplifiers:
        """See `PairAmplifiers`."""
        spec, drawn = self.hardware.tia, self.drawn
        loop = spec.open_loop_gain / (1 + spec.open_loop_gain) / spec.v_rail_v
        shift, slope = (
            layout.col_blocks_of(loop * one.unsqueeze(-2))
            for one in (drawn.v_offset_v, -drawn.r_feedback_ohm)
        )

        def sums_v(current_a: torch.Tensor) -> torch.Tensor:
            """As `netlists.readout.tia.output_v` has it."""
            share = torch.addcmul(shift.to(current_a), current_a, slope.to(current_a)).tanh_()
            return spec.v_rail_v * (share[:, :, 1] - share[:, :, 0]).sum(1)

        return sums_v

    def codes(self, total_v: torch.Tensor) -> Codes:
        """What neurons and converters make of sums, [chip, batch, out]."""
        return self._converters(total_v)

    @cached_property
    def _converters(self) -> Converters:
        plan, hardware, drawn = self.plan, self.hardware, self.drawn
        return Converters(
            plan.neuron,
            hardware.neuron.v_knee_v,
            hardware.adc.v_full_scale_v,
            plan.span,
            hardware.adc,
            plan.signed_output,
            drawn.neuron_gain,
            drawn.neuron_offset_v,
            drawn.adc_gain,
            drawn.adc_offset_v,
        )
