"""Every reader of `cosim.array.reads`, made for a case, and arrays that read by it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch

import cosim.array.reads
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.surrogate import stacked_wires
from cosim.ngspice import Ngspice
from cosim.surrogate.wires import wire_model
from tests.array.conformance.cases import READ_V, Case
from tests.array.conformance.found import classes_with, fidelities, made

TOLERANCE = 2e-3
REFERENCE = "spice"

READERS: dict[str, type] = fidelities(
    cosim.array.reads, lambda module: classes_with(module, "transfer", "read")
)


def fits(reader: type, case: Case) -> bool:
    """What a reader asks for says what it knows: cells that are devices, wires at all."""
    asked = inspect.signature(reader).parameters
    if "cells" in asked:
        return case.cells is not None or asked["cells"].default is None
    if "exact" in asked and asked["exact"].annotation == "DeviceExactReads":
        return case.cells is not None
    return case.cells is None and ({"wires", "exact", "reads"} & asked.keys() != set() or case.bare)


def parts_of(case: Case, ngspice: Ngspice | None) -> dict[str, Any]:
    """Everything that a reader may be made of."""
    exact = ExactReads(case.wires, case.forward, case.backward)
    chips, tiles, rows, cols = case.g.shape
    parts = {
        "wires: TileWires": case.wires,
        "forward": case.forward,
        "backward": case.backward,
        "exact": exact,
        "reads": exact,
        "tolerance": TOLERANCE,
        "tiles": [f"tile_{k}" for k in range(tiles)],
        "cells": case.cells,
        "low_v": -READ_V,
        "high_v": READ_V,
        "seed": 1,
        "jobs": 2,
    }
    if case.cells is not None:
        bent = DeviceExactReads(case.cells, case.wires, case.forward, case.backward)
        parts["exact: DeviceExactReads"] = bent
        parts["reads: DeviceExactReads | DeviceSurrogateReads"] = bent
    if ngspice is not None:
        parts["ngspice"] = ngspice
    if case.cells is None:
        closed = wire_model(
            rows,
            cols,
            r_wordline_ohm=case.wires.r_wordline_ohm,
            r_bitline_ohm=case.wires.r_bitline_ohm,
            r_driver_ohm=case.forward.r_driver_ohm,
        )
        held = case.forward.held_v
        none = torch.zeros(chips, tiles, cols, dtype=torch.float64)
        sense = torch.as_tensor(case.forward.r_sense_ohm, dtype=torch.float64).expand(
            chips, tiles, cols
        )
        if case.layout is None:
            parts["wires: WireModel"] = closed.with_sense(sense)
        else:
            parts["wires: WireModel"] = stacked_wires(closed, case.layout, sense)
        parts["held_v"] = none if held is None else held
    return parts


@dataclass(frozen=True, eq=False)
class Tiles:
    """A reader and tiles in one state, as an array has them."""

    reads: Any
    g: torch.Tensor
    turns: bool

    def read(self, drive_v: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.reads.transfer(self.g).current_a(drive_v)
        return found

    def read_transposed(self, drive_v: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.reads.transposed(self.g).current_a(drive_v)
        return found


def tiles_of(name: str, case: Case) -> Tiles:
    """Tiles that nobody has read yet."""
    reads = made(READERS[name], parts_of(case, None))
    return Tiles(reads, case.g, hasattr(reads, "transposed"))


def read_before(tiles: Tiles) -> None:
    """Has them read, both ways, while every cell is up to 0.1 % elsewhere."""
    away = 1 + 1e-3 * (2 * torch.rand(tiles.g.shape, generator=_generator()).double() - 1)
    for direction in ("transfer", "transposed") if tiles.turns else ("transfer",):
        getattr(tiles.reads, direction)(tiles.g * away)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(4)
