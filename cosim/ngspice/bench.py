"""Test benches: a circuit with inputs that step through vectors, as a deck that ngspice can run.

All vectors go through one process: a `.dc` sweep steps an index, and every input is a source
that looks its value up. The factorisation's ordering is kept over the sweep, which makes it four
times faster than one operating point per vector.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cosim.ngspice import Deck
from netlists.circuit import (
    BehaviouralVoltage,
    Circuit,
    Element,
    ForeignSubcircuit,
    Note,
    VoltageSource,
)
from netlists.dialects.ngspice import render
from netlists.names import number

Array = NDArray[np.float64]

# The linear part is solved to rounding error in any case; these hold the behavioural sources to
# far below one LSB. Shunt conductances would be a current that the other engines do not have.
OPTIONS = ".option klu reltol=1e-7 abstol=1e-15 vntol=1e-10 itl1=500 itl2=500 itl4=100"

OSDI_FILE = "model.osdi"
# Threads would wait for each other at every cell: 50 times slower.
LOAD_OSDI = f".control\nset num_threads=1\npre_osdi {OSDI_FILE}\n.endc\n"


def stepped_inputs(nodes: Sequence[str], vectors: Array) -> tuple[Element, ...]:
    """Sources that give `nodes` the voltages of row `index` of `vectors`, [vector, node]."""
    items: list[Element] = [
        Note(f"{len(vectors)} input vectors: V(index) counts them, every input looks its value up"),
        VoltageSource("vindex", "index", "0", 0.0),
    ]
    for column, node in enumerate(nodes):
        values = vectors[:, column].tolist()
        if len(set(values)) == 1:
            items.append(VoltageSource(f"v{node}", node, "0", values[0]))
        else:
            pairs = ", ".join(f"{k}, {number(value)}" for k, value in enumerate(values))
            items.append(BehaviouralVoltage(f"b{node}", node, "0", f"pwl(V(index), {pairs})"))
    return tuple(items)


def sweep_deck(
    circuit: Circuit,
    inputs: Sequence[str],
    vectors: Array,
    *,
    name: str,
    expected_signals: tuple[str, ...] = (),
    library: bytes | None = None,
) -> Deck:
    """A deck that sends `vectors`, [vector, input], through a circuit in one `.dc` sweep.

    Args:
        circuit: the circuit; its top level has the nodes `inputs`.
        inputs: names of the input nodes.
        vectors: input voltages.
        name: what messages call the deck.
        expected_signals: signals without which the result is worth nothing.
        library: the compiled (OSDI) models of the circuit's cards.
    """
    bench = dataclasses.replace(circuit, items=(*circuit.items, *stepped_inputs(inputs, vectors)))
    analysis = f"{OPTIONS}\n.dc vindex 0 {max(len(vectors) - 1, 0)} 1\n.end\n"
    files: dict[str, str | bytes] = {**circuit.files}
    if library is not None:
        files[OSDI_FILE] = library
        analysis = LOAD_OSDI + analysis
    return Deck(
        text=render(bench) + "\n" + analysis,
        name=name,
        expected_points=len(vectors),
        expected_signals=expected_signals,
        files=files,
        holds=tuple(
            one.description for one in circuit.subcircuits if isinstance(one, ForeignSubcircuit)
        ),
    )
