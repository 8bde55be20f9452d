"""A single array between drivers and virtual grounds: what `solve` reads and calibration uses."""

from __future__ import annotations

import dataclasses
import math
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
    Note,
    Resistor,
    Subcircuit,
    VoltageSource,
)
from netlists.crossbar import Crossbar
from netlists.pieces import Pieces, find_pieces
from netlists.wires import checked_ohm

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ReadArray:
    """An array with the resistances at its ends; bit lines end in ideal virtual grounds.

    Args:
        crossbar: cells and wires.
        r_driver_ohm: in series at each driver, one value or [row]; infinite where a word line
            floats.
        r_sense_ohm: in series at each sense node, one value or [col]; infinite where a bit line
            floats.

    Raises:
        InputError: a resistance is negative or not a number, or there are not as many as lines.
    """

    crossbar: Crossbar
    r_driver_ohm: float | Array = 0.0
    r_sense_ohm: float | Array = 0.0

    def __post_init__(self) -> None:
        """Checks the resistances."""
        for name, lines in (
            ("r_driver_ohm", self.crossbar.rows),
            ("r_sense_ohm", self.crossbar.cols),
        ):
            ohm = checked_ohm(getattr(self, name), name, 1)
            if not isinstance(ohm, float) and ohm.shape != (lines,):
                raise InputError(
                    "one value, or one for every line",
                    where=name,
                    value=ohm.shape,
                    allowed=f"[{lines}]",
                )
            object.__setattr__(self, name, ohm)

    @property
    def driver_ohm(self) -> Array:
        """The driver resistances, [row]."""
        return np.broadcast_to(
            np.asarray(self.r_driver_ohm, dtype=np.float64), (self.crossbar.rows,)
        )

    @property
    def sense_ohm(self) -> Array:
        """The sense resistances, [col]."""
        return np.broadcast_to(
            np.asarray(self.r_sense_ohm, dtype=np.float64), (self.crossbar.cols,)
        )

    @property
    def has_opens(self) -> bool:
        """A segment or an end is open."""
        ends = np.concatenate([self.driver_ohm, self.sense_ohm])
        return self.crossbar.wires.has_opens or bool(np.isinf(ends).any())

    @property
    def pieces(self) -> Pieces:
        """What of it hangs on nothing; nothing where nothing is open."""
        return find_pieces(self.crossbar, np.isfinite(self.driver_ohm), np.isfinite(self.sense_ohm))


def array_circuit(
    array: ReadArray,
    *,
    title: str,
    header: tuple[str, ...] = (),
    cell: Subcircuit | ForeignSubcircuit | None = None,
) -> Circuit:
    """The circuit of an array: inputs `in_<row>`, currents through the sources `vsense_<col>`.

    Pieces that hang on nothing are tied to 0 V, each by one resistor in which no current can flow.

    Args:
        array: the array.
        title: first line of the deck.
        header: further comment lines.
        cell: the cell's block, ports (wl, bl), parameter g; without it the ohmic cell.
    """
    block = ohmic.subcircuit() if cell is None else cell
    crossbar = dataclasses.replace(array.crossbar, cell=block.name)
    ties: list[Element] = [
        item
        for k, node in enumerate(array.pieces.floating if array.has_opens else ())
        for item in (
            Note(f"{node} and what it is joined with hang on nothing: 0 V"),
            Resistor(f"rtie_{k}", node, "0", 1.0),
        )
    ]
    tile = Subcircuit("tile_0", crossbar.ports, (crossbar, *ties), description="the array")
    items: list[Element] = []
    words: list[str] = []
    for row, resistance in enumerate(array.driver_ohm.tolist()):
        words.append(f"wl_{row}" if resistance > 0 else f"in_{row}")
        if resistance == math.inf:
            items.append(Note(f"rdriver_{row} is open"))
        elif resistance > 0:
            items.append(Resistor(f"rdriver_{row}", f"in_{row}", f"wl_{row}", resistance))
    items.append(
        Instance("xtile_0", "tile_0", (*words, *(f"bl_{col}" for col in range(crossbar.cols))))
    )
    for col, resistance in enumerate(array.sense_ohm.tolist()):
        end = f"bl_{col}"
        if resistance == math.inf:
            end = f"sense_{col}"
            items.append(Note(f"rsense_{col} is open"))
        elif resistance > 0:
            end = f"sense_{col}"
            items.append(Resistor(f"rsense_{col}", f"bl_{col}", end, resistance))
        items.append(VoltageSource(f"vsense_{col}", end, "0", 0.0))
    return Circuit(title, (block, tile), tuple(items), header)
