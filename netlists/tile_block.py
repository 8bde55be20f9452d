"""A tile of a chip as a block: what forward reads, backward reads and updates share."""

from __future__ import annotations

from netlists.blocks import Block
from netlists.cells import held, ohmic
from netlists.chip import Chip
from netlists.circuit import Subcircuit
from netlists.crossbar import Crossbar
from netlists.hardware import Hardware
from netlists.tiles import TilePlan, block_name


def cell_block(hardware: Hardware) -> Block:
    """The cell of a chip: the user's own, a device whose states are held, or an ohmic one."""
    if hardware.device is not None:
        return held.behavioural(hardware.device)
    return hardware.blocks.get("cell") or ohmic.subcircuit()


def tile_block(
    chip: Chip, layer: int, tile: int, cell: str, *, compiled: bool = False
) -> Subcircuit:
    """The cells and wires of a tile; the same block in every phase.

    Args:
        chip: the chip.
        layer: index of the layer.
        tile: index of the tile.
        cell: the name of the cell's block, or of the card of a compiled model.
        compiled: it is a card.

    Raises:
        InputError: cells are devices, and nobody has said in which states.
    """
    plan = chip.plans[layer]
    part = plan.tiles[tile]
    array = Crossbar(
        chip.conductance_s[layer][tile],
        chip.hardware.wires.near_ends(part.rows, part.cols),
        cell=cell,
        notes=_weight_notes(chip, layer, part),
        states=chip.held(layer, tile),
        compiled=compiled,
    )
    return Subcircuit(
        name=block_name(plan, part),
        ports=array.ports,
        items=(array,),
        description=f"a tile of {plan.source}: word lines {part.row_start} to {part.row_stop - 1},"
        f" outputs {part.out_start} to {part.out_stop - 1}",
    )


def _weight_notes(chip: Chip, layer: int, part: TilePlan) -> tuple[tuple[str, ...], ...]:
    if not chip.weights:
        return ()
    plan = chip.plans[layer]
    weights = chip.weights[layer]
    notes: list[tuple[str, ...]] = []
    for row in range(part.row_start, part.row_stop):
        of_bias = plan.has_bias and row == plan.inputs
        line: list[str] = []
        for out in range(part.out_start, part.out_stop):
            place = (
                f"{plan.source}.bias[{out}]" if of_bias else f"{plan.source}.weight[{out}, {row}]"
            )
            value = weights[row, out] * (plan.input_scale if of_bias else 1.0)
            line += [f"{place} = {value:+.5g}, plus", f"{place} = {value:+.5g}, minus"]
        notes.append(tuple(line))
    return tuple(notes)
