"""A single array between drivers and amplifiers: what `solve` reads and calibration uses.

Forward its word lines are driven and its bit lines sensed, backward its bit lines are driven and
its word lines sensed: the same block of cells and wires stands between other ends.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from netlists.cells import ohmic
from netlists.circuit import (
    Circuit,
    Element,
    ForeignSubcircuit,
    Instance,
    ModelCard,
    Note,
    Resistor,
    Subcircuit,
    VoltageSource,
)
from netlists.crossbar import Crossbar
from netlists.pieces import Pieces, find_pieces
from netlists.wires import checked_ohm

Array = NDArray[np.float64]

Direction = Literal["forward", "backward"]
Line = Literal["wl", "bl"]


@dataclass(frozen=True, eq=False)
class ReadArray:
    """An array with what its lines end in; amplifiers are ideal but for what they hold lines at.

    Args:
        crossbar: cells and wires.
        r_driver_ohm: in series at each driver, one value or [driven line]; infinite where a driven
            line floats.
        r_sense_ohm: in series at each sense node, one value or [sensed line]; infinite where a
            sensed line floats.
        held_v: what amplifiers hold sense nodes at, one value or [sensed line].
        direction: forward, word lines are driven and bit lines sensed; backward the reverse.

    Raises:
        InputError: a resistance is negative or not a number, a voltage is not finite, or there are
            not as many as lines.
    """

    crossbar: Crossbar
    r_driver_ohm: float | Array = 0.0
    r_sense_ohm: float | Array = 0.0
    held_v: float | Array = 0.0
    direction: Direction = "forward"

    def __post_init__(self) -> None:
        """Checks the resistances and voltages."""
        for name, lines in (("r_driver_ohm", self.driven), ("r_sense_ohm", self.sensed)):
            ohm = checked_ohm(getattr(self, name), name, 1)
            _check_lines(name, ohm, lines)
            object.__setattr__(self, name, ohm)
        held = np.asarray(self.held_v, dtype=np.float64)
        _check_lines("held_v", held if held.ndim else 0.0, self.sensed)
        if not np.isfinite(held).all():
            raise InputError(
                "amplifiers hold lines at a finite voltage", where="held_v", value=self.held_v
            )

    @property
    def driven(self) -> int:
        """Number of driven lines."""
        return self.crossbar.rows if self.direction == "forward" else self.crossbar.cols

    @property
    def sensed(self) -> int:
        """Number of sensed lines."""
        return self.crossbar.cols if self.direction == "forward" else self.crossbar.rows

    @property
    def driver_ohm(self) -> Array:
        """The driver resistances, [driven line]."""
        return np.broadcast_to(np.asarray(self.r_driver_ohm, dtype=np.float64), (self.driven,))

    @property
    def sense_ohm(self) -> Array:
        """The sense resistances, [sensed line]."""
        return np.broadcast_to(np.asarray(self.r_sense_ohm, dtype=np.float64), (self.sensed,))

    @property
    def ports(self) -> tuple[Line, Line]:
        """What the ports of driven lines and of sensed lines are called, before their number."""
        return ("wl", "bl") if self.direction == "forward" else ("bl", "wl")

    @property
    def has_opens(self) -> bool:
        """A segment or an end is open."""
        ends = np.concatenate([self.driver_ohm, self.sense_ohm])
        return self.crossbar.wires.has_opens or bool(np.isinf(ends).any())

    @property
    def pieces(self) -> Pieces:
        """What of it hangs on nothing; nothing where nothing is open."""
        ends = np.isfinite(self.driver_ohm), np.isfinite(self.sense_ohm)
        return find_pieces(self.crossbar, *(ends if self.direction == "forward" else ends[::-1]))


def _check_lines(name: str, value: float | Array, lines: int) -> None:
    if not isinstance(value, float) and value.shape != (lines,):
        raise InputError(
            "one value, or one for every line",
            where=name,
            value=value.shape,
            allowed=f"[{lines}]",
        )


def array_circuit(
    array: ReadArray,
    *,
    title: str,
    cell: Subcircuit | ForeignSubcircuit | ModelCard | None = None,
) -> Circuit:
    """The circuit of an array: inputs `in_<driven line>`, currents through `vsense_<sensed line>`.

    Pieces that hang on nothing are tied to 0 V, each by one resistor in which no current can flow.

    Args:
        array: the array.
        title: first line of the deck.
        cell: the cell's block, ports (wl, bl), with the parameter g, or those that the crossbar's
            states name; or the card of a compiled model with these. Without it the ohmic cell.
    """
    block = ohmic.subcircuit() if cell is None else cell
    compiled = isinstance(block, ModelCard)
    crossbar = dataclasses.replace(array.crossbar, cell=block.name, compiled=compiled)
    ties: list[Element] = [
        item
        for k, node in enumerate(array.pieces.floating if array.has_opens else ())
        for item in (
            Note(f"{node} and what it is joined with hang on nothing: 0 V"),
            Resistor(f"rtie_{k}", node, "0", 1.0),
        )
    ]
    tile = Subcircuit("tile_0", crossbar.ports, (crossbar, *ties), description="the array")
    items: list[Element] = [block] if isinstance(block, ModelCard) else []
    drive, sense = array.ports
    nodes = {port: port for port in crossbar.ports}
    for line, resistance in enumerate(array.driver_ohm.tolist()):
        port = f"{drive}_{line}"
        if resistance == math.inf:
            items.append(Note(f"rdriver_{line} is open"))
        elif resistance > 0:
            items.append(Resistor(f"rdriver_{line}", f"in_{line}", port, resistance))
        else:
            nodes[port] = f"in_{line}"
    items.append(Instance("xtile_0", "tile_0", tuple(nodes.values())))
    held = np.broadcast_to(np.asarray(array.held_v, dtype=np.float64), (array.sensed,)).tolist()
    for line, resistance in enumerate(array.sense_ohm.tolist()):
        end = f"{sense}_{line}"
        if resistance == math.inf:
            end = f"sense_{line}"
            items.append(Note(f"rsense_{line} is open"))
        elif resistance > 0:
            end = f"sense_{line}"
            items.append(Resistor(f"rsense_{line}", f"{sense}_{line}", end, resistance))
        items.append(VoltageSource(f"vsense_{line}", end, "0", held[line]))
    blocks = (tile,) if isinstance(block, ModelCard) else (block, tile)
    return Circuit(title, blocks, tuple(items))
