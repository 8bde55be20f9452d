"""What one pulse up and one pulse down do to a device, over the whole range of its state.

A place is 0 at the least conducting end of the state's range and 1 at the other, whichever way the
state itself is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.polarity import conductance_s, place_states
from cosim.devices.switching_time import switching_state
from cosim.surrogate.update import UpdateSurrogate
from netlists.pulse import Pulse

Array = NDArray[np.float64]

READ_V = 0.1
"""The voltage at which conductances are read."""
_PLACES = 2001
_STILL = 1e-4  # of the largest step: a smaller one is none
_LEAST = 1e-6  # of the range: a pulse that moves no state by so much moves nothing
_AT_BOUND = 1e-3  # of the range: so near to a bound is at it


class UnsolvedError(RuntimeError):
    """The source of a surrogate has no solution where one is needed."""


@dataclass(frozen=True, eq=False)
class PlaceMap:
    """One pulse up and one down.

    Attributes:
        place: even places from 0 to 1 [place].
        up: the place after a pulse up [place].
        down: the place after a pulse down [place].
        conductance_s: at every place, read at `READ_V` [S], [place].
        start: the place at which both pulses move the device best.
        low: the lowest place that pulses down reach from there.
        high: the highest place that pulses up reach.
        rising: the state grows with the place.
    """

    place: Array
    up: Array
    down: Array
    conductance_s: Array
    start: float
    low: float
    high: float
    rising: bool

    def after_up(self, place: float) -> float:
        """The place after a pulse up."""
        return float(np.interp(place, self.place, self.up))

    def after_down(self, place: float) -> float:
        """The place after a pulse down."""
        return float(np.interp(place, self.place, self.down))

    def read_s(self, place: float) -> float:
        """The conductance at a place [S]."""
        return float(np.interp(place, self.place, self.conductance_s))

    def weight(self, place: Array) -> Array:
        """The conductance at places as a weight: -1 at `low` and 1 at `high`."""
        g = np.interp(place, self.place, self.conductance_s)
        low_s, high_s = self.read_s(self.low), self.read_s(self.high)
        return np.asarray(2 * (g - low_s) / (high_s - low_s) - 1)

    def fraction(self, place: float) -> float:
        """The fraction of the state's range at a place."""
        return place if self.rising else 1 - place

    def pulses_up(self, most: int) -> int:
        """Pulses up from 5 % to 95 % of the reach; `most` if they are more."""
        low, high = self._ends()
        return _count(self.place, self.up, low, high, most)

    def pulses_down(self, most: int) -> int:
        """The same for pulses down."""
        low, high = self._ends()
        return _count(self.place, self.down, high, low, most)

    def _ends(self) -> tuple[float, float]:
        reach = self.high - self.low
        return self.low + 0.05 * reach, self.high - 0.05 * reach


def place_map(
    model: CompactModel,
    parameter_set: ParameterSet,
    up: Pulse,
    down: Pulse,
    after_up: UpdateSurrogate,
    after_down: UpdateSurrogate,
) -> PlaceMap:
    """The map of two pulses, from the update surrogate of each.

    Raises:
        InputError: the device conducts alike at both ends, or a pulse does not move it in its
            direction.
        UnsolvedError: the source of a surrogate could not solve all states.
    """
    rising, g = places_s(model, parameter_set)
    place = np.linspace(0, 1, _PLACES)
    x = torch.from_numpy(place if rising else 1 - place)
    afters = []
    for name, sign, pulse, surrogate in (
        ("up", 1, up, after_up), ("down", -1, down, after_down),
    ):  # fmt: skip
        y = surrogate.after(x, torch.full_like(x, pulse.amplitude_v)).numpy()
        after = y if rising else 1 - y
        step = sign * (after - place)
        if not np.isfinite(step).all():
            raise UnsolvedError(
                f"{surrogate.source}: the pulse {name} of {pulse.amplitude_v:g} V has no solution "
                f"from {np.isnan(step).mean():.0%} of the states: {surrogate.reason}"
            )
        if not step.max() > _LEAST:
            wrong = -step.min() > _LEAST
            raise InputError(
                f"the pulse {name} {'moves the device the other way' if wrong else 'moves nothing'}"
                f" ({pulse.width_s:g} s long)",
                where=f"pulse {name}, amplitude_v",
                value=pulse.amplitude_v,
                allowed="the other sign" if wrong else "a higher or a longer pulse",
            )
        afters.append(np.asarray(after))
    best = np.minimum(afters[0] - place, place - afters[1])
    start = int(np.argmax(best))
    low, high = _reach(place, afters[0], afters[1], start)
    return PlaceMap(place, afters[0], afters[1], g, float(place[start]), low, high, rising)


def places_s(model: CompactModel, parameter_set: ParameterSet) -> tuple[bool, Array]:
    """Whether the conductance rises with the state, and the conductance at all places [S].

    Raises:
        InputError: the device conducts alike at both ends of its state.
    """
    functions = torch_model(model)
    fraction = torch.linspace(0, 1, _PLACES, dtype=torch.float64)
    states = place_states(functions, parameter_set, switching_state(model), fraction)
    g = conductance_s(model, parameter_set, states, READ_V).numpy()
    if not abs(g[-1] - g[0]) > 1e-12 * (abs(g[-1]) + abs(g[0])):
        raise InputError(
            "the device conducts alike at both ends of its state", where=f"model {model.name!r}"
        )
    rising = bool(g[-1] > g[0])
    return rising, np.asarray(g if rising else g[::-1].copy())


def _reach(place: Array, up: Array, down: Array, start: int) -> tuple[float, float]:
    """Where equal pulses come to rest, from a start in both directions."""
    rise, fall = up - place, place - down
    stuck_up = np.flatnonzero(rise[start:] <= _STILL * rise.max())
    stuck_down = np.flatnonzero(fall[: start + 1] <= _STILL * fall.max())
    high = float(place[start + stuck_up[0]]) if stuck_up.size else 1.0
    low = float(place[stuck_down[-1]]) if stuck_down.size else 0.0
    return 0.0 if low < _AT_BOUND else low, 1.0 if high > 1 - _AT_BOUND else high


def _count(place: Array, after: Array, first: float, last: float, most: int) -> int:
    now, forward = first, last > first
    for k in range(most):
        if now >= last if forward else now <= last:
            return k
        now = float(np.interp(now, place, after))
    return most
