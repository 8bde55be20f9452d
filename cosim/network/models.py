"""Networks whose layers are computed by equations: the `ideal` and the `exact` fidelity.

`ideal` is the model that most tools train with, and our negative control: currents are V @ G,
amplifiers, neurons and converters have no errors. `exact` solves the wires and takes every instance
by its own equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.array.device_cells import DeviceCells
from cosim.array.layout import TileLayout
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.ideal import IdealReads
from cosim.array.reads.kept import KeptReads, Transfers
from cosim.array.surroundings import Ends, TileWires
from cosim.network.chip_cells import stacked_cells
from cosim.network.held_chip import cells_of
from cosim.network.run import LayerModel, NetworkModel, forward
from cosim.nodal.lines import as_ohm
from cosim.periphery.drawn import DrawnPeriphery
from cosim.periphery.exact import ExactPeriphery
from cosim.periphery.ideal import IdealPeriphery
from cosim.periphery.own_blocks import refuse_own_blocks
from netlists.chip import Chip, LayerPeriphery
from netlists.hardware import Hardware
from netlists.readout import tia
from netlists.tiles import LayerPlan


@dataclass(frozen=True, eq=False)
class EquationModel:
    """Who computes a network; see `NetworkModel`."""

    name: str
    layers: tuple[LayerModel, ...]


def ideal_model(hardware: Hardware, plans: Sequence[LayerPlan]) -> EquationModel:
    """No wires, no offsets, no rails.

    Raises:
        InputError: the chip has blocks of the user's own.
    """
    refuse_own_blocks(hardware, "ideal")
    return EquationModel(
        "ideal",
        tuple(
            LayerModel(TileLayout.of(plan), IdealReads(), IdealPeriphery(hardware, plan))
            for plan in plans
        ),
    )


def exact_model(
    hardware: Hardware, plans: Sequence[LayerPlan], *chips: Sequence[LayerPeriphery]
) -> EquationModel:
    """Wires by the nodal solver, every instance by its own equation.

    The transfers of a layer are solved once per programmed state (`KeptReads`).

    Args:
        hardware: what the chips share.
        plans: the layers.
        chips: what was drawn for each chip.

    Raises:
        InputError: the chip has blocks of the user's own.
    """
    refuse_own_blocks(hardware, "exact")
    layers = []
    for number, plan in enumerate(plans):
        layout = TileLayout.of(plan)
        drawn = DrawnPeriphery.of(plan, layout, [chip[number] for chip in chips])
        reads: Transfers = exact_reads(
            hardware,
            layout,
            tia.input_resistance_ohm(hardware.tia, drawn.r_feedback_ohm),
            tia.input_offset_v(hardware.tia, drawn.v_offset_v),
        )
        periphery = ExactPeriphery(hardware, plan, drawn)
        layers.append(LayerModel(layout, KeptReads(reads), periphery))
    return EquationModel("exact", tuple(layers))


def exact_reads(
    hardware: Hardware, layout: TileLayout, sense_ohm: torch.Tensor, held_v: torch.Tensor
) -> ExactReads | DeviceExactReads:
    """The exact solution of a layer's tiles behind a chip's wires and drivers.

    Args:
        hardware: the chip's description.
        layout: the layer's tiles.
        sense_ohm: in series at the sense nodes, [..., col].
        held_v: what bit lines are held at, likewise.
    """
    cells = bent_cells(hardware)
    if cells is None:
        return ohmic_reads(hardware, layout, sense_ohm, held_v)
    ends = Ends(hardware.driver.r_driver_ohm, sense_ohm, held_v)
    return DeviceExactReads(cells, tile_wires(hardware, layout), ends, Ends())


def ohmic_reads(
    hardware: Hardware, layout: TileLayout, sense_ohm: torch.Tensor, held_v: torch.Tensor
) -> ExactReads:
    """The same for cells that are resistors of the conductances at the read voltage."""
    ends = Ends(hardware.driver.r_driver_ohm, sense_ohm, held_v)
    return ExactReads(tile_wires(hardware, layout), ends, Ends())


def bent_cells(hardware: Hardware) -> DeviceCells | None:
    """What the cells are where their current is not proportional to the voltage; else None.

    Raises:
        InputError: cells of this device cannot hold weights.
    """
    cells = cells_of(hardware)
    return None if cells is None or cells.linear else cells


def tile_wires(hardware: Hardware, layout: TileLayout) -> TileWires:
    """The segments of a layer's tiles, those of the largest: smaller ones lie at its near ends."""
    wires = hardware.wires.near_ends(layout.tile_rows, layout.tile_cols)
    return TileWires(as_ohm(wires.r_wordline_ohm), as_ohm(wires.r_bitline_ohm))


def exact_codes(chip: Chip, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the netlist's equations say of images [image, in]: codes [image, out].

    Raises:
        InputError: the chip has blocks of the user's own.
    """
    model = exact_model(chip.hardware, chip.plans, chip.periphery)
    return chip_codes(chip, model, x)


def chip_codes(chip: Chip, model: NetworkModel, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Codes of a chip [image, out] for images [image, in], at any fidelity."""
    (codes,) = codes_of_chips([chip], model, x)
    return np.asarray(codes, dtype=np.float64)


def codes_of_chips(
    chips: Sequence[Chip], model: NetworkModel, x: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Codes of chips of one design [chip, image, out], computed at once.

    Args:
        chips: which chips.
        model: a fidelity of these.
        x: images [image, in], the same for all.
    """
    hardware, plans = chips[0].hardware, chips[0].plans
    cells = stacked_cells(plans, *(chip.conductance_s for chip in chips))
    with torch.no_grad():
        codes = forward(hardware, plans, cells, model, torch.from_numpy(x))
    return np.asarray(codes.numpy(), dtype=np.float64)
