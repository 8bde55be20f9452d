"""The circuits of the backward phase by the netlist's equations, every instance as it was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from cosim.array.layout import TileLayout
from cosim.array.surroundings import Ends
from cosim.periphery.converters import driven
from cosim.periphery.drawn import stacked_tiles
from netlists.adcs import quantiser
from netlists.backward.drawn import LayerBackward
from netlists.backward.scale import feedback_ohm
from netlists.drivers import level
from netlists.hardware import Hardware
from netlists.readout import tia
from netlists.tiles import LayerPlan


@dataclass(frozen=True, eq=False)
class BackwardPeriphery:
    """Of one layer on one chip or many; lines that are only padded have nominal circuits.

    Attributes:
        hardware: the chip's description.
        plan: the layer.
        layout: how it lies in tiles.
        driver_gain: of drivers at the bit lines, [chip, tile, col], about 1.
        driver_offset_v: likewise.
        r_feedback_ohm: of amplifiers at the word lines, [chip, tile, row].
        v_offset_v: likewise.
        adc_gain: of converters, [chip, in], about 1.
        adc_offset_v: likewise.
    """

    hardware: Hardware
    plan: LayerPlan
    layout: TileLayout
    driver_gain: torch.Tensor
    driver_offset_v: torch.Tensor
    r_feedback_ohm: torch.Tensor
    v_offset_v: torch.Tensor
    adc_gain: torch.Tensor
    adc_offset_v: torch.Tensor

    @staticmethod
    def of(
        hardware: Hardware, plan: LayerPlan, layout: TileLayout, chips: Sequence[LayerBackward]
    ) -> BackwardPeriphery:
        """Stacks what was drawn for the layer on every chip."""
        tiles, rows, cols = [one.tiles for one in chips], layout.stack_rows, layout.stack_cols
        return BackwardPeriphery(
            hardware,
            plan,
            layout,
            stacked_tiles(tiles, "driver_gain", cols, 1.0),
            stacked_tiles(tiles, "driver_offset_v", cols, 0.0),
            stacked_tiles(tiles, "r_feedback_ohm", rows, feedback_ohm(hardware, plan)),
            stacked_tiles(tiles, "v_offset_v", rows, 0.0),
            torch.stack([torch.from_numpy(one.adc_gain) for one in chips]),
            torch.stack([torch.from_numpy(one.adc_offset_v) for one in chips]),
        )

    @property
    def ends(self) -> Ends:
        """What lines end in; sense resistances and held voltages are [chip, tile, row]."""
        spec = self.hardware.backward
        return Ends(
            spec.driver.r_driver_ohm,
            tia.input_resistance_ohm(spec.tia, self.r_feedback_ohm),
            tia.input_offset_v(spec.tia, self.v_offset_v),
        )

    def drive_v(self, share: torch.Tensor) -> torch.Tensor:
        """Voltages of the drivers at the bit lines, [chip, tile, batch, col].

        Args:
            share: errors as shares of the largest, [chip, batch, out].
        """
        spec = self.hardware.backward.driver
        levels = level.level(share, spec, signed=True)
        lines = self.layout.split_cols(torch.stack([levels, -levels], -1))
        if not spec.differs:
            return lines
        return lines * self.driver_gain.unsqueeze(-2) + self.driver_offset_v.unsqueeze(-2)

    def levels_v(self, share: torch.Tensor) -> torch.Tensor:
        """The same of drivers that are alike: of plus bit lines, [chip, batch, out]."""
        return driven(share, self.hardware.backward.driver, signed=True, biased=False)

    def codes(self, current_a: torch.Tensor) -> torch.Tensor:
        """Codes of the converters, [chip, batch, in], for currents [chip, tile, batch, row]."""
        return self.codes_of_blocks(self.layout.row_blocks_of(current_a))

    def codes_of_blocks(self, current_a: torch.Tensor) -> torch.Tensor:
        """The same for currents [chip, block of outputs, batch, row]."""
        spec = self.hardware.backward
        slope, shift = (one.to(current_a) for one in self._amplifiers)
        share = torch.addcmul(shift, current_a, slope).tanh_()  # see `tia.output_v`
        total = spec.tia.v_rail_v * share.sum(1)[..., : self.plan.inputs]  # without the bias
        continuous = quantiser.continuous_code(
            total,
            spec.adc,
            signed=True,
            v_offset_v=self.adc_offset_v.unsqueeze(-2),
            gain=self.adc_gain.unsqueeze(-2),
        )
        return quantiser.quantise(continuous, spec.adc, signed=True)

    @cached_property
    def _amplifiers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Slopes and shifts of what stands in the tanh, [chip, block of outputs, 1, row]."""
        spec = self.hardware.backward.tia
        loop = spec.open_loop_gain / (1 + spec.open_loop_gain) / spec.v_rail_v
        values = -loop * self.r_feedback_ohm, loop * self.v_offset_v
        slope, shift = (self.layout.row_blocks_of(one.unsqueeze(-2)) for one in values)
        return slope, shift
