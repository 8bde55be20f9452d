"""The array itself: conductances, wires and the names of its nodes.

Row = word line, driven from the left at `wl_<row>`; col = bit line, sensed at the bottom at
`bl_<col>`, below the highest row. Inside, `w_<row>_<col>` and `b_<row>_<col>` are the two ends
of `xcell_<row>_<col>`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from netlists.wires import Wires

Array = NDArray[np.float64]

# A millionth of an ohm: below that a cell is no cell.
MOST_S = 1e6


class Mesh(ABC):
    """The lines of an array and the names of their nodes, whatever its cells are."""

    wires: Wires

    @property
    @abstractmethod
    def rows(self) -> int:
        """Number of word lines."""

    @property
    @abstractmethod
    def cols(self) -> int:
        """Number of bit lines."""

    def word_node(self, row: int | str, col: int) -> str:
        """The cell's end on its word line.

        Args:
            row: its number, or a mark that stands for one where all segments are equal.
            col: the number of its bit line.
        """
        ohm = self.wires.r_wordline_ohm
        if not isinstance(ohm, float):
            # What only shorts part from each other is one node, named after the nearest to the end.
            col = int(np.flatnonzero(ohm[int(row), : col + 1]).max(initial=-1))
            return f"w_{row}_{col}" if col >= 0 else f"wl_{row}"
        return f"w_{row}_{col}" if ohm > 0 else f"wl_{row}"

    def bit_node(self, row: int | str, col: int) -> str:
        """The cell's end on its bit line; `row` likewise."""
        ohm = self.wires.r_bitline_ohm
        if not isinstance(ohm, float):
            row = int(row) + int(np.append(ohm[int(row) :, col], 1.0).nonzero()[0][0])
            return f"b_{row}_{col}" if row < self.rows else f"bl_{col}"
        return f"b_{row}_{col}" if ohm > 0 else f"bl_{col}"

    @property
    def ports(self) -> tuple[str, ...]:
        """`wl_0 ...` then `bl_0 ...`."""
        return (
            *(f"wl_{row}" for row in range(self.rows)),
            *(f"bl_{col}" for col in range(self.cols)),
        )


@dataclass(frozen=True, eq=False)
class Crossbar(Mesh):
    """A programmed array of two-terminal cells.

    Args:
        conductance_s: programmed conductances in siemens, [row, col]; 0 is an open cell.
        wires: the segment resistances, equal or [row, col].
        cell: the name of the cell's subcircuit, ports (wl, bl), parameter `g` in siemens; or what
            `states` name. Or the card of a compiled model with these.
        notes: a comment per cell, row by row ([row][col]), or empty.
        states: of cells that are devices: what every cell is given in place of `g`, by name, each
            [row, col]; `conductance_s` is then what they come to at the read voltage.
        compiled: `cell` is a card.

    Raises:
        InputError: a conductance is negative or not finite, or the shape is not [row, col];
            segments or states of another array, or a state that is not finite.
    """

    conductance_s: Array
    wires: Wires
    cell: str = "cell"
    notes: tuple[tuple[str, ...], ...] = ()
    states: Mapping[str, Array] = field(default_factory=dict)
    compiled: bool = False

    def __post_init__(self) -> None:
        """Checks the conductances and states."""
        check_conductances(self.conductance_s)
        self.wires.check_shape(self.rows, self.cols)
        for name, values in self.states.items():
            if values.shape != self.conductance_s.shape:
                raise InputError(
                    "a state has another shape than the array",
                    where=name,
                    value=values.shape,
                    allowed=f"[row, col] = {self.conductance_s.shape}",
                )
            if not np.isfinite(values).all():
                row, col = (int(k) for k in np.argwhere(~np.isfinite(values))[0])
                raise InputError(
                    "a cell is in no state", where=f"{name}[{row}, {col}]",
                    value=float(values[row, col]), allowed="finite numbers",
                )  # fmt: skip

    @property
    def cells(self) -> CrossbarCells:
        """Its cells alone."""
        return CrossbarCells(self)

    @property
    def rows(self) -> int:
        """Number of word lines."""
        return int(self.conductance_s.shape[0])

    @property
    def cols(self) -> int:
        """Number of bit lines."""
        return int(self.conductance_s.shape[1])


@dataclass(frozen=True)
class CrossbarCells:
    """The cells of an array without its wires."""

    array: Crossbar


def check_conductances(conductance_s: Array, where: str = "conductance_s") -> None:
    """Checks that conductances form an array that can be built.

    Raises:
        InputError: names the first offending cell.
    """
    if conductance_s.ndim != 2 or 0 in conductance_s.shape:
        raise InputError(
            "wrong shape",
            where=where,
            value=conductance_s.shape,
            allowed="[row, col], at least 1x1",
        )
    bad = ~((conductance_s >= 0) & (conductance_s <= MOST_S))  # NaN too
    if bad.any():
        row, col = (int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            f"{int(bad.sum())} of {bad.size} conductances cannot be built",
            where=f"{where}[{row}, {col}]",
            value=float(conductance_s[row, col]),
            allowed=f"0 (an open cell) to {MOST_S:g} siemens",
        )
