"""The updates of a whole matrix of pairs of devices, chip by chip and tile by tile.

Cells have one state that is written; the others are at rest whenever a batch begins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import Pair
from cosim.array.updates.tile import update_tile
from cosim.driven.engines import Means
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.ngspice import Outcome
from cosim.pulses.trains import PulseTrains
from cosim.surrogate.update import UpdateNoise

Array = NDArray[np.float64]

_SIGN = torch.tensor(-1 << 31, dtype=torch.int32)


@dataclass(frozen=True, eq=False)
class LayerUpdate:
    """A matrix after the updates of a batch.

    Attributes:
        state: the written states in their unit, [chip, side, row, out]. A tile of which an update
            did not end well is as the one before it left it.
        energy_j: what every cell has turned into heat [J], likewise.
        given_j: what all sources have given [J].
        pulses: pulses on lines.
        coincidences: steps that cells were asked for.
        outcome: `ok`, or how the first update that failed ended.
        reason: which it was, and why.
    """

    state: torch.Tensor
    energy_j: torch.Tensor
    given_j: float
    pulses: int
    coincidences: int
    outcome: Outcome = Outcome.OK
    reason: str = ""


def update_layer(
    fidelity: str,
    state: torch.Tensor,
    layout: TileLayout,
    like: WritableArray,
    trains: Sequence[PulseTrains],
    pulses: Sequence[Sequence[TrainPulses]],
    means: Means,
    *,
    pair: Pair,
    own: Mapping[str, torch.Tensor] | None = None,
    noise: UpdateNoise | None = None,
) -> LayerUpdate:
    """Applies a batch of updates to every tile of every chip.

    Args:
        fidelity: who computes it; see `update_tile`.
        state: the written states in their unit, [chip, side, row, out]; not changed.
        layout: how the matrix lies in tiles.
        like: device, wires and drivers of all tiles; its own states are not used.
        trains: of each chip, words on word lines [batch, row] and for outputs [batch, out].
        pulses: of every tile of each chip, [chip][tile].
        means: what the fidelity computes with.
        pair: "reference": minus bit lines have no pulses, and their cells are half-selected at
            most; "both": they have those of the opposite sign.
        own: parameters that cells have for themselves, by name, each of the shape of `state`.
        noise: from pulse to pulse; None for the mean device.

    Raises:
        InputError: a number of chips or tiles does not fit; or as `update_tile`.
    """
    wanted = (len(state), layout.tiles)
    if len(trains) != wanted[0] or any(len(one) != wanted[1] for one in pulses):
        raise InputError(
            "trains for every chip and pulses for every tile",
            where="trains, pulses",
            value=(len(trains), [len(one) for one in pulses]),
            allowed=f"{wanted[0]} chips of {wanted[1]} tiles",
        )
    after, heat = state.to(torch.float64).clone(), torch.zeros(state.shape, dtype=torch.float64)
    given_j, count, steps = 0.0, 0, 0
    outcome, reason = Outcome.OK, ""
    places = [
        (slice(*rows), slice(*outs))
        for rows in pairwise(layout.row_edges)
        for outs in pairwise(layout.out_edges)
    ]
    for chip, of_chip in enumerate(trains):
        for tile, (rows, outs) in enumerate(places):
            path = f"chip_{chip}/tile_{tile}"
            drawn = None if noise is None else replace(noise, draw=noise.draw.part(path))
            there = (chip, slice(None), rows, outs)
            values = {name: one[there] for name, one in (own or {}).items()}
            array = _tile(like, after[there], values)
            some = tile_trains(of_chip, rows, outs, pair)
            found = update_tile(fidelity, array, some, pulses[chip][tile], means, drawn)
            after[there] = _by_side(np.asarray(found.array.states[like.memory]))
            heat[there] = _by_side(found.energy_j)
            given_j += found.given_j
            count, steps = count + found.pulses, steps + found.coincidences
            if outcome is Outcome.OK and found.outcome is not Outcome.OK:
                outcome, reason = found.outcome, f"{path}: {found.reason}"
    return LayerUpdate(after.to(state.dtype), heat, given_j, count, steps, outcome, reason)


def _tile(
    like: WritableArray, state: torch.Tensor, values: Mapping[str, torch.Tensor]
) -> WritableArray:
    """A tile of cells with these states and parameters, [side, row, out] each."""
    table = by_line(state)
    rest = {k: np.full(table.shape, x) for k, x in like.parameter_set.initial.items()}
    own = replace(
        like,
        wires=like.wires.near_ends(*table.shape),
        values={name: by_line(one) for name, one in values.items()},
    )
    return own.after({**rest, like.memory: table})


def by_line(planes: torch.Tensor) -> Array:
    """Values of a tile's cells, [side, row, out] -> [row, col]; plus and minus lines in turn."""
    return np.asarray(planes.permute(1, 2, 0).flatten(1).numpy())


def _by_side(table: Array) -> torch.Tensor:
    """The reverse, [side, row, out]."""
    rows, cols = table.shape
    return torch.from_numpy(table.reshape(rows, cols // 2, 2)).permute(2, 0, 1)


def tile_trains(trains: PulseTrains, rows: slice, outs: slice, pair: Pair) -> PulseTrains:
    """The trains of a matrix on the lines of one of its tiles.

    Args:
        trains: words on word lines [batch, row] and, of the errors, [batch, out].
        rows: the tile's word lines.
        outs: its outputs.
        pair: `both`: the minus line has its output's train with the other sign; `reference`: none.

    Returns:
        Words [batch, row] and [batch, col], plus and minus lines in turn.
    """
    plus = trains.bits[:, outs]
    minus = torch.zeros_like(plus) if pair == "reference" else plus ^ _SIGN
    bits = torch.stack([plus, minus], -1).flatten(1)
    return replace(trains, words=trains.words[:, rows], bits=bits)
