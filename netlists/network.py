"""The circuit of a whole chip: drivers, tiles, amplifiers, neurons and converters, by layer.

`network` has ports `in_<k>` (digital values as voltages) and `code_<k>` (the codes of the last
layer's converters). Inside it `xlayer_<n>`, inside that `xtile_<n>` and its periphery.
"""

from __future__ import annotations

from collections.abc import Mapping

from netlists.adcs import quantiser
from netlists.blocks import Block, Blocks
from netlists.cells import held
from netlists.chip import Chip
from netlists.circuit import (
    BehaviouralVoltage,
    Circuit,
    Drawn,
    Element,
    Instance,
    Note,
    Subcircuit,
    VoltageSource,
)
from netlists.drivers import level
from netlists.neurons.spec import neuron_by_name
from netlists.neurons.spec import subcircuit as neuron_subcircuit
from netlists.readout import tia
from netlists.tile_block import cell_block, tile_block
from netlists.tiles import LayerPlan, block_name, of_arrays


def network_circuit(
    chip: Chip, *, title: str, header: tuple[str, ...] = (), compiled: bool = False
) -> Circuit:
    """The circuit of a chip, without sources at its inputs.

    Args:
        chip: the chip.
        title: first line of the deck.
        header: further comment lines.
        compiled: cells that are devices are instances of a compiled model, whose library the deck
            has to load (`netlists.cells.held.compiled`).

    Raises:
        InputError: a block of the user has the name of another block of the chip.
    """
    own = chip.hardware.blocks
    hardware = chip.hardware
    blocks = Blocks()
    cards: tuple[Element, ...] = ()
    if hardware.device is not None and compiled:
        card, _ = held.compiled(hardware.device)
        cell, cards = card.name, (card,)
    else:
        cell = blocks.add(cell_block(hardware))
    amplifier = blocks.add(own.get("tia") or tia.subcircuit(hardware.tia))
    items: list[Element] = []
    for index, plan in enumerate(chip.plans):
        driver = blocks.add(level.subcircuit(hardware.driver, signed=plan.signed_input))
        bias = driver
        if plan.has_bias:
            bias = blocks.add(level.subcircuit(hardware.driver, signed=False))
        neuron = blocks.add(neuron_block(chip, index))
        adc = blocks.add(quantiser.subcircuit(hardware.adc, signed=plan.signed_output))
        for tile in range(len(plan.tiles)):
            blocks.add(tile_block(chip, index, tile, cell, compiled=bool(cards)))
        names = {"driver": driver, "bias": bias, "tia": amplifier, "neuron": neuron, "adc": adc}
        blocks.add(_layer(chip, index, names, blocks))
        nodes = (
            *(f"{'in' if index == 0 else f'h{index}'}_{k}" for k in range(plan.inputs)),
            *(
                f"{'code' if plan is chip.plans[-1] else f'h{index + 1}'}_{k}"
                for k in range(plan.outputs)
            ),
        )
        items.append(
            Note(f"{plan.name} is {plan.source}: {plan.inputs} inputs, {plan.outputs} outputs")
        )
        items.append(Instance(f"xlayer_{index}", plan.name, nodes))
    ports = (
        *(f"in_{k}" for k in range(chip.plans[0].inputs)),
        *(f"code_{k}" for k in range(chip.plans[-1].outputs)),
    )
    blocks.add(Subcircuit("network", ports, tuple(items), description="network: the whole chip"))
    return Circuit(
        title=title,
        header=header,
        subcircuits=tuple(blocks),
        items=(*cards, Instance("xnetwork", "network", ports)),
    )


def neuron_block(chip: Chip, layer: int) -> Block:
    """The neuron of a layer: the user's own, or ours; a layer without activation keeps a buffer."""
    plan, own = chip.plans[layer], chip.hardware.blocks
    if "neuron" in own and plan.neuron != "identity":
        return own["neuron"]
    return neuron_subcircuit(
        neuron_by_name(plan.neuron),
        chip.hardware.neuron,
        name=f"{plan.name}_neuron",
        v_full_v=chip.hardware.adc.v_full_scale_v,
        span=plan.span,
    )


