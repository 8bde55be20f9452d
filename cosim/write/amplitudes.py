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

Array = NDArray[np.float64]

# From where cells are, where they should be (fractions of the range, [cell]) and their pulses in
# this direction so far [cell], to their next amplitudes with their signs [V], [cell].
AmplitudeRule = Callable[[Array, Array, NDArray[np.int64]], Array]

_BISECTIONS = 40


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
    direction the amplitude creeps up, and a pulse goes for the goal itself.

    Attributes:
        raising: of the device, for pulses of the timing that raises the state.
        lowering: for those that lower it; the same where one timing does both.
        creep: what each further pulse adds, as a part of the amplitude.
    """

    raising: UpdateSurrogate
    lowering: UpdateSurrogate
    creep: float = 0.02

    def __call__(self, now: Array, goal: Array, streak: NDArray[np.int64]) -> Array:
        """The amplitudes; see `AmplitudeRule`."""
        found = np.zeros(now.shape)
        for up, surrogate in ((True, self.raising), (False, self.lowering)):
            chosen = (goal > now) == up
            if chosen.any():
                size = _leading(surrogate, now[chosen], goal[chosen], up=up)
                low_v, high_v = surrogate.range_v
                found[chosen] = np.clip(size * (1 + self.creep * streak[chosen]), low_v, high_v)
        return found


def _leading(surrogate: UpdateSurrogate, now: Array, goal: Array, *, up: bool) -> Array:
    """The least amplitude that leads from `now` to `goal`, the end of the range where none does."""
    x, y = (torch.from_numpy(np.clip(one, 0, 1)) for one in (now, goal))
    low_v, high_v = surrogate.range_v
    end_v = high_v if (sign_that_raises(surrogate) > 0) == up else low_v
    none, far = torch.zeros_like(x), torch.full_like(x, end_v)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (none + far)
        after = surrogate.after(x, middle)
        beyond = after >= y if up else after <= y  # False where there is no answer
        far = torch.where(beyond, middle, far)
        none = torch.where(beyond, none, middle)
    return np.asarray(far.numpy())


def sign_that_raises(surrogate: UpdateSurrogate) -> int:
    """The polarity of the pulses that raise the state: 1 or -1."""
    middle = torch.full((2,), 0.5, dtype=torch.float64)
    step = surrogate.step(middle, torch.tensor(surrogate.range_v, dtype=torch.float64))
    return 1 if float(step[1]) > float(step[0]) else -1
