"""A bench of a user's own cell: many of them side by side, with currents at both of their ports."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosim.ngspice import Deck, RawPlot
from cosim.ngspice.bench import sweep_deck
from netlists.circuit import Circuit, Element, ForeignSubcircuit, Instance, VoltageSource

Array = NDArray[np.float64]

# Programming errors take cells beyond the range that they are programmed to.
REACH = 1.5


def ports_deck(block: ForeignSubcircuit, conductance_s: Array, port_v: Array, *, name: str) -> Deck:
    """A bench of cells.

    Args:
        block: the cell.
        conductance_s: programmed, [cell].
        port_v: voltages of the word and the bit line of all cells, [point, 2].
        name: what messages call the deck.
    """
    items: list[Element] = []
    for k, g in enumerate(conductance_s.tolist()):
        items.append(VoltageSource(f"vword_{k}", "word", f"wl_{k}", 0.0))
        items.append(Instance(f"xcell_{k}", block.name, (f"wl_{k}", f"bl_{k}"), {"g": g}))
        items.append(VoltageSource(f"vsense_{k}", f"bl_{k}", "bit", 0.0))
    circuit = Circuit("spiceloop: the user's cell", (block,), tuple(items))
    return sweep_deck(circuit, ["word", "bit"], port_v, name=name)


def port_currents_a(plot: RawPlot, cells: int) -> tuple[Array, Array]:
    """What enters cells at their word lines and leaves at their bit lines, [point, cell] each."""
    entering, leaving = (
        plot.matrix([f"i({source}_{k})" for k in range(cells)]) for source in ("vword", "vsense")
    )
    return entering, leaving
