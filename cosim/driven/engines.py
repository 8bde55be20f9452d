"""What carries an array through a pulse: torch or ngspice, behind one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.driven.ngspice_run import pulse_array
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.torch_run import pulse_array_torch
from cosim.ngspice import Ngspice

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pulsed:
    """An array after a stimulus, whatever computed it.

    Attributes:
        states: every state in its unit, by name, each [row, col]; NaN where a cell is stuck.
        energy_j: what every cell has turned into heat [J], [row, col].
        given_j: what all sources have given [J].
        failed: why there is no result; empty if there is one.
    """

    states: Mapping[str, Array]
    energy_j: Array
    given_j: float
    failed: str


WriteEngine = Callable[[PulsedArray], Pulsed]


def torch_engine(*, tolerance: float = 1e-4) -> WriteEngine:
    """The cells' equations and the wires', solved together in torch.

    Args:
        tolerance: error of a state, as a fraction of its range, allowed in one step of time.
    """

    def run(array: PulsedArray) -> Pulsed:
        found = pulse_array_torch(array, tolerance=tolerance)
        given_j = float(found.energy_j.sum()) + found.line_energy_j
        return Pulsed(found.states, found.energy_j, given_j, found.failed)

    return run


def ngspice_engine(
    ngspice: Ngspice, *, compiled: bool | None = None, steps: int = 200
) -> WriteEngine:
    """A transient of the whole array in ngspice.

    Args:
        ngspice: from `find_ngspice`.
        compiled: see `pulse_array`; a job asks `device_form` once and tells it here, so that all
            its pulses have one form.
        steps: the longest time step is the duration over this.
    """

    def run(array: PulsedArray) -> Pulsed:
        found = pulse_array(array, ngspice, compiled=compiled, steps=steps, energy=True)
        failed = "" if found.result.ok else f"{found.outcome}: {found.reason}"
        return Pulsed(found.states, found.energy_j, found.given_j, failed)

    return run
