"""The periphery by curves that were fitted to ngspice over what instances draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

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
        amplifiers: output voltage over current, [chip, tile, 1, col]; those of the first arrays,
            whose factor is the same, then of the next.
        neurons: output over input voltage, [chip, 1, out].
        adc_gain: [chip, 1, out].
        adc_offset_v: [chip, 1, out].
    """

    hardware: Hardware
    plan: LayerPlan
    driver_gain: torch.Tensor
    driver_offset_v: torch.Tensor
    amplifiers: tuple[PlacedCurves, ...]
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
        tiles, edges = layout.row_blocks * layout.out_blocks, layout.blocks[1]
        pieces = current_a.split([count * tiles for _, count in _alike(self.plan)], 1)
        return _added(
            [one.pair_sums(x, edges) for one, x in zip(self.amplifiers, pieces, strict=True)]
        )

    def pair_amplifiers(self, layout: TileLayout) -> PairAmplifiers:
        """See `PairAmplifiers`."""
        counts = [count for _, count in _alike(self.plan)]
        curves = [
            one.arranged(replace(layout, arrays=count).col_blocks_of)
            for one, count in zip(self.amplifiers, counts, strict=True)
        ]
        sizes = [count * layout.row_blocks for count in counts]

        def sums_v(current_a: torch.Tensor) -> torch.Tensor:
            sums = []
            for one, piece in zip(curves, current_a.split(sizes, 1), strict=True):
                sums.append(one.side_sums(piece))
            return _added(sums)

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


def _added(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.stack(parts).sum(0)


def _alike(plan: LayerPlan) -> list[tuple[float, int]]:
    """Factors of a layer's arrays as they follow each other, and how many have each."""
    return [(factor, len(list(same))) for factor, same in groupby(plan.factors)]


@dataclass(frozen=True, eq=False)
class FittedAmplifiers:
    """What was fitted to amplifiers about one feedback, over feedback resistance and offset.

    Attributes:
        curves: output voltage over current.
        input_ohm: the resistance that bit lines see.
        held_v: the voltage behind it.
    """

    curves: BlockCurves
    input_ohm: DrawnValue
    held_v: DrawnValue


@dataclass(frozen=True, eq=False)
class FittedBlocks:
    """What was fitted to the blocks of a layer: of any instance, of any chip.

    Attributes:
        driver_gain: over offset and gain.
        driver_offset_v: likewise.
        amplifiers: those of every factor of an array (`LayerPlan.factors`).
        neurons: output over input voltage, over offset and gain.
        adc_gain: over offset and gain.
        adc_offset_v: likewise.
    """

    driver_gain: DrawnValue
    driver_offset_v: DrawnValue
    amplifiers: Mapping[float, FittedAmplifiers]
    neurons: BlockCurves
    adc_gain: DrawnValue
    adc_offset_v: DrawnValue

    def _of_arrays(
        self, plan: LayerPlan, drawn: DrawnPeriphery
    ) -> Iterator[tuple[FittedAmplifiers, torch.Tensor, torch.Tensor]]:
        """Of arrays of one factor, in turn: amplifiers, feedback and offset [chip, tile, col]."""
        tiles, first = len(plan.tiles) // plan.arrays, 0
        for factor, count in _alike(plan):
            some = slice(first, first + count * tiles)
            yield self.amplifiers[factor], drawn.r_feedback_ohm[:, some], drawn.v_offset_v[:, some]
            first += count * tiles

    def sense_ohm(self, plan: LayerPlan, drawn: DrawnPeriphery) -> torch.Tensor:
        """In series at the sense nodes, [chip, tile, col]."""
        parts = self._of_arrays(plan, drawn)
        ohm = torch.cat([one.input_ohm.at(rf, vos) for one, rf, vos in parts], 1)
        # Fits may be below 0 by rounding alone, and no array is built with less.
        return torch.where(ohm < LEAST_OHM, 0.0, ohm)

    def sense_v(self, plan: LayerPlan, drawn: DrawnPeriphery) -> torch.Tensor:
        """What bit lines are held at, [chip, tile, col]."""
        parts = self._of_arrays(plan, drawn)
        return torch.cat([one.held_v.at(rf, vos) for one, rf, vos in parts], 1)

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
            tuple(
                one.curves.at(rf.unsqueeze(-2), vos.unsqueeze(-2))
                for one, rf, vos in self._of_arrays(plan, drawn)
            ),
            self.neurons.at(drawn.neuron_offset_v.unsqueeze(-2), drawn.neuron_gain.unsqueeze(-2)),
            self.adc_gain.at(*converters),
            self.adc_offset_v.at(*converters),
        )
