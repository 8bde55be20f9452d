"""What a cell of the user's own keeps: current that enters at its word line and does not leave.

A transistor in a cell has a bulk: its junctions carry some of the current to ground, the more the
further a word line is below it. Such a cell is no two-terminal device, and the balance of an array
must count what it keeps. One bench measures the currents at both ports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from cosim.network.cell_ports import REACH, port_currents_a, ports_deck
from cosim.ngspice import Deck, RawPlot
from netlists.circuit import ForeignSubcircuit
from netlists.hardware import Hardware

Array = NDArray[np.float64]

_CONDUCTANCES = 33
_WORD_LEVELS = 65
_BIT_LEVELS = 5
# Bit lines stay near ground: amplifiers hold one end, and wires may not drop more than this share
# of the read voltage. Beyond the bench its last two points are extrapolated.
_BIT_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class LossBench:
    """The bench of a cell's two ports.

    Args:
        conductance_s: programmed conductances, [cell].
        word_v: word-line voltages, [word].
        bit_v: bit-line voltages, [bit].
        deck: the bench; its points are all pairs of voltages, the bit line's changing faster.
    """

    conductance_s: Array
    word_v: Array
    bit_v: Array
    deck: Deck


class CellLoss:
    """The kept current of a cell over its programmed conductance and both port voltages."""

    def __init__(self, bench: LossBench, plot: RawPlot) -> None:
        """Reads the table.

        Args:
            bench: what was run.
            plot: what ngspice made of it.
        """
        entering, leaving = port_currents_a(plot, len(bench.conductance_s))
        shape = (len(bench.word_v), len(bench.bit_v), len(bench.conductance_s))
        self._table = RegularGridInterpolator(
            (bench.word_v, bench.bit_v, np.log(bench.conductance_s)),
            (entering - leaving).reshape(shape),
            bounds_error=False,
            fill_value=None,
        )

    def at(self, conductance_s: Array, word_v: Array, bit_v: Array) -> Array:
        """Kept currents in amperes, [point, row, col].

        Args:
            conductance_s: programmed, [row, col]; a cell of 0 is an open and keeps nothing.
            word_v: at the word ports, [point, row, col].
            bit_v: at the bit ports, [point, row, col].
        """
        there = conductance_s > 0
        log = np.log(np.where(there, conductance_s, 1.0))
        places = np.stack([word_v, bit_v, np.broadcast_to(log, word_v.shape)], axis=-1)
        return np.where(there, self._table(places), 0.0)


def loss_bench(hardware: Hardware, block: ForeignSubcircuit) -> LossBench:
    """The bench of a user's cell."""
    lowest, highest = hardware.cell.g_off_s / REACH, hardware.cell.g_on_s * REACH
    conductance = np.geomspace(lowest, highest, _CONDUCTANCES)
    v_read = hardware.driver.v_read_v
    word = v_read * np.linspace(-1, 1, _WORD_LEVELS)
    bit = _BIT_SHARE * v_read * np.linspace(-1, 1, _BIT_LEVELS)
    pairs = np.stack(np.meshgrid(word, bit, indexing="ij"), axis=-1).reshape(-1, 2)
    deck = ports_deck(block, conductance, pairs, name="cell_ports")
    return LossBench(conductance, word, bit, deck)
