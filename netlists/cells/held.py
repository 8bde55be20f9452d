"""The cell of a read: a compact model whose states are held, between word line and bit line.

As a subcircuit (any ngspice), or as a card for the compiled Verilog-A module of the same equations.
Both set the states cell by cell, under their own names.
"""

from __future__ import annotations

from compact_models.cell_device import CellDevice
from compact_models.emit.held import held_defaults, held_module, held_subcircuit
from netlists.circuit import ForeignSubcircuit, ModelCard
from netlists.names import identifier

# A source with an expression is more work than a resistor: limits of time follow it.
_ELEMENTS = 10


def behavioural(device: CellDevice) -> ForeignSubcircuit:
    """The cell as a subcircuit with ports (wl, bl); an array's cells are instances of it."""
    model, numbers = device.model, device.parameter_set
    name = _name(device)
    return ForeignSubcircuit(
        name=name,
        ports=("wl", "bl"),
        text=held_subcircuit(model, numbers, name),
        parameters=held_defaults(model, numbers),
        description=f"{device.label}, its states held as they are while it is read",
        elements=_ELEMENTS,
    )


def compiled(device: CellDevice) -> tuple[ModelCard, str]:
    """The card of the cell as a compiled model, and the Verilog-A text to compile."""
    module = _name(device)
    text = held_module(device.model, device.parameter_set, module)
    return ModelCard(f"card_{module}", module), text


def _name(device: CellDevice) -> str:
    return identifier(f"held_{device.model.name}")
