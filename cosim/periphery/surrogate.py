"""The periphery by curves that were fitted to ngspice over what instances draw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from cosim.array.layout import TileLayout
from cosim.periphery.converters import Codes, Converters, PairAmplifiers
from cosim.periphery.drawn import DrawnPeriphery
from cosim.surrogate.drawn_curves import BlockCurves, DrawnValue, PlacedCurves
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan
from netlists.wires import LEAST_OHM


@dataclass(frozen=True, eq=False)
class FittedPeriphery:
    """Of one layer.

    Attributes:
        hardware: the chip's description.
        plan: the layer.
        driver_gain: [chip, tile, 1, row].
        driver_offset_v: [chip, tile, 1, row].
        amplifiers: output voltage over current, [chip, tile, 1, col].
        neurons: output over input voltage, [chip, 1, out].
        adc_gain: [chip, 1, out].
        adc_offset_v: [chip, 1, out].
    """

    hardware: Hardware
    plan: LayerPlan
    driver_gain: torch.Tensor
    driver_offset_v: torch.Tensor
    amplifiers: PlacedCurves
    neurons: PlacedCurves
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

    def pair_sums_v(self, layout: TileLayout, current_a: torch.Tensor) -> torch.Tensor:
        """What pairs of amplifiers add up to, [chip, batch, out]; see `Periphery`."""
        return self.amplifiers.pair_sums(current_a, layout.blocks[1])

    def pair_amplifiers(self, layout: TileLayout) -> PairAmplifiers:
        """See `PairAmplifiers`."""
        curves = self.amplifiers.arranged(layout.col_blocks_of)

        def sums_v(current_a: torch.Tensor) -> torch.Tensor:
            volts, _ = curves.with_slope(current_a)
            return (volts[:, :, 1] - volts[:, :, 0]).sum(1)

        return sums_v

    def codes(self, total_v: torch.Tensor) -> Codes:
        """What neurons and converters make of sums, [chip, batch, out]."""
        v, slope = self.neurons.with_slope(total_v)
        found = self._converters(v)
        return Codes(found.continuous, found.codes, found.slope * slope)

    @cached_property
    def _converters(self) -> Converters:
        """Behind the neurons."""
        one, zero = torch.ones(1, 1), torch.zeros(1, 1)
        adc, drawn = self.hardware.adc, (self.adc_gain, self.adc_offset_v)
        gain, offset_v = (value.squeeze(-2) for value in drawn)
        signed = self.plan.signed_output
        return Converters("identity", 0.0, 1.0, 1.0, adc, signed, one, zero, gain, offset_v)


@dataclass(frozen=True, eq=False)
class FittedBlocks:
    """What was fitted to the blocks of a layer: of any instance, of any chip.

    Attributes:
        driver_gain: over offset and gain.
        driver_offset_v: likewise.
        amplifiers: output voltage over current, over feedback resistance and offset.
        input_ohm: the resistance that bit lines see, likewise.
        held_v: the voltage behind it, likewise.
        neurons: output over input voltage, over offset and gain.
        adc_gain: over offset and gain.
        adc_offset_v: likewise.
    """

    driver_gain: DrawnValue
    driver_offset_v: DrawnValue
    amplifiers: BlockCurves
    input_ohm: DrawnValue
    held_v: DrawnValue
    neurons: BlockCurves
    adc_gain: DrawnValue
    adc_offset_v: DrawnValue

    def sense_ohm(self, drawn: DrawnPeriphery) -> torch.Tensor:
        """In series at the sense nodes, [chip, tile, col]."""
        ohm = self.input_ohm.at(drawn.r_feedback_ohm, drawn.v_offset_v)
        # Fits may be below 0 by rounding alone, and no array is built with less.
        return torch.where(ohm < LEAST_OHM, 0.0, ohm)

    def sense_v(self, drawn: DrawnPeriphery) -> torch.Tensor:
        """What bit lines are held at, [chip, tile, col]."""
        return self.held_v.at(drawn.r_feedback_ohm, drawn.v_offset_v)

    def periphery(
        self, hardware: Hardware, plan: LayerPlan, drawn: DrawnPeriphery
    ) -> FittedPeriphery:
        """Of the chips that this was drawn for."""
        drivers = drawn.driver_offset_v.unsqueeze(-2), drawn.driver_gain.unsqueeze(-2)
        converters = drawn.adc_offset_v.unsqueeze(-2), drawn.adc_gain.unsqueeze(-2)
        return FittedPeriphery(
            hardware,
            plan,
            self.driver_gain.at(*drivers),
            self.driver_offset_v.at(*drivers),
            self.amplifiers.at(drawn.r_feedback_ohm.unsqueeze(-2), drawn.v_offset_v.unsqueeze(-2)),
            self.neurons.at(drawn.neuron_offset_v.unsqueeze(-2), drawn.neuron_gain.unsqueeze(-2)),
            self.adc_gain.at(*converters),
            self.adc_offset_v.at(*converters),
        )
