"""A write scheme as data, and the voltages that it puts on the lines for a pulse."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of all lines during a pulse.

    Attributes:
        word_v: [row].
        bit_v: [col].
        gate_v: [row]; None in a scheme without gates.
    """

    word_v: Array
    bit_v: Array
    gate_v: Array | None

    @property
    def across_v(self) -> Array:
        """What the lines put across every cell, without the drop along them, [row, col]."""
        return np.asarray(self.word_v[:, None] - self.bit_v[None])


@dataclass(frozen=True)
class WriteScheme:
    """How unselected lines are held while the cells of one line are written.

    The selected line carries half of the highest amplitude A, in its polarity, and the lines
    across it what is missing to each cell's own amplitude; the rest is in fractions of A.

    Attributes:
        name: as on the command line.
        title: what it is, in words.
        rest_along: the voltage of the lines beside the selected one.
        rest_across: the voltage of the lines across it whose cells are not selected.
        above_ground: all lines are lifted so that none is below 0 V, as transistors need.
        access: what every cell needs before its memristor: "nothing", "selector" or "transistor".
        by_rows_only: cells of a column cannot be written at once: gates lie along the rows.
    """

    name: str
    title: str
    rest_along: float
    rest_across: float
    above_ground: bool = False
    access: str = "nothing"
    by_rows_only: bool = False

    @property
    def half_selected(self) -> float:
        """Which part of the highest amplitude the cells of other lines see at most."""
        beside = abs(0.5 - self.rest_across), abs(self.rest_along + 0.5)
        return max(*beside, abs(self.rest_along - self.rest_across))

    def levels(self, amplitude_v: Array, *, gate_v: float | None = None) -> Levels:
        """The levels of all lines for one pulse.

        Args:
            amplitude_v: what every cell should see [V], [row, col]; 0 where it is not selected.
            gate_v: the voltage of the selected row's gates [V], with transistors.

        Raises:
            InputError: no cell is selected; the selected cells are on no common line, or of both
                polarities; a gate voltage is missing or too many.
        """
        rows, cols = np.nonzero(amplitude_v)
        if not len(rows):
            raise InputError(
                "the pulse selects no cell",
                where=f"scheme {self.name}",
                hint="give at least one cell an amplitude",
            )
        along_rows = len(set(rows.tolist())) == 1
        if not along_rows and (self.by_rows_only or len(set(cols.tolist())) > 1):
            raise InputError(
                f"the selected cells are on no common {'row' if self.by_rows_only else 'line'}",
                where=f"scheme {self.name}",
                value=f"rows {_some(rows)}, columns {_some(cols)}",
                allowed="cells of one row" + ("" if self.by_rows_only else " or of one column"),
                hint="write them one after the other",
            )
        signs = np.sign(amplitude_v[rows, cols])
        if (signs != signs[0]).any():
            raise InputError(
                "cells are selected for both polarities at once",
                where=f"scheme {self.name}",
                hint="write those of one polarity first",
            )
        if (gate_v is not None) != (self.access == "transistor"):
            raise InputError(
                "a scheme with transistors needs a gate voltage, another has no gates",
                where=f"scheme {self.name}: gate_v",
                value=gate_v,
            )
        table = amplitude_v if along_rows else amplitude_v.T
        line = int(rows[0] if along_rows else cols[0])
        along, across = self._one_line(table, line, float(signs[0]))
        # Across a cell is word less bit: along a column the two change their places and signs.
        word, bit = (along, across) if along_rows else (-across, -along)
        lift = -min(word.min(), bit.min()) if self.above_ground else 0.0
        gates = None
        if gate_v is not None:
            gates = np.zeros(amplitude_v.shape[0])
            gates[line] = gate_v
            # Behind closed gates nothing follows a line: those rows stay at 0 V.
            word = np.where(gates > 0, word + lift, 0.0)
            return Levels(word, bit + lift, gates)
        return Levels(word + lift, bit + lift, gates)

    def _one_line(self, table: Array, line: int, sign: float) -> tuple[Array, Array]:
        """The voltages of the lines along and across, for the cells of one line of `table`."""
        own = np.abs(table[line])
        highest = float(own.max())
        along = np.full(len(table), sign * self.rest_along * highest)
        along[line] = sign * highest / 2
        across = np.where(own > 0, sign * (highest / 2 - own), sign * self.rest_across * highest)
        return along, across


@cache
def write_schemes() -> dict[str, WriteScheme]:
    """All schemes by name: one for every file beside this one."""
    package = importlib.import_module("netlists.write_schemes")
    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"netlists.write_schemes.{info.name}")
        scheme = getattr(module, "SCHEME", None)
        if isinstance(scheme, WriteScheme):
            found[scheme.name] = scheme
    return dict(sorted(found.items()))


def find_scheme(name: str) -> WriteScheme:
    """The scheme of that name.

    Raises:
        InputError: there is none.
    """
    known = write_schemes()
    if name not in known:
        raise InputError(
            "no such write scheme",
            where="scheme",
            value=name,
            allowed=", ".join(known),
            hint=closest(name, known),
        )
    return known[name]


def _some(numbers: NDArray[np.int_]) -> str:
    """A few numbers of many, in words."""
    different = sorted(set(numbers.tolist()))
    shown = ", ".join(str(k) for k in different[:4])
    return shown + (", ..." if len(different) > 4 else "")
