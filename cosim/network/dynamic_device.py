"""Cells that are compact models, as a network learns in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.ohmic import ReferencedCell
from compact_models.variation import Stream
from cosim.array.device_cells import DeviceCells, device_cells
from cosim.array.device_pairs import DevicePairs
from cosim.array.layout import TileLayout
from cosim.array.one_pulse import OneStep, one_step
from cosim.array.paired_cells import Pair
from cosim.array.updates.device import DeviceUpdates
from cosim.devices.form import device_form
from cosim.driven.engines import FIDELITIES, Means
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.network.chip_updates import raising_sign
from cosim.network.learning_device import check_update
from cosim.ngspice import find_ngspice
from cosim.tables.cache import cached_update, updates_folder
from cosim.tables.layout import QUICK, Effort
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan
from netlists.update.drawn import draw_pulses
from netlists.update.spec import PulseSpec

_SPICE_STEPS = 200  # of a slot


@dataclass(frozen=True, eq=False)
class DynamicDevice:
    """What the cells of a network are.

    Attributes:
        device: a compact model with its numbers.
        read_v: the voltage at which its conductance is meant [V].
        range_s: conductances of the least and the largest weight [S]; None for all that it reaches.
        pair: which cells of a pair pulses reach.
        effort: how fine the table of `update = "table"` is.

    Raises:
        InputError: its cells cannot hold weights, or do not reach this range.
    """

    device: CellDevice
    read_v: float
    range_s: tuple[float, float] | None = None
    pair: Pair = "reference"
    effort: Effort = QUICK

    def __post_init__(self) -> None:
        """Checks the range."""
        low, high = self.cells.range_s
        first, last = self.ends_s
        if not low * (1 - 1e-9) <= first < last <= high * (1 + 1e-9):
            raise InputError(
                f"cells of {self.device.label} do not have these conductances",
                where="[cell] g_off_s, g_on_s",
                value=self.ends_s,
                allowed=f"{low:.4g} to {high:.4g} S at {self.read_v:g} V",
                hint="leave [cell] out for all that the device reaches",
            )

    @property
    def cells(self) -> DeviceCells:
        """The device as it is read."""
        return device_cells(self.device, self.read_v)

    @property
    def ends_s(self) -> tuple[float, float]:
        """Conductances of the least and the largest weight [S]."""
        return self.range_s or self.cells.range_s

    @property
    def cell(self) -> ReferencedCell:
        """As a chip is planned with."""
        low, high = self.ends_s
        return ReferencedCell(
            g_off_s=low,
            g_on_s=high,
            sigma_program=0.0,
            reference_s=0.5 * (low + high),
            both=self.pair == "both",
        )

    @property
    def weight_range(self) -> float:
        """Weights of a cell are -1 to 1."""
        return 2.0

    @property
    def reach(self) -> float:
        """See `LearningDevice`."""
        return 2.0 if self.pair == "both" else 1.0

    def chip(self, hardware: Hardware) -> Hardware:
        """See `LearningDevice`."""
        return hardware.model_copy(update={"cell": self.cell, "device": self.device})

    def check_pulses(self, pulse: PulseSpec) -> None:
        """See `LearningDevice`."""
        self.step(pulse)

    def step(self, pulse: PulseSpec) -> OneStep:
        """What one pulse of a chip does to a cell in the middle of its range.

        Raises:
            InputError: such pulses cannot train these cells.
        """
        sign = raising_sign(self.device)
        timing = pulse.edge_s, pulse.width_s
        levels = sign * pulse.amplitude_v, -sign * pulse.amplitude_down_v
        return _kept_step(self.cells, self.ends_s, levels, timing)

    def in_cells(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        number: int,
        update: str,
        stream: Stream,
    ) -> tuple[DevicePairs, DeviceUpdates]:
        """See `LearningDevice`."""
        check_update(update, FIDELITIES, self.device.label)
        if plans[number].arrays > 1:
            raise InputError(
                "several devices a weight are pulse devices: of compact models a weight has one",
                where="[device] devices_per_weight",
                value=plans[number].arrays,
                hint="leave it out",
            )
        pairs = DevicePairs(
            self.cells, self.ends_s, 2.0 * self.step(hardware.pulse).size, self.pair
        )
        sign = raising_sign(self.device)
        drawn = draw_pulses(hardware.pulse, plans, seed=stream.seed, sample=stream.sample)
        every = [
            [TrainPulses.of(hardware.pulse, up_sign=sign, lines=one) for one in layer]
            for layer in drawn
        ]
        plan = plans[number]
        layout = TileLayout.of(plan)
        like = _like(self.device, hardware, layout)
        means = self._means(update, [one for layer in every for one in layer])
        return pairs, DeviceUpdates(update, layout, like, [every[number]], means, plan.source)

    def _means(self, update: str, pulses: Sequence[TrainPulses]) -> Means:
        """What a fidelity computes with: one table for the pulses of all tiles."""
        model, numbers = self.device.model, self.device.parameter_set
        if update == "table":
            levels = [one.highest_v(up=up) for one in pulses for up in (True, False)]
            table = cached_update(
                model, numbers, pulses[0].up, (min(levels), max(levels)),
                folder=updates_folder(), effort=self.effort,
            )  # fmt: skip
            return Means(tables=(table.surrogate,))
        if update == "spice":
            ngspice = find_ngspice()
            compiled = device_form(model, numbers, ngspice).compiled
            return Means(ngspice=ngspice, compiled=compiled, steps=_SPICE_STEPS)
        return Means()


@lru_cache(maxsize=16)
def _kept_step(
    cells: DeviceCells,
    ends_s: tuple[float, float],
    levels_v: tuple[float, float],
    timing_s: tuple[float, float],
) -> OneStep:
    """`one_step` of cells that `device_cells` keeps."""
    edge_s, width_s = timing_s
    spec = PulseSpec(amplitude_v=abs(levels_v[0]), width_s=width_s, edge_s=edge_s)
    up = spec.nominal.at(levels_v[0])
    return one_step(cells, ends_s, TrainPulses(up, up.at(levels_v[1])))


def _like(device: CellDevice, hardware: Hardware, layout: TileLayout) -> WritableArray:
    """Device, wires and drivers of a layer's tiles."""
    shape = layout.tile_rows, layout.tile_cols
    rest = device.parameter_set.initial
    return WritableArray(
        device.model,
        device.parameter_set,
        hardware.wires.near_ends(*shape),
        {one.name: np.full(shape, rest[one.name]) for one in device.model.states},
        r_word_driver_ohm=hardware.driver.r_driver_ohm,
        r_bit_driver_ohm=hardware.backward.driver.r_driver_ohm,
    )