def _layer(chip: Chip, index: int, names: Mapping[str, str], blocks: Blocks) -> Subcircuit:
    plan = chip.plans[index]
    items: list[Element] = []
    if plan.has_bias:
        items += [
            Note("the bias word line is always driven with 1"),
            VoltageSource("vone", "one", "0", 1.0),
        ]
    code_full = input_code_full(chip, index)
    for number, tile in enumerate(plan.tiles):
        made = []
        for row in range(tile.rows):
            wire = tile.row_start + row
            if plan.has_bias and wire == plan.inputs:
                source, block, full = "one", names["bias"], 1.0
            else:
                source, block, full = f"in_{wire}", names["driver"], code_full
            nodes = (source, f"wl_{number}_{row}")
            parameters = {"code_full": full, **driver_errors(chip, index, number, row)}
            made.append(Instance(f"xdriver_{number}_{row}", block, nodes, parameters))
        differ = chip.hardware.driver.differs
        items += [Drawn(f"{plan.name}_tile_{number}_drivers", tuple(made))] if differ else made
        lines = (
            *(f"wl_{number}_{row}" for row in range(tile.rows)),
            *(f"bl_{number}_{col}" for col in range(tile.cols)),
        )
        items.append(Instance(f"xtile_{number}", block_name(plan, tile), lines))
        items.append(_amplifiers(chip, index, number, blocks[names["tia"]]))
    items += [_difference(plan, out) for out in range(plan.outputs)]
    items.append(_outputs(chip, index, blocks[names["neuron"]], blocks[names["adc"]]))
    ports = (
        *(f"in_{k}" for k in range(plan.inputs)),
        *(f"code_{k}" for k in range(plan.outputs)),
    )
    full_v = chip.hardware.adc.v_full_scale_v
    description = (
        f"{plan.name} ({plan.source}): at nodes sum_<k> {full_v:g} V stands for {plan.span:.6g};"
        f" feedback resistors nominally {plan.r_feedback_ohm:.6g} ohm{of_arrays(plan)}"
    )
    return Subcircuit(plan.name, ports, tuple(items), description=description)


def _amplifiers(chip: Chip, index: int, number: int, block: Block) -> Drawn:
    plan, drawn = chip.plans[index], chip.periphery[index].tiles[number]
    made = []
    for col in range(plan.tiles[number].cols):
        parameters = {"rf": float(drawn.r_feedback_ohm[col]), "vos": float(drawn.v_offset_v[col])}
        nodes = (f"bl_{number}_{col}", f"v_{number}_{col}")
        made.append(Instance(f"xtia_{number}_{col}", block.name, nodes, known(block, parameters)))
    return Drawn(f"{plan.name}_tile_{number}_amplifiers", tuple(made))


def _outputs(chip: Chip, index: int, neuron: Block, adc: Block) -> Drawn:
    plan, drawn = chip.plans[index], chip.periphery[index]
    made = []
    for out in range(plan.outputs):
        nodes = (f"sum_{out}", f"act_{out}")
        errors = known(neuron, neuron_errors(chip, index, out))
        made.append(Instance(f"xneuron_{out}", neuron.name, nodes, errors))
        errors = {"vos": float(drawn.adc_offset_v[out]), "gain": float(drawn.adc_gain[out])}
        made.append(Instance(f"xadc_{out}", adc.name, (f"act_{out}", f"code_{out}"), errors))
    return Drawn(f"{plan.name}_outputs", tuple(made))


def _difference(plan: LayerPlan, out: int) -> BehaviouralVoltage:
    """Minus less plus, summed over the tiles that share the output: amplifiers invert."""
    terms: list[str] = []
    for number, tile in enumerate(plan.tiles):
        if tile.out_start <= out < tile.out_stop:
            col = 2 * (out - tile.out_start)
            terms.append(f"V(v_{number}_{col + 1})-V(v_{number}_{col})")
    return BehaviouralVoltage(f"bsum_{out}", f"sum_{out}", "0", " + ".join(terms))


def input_code_full(chip: Chip, layer: int) -> float:
    """The digital value that stands for 1 at a layer's inputs."""
    if layer == 0:
        return 1.0
    before = chip.plans[layer - 1]
    return float(quantiser.code_range(chip.hardware.adc, signed=before.signed_output)[1])


def driver_errors(chip: Chip, layer: int, tile: int, row: int) -> dict[str, float]:
    """What an instance of a driver has drawn; nothing where all are alike."""
    drawn = chip.periphery[layer].tiles[tile]
    if not chip.hardware.driver.differs:
        return {}
    return {"gain": float(drawn.driver_gain[row]), "vos": float(drawn.driver_offset_v[row])}


def neuron_errors(chip: Chip, layer: int, out: int) -> dict[str, float]:
    """What an instance of a neuron has drawn; the gain only where gains differ."""
    drawn = chip.periphery[layer]
    gain = {"gain": float(drawn.neuron_gain[out])} if chip.hardware.neuron.sigma_gain else {}
    return {"vos": float(drawn.neuron_offset_v[out]), **gain}


def known(block: Block, parameters: Mapping[str, float]) -> dict[str, float]:
    """Those of `parameters` that a block declares: a user's own block may have fewer."""
    return {name: value for name, value in parameters.items() if name in block.parameters}
