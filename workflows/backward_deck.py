"""A chip in its backward phase as a deck: errors step through it, codes of products come out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.variation import component_rng
from cosim.network.backward import exact_backward_codes
from cosim.ngspice import Ngspice, run_deck, timeout_for
from cosim.ngspice.bench import sweep_deck
from netlists.backward.circuit import backward_circuit, backward_ports
from netlists.backward.drawn import LayerBackward, draw_backward
from netlists.backward.scale import product_per_code
from netlists.chip import Chip
from netlists.circuit import Circuit
from netlists.design_deck import SAMPLE_FILE
from workflows.deck import Expected, Stepped, plan_lines, spread_line, write_stepped

Array = NDArray[np.float64]

RANDOM_ERRORS = "errors are uniform random shares, the largest of a layer is 1"


def write_backward_deck(
    folder: Path,
    chip: Chip,
    *,
    vectors: int,
    seed: int,
    sample: int,
    title: str,
    origin: tuple[str, ...],
    ngspice: Ngspice | None,
    header: tuple[str, ...] = (),
) -> dict[str, object]:
    """Writes what `write_chip_deck` does, for the backward phase.

    Args:
        folder: where to; it is made.
        chip: the chip.
        vectors: how many errors the deck steps through; they are drawn.
        seed: the study's seed.
        sample: which chip of the study.
        title: first line of the deck.
        origin: lines that say where the chip comes from.
        ngspice: the simulator; a chip without cells of the user's own needs none.
        header: what a reader of the deck has to know first.

    Raises:
        InputError: the backward circuits cannot be built, or ngspice fails on a user's cell.
    """
    drawn = draw_backward(chip.hardware, chip.plans, seed=seed, sample=sample)
    errors = [_errors(seed, plan.name, vectors, plan.outputs) for plan in chip.plans]
    inputs, outputs = backward_ports(chip)
    stepped = np.concatenate(errors, axis=1)
    expected = _expected(chip, drawn, errors, ngspice)
    scales = ", ".join(
        f"{product_per_code(chip.hardware, plan):.6g} in {plan.name}" for plan in chip.plans
    )
    lines = (
        *header,
        "backward phase: d<layer>_<out> is an error at an output, as a share of the largest; plus"
        " bit lines are driven with it, minus bit lines with its negative; code<layer>_<in> is the"
        f" sum of weight x error at an input, a code stands for {scales}",
        f"{RANDOM_ERRORS}; the derivative of neurons and the scale between layers are digital",
        *plan_lines(chip),
        f"{SAMPLE_FILE} has what is drawn, from seed and sample: rf, vos and gain of amplifiers and"
        " converters, and of drivers where these differ, and g of the cells, with the weight that"
        f" was aimed at; {spread_line(chip)}",
        "run: ngspice -b network.cir; it prints the codes of all converters at word lines,"
        f" expected.csv has the codes of {expected.source}",
    )
    circuit = backward_circuit(chip, drawn, title=title, header=lines)
    return write_stepped(folder, chip, Stepped(circuit, inputs, stepped, outputs, expected), origin)


def _errors(seed: int, layer: str, vectors: int, outputs: int) -> Array:
    """Errors as shares of the largest of their vector, [vector, out]."""
    drawn = component_rng(seed, 0, f"netlist/errors/{layer}").uniform(-1, 1, (vectors, outputs))
    return np.asarray(drawn / np.abs(drawn).max(axis=1, keepdims=True))


def _expected(
    chip: Chip, drawn: tuple[LayerBackward, ...], errors: list[Array], ngspice: Ngspice | None
) -> Expected:
    if "cell" not in chip.hardware.blocks:
        codes = exact_backward_codes(chip, drawn, [torch.from_numpy(d) for d in errors])
        return Expected(torch.cat(codes, dim=1).tolist(), "the exact solver")
    if ngspice is None:
        raise ValueError("a simulator is needed: exact has no equations for the user's own cell")
    circuit: Circuit = backward_circuit(chip, drawn, title="the codes to expect")
    inputs, outputs = backward_ports(chip)
    deck = sweep_deck(circuit, inputs, np.concatenate(errors, axis=1), name="backward")
    limit_s = timeout_for(circuit.element_count(), len(errors[0]), ngspice)
    result = run_deck(deck, ngspice, timeout_s=limit_s)
    if not result.ok:
        raise InputError(
            f"ngspice fails on the user's own cell ({result.outcome}: {result.reason})",
            where="[blocks] cell",
            value=chip.hardware.blocks["cell"].name,
        )
    codes_told = np.rint(result.plot.matrix([f"v({name})" for name in outputs]))
    note = f"exact has no equations for the user's own cell: these are of {result.engine}"
    return Expected(codes_told.tolist(), result.engine, note)
