"""What a stimulus leaves of an array, whoever computed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.driven.pulsed_array import PulsedArray
from cosim.ngspice import Outcome, SimulationResult

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PulseResult:
    """An array after a stimulus.

    Attributes:
        states: every state in its unit, by name, each [row, col]; NaN where a cell is stuck, and
            everywhere if the run did not end well.
        energy_j: what every cell has turned into heat [J], [row, col]; NaN where it was not asked
            for.
        given_j: what all sources have given [J]; NaN likewise.
        engine: who computed it.
        outcome: how the run ended.
        reason: why, if it did not end well.
        word_a: currents into the word lines at the times of the stimulus [A], [row, time]; None
            from tables, which know no currents in time.
        bit_a: currents into the bit lines, [col, time]; likewise.
        simulation: the run of the simulator, where there was one.
    """

    states: Mapping[str, Array]
    energy_j: Array
    given_j: float
    engine: str
    outcome: Outcome = Outcome.OK
    reason: str = ""
    word_a: Array | None = None
    bit_a: Array | None = None
    simulation: SimulationResult | None = None

    @property
    def ok(self) -> bool:
        """The run ended well."""
        return self.outcome is Outcome.OK

    @property
    def failed(self) -> str:
        """How the run ended and why, in one line; empty if it ended well."""
        return "" if self.ok else f"{self.outcome}: {self.reason}"


Engine = Callable[[PulsedArray], PulseResult]
"""Carries an array through its stimulus."""


def lost(array: PulsedArray, engine: str, reason: str) -> PulseResult:
    """No result: nothing was found that solves the array."""
    nothing = np.full(array.shape, np.nan)
    states = {x.name: nothing for x in array.model.states}
    return PulseResult(states, nothing, float("nan"), engine, Outcome.NO_CONVERGENCE, reason)
