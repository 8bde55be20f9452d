"""A single array between drivers and virtual grounds: what `solve` reads and calibration uses."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from netlists.cells import ohmic
from netlists.circuit import (
    Circuit,
    Element,
    ForeignSubcircuit,
    Instance,
    Resistor,
    Subcircuit,
    VoltageSource,
)
from netlists.crossbar import Crossbar
from netlists.wires import ALLOWED_OHM, LEAST_OHM, MOST_OHM

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReadArray:
    """An array with the resistances at its ends; bit lines end in ideal virtual grounds.

    Args:
        crossbar: cells and wires.
        r_driver_ohm: in series at each driver.
        r_sense_ohm: in series at each sense node, one value or [col].

    Raises:
        InputError: a resistance is negative or not finite.
    """

    crossbar: Crossbar
    r_driver_ohm: float = 0.0
    r_sense_ohm: float | Array = 0.0

    def __post_init__(self) -> None:
        """Checks the resistances."""
        for name, value in (("r_driver_ohm", self.r_driver_ohm), ("r_sense_ohm", self.r_sense_ohm)):
            array = np.asarray(value, dtype=np.float64)
            computable = (array == 0) | ((array >= LEAST_OHM) & (array <= MOST_OHM))
            if not computable.all():
                raise InputError(
                    "a resistance cannot be built",
                    where=name,
                    value=float(array.min()) if array.size else None,
                    allowed=ALLOWED_OHM,
                )

    @property
    def sense_ohm(self) -> Array:
        """The sense resistances, [col]."""
        return np.broadcast_to(
            np.asarray(self.r_sense_ohm, dtype=np.float64), (self.crossbar.cols,)
        )


def array_circuit(
    array: ReadArray,
    *,
    title: str,
    header: tuple[str, ...] = (),
    cell: Subcircuit | ForeignSubcircuit | None = None,
) -> Circuit:
    """The circuit of an array: inputs `in_<row>`, currents through the sources `vsense_<col>`.

    Args:
        array: the array.
        title: first line of the deck.
        header: further comment lines.
        cell: the cell's block, ports (wl, bl), parameter g; without it the ohmic cell.
    """
    block = ohmic.subcircuit() if cell is None else cell
    crossbar = dataclasses.replace(array.crossbar, cell=block.name)
    tile = Subcircuit("tile_0", crossbar.ports, (crossbar,), description="the array")
    items: list[Element] = []
    words: list[str] = []
    for row in range(crossbar.rows):
        if array.r_driver_ohm > 0:
            words.append(f"wl_{row}")
            items.append(Resistor(f"rdriver_{row}", f"in_{row}", f"wl_{row}", array.r_driver_ohm))
        else:
            words.append(f"in_{row}")
    items.append(
        Instance("xtile_0", "tile_0", (*words, *(f"bl_{col}" for col in range(crossbar.cols))))
    )
    for col, resistance in enumerate(array.sense_ohm.tolist()):
        end = f"bl_{col}"
        if resistance > 0:
            end = f"sense_{col}"
            items.append(Resistor(f"rsense_{col}", f"bl_{col}", end, resistance))
        items.append(VoltageSource(f"vsense_{col}", end, "0", 0.0))
    return Circuit(title, (block, tile), tuple(items), header)
