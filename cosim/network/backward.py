"""A chip in its backward phase by the netlist's equations: errors in, codes of products out."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cosim.array.layout import TileLayout
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.exact import ExactReads
from cosim.array.surroundings import Ends
from cosim.network.chip_cells import stacked_cells
from cosim.network.models import bent_cells, tile_wires
from cosim.periphery.backward import BackwardPeriphery
from cosim.periphery.own_blocks import refuse_own_blocks
from netlists.backward.drawn import LayerBackward
from netlists.chip import Chip


def exact_backward_codes(
    chip: Chip, drawn: Sequence[LayerBackward], errors: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Codes of the converters at the word lines, [layer] -> [batch, in].

    Args:
        chip: the chip.
        drawn: its backward circuits, layer by layer.
        errors: at the outputs of every layer, as shares of the largest, [layer] -> [batch, out].

    Raises:
        InputError: the chip has cells of the user's own; other blocks of his are forward ones.
    """
    if "cell" in chip.hardware.blocks:
        refuse_own_blocks(chip.hardware, "exact")
    cells = stacked_cells(chip.plans, chip.conductance_s)
    bent, found = bent_cells(chip.hardware), []
    for plan, own, g, d in zip(chip.plans, drawn, cells, errors, strict=True):
        layout = TileLayout.of(plan)
        periphery = BackwardPeriphery.of(chip.hardware, plan, layout, [own])
        wires = tile_wires(chip.hardware, layout)
        reads = (
            ExactReads(wires, Ends(), periphery.ends)
            if bent is None
            else DeviceExactReads(bent, wires, Ends(), periphery.ends)
        )
        current_a = reads.transposed(g).current_a(periphery.drive_v(d.unsqueeze(0)))
        found.append(periphery.codes(current_a)[0])
    return found
