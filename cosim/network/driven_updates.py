"""Updates of a layer's cells by what voltages do to them, behind its chip's wires and drivers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compact_models.cell_device import CellDevice
from compact_models.variation import Stream
from cosim.array.layout import TileLayout
from cosim.array.updates.device import DeviceUpdates
from cosim.devices.form import device_form
from cosim.driven.engines import Means
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.ngspice import find_ngspice
from cosim.tables.cache import cached_update, updates_folder
from cosim.tables.layout import Effort
from netlists.hardware import Hardware
from netlists.pulse import Pulse
from netlists.tiles import LayerPlan
from netlists.update.drawn import draw_pulses

_SPICE_STEPS = 200  # of a slot


def driven_updates(
    update: str,
    device: CellDevice,
    pulses: tuple[Pulse, Pulse],
    hardware: Hardware,
    plans: Sequence[LayerPlan],
    number: int,
    stream: Stream,
    effort: Effort,
    sigma_step: float,
) -> DeviceUpdates:
    """Who moves the cells of a layer.

    Args:
        update: the fidelity: table, ode or spice.
        device: what the cells are.
        pulses: what a cell sees in a step up and in one down.
        hardware: the chip.
        plans: all its layers.
        number: which layer.
        stream: of the chip's sample, of which pulse generators are drawn.
        effort: how fine a table is that is measured.
        sigma_step: standard deviation of a step from pulse to pulse, as a part of it.
    """
    up, down = pulses
    drawn = draw_pulses(hardware.pulse, plans, seed=stream.seed, sample=stream.sample)
    every = [[TrainPulses(up, down, hardware.pulse.gap_s, one) for one in layer] for layer in drawn]
    plan = plans[number]
    layout = TileLayout.of(plan)
    like = _like(device, hardware, layout)
    means = _means(update, device, [one for layer in every for one in layer], effort)
    return DeviceUpdates(update, layout, like, [every[number]], means, plan.source, sigma_step)


def _means(update: str, device: CellDevice, pulses: Sequence[TrainPulses], effort: Effort) -> Means:
    """What a fidelity computes with: one table for the pulses of all tiles.

    A pulse device needs none: its law is one.
    """
    model, numbers = device.model, device.parameter_set
    if update == "table" and model.pulse is None:
        levels = [one.highest_v(up=up) for one in pulses for up in (True, False)]
        table = cached_update(
            model, numbers, pulses[0].up, (min(levels), max(levels)),
            folder=updates_folder(), effort=effort,
        )  # fmt: skip
        return Means(tables=(table.surrogate,))
    if update == "spice":
        ngspice = find_ngspice()
        compiled = device_form(model, numbers, ngspice).compiled
        return Means(ngspice=ngspice, compiled=compiled, steps=_SPICE_STEPS)
    return Means()


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
