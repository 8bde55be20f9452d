"""The 1R ohmic cell."""

from __future__ import annotations

from netlists.circuit import Resistor, Subcircuit


def subcircuit() -> Subcircuit:
    """The cell's block; an open cell (0 S) is not instantiated."""
    return Subcircuit(
        name="cell",
        ports=("wl", "bl"),
        items=(Resistor("rcell", "wl", "bl", "{1/g}"),),
        parameters={"g": 1e-6},
        description="cell: a programmed conductance g [S] between word line and bit line",
    )
