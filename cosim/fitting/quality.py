"""Whether a fit is good enough to be used, beside the noise of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.fitting.data import Measured, Sweep, scaled
from cosim.fitting.noise import scatter
from cosim.fitting.search import cost

Array = NDArray[np.float64]

POOR = 5.0  # times the noise: a model that is farther off misses what was measured
USABLE = 0.05  # decades: a model within 12 % is of use, however small the noise
_GOOD = 2.0  # times the noise: nothing better is to be expected
_ONE_CURVE = 1.2  # times the noise: at one voltage the currents differ by no more
_HARDLY = 0.8  # of what one curve of the voltage leaves: less is a loop that the model follows


@dataclass(frozen=True)
class Quality:
    """How far a fit is off, and the noise beside it.

    Attributes:
        decades: root mean square residual, in which a few points far off count little.
        noise: the same of the noise, by differences of neighbours.
    """

    decades: float
    noise: float

    @property
    def times_noise(self) -> float:
        """The one over the other; infinite where there is no noise."""
        return self.decades / self.noise if self.noise > 0 else math.inf

    @property
    def poor(self) -> bool:
        """It misses what was measured."""
        return self.decades > max(POOR * self.noise, USABLE)

    @property
    def good(self) -> bool:
        """It is as near as the noise lets it be."""
        return self.decades <= _GOOD * self.noise

    def text(self) -> str:
        """Why it is poor."""
        beside = f"{self.times_noise:.2g} times the noise" if self.noise > 0 else "without noise"
        return (
            f"but for a few points the model is off by {self.decades:.2g} decades, {beside};"
            f" allowed: {max(POOR * self.noise, USABLE):.2g}, which is the larger of {USABLE:g} and"
            f" {POOR:g} times the noise"
        )


def quality(off: Array, noise: float) -> Quality:
    """How far residuals are off.

    Args:
        off: the residuals [point].
        noise: of the scaled data, as `scaled_noise` reads it.
    """
    return Quality(_size(off) / math.log(10), noise / math.log(10))


def scaled_noise(values: Array, floor: float) -> float:
    """Root mean square noise of the scaled values; ask of all rows, before any are left out.

    Args:
        values: what was measured, in its order [point].
        floor: the noise floor, in the same unit.
    """
    return scatter(scaled(values, floor))


def one_curve(measured: Measured, off: Array, floor: float, noise: float) -> str:
    """Why data without a loop are no memristor's, as a reason; empty where there is a loop.

    In the order of the voltage a loop is rough; a curve, such as a diode's, as smooth as in time.

    Args:
        measured: the data.
        off: the residuals of the model [point].
        floor: the noise floor.
        noise: of the scaled data.
    """
    if not isinstance(measured, Sweep):
        return ""
    order = np.argsort(measured.voltage_v, kind="stable")
    static = scatter(scaled(measured.values[order], floor))
    if static > _ONE_CURVE * noise or _size(off) < _HARDLY * static:
        return ""
    return (
        "the data are one curve of the voltage, as of a resistor or a diode: at the same voltage"
        " the currents differ by no more than their noise, so there is no loop to follow"
    )


def _size(off: Array) -> float:
    """Root mean square residual, in which a few points far off count little."""
    return math.sqrt(2 * float(cost(off)) / max(1, off.size))
