"""The tiles of a chip whose cells are devices, ready for the pulses of an update."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from cosim.array.updates.layer import by_line
from cosim.devices.polarity import polarity
from cosim.driven.writable import WritableArray
from netlists.chip import Chip


def writable_tile(
    chip: Chip, layer: int, tile: int, own: Mapping[str, torch.Tensor]
) -> WritableArray:
    """A tile in the states that its cells hold, behind the drivers of both its sides.

    States that hold no weight, a temperature say, are where the parameter set starts them.

    Args:
        chip: the chip.
        layer: which of its layers.
        tile: which tile of that.
        own: parameters that the layer's cells have for themselves, each [chip, side, row, out].

    Raises:
        ValueError: its cells are resistors.
    """
    hardware, part = chip.hardware, chip.plans[layer].tiles[tile]
    if hardware.device is None:
        raise ValueError("cells that are resistors have no states")
    model, numbers = hardware.device.model, hardware.device.parameter_set
    held = chip.held(layer, tile)
    at_rest = {x.name: np.full((part.rows, part.cols), numbers.initial[x.name])
               for x in model.states if x.name not in held}  # fmt: skip
    return WritableArray(
        model,
        numbers,
        hardware.wires.near_ends(part.rows, part.cols),
        {**at_rest, **held},
        {
            name: by_line(one[0, :, part.row_start : part.row_stop, part.out_start : part.out_stop])
            for name, one in own.items()
        },
        r_word_driver_ohm=hardware.driver.r_driver_ohm,
        r_bit_driver_ohm=hardware.backward.driver.r_driver_ohm,
    )


def raising_sign(device: CellDevice | None) -> int:
    """The polarity, from word line to bit line, that raises a cell's conductance: 1 or -1.

    Args:
        device: what the cells are; None of resistors.

    Raises:
        InputError: cells are resistors, or neither does.
    """
    if device is None:
        raise InputError(
            "the cells of this chip are resistors, as pulse devices are in a netlist: no pulse"
            " moves them",
            where="[device]",
            allowed="a compact model with states, such as vteam or stanford",
            hint='put name = "vteam" into [device] of the configuration and train anew',
        )
    sign = polarity(device.model, device.parameter_set).set_sign
    if sign == 0:
        raise InputError(
            "no pulse raises the conductance of these cells: they step by a law of their own, or do"
            " not switch",
            where="[device] name",
            value=device.label,
            hint="name a compact model with states, such as vteam or stanford",
        )
    return sign
