"""The tiles of a chip whose cells are devices, ready for the pulses of an update."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from compact_models.errors import InputError
from cosim.array.pulse_pairs import Pair
from cosim.devices.polarity import polarity
from cosim.driven.writable import WritableArray
from cosim.pulses.trains import PulseTrains
from netlists.chip import Chip
from netlists.tiles import TilePlan

_SIGN = torch.iinfo(torch.int32).min  # the bit of a word that is its sign


def writable_tile(chip: Chip, layer: int, tile: int) -> WritableArray:
    """A tile in the states that its cells hold, behind the drivers of both its sides.

    States that hold no weight, a temperature say, are where the parameter set starts them.

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
        r_word_driver_ohm=hardware.driver.r_driver_ohm,
        r_bit_driver_ohm=hardware.backward.driver.r_driver_ohm,
    )


def raising_sign(chip: Chip) -> int:
    """The polarity, from word line to bit line, that raises a cell's conductance: 1 or -1.

    Raises:
        InputError: cells are resistors, or neither does.
    """
    device = chip.hardware.device
    sign = 0 if device is None else polarity(device.model, device.parameter_set).set_sign
    if device is None or sign == 0:
        raise InputError(
            "no pulse raises the conductance of these cells: they are resistors, step by a law of"
            " their own, or do not switch",
            where="[device] name",
            value="none" if device is None else device.label,
            hint="name a compact model with states, such as vteam or stanford",
        )
    return sign


def tile_trains(trains: PulseTrains, part: TilePlan, pair: Pair) -> PulseTrains:
    """The trains of a layer on the lines of one of its tiles.

    Args:
        trains: words on word lines [batch, row] and, of the errors, [batch, out].
        part: the tile.
        pair: `both`: the minus line has its output's train with the other sign; `reference`: none.

    Returns:
        Words [batch, row] and [batch, col], plus and minus lines in turn.
    """
    plus = trains.bits[:, part.out_start : part.out_stop]
    minus = plus ^ _SIGN if pair == "both" else torch.zeros_like(plus)
    return replace(
        trains,
        words=trains.words[:, part.row_start : part.row_stop],
        bits=torch.stack([plus, minus], -1).flatten(1),
    )
