"""Calibrating a user's own cell: its current over voltage and programmed conductance.

One bench has the cell at many conductances side by side and sweeps the read voltage through both
signs. From it come the conductance at the full read voltage, at which unit vectors measure the
wires, and the one that is nearest to the cell over all levels of the drivers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.network.cell_ports import REACH, port_currents_a, ports_deck
from cosim.ngspice import Deck, RawPlot
from cosim.surrogate.curves import Curves, fit_curves
from netlists.circuit import ForeignSubcircuit
from netlists.hardware import Hardware

Array = NDArray[np.float64]

CONDUCTANCES = 96
LEVELS = 65


@dataclass(frozen=True, eq=False)
class CellSweep:
    """The bench of a cell.

    Args:
        conductance_s: programmed conductances, [cell], an even grid without 0.
        volts: voltages across the cell, [point], from minus to plus the read voltage.
        deck: the bench.
    """

    conductance_s: Array
    volts: Array
    deck: Deck


@dataclass(frozen=True, eq=False)
class CellFit:
    """A cell as curves of conductance over programmed conductance, both in siemens.

    Args:
        at_read: current at the full read voltage over that voltage.
        mean: nearest to the cell's current over the levels of the drivers, in squares.
        kept: share of its largest current that a cell takes from its word line and does not give
            to its bit line, [point, cell]; 0 for a two-terminal cell.
    """

    at_read: Curves
    mean: Curves
    kept: Array


def cell_sweep(hardware: Hardware, block: ForeignSubcircuit) -> CellSweep:
    """The bench of a user's cell."""
    steps = np.arange(1, CONDUCTANCES + 1)
    conductance = REACH * hardware.cell.g_on_s * steps / CONDUCTANCES
    volts = hardware.driver.v_read_v * np.linspace(-1, 1, LEVELS)
    ports_v = np.stack([volts, np.zeros_like(volts)], 1)
    return CellSweep(conductance, volts, ports_deck(block, conductance, ports_v, name="cell"))


def fit_cell(sweep: CellSweep, plot: RawPlot, *, lowest: float) -> CellFit:
    """Fits a cell's curves.

    Args:
        sweep: the bench.
        plot: what ngspice made of it.
        lowest: the lowest input of the layer, -1 or 0, as a share of the read voltage.
    """
    entering, current = port_currents_a(plot, len(sweep.conductance_s))
    used = sweep.volts >= lowest * sweep.volts[-1]
    volts = sweep.volts[used]
    mean = volts @ current[used] / (volts @ volts)
    kept = (entering - current)[used] / np.abs(current[used]).max(axis=0)
    return CellFit(_curve(sweep, current[-1] / sweep.volts[-1]), _curve(sweep, mean), kept)


def _curve(sweep: CellSweep, effective_s: Array) -> Curves:
    """A curve from an open cell, which takes no current, to the last of the bench."""
    programmed = np.concatenate([[0.0], sweep.conductance_s])
    return fit_curves(programmed, np.concatenate([[0.0], effective_s])[:, None])
