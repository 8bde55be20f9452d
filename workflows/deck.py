"""A chip as a deck that a designer can read, and run with `ngspice -b network.cir`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.files import write_text_atomic
from cosim.bench import sweep_deck
from cosim.fidelities.exact import ExactModel
from cosim.fidelities.own_blocks import without_equations
from cosim.fidelities.spice import read_chip
from cosim.forward import forward
from cosim.ngspice import Ngspice
from netlists.chip import Chip
from netlists.names import comment
from netlists.network import network_circuit

Array = NDArray[np.float64]


def write_chip_deck(
    folder: Path,
    chip: Chip,
    inputs: Array,
    *,
    title: str,
    header: tuple[str, ...],
    ngspice: Ngspice | None,
) -> dict[str, object]:
    """Writes `network.cir` and, for its inputs, the codes to expect, `expected.csv`.

    Files of the user's own blocks stand beside them, so that the deck runs from anywhere.

    Args:
        folder: where to; it is made.
        chip: the chip.
        inputs: digital inputs that the deck steps through, [image, in].
        title: first line of the deck.
        header: further comment lines.
        ngspice: the simulator; a chip without blocks of the user's own needs none.

    Returns:
        A summary: files, elements, layers, tiles, and whose codes `expected.csv` has.
    """
    folder.mkdir(exist_ok=True)
    outputs = chip.plans[-1].outputs
    cell = chip.hardware.cell
    expected = _expected(chip, inputs, ngspice)
    lines = (
        *header,
        *(
            f"{plan.name} = {plan.source}: {plan.rows} word lines"
            f"{' (the last one is the bias)' if plan.has_bias else ''}, {plan.outputs} outputs,"
            f" {plan.neuron}, {len(plan.tiles)} tile(s); weight scale {plan.weight_scale:.6g},"
            f" input scale {plan.input_scale:.6g}, full scale {plan.span:.6g}"
            for plan in chip.plans
        ),
        "weights: pairs of bit lines, plus first; w = weight scale (G+ - G-)/(g_on - g_off) with"
        f" g_on {cell.g_on_s:g} S and g_off {cell.g_off_s:g} S",
        "comments name the weight that was aimed at; g is what programming reached, its logarithm"
        f" off by a random error of standard deviation {cell.sigma_program:g}",
        "rf, vos and gain of amplifiers, neurons and converters are drawn, from seed and sample",
        "run: ngspice -b network.cir; it prints the codes of the output converters,"
        f" expected.csv has the codes of {expected.source}",
    )
    circuit = network_circuit(chip, title=title, header=lines)
    deck = sweep_deck(
        circuit, [f"in_{k}" for k in range(chip.plans[0].inputs)], inputs, name="network"
    )
    printed = " ".join(f"v(code_{k})" for k in range(outputs))
    body, _, end = deck.text.rpartition(".end")
    write_text_atomic(folder / "network.cir", f"{body}.print dc {printed}\n.end{end}")
    for name, text in circuit.files.items():
        write_text_atomic(folder / name, text)
    table = [f"# {comment(expected.note)}"] if expected.note else []
    table.append(",".join(["index", *(f"code_{k}" for k in range(outputs))]))
    table += [",".join([str(k), *(f"{c:g}" for c in row)]) for k, row in enumerate(expected.codes)]
    write_text_atomic(folder / "expected.csv", "\n".join(table) + "\n")
    return {
        "files": ["network.cir", "expected.csv", *circuit.files],
        "expected_from": expected.source,
        "note": expected.note,
        "elements": circuit.element_count(),
        "layers": len(chip.plans),
        "tiles": sum(len(plan.tiles) for plan in chip.plans),
        "subcircuits": [block.name for block in circuit.subcircuits],
    }


@dataclass(frozen=True)
class _Expected:
    """Codes [image][out], who computed them, and what must be said of that."""

    codes: list[list[float]]
    source: str
    note: str = ""


def _expected(chip: Chip, inputs: Array, ngspice: Ngspice | None) -> _Expected:
    why = without_equations(chip.hardware)
    if not why:
        conductances = [[torch.from_numpy(g) for g in layer] for layer in chip.conductance_s]
        model = ExactModel(chip.hardware, chip.plans, chip.periphery)
        codes = forward(chip.hardware, chip.plans, conductances, model, torch.from_numpy(inputs))
        return _Expected(codes.tolist(), "the exact solver")
    if ngspice is None:
        raise ValueError(f"a simulator is needed: {why}")
    read = read_chip(chip, inputs, ngspice, jobs=1, title="the codes to expect")
    failed = [f"{one.deck}: {one.outcome}, {one.reason}" for one in read.simulations
              if one.outcome != "ok"]  # fmt: skip
    note = f"{why}: expected.csv has what {read.engine} gave"
    if np.isnan(read.codes).any():
        note += f"; nan where it failed ({failed[-1]})"
    return _Expected(read.codes.tolist(), read.engine, note)
