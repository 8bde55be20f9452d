"""An array of dynamic cells: devices whose state moves while the circuit runs.

Lines and nodes are those of `netlists.crossbar`: the cell between `w_<row>_<col>` (its terminal p)
and `b_<row>_<col>` (its terminal n) is `xcell_<row>_<col>`, or `ncell_<row>_<col>` where it is an
instance of a compiled model. With a selector or a transistor before it (`netlists.access`) its
terminal p is at `m_<row>_<col>`, and `bcell_<row>_<col>` is what lies between there and the word
line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from netlists.access import Access
from netlists.crossbar import MOST_S, Mesh
from netlists.wires import Wires

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DeviceArray(Mesh):
    """Dynamic cells with parameters of their own.

    Args:
        stuck_s: conductance of cells that are a resistor and nothing else, NaN where a cell works
            and 0 where it is open, [row, col]; its shape is the array's.
        wires: the segment resistances.
        cell: the name of the cell's subcircuit, ports (p, n); or of the card of a compiled model.
        compiled: `cell` is a card.
        parameters: what every cell sets for itself, by name, each [row, col].
        access: what stands before every memristor, stuck ones included; None for nothing.

    Raises:
        InputError: a shape is not the array's, a value is not finite or a conductance impossible.
    """

    stuck_s: Array
    wires: Wires
    cell: str = "cell"
    compiled: bool = False
    parameters: Mapping[str, Array] = field(default_factory=dict)
    access: Access | None = None

    def __post_init__(self) -> None:
        """Checks shapes and values."""
        if self.stuck_s.ndim != 2 or 0 in self.stuck_s.shape:
            raise InputError(
                "wrong shape",
                where="stuck_s",
                value=self.stuck_s.shape,
                allowed="[row, col], at least 1x1",
            )
        self.wires.check_shape(self.rows, self.cols)
        impossible = ~np.isnan(self.stuck_s) & ~((self.stuck_s >= 0) & (self.stuck_s <= MOST_S))
        _refuse(impossible, self.stuck_s, "stuck_s", f"NaN, or 0 to {MOST_S:g} siemens")
        for name, values in self.parameters.items():
            if values.shape != self.stuck_s.shape:
                raise InputError(
                    "a parameter has another shape than the array",
                    where=name,
                    value=values.shape,
                    allowed=f"[row, col] = {self.stuck_s.shape}",
                )
            _refuse(~np.isfinite(values), values, name, "finite numbers")

    @property
    def rows(self) -> int:
        """Number of word lines."""
        return int(self.stuck_s.shape[0])

    @property
    def cols(self) -> int:
        """Number of bit lines."""
        return int(self.stuck_s.shape[1])

    def cell_name(self, row: int, col: int) -> str:
        """The name of a cell that works."""
        return f"{'n' if self.compiled else 'x'}cell_{row}_{col}"

    @staticmethod
    def inner_node(row: int, col: int) -> str:
        """The node between a memristor and what stands before it."""
        return f"m_{row}_{col}"

    @staticmethod
    def gate_node(row: int) -> str:
        """The gate line of a row."""
        return f"gl_{row}"


def _refuse(bad: NDArray[np.bool_], values: Array, where: str, allowed: str) -> None:
    if bad.any():
        row, col = (int(k) for k in np.argwhere(bad)[0])
        raise InputError(
            "an array cannot be built with this value",
            where=f"{where}[{row}, {col}]",
            value=float(values[row, col]),
            allowed=allowed,
        )
