"""A chip in its backward phase: errors step through it, codes of products come out."""

from __future__ import annotations

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
from workflows.deck import Expected, Stepped, plan_lines

Array = NDArray[np.float64]

RANDOM_ERRORS = "errors are uniform random shares, the largest of a layer is 1"


def step_backward(
    chip: Chip,
    *,
    vectors: int,
    seed: int,
    sample: int,
    title: str,
    ngspice: Ngspice | None,
    header: tuple[str, ...] = (),
) -> Stepped:
    """What `workflows.deck.step_chip` is for the forward phase, for the backward phase.

    Args:
        chip: the chip.
        vectors: how many errors the circuit steps through; they are drawn.
        seed: the study's seed.
        sample: which chip of the study.
        title: first line of the deck.
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
    )
    circuit = backward_circuit(chip, drawn, title=title, header=lines)
    return Stepped(
        circuit,
        inputs,
        stepped,
        outputs,
        expected,
        "amplifiers and converters",
        "all converters at word lines",
    )


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
    limit_s = timeout_for(circuit.load(), len(errors[0]), ngspice)
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
