"""A chip as a deck that a designer can read, compare and run with `ngspice -b network.cir`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.files import write_text_atomic
from cosim.network.models import exact_codes
from cosim.network.whole_chip import read_chip
from cosim.ngspice import Ngspice
from cosim.ngspice.bench import sweep_deck
from cosim.periphery.own_blocks import without_equations
from netlists.chip import Chip
from netlists.circuit import Circuit
from netlists.design_deck import SAMPLE_FILE, design_deck
from netlists.names import comment
from netlists.network import network_circuit

Array = NDArray[np.float64]


def write_chip_deck(
    folder: Path,
    chip: Chip,
    inputs: Array,
    *,
    title: str,
    origin: tuple[str, ...],
    ngspice: Ngspice | None,
    header: tuple[str, ...] = (),
    rows: NDArray[np.int64] | None = None,
) -> dict[str, object]:
    """Writes `network.cir` with `sample.inc`, what to expect of it, and where it comes from.

    `sample.inc` has what the sample draws, `expected.csv` the codes for the deck's inputs and
    `origin.txt` the configuration's hash, so that a deck differs from another in what makes it
    another circuit. Files of the user's own blocks stand beside them.

    Args:
        folder: where to; it is made.
        chip: the chip.
        inputs: digital inputs that the deck steps through, [image, in].
        title: first line of the deck.
        origin: lines that say where the chip comes from.
        ngspice: the simulator; a chip without blocks of the user's own needs none.
        header: what a reader of the deck has to know first.
        rows: which samples of their file the inputs are, [image]; None if of none.

    Returns:
        A summary: files, elements, layers, tiles, and whose codes `expected.csv` has.
    """
    stepped = step_chip(chip, inputs, title=title, ngspice=ngspice, header=header, rows=rows)
    return write_stepped(folder, chip, stepped, origin)


def step_chip(
    chip: Chip,
    inputs: Array,
    *,
    title: str,
    ngspice: Ngspice | None,
    header: tuple[str, ...] = (),
    rows: NDArray[np.int64] | None = None,
) -> Stepped:
    """The circuit of a chip, the inputs it is to go through and the codes to expect.

    See `write_chip_deck` for the arguments.
    """
    return Stepped(
        network_circuit(chip, title=title, header=(*header, *plan_lines(chip))),
        tuple(f"in_{k}" for k in range(chip.plans[0].inputs)),
        inputs,
        tuple(f"code_{k}" for k in range(chip.plans[-1].outputs)),
        _expected(chip, inputs, ngspice),
        "amplifiers, neurons and converters",
        "the output converters",
        rows,
    )


def plan_lines(chip: Chip) -> tuple[str, ...]:
    """How the layers lie in cells, for the head of a deck."""
    cell = chip.hardware.cell
    return (
        *(
            f"{plan.name} = {plan.source}: {plan.rows} word lines"
            f"{' (the last one is the bias)' if plan.has_bias else ''}, {plan.outputs} outputs,"
            f" {plan.neuron}, {len(plan.tiles)} tile(s); weight scale {plan.weight_scale:.6g},"
            f" input scale {plan.input_scale:.6g}, full scale {plan.span:.6g}"
            for plan in chip.plans
        ),
        "weights: pairs of bit lines, plus first; w = weight scale (G+ - G-)/(g_on - g_off) with"
        f" g_on {cell.g_on_s:g} S and g_off {cell.g_off_s:g} S",
        *(
            f"cells of {layer}: g_on {own.g_on_s:g} S and g_off {own.g_off_s:g} S"
            for layer, own in chip.hardware.cells.items()
        ),
    )


def spread_line(chip: Chip) -> str:
    """How far cells are from what they are programmed to, in words."""
    sigma = chip.hardware.cell.sigma_program
    return f"the logarithm of g is off by a random error of standard deviation {sigma:g}"


@dataclass(frozen=True, eq=False)
class Stepped:
    """A circuit, the inputs that its deck steps through, and the codes to expect.

    Attributes:
        circuit: the circuit, without sources at its inputs.
        inputs: its input nodes.
        vectors: their values, [vector, input].
        outputs: its output nodes.
        expected: their codes.
        drawn: what has errors of its own beside drivers, in words.
        converters: whose codes they are, in words.
        rows: which samples of their file the inputs are, [vector]; None if of none.
    """

    circuit: Circuit
    inputs: tuple[str, ...]
    vectors: Array
    outputs: tuple[str, ...]
    expected: Expected
    drawn: str
    converters: str
    rows: NDArray[np.int64] | None = None

    def summary(self, chip: Chip) -> dict[str, object]:
        """What a command says of it."""
        return {
            "expected_from": self.expected.source,
            "note": self.expected.note,
            "elements": self.circuit.element_count(),
            "layers": len(chip.plans),
            "tiles": sum(len(plan.tiles) for plan in chip.plans),
            "subcircuits": [block.name for block in self.circuit.subcircuits],
        }


def write_stepped(
    folder: Path, chip: Chip, stepped: Stepped, origin: tuple[str, ...]
) -> dict[str, object]:
    """Writes the files of a deck; see `write_chip_deck`."""
    folder.mkdir(exist_ok=True)
    expected, rows, circuit = stepped.expected, stepped.rows, stepped.circuit
    lines = (
        f"{SAMPLE_FILE} has what is drawn, from seed and sample: rf, vos and gain of"
        f" {stepped.drawn}, and of drivers where these differ, and g of the cells, with the weight"
        f" that was aimed at; {spread_line(chip)}",
        f"run: ngspice -b network.cir; it prints the codes of {stepped.converters},"
        f" expected.csv has the codes of {expected.source}",
    )
    design = design_deck(replace(circuit, header=(*circuit.header, *lines)))
    deck = sweep_deck(design.circuit, stepped.inputs, stepped.vectors, name="network")
    printed = " ".join(f"v({name})" for name in stepped.outputs)
    body, _, end = deck.text.rpartition(".end")
    write_text_atomic(folder / "network.cir", f"{body}.print dc {printed}\n.end{end}")
    write_text_atomic(folder / SAMPLE_FILE, design.sample)
    write_text_atomic(folder / "origin.txt", "".join(f"{comment(line)}\n" for line in origin))
    for name, text in circuit.files.items():
        write_text_atomic(folder / name, text)
    table = [f"# {comment(expected.note)}"] if expected.note else []
    sources = [[] for _ in expected.codes] if rows is None else [[str(row)] for row in rows]
    from_file = [] if rows is None else ["row"]
    table.append(",".join(["index", *from_file, *stepped.outputs]))
    table += [
        ",".join([str(k), *source, *(f"{code:g}" for code in codes)])
        for k, (source, codes) in enumerate(zip(sources, expected.codes, strict=True))
    ]
    write_text_atomic(folder / "expected.csv", "\n".join(table) + "\n")
    files = ["network.cir", SAMPLE_FILE, "expected.csv", "origin.txt", *circuit.files]
    return {"files": files, **stepped.summary(chip)}


@dataclass(frozen=True)
class Expected:
    """Codes [image][out], who computed them, and what must be said of that."""

    codes: list[list[float]]
    source: str
    note: str = ""


def _expected(chip: Chip, inputs: Array, ngspice: Ngspice | None) -> Expected:
    why = without_equations(chip.hardware)
    if not why:
        return Expected(exact_codes(chip, inputs).tolist(), "the exact solver")
    if ngspice is None:
        raise ValueError(f"a simulator is needed: {why}")
    read = read_chip(chip, inputs, ngspice, jobs=1, title="the codes to expect")
    failed = [f"{one.deck}: {one.outcome}, {one.reason}" for one in read.simulations
              if one.outcome != "ok"]  # fmt: skip
    note = f"{why}: expected.csv has what {read.engine} gave"
    if np.isnan(read.codes).any():
        note += f"; nan where it failed ({failed[-1]})"
    return Expected(read.codes.tolist(), read.engine, note)
