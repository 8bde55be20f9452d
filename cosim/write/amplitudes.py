"""How high the next pulse of a cell is: rules of a write-verify loop.

A rule sees what a controller sees: where a cell's reading and its target lie in the range of the
mean device, and how many pulses it has had in this direction without a change of direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_level import leading_level

Array = NDArray[np.float64]

_MOST_DOUBLINGS = 30

# From where cells are, where they should be (fractions of the range, [cell]) and their pulses in
# this direction so far [cell], to their next amplitudes with their signs [V], [cell].
AmplitudeRule = Callable[[Array, Array, NDArray[np.int64]], Array]


@dataclass(frozen=True)
class IncrementalSteps:
    """Each pulse in the same direction is higher than the one before (ISPP).

    Attributes:
        first_v: the first amplitude of a pulse that raises the state, with its sign [V].
        first_down_v: the same of one that lowers it [V].
        step_v: how much higher each further pulse is [V], >= 0; 0 for identical pulses.
        highest_v: where that ends [V].

    Raises:
        InputError: both first amplitudes have the same sign, or a number cannot be.
    """

    first_v: float
    first_down_v: float
    step_v: float
    highest_v: float

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not self.first_v * self.first_down_v < 0:
            raise InputError(
                "pulses that raise and that lower a state have opposite signs",
                where="first_v, first_down_v",
                value=(self.first_v, self.first_down_v),
            )
        least = max(abs(self.first_v), abs(self.first_down_v))
        if not (self.step_v >= 0 and least <= self.highest_v < np.inf):
            raise InputError(
                "amplitudes cannot rise like this",
                where="step_v, highest_v",
                value=(self.step_v, self.highest_v),
                allowed=f"a step >= 0 V and a highest of at least {least:g} V",
            )

    def __call__(self, now: Array, goal: Array, streak: NDArray[np.int64]) -> Array:
        """The amplitudes; see `AmplitudeRule`."""
        first = np.where(goal > now, self.first_v, self.first_down_v)
        size = np.minimum(np.abs(first) + self.step_v * streak, self.highest_v)
        return np.asarray(np.sign(first) * size)


@dataclass(frozen=True, eq=False)
class Predicted:
    """The amplitude of which the device's update surrogate says that it leads to the goal.

    Devices are not their mean and wires take a part: with every further pulse in the same
    direction the amplitude creeps up.

    Attributes:
        raising: of the device, for pulses of the timing that raises the state.
        lowering: for those that lower it; the same where one timing does both.
        limits_v: the least and the greatest amplitude [V]; None is what the surrogates know. Beyond
            twice what leaves a cell in peace, half-selected cells move: `quiet_limits_v`.
        creep: what the second pulse in a direction adds, as a part of the amplitude; each further
            one adds twice as much, so that steep devices and long wires are both met.
    """

    raising: UpdateSurrogate
    lowering: UpdateSurrogate
    limits_v: tuple[float, float] | None = None
    creep: float = 1e-3

    def __call__(self, now: Array, goal: Array, streak: NDArray[np.int64]) -> Array:
        """The amplitudes; see `AmplitudeRule`."""
        found = np.zeros(now.shape)
        extra = self.creep * (2.0 ** np.minimum(streak, _MOST_DOUBLINGS) - 1)
        x, y = (torch.from_numpy(np.clip(one, 0, 1)) for one in (now, goal))
        for up, surrogate in ((True, self.raising), (False, self.lowering)):
            chosen = (goal > now) == up
            if chosen.any():
                size = leading_level(surrogate, x[chosen], y[chosen]).numpy()
                low_v, high_v = self.limits_v or surrogate.range_v
                found[chosen] = np.clip(size * (1 + extra[chosen]), low_v, high_v)
        return found


def quiet_limits_v(
    surrogate: UpdateSurrogate, part: float, *, still: float = 1e-4
) -> tuple[float, float]:
    """The highest amplitudes of either sign whose `part` moves no state.

    Args:
        surrogate: of the device and the pulse.
        part: of the amplitude, that half-selected cells see, 0 to 1; 0 is no limit.
        still: by how much of its range a state may move and still count as at rest.
    """
    low_v, high_v = surrogate.range_v
    if part == 0:
        return low_v, high_v
    change = surrogate.change.abs().nan_to_num(nan=1.0).amax(-1)
    limits = []
    for end_v, level_v in ((low_v, -surrogate.voltage_v), (high_v, surrogate.voltage_v)):
        mine = level_v > 0
        moving = level_v[mine & (change > still)]
        first = float(moving.min()) if moving.numel() else float("inf")
        rests = level_v[mine & (level_v < first)]
        quiet = float(rests.max()) if rests.numel() else 0.0
        limits.append(min(abs(end_v), quiet / part if moving.numel() else abs(end_v)))
    return -limits[0], limits[1]
