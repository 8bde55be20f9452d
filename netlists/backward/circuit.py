"""The circuit of a chip in its backward phase: every layer between its backward ends.

`network` has the ports `d<layer>_<out>`, errors as shares of the largest, and `code<layer>_<in>`,
the codes of the converters at the word lines. An error drives its plus bit line as it is and its
minus bit line with the other sign. Layers stand beside each other: the derivative of the neurons
and the scale of the errors between two layers are digital.
"""

from __future__ import annotations

from collections.abc import Sequence

from netlists.adcs import quantiser
from netlists.backward.drawn import LayerBackward
from netlists.backward.scale import feedback_ohm, product_at_full_code
from netlists.blocks import Blocks
from netlists.chip import Chip
from netlists.circuit import (
    BehaviouralVoltage,
    Circuit,
    Drawn,
    Element,
    Instance,
    Note,
    Subcircuit,
)
from netlists.drivers import level
from netlists.readout import tia
from netlists.tile_block import cell_block, tile_block
from netlists.tiles import LayerPlan, block_name, of_arrays

_DRIVER, _ADC = level.name(signed=True), quantiser.name(signed=True)


def backward_circuit(
    chip: Chip, drawn: Sequence[LayerBackward], *, title: str, header: tuple[str, ...] = ()
) -> Circuit:
    """The circuit of a chip that is read backward, without sources at its inputs.

    Args:
        chip: the chip; cells and wires are the blocks of its forward circuit.
        drawn: its backward circuits, layer by layer.
        title: first line of the deck.
        header: further comment lines.

    Raises:
        InputError: a block of the user has the name of another block of the chip.
    """
    spec, blocks = chip.hardware.backward, Blocks()
    cell = blocks.add(cell_block(chip.hardware))
    blocks.add(tia.subcircuit(spec.tia))
    blocks.add(level.subcircuit(spec.driver, signed=True))
    blocks.add(quantiser.subcircuit(spec.adc, signed=True))
    items: list[Element] = []
    for index, plan in enumerate(chip.plans):
        for tile in range(len(plan.tiles)):
            blocks.add(tile_block(chip, index, tile, cell))
        layer = blocks.add(_layer(chip, index, drawn[index]))
        inputs, outputs = layer_ports(plan, index)
        items.append(Instance(f"xlayer_{index}", layer, (*inputs, *outputs)))
    inputs, outputs = backward_ports(chip)
    ports = (*inputs, *outputs)
    blocks.add(Subcircuit("network", ports, tuple(items), description="network: the whole chip"))
    return Circuit(title, tuple(blocks), (Instance("xnetwork", "network", ports),), header)


def layer_ports(plan: LayerPlan, index: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes of a layer's errors and of its codes."""
    inputs = tuple(f"d{index}_{out}" for out in range(plan.outputs))
    return inputs, tuple(f"code{index}_{k}" for k in range(plan.inputs))


def backward_ports(chip: Chip) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes of all errors and of all codes, layer after layer."""
    layers = [layer_ports(plan, index) for index, plan in enumerate(chip.plans)]
    inputs = tuple(name for ports, _ in layers for name in ports)
    return inputs, tuple(name for _, ports in layers for name in ports)


def _layer(chip: Chip, index: int, drawn: LayerBackward) -> Subcircuit:
    plan = chip.plans[index]
    items: list[Element] = []
    for number, tile in enumerate(plan.tiles):
        items += _drivers(chip, index, number, drawn)
        lines = (
            *(f"wl_{number}_{row}" for row in range(tile.rows)),
            *(f"bl_{number}_{col}" for col in range(tile.cols)),
        )
        items.append(Instance(f"xtile_{number}", block_name(plan, tile), lines))
        amplifiers = drawn.tiles[number]
        made = [
            Instance(
                f"xtia_{number}_{row}",
                "tia",
                (f"wl_{number}_{row}", f"v_{number}_{row}"),
                {"rf": float(rf), "vos": float(vos)},
            )
            for row, (rf, vos) in enumerate(
                zip(amplifiers.r_feedback_ohm, amplifiers.v_offset_v, strict=True)
            )
        ]
        items.append(Drawn(f"{plan.name}_tile_{number}_backward_amplifiers", tuple(made)))
    if plan.has_bias:
        items.append(Note("nobody asks for the error at the bias: its word lines are only held"))
    items += [_sum(plan, k) for k in range(plan.inputs)]
    converters = [
        Instance(f"xadc_{k}", _ADC, (f"sum_{k}", f"code_{k}"), {"vos": vos, "gain": gain})
        for k, (vos, gain) in enumerate(
            zip(drawn.adc_offset_v.tolist(), drawn.adc_gain.tolist(), strict=True)
        )
    ]
    items.append(Drawn(f"{plan.name}_backward_converters", tuple(converters)))
    ports = (
        *(f"d_{out}" for out in range(plan.outputs)),
        *(f"code_{k}" for k in range(plan.inputs)),
    )
    full_v, full = (
        chip.hardware.backward.adc.v_full_scale_v,
        product_at_full_code(chip.hardware, plan),
    )
    description = (
        f"{plan.name} ({plan.source}), backward: at nodes sum_<k> {full_v:g} V stands for"
        f" {full:.6g} of the sum of w d; feedback resistors nominally"
        f" {feedback_ohm(chip.hardware, plan):.6g} ohm{of_arrays(plan)}"
    )
    return Subcircuit(f"{plan.name}_backward", ports, tuple(items), description=description)


def _drivers(chip: Chip, index: int, number: int, drawn: LayerBackward) -> list[Element]:
    """Of a tile's bit lines: the output's plus line first, the minus line with the other sign."""
    plan, differ = chip.plans[index], chip.hardware.backward.driver.differs
    tile, own = plan.tiles[number], drawn.tiles[number]
    made = []
    for col in range(tile.cols):
        source = f"d_{tile.out_start + col // 2}"
        sign = -1.0 if col % 2 else 1.0
        parameters = {"gain": sign * float(own.driver_gain[col])}
        if differ:
            parameters["vos"] = float(own.driver_offset_v[col])
        nodes = (source, f"bl_{number}_{col}")
        made.append(Instance(f"xdriver_{number}_{col}", _DRIVER, nodes, parameters))
    return (
        [Drawn(f"{plan.name}_tile_{number}_backward_drivers", tuple(made))] if differ else [*made]
    )


def _sum(plan: LayerPlan, row: int) -> BehaviouralVoltage:
    """What the amplifiers of one word line give, over the tiles that share it."""
    terms = [
        f"V(v_{number}_{row - tile.row_start})"
        for number, tile in enumerate(plan.tiles)
        if tile.row_start <= row < tile.row_stop
    ]
    return BehaviouralVoltage(f"bsum_{row}", f"sum_{row}", "0", " + ".join(terms))
