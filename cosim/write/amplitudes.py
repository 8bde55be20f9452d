"""How high the next pulse of a cell is: rules of a write-verify loop.

A rule sees what a controller sees: where a cell's reading and its target lie in the range of the
mean device, and what its pulses so far have done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.surrogate.update import UpdateSurrogate
from cosim.surrogate.update_level import leading_level

Array = NDArray[np.float64]

_STILL = 1e-4  # of the range: a state that moves by less is at rest
_SEEN = 2e-4  # of the range: a smaller move says nothing of what a pulse was
_TOO_LITTLE = 0.98  # the share of a cell that has not moved, over what it was taken for
_LEAST_STEP = 5e-3  # of the range: a pulse that moves its middle by less writes nothing
_LEAST_SHARE, _MOST_SHARE = 0.2, 1.5


@dataclass(frozen=True, eq=False)
class History:
    """What a controller remembers of the cells that it is about to pulse.

    Attributes:
        streak: pulses in this direction so far, without a change of direction [cell].
        share: which part of an amplitude has been seen at work in the memristor [cell]; 1 where
            nothing is known.
    """

    streak: NDArray[np.int64]
    share: Array


# From where cells are, where they should be (fractions of the range, [cell]) and their history to
# their next amplitudes with their signs [V], [cell].
AmplitudeRule = Callable[[Array, Array, History], Array]


@runtime_checkable
class LearningRule(Protocol):
    """A rule that learns which share of its amplitudes the cells get."""

    def __call__(self, now: Array, goal: Array, history: History) -> Array:
        """See `AmplitudeRule`."""

    def seen(self, before: Array, now: Array, amplitude_v: Array, share: Array) -> Array:
        """See `Predicted.seen`."""


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

    def __call__(self, now: Array, goal: Array, history: History) -> Array:
        """The amplitudes; see `AmplitudeRule`."""
        first = np.where(goal > now, self.first_v, self.first_down_v)
        size = np.minimum(np.abs(first) + self.step_v * history.streak, self.highest_v)
        return np.asarray(np.sign(first) * size)


@dataclass(frozen=True, eq=False)
class Predicted:
    """The amplitude of which the device's update surrogate says that it leads to the goal.

    Devices are not their mean and wires take a part: the share of a pulse that a cell has shown to
    get is made good.

    Attributes:
        raising: of the device, for pulses of the timing that raises the state.
        lowering: for those that lower it; the same where one timing does both.
        limits_v: the least and the greatest amplitude [V]; None is what the surrogates know. Beyond
            twice what leaves a cell in peace, half-selected cells move: `quiet_limits_v`.
    """

    raising: UpdateSurrogate
    lowering: UpdateSurrogate
    limits_v: tuple[float, float] | None = None

    def __call__(self, now: Array, goal: Array, history: History) -> Array:
        """The amplitudes; see `AmplitudeRule`."""
        found = np.zeros(now.shape)
        x, y = (torch.from_numpy(np.clip(one, 0, 1)) for one in (now, goal))
        for chosen, surrogate in self._of_directions(goal > now):
            if chosen.any():
                size = leading_level(surrogate, x[chosen], y[chosen]).numpy()
                low_v, high_v = self.limits_v or surrogate.range_v
                found[chosen] = np.clip(size / history.share[chosen], low_v, high_v)
        return found

    def seen(self, before: Array, now: Array, amplitude_v: Array, share: Array) -> Array:
        """Which part of an amplitude a cell has been seen to get, [cell].

        It is the level that moves the device as far as the cell has moved. A cell that has not
        moved, or as far as it can, says only that it got too little or enough.

        Args:
            before: fractions of the range before a pulse [cell].
            now: after it.
            amplitude_v: of the pulse [V].
            share: as it was known before.
        """
        found = share * _TOO_LITTLE
        moved = np.abs(now - before) > _SEEN
        inside = moved & (now > _SEEN) & (now < 1 - _SEEN)
        found[moved & ~inside] = share[moved & ~inside]
        x, y = (torch.from_numpy(np.clip(one, 0, 1)) for one in (before, now))
        for cells, surrogate in self._of_directions(now > before):
            chosen = inside & cells
            if chosen.any():
                level = leading_level(surrogate, x[chosen], y[chosen]).numpy()
                found[chosen] = level / amplitude_v[chosen]
        return np.clip(found, _LEAST_SHARE, _MOST_SHARE)

    def _of_directions(
        self, up: NDArray[np.bool_]
    ) -> Iterator[tuple[NDArray[np.bool_], UpdateSurrogate]]:
        """Cells and the surrogate of their pulses, which is asked once where it is one for both."""
        if self.raising is self.lowering:
            yield np.ones_like(up), self.raising
        else:
            yield up, self.raising
            yield ~up, self.lowering


def quiet_rule(surrogate: UpdateSurrogate, part: float, *, most_gain: float = 1.0) -> Predicted:
    """Predicted amplitudes that leave half-selected cells in peace, if such pulses write at all.

    Where they do not, all that the surrogate knows may be used: what it does to others is for the
    report of the disturb to say.

    Args:
        surrogate: of the device and of pulses in both directions.
        part: of the amplitude, that half-selected cells see, 0 to 1.
        most_gain: the cell that switches at the lowest voltages does so at this part of the mean
            device's, inverted; >= 1.
    """
    range_v = surrogate.range_v[0] / most_gain, surrogate.range_v[1] / most_gain
    low_v, high_v = quiet_limits_v(surrogate, part * most_gain)
    limits_v = max(low_v, range_v[0]), min(high_v, range_v[1])
    middle = torch.full((2,), 0.5, dtype=torch.float64)
    moves = surrogate.step(middle, torch.tensor(limits_v, dtype=torch.float64)).abs()
    writes = float(moves.min()) > _LEAST_STEP
    return Predicted(surrogate, surrogate, limits_v if writes else range_v)


def quiet_limits_v(surrogate: UpdateSurrogate, part: float) -> tuple[float, float]:
    """The highest amplitudes of either sign whose `part` moves no state.

    Args:
        surrogate: of the device and the pulse.
        part: of the amplitude, that half-selected cells see, 0 to 1; 0 is no limit.
    """
    low_v, high_v = surrogate.range_v
    if part == 0:
        return low_v, high_v
    change = surrogate.change.abs().nan_to_num(nan=1.0).amax(-1)
    limits = []
    for end_v, level_v in ((low_v, -surrogate.voltage_v), (high_v, surrogate.voltage_v)):
        mine = level_v > 0
        moving = level_v[mine & (change > _STILL)]
        first = float(moving.min()) if moving.numel() else float("inf")
        rests = level_v[mine & (level_v < first)]
        quiet = float(rests.max()) if rests.numel() else 0.0
        limits.append(min(abs(end_v), quiet / part if moving.numel() else abs(end_v)))
    return -limits[0], limits[1]
