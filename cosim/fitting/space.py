"""What a fit turns: the parameters and initial states of a model, as numbers of order one.

A parameter that cannot change its sign is turned by its logarithm, any other in a straight line; a
state with bounds by the logit of its place between them, so that no step can lead out. In these
coordinates u the set that a fit starts from is u = 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import qmc

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State

Array = NDArray[np.float64]
Turn = Literal["log", "linear", "logit"]

# How far a fit may go from its start, and how far its other starts lie, as factors: thresholds and
# exponents are known better than speeds and sizes.
_REACH = MappingProxyType({"V": 1e2, "1": 1e4})  # by unit
_REACH_ELSE = 1e6
_BEYOND = math.log(100.0)  # and beyond what the data tell, in the coordinate
_SPREAD = MappingProxyType({"V": 3.0})
_SPREAD_ELSE = 30.0
_LEVELS = (0.1, 0.4, 1.0)  # of the spread: starts near by and far off
_WITHIN = 0.35  # of the data's largest voltage: a threshold there is crossed, and not at once
_EDGE = 1e-6  # how near to its bound a place may be, as a fraction of the range
_PLACES = (1e-4, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)  # initial states that are tried beside it


@dataclass(frozen=True)
class Unknown:
    """A parameter or an initial state that a fit may turn.

    Attributes:
        name: of the parameter or the state.
        unit: its SI unit.
        start: where the fit starts, in that unit; for a state with bounds its place, 0 to 1.
        turn: how a coordinate becomes a value.
        scale: for `linear` the change of the value by one unit of the coordinate.
        low: least coordinate.
        high: largest coordinate.
        spread: how far other starts lie from this one, in the coordinate.
        initial: it is an initial state.
        shift: by which other starts lie lower, of a threshold that the data's voltage never
            reaches at the start: there it can do something.
        wide: between which coordinates the data let it lie; None where they say nothing of it.
    """

    name: str
    unit: str
    start: float
    turn: Turn
    scale: float
    low: float
    high: float
    spread: float
    initial: bool = False
    shift: float = 0.0
    wide: tuple[float, float] | None = None

    def value(self, u: Array) -> Array:
        """The values at coordinates, of one shape."""
        if self.turn == "log":
            return np.asarray(self.start * np.exp(u))
        if self.turn == "linear":
            return np.asarray(self.start + self.scale * u)
        return np.asarray(1 / (1 + np.exp(-(u + _logit(self.start)))))

    def slope(self, u: float) -> float:
        """Change of the value with the coordinate."""
        if self.turn == "log":
            return self.start * math.exp(u)
        if self.turn == "linear":
            return self.scale
        place = float(self.value(np.array(u)))
        return place * (1 - place)


@dataclass(frozen=True)
class Space:
    """The unknowns of a fit and what stays as it is.

    Attributes:
        model: the device.
        start: the set that gives all that is not fitted.
        unknowns: what may be turned: parameters by name, then initial states.
    """

    model: CompactModel
    start: ParameterSet
    unknowns: tuple[Unknown, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the unknowns."""
        return tuple(one.name for one in self.unknowns)

    @property
    def shifts(self) -> Array:
        """Towards thresholds that the data's voltage reaches [unknown]; mostly 0."""
        return np.array([one.shift for one in self.unknowns])

    @property
    def low(self) -> Array:
        """Least coordinates [unknown]."""
        return np.array([one.low for one in self.unknowns])

    @property
    def high(self) -> Array:
        """Largest coordinates [unknown]."""
        return np.array([one.high for one in self.unknowns])

    def cells(self, u: Array) -> tuple[dict[str, torch.Tensor | float], list[torch.Tensor], Array]:
        """Parameters, initial states and validity of candidates.

        Args:
            u: coordinates [cell, unknown].

        Returns:
            The parameters, floats or [cell]; the initial states [cell] in the model's order; and
            False for a cell whose states have bounds out of order [cell]. Such a cell has the
            numbers of the start.
        """
        now = u
        valid = np.ones(len(u), dtype=bool)
        for _ in range(2):
            values, places = self._values(now)
            p = torch_model(self.model).parameters(values)
            functions = torch_model(self.model)
            zero = [torch.zeros(len(u), dtype=torch.float64) for _ in places]
            lows = functions.states(zero, p)
            highs = functions.states([x + 1 for x in zero], p)
            good = torch.ones(len(u), dtype=torch.bool)
            for state, low, high in zip(self.model.states, lows, highs, strict=True):
                if state.lower is not None:
                    good &= (low < high) & ((low > 0) | (not state.log))
            if bool(good.all()):
                break
            valid &= good.numpy()
            now = np.where(good.numpy()[:, None], u, 0.0)
        return values, functions.states(places, p), valid

    def _values(self, u: Array) -> tuple[dict[str, torch.Tensor | float], list[torch.Tensor]]:
        values: dict[str, torch.Tensor | float] = dict(self.start.values)
        places = start_places(self.model, self.start)
        filled = {
            name: torch.full((len(u),), place, dtype=torch.float64)
            for name, place in places.items()
        }
        known = {one.name: one for one in self.model.parameters}
        for k, one in enumerate(self.unknowns):
            column = one.value(u[:, k])
            if not one.initial:
                # The end of a box is the bound itself, or beyond it by a rounding.
                column = np.clip(column, *_ends(known[one.name]))
            (filled if one.initial else values)[one.name] = torch.from_numpy(column)
        return values, list(filled.values())

    def parameter_set(
        self, u: Array, *, name: str, source: str, amplitude_v: float, period_s: float
    ) -> ParameterSet:
        """The set at one point.

        Args:
            u: coordinates [unknown].
            name: of the set.
            source: what was fitted to what.
            amplitude_v: voltage of an ordinary switching sweep.
            period_s: its period.
        """
        values, states, _ = self.cells(u[None])
        plain = {
            k: float(x[0]) if isinstance(x, torch.Tensor) else float(x) for k, x in values.items()
        }
        initial = {}
        for state, x in zip(self.model.states, states, strict=True):
            pair = self.model.bounds(plain)[state.name]
            value = float(x[0])
            turned = state.name in self.names and u[self.names.index(state.name)] != 0
            if not turned:  # by way of a fraction it would come back with a rounding
                value = float(self.start.initial[state.name])
            initial[state.name] = value if pair is None else min(max(value, pair[0]), pair[1])
        return ParameterSet(name, source, plain, initial, amplitude_v, period_s)

    def candidates(self, count: int, seed: int) -> Array:
        """Starts around the start, which is the first, [candidate, unknown].

        Args:
            count: how many are drawn; those that differ in the initial state alone come on top,
                and as many again with lower thresholds where there are `shifts`.
            seed: of the draw.
        """
        size = len(self.unknowns)
        sobol = qmc.Sobol(size, scramble=False).random_base2(max(1, math.ceil(math.log2(count))))
        # A shift on the torus is a scrambling that is the same in every version of scipy.
        drawn = (sobol[:count] + np.random.default_rng(seed).random(size)) % 1
        spread = np.array([one.spread for one in self.unknowns])
        level = np.array(_LEVELS)[np.arange(count) % len(_LEVELS)][:, None]
        around = (2 * drawn - 1) * spread * level
        rows = [np.zeros(size)]
        for k, one in enumerate(self.unknowns):
            if one.turn == "logit":
                # An initial state is the one unknown of which the start's set says nothing.
                places = np.clip(drawn[:, k], _EDGE, 1 - _EDGE)
                around[:, k] = _logits(places) - _logit(one.start)
                for place in _PLACES:
                    row = np.zeros(size)
                    row[k] = _logit(place) - _logit(one.start)
                    rows.append(row)
        every = np.concatenate([rows, around])
        if self.shifts.any():
            every = np.concatenate([every, every + self.shifts])
        clipped: Array = np.clip(every, self.low, self.high)
        return clipped


def make_space(
    model: CompactModel,
    start: ParameterSet,
    free: Sequence[str],
    *,
    with_initial: bool,
    highest_v: float = math.inf,
    ranges: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> Space:
    """The space of a fit.

    Args:
        model: the device.
        start: where the fit starts.
        free: names of parameters to fit, and of states whose initial value is; no state has the
            name of a parameter.
        with_initial: fit the initial states, all of them where `free` names none.
        highest_v: the largest voltage of the data: a threshold beyond it changes nothing there.
        ranges: magnitudes between which the data let a parameter lie, by name (`data_ranges`).

    Raises:
        InputError: a name is neither a parameter nor a state, there is nothing to fit, or a state
            is named and not to be fitted.
    """
    known = {one.name: one for one in model.parameters}
    states = [state.name for state in model.states]
    for name in free:
        if name not in known and name not in states:
            raise InputError(
                "no such parameter or state",
                where=f"model {model.name!r}, --free",
                value=name,
                allowed=", ".join([*known, *states]),
                hint=closest(name, [*known, *states]),
            )
        if name in states and not with_initial:
            raise InputError(
                "the initial state cannot be kept and fitted",
                where=f"model {model.name!r}, --free",
                value=name,
                hint=f"leave {name} out of --free, or leave --fix-initial out",
            )
    unknowns = [
        _within(_parameter(one, start.values, known, ranges.get(one.name)), highest_v)
        for one in model.parameters
        if one.name in free
    ]
    if with_initial:
        places = start_places(model, start)
        asked = [name for name in states if name in free] or states
        unknowns += [
            _state(state, places[state.name]) for state in model.states if state.name in asked
        ]
    if not unknowns:
        raise InputError(
            "nothing to fit",
            where=f"model {model.name!r}, --free",
            allowed=", ".join([*known, *states]),
            hint="name what to fit with --free, or leave --fix-initial out",
        )
    return Space(model, start, tuple(unknowns))


def start_places(model: CompactModel, one: ParameterSet) -> dict[str, float]:
    """The initial states of a set as fractions of their ranges (`normal_form`), by name."""
    functions = torch_model(model)
    states = [torch.tensor([one.initial[x.name]], dtype=torch.float64) for x in model.states]
    places = functions.fractions(states, functions.parameters(dict(one.values)))
    return {state.name: float(x[0]) for state, x in zip(model.states, places, strict=True)}


def _parameter(
    one: Parameter,
    values: Mapping[str, float],
    known: Mapping[str, Parameter],
    told: tuple[float, float] | None,
) -> Unknown:
    start = float(values[one.name])
    reach = math.log(_REACH.get(one.unit, _REACH_ELSE))
    one_sided = (one.low >= 0 or one.high <= 0) and start != 0
    inside = math.isfinite(one.low) and math.isfinite(one.high) and one.low < one.high
    if one_sided and not inside:
        ends = [abs(end) for end in (one.low, one.high) if end and math.isfinite(end)]
        low, high = -reach, reach
        wide = None
        if told is not None:
            wide = math.log(told[0] / abs(start)), math.log(told[1] / abs(start))
            # The best may be a little beyond what the data tell at first sight.
            low, high = min(low, wide[0] - _BEYOND), max(high, wide[1] + _BEYOND)
        for end in ends:
            at = math.log(end / abs(start))
            low, high = (max(low, at), high) if end <= abs(start) else (low, min(high, at))
        spread = math.log(_SPREAD.get(one.unit, _SPREAD_ELSE))
        return Unknown(one.name, one.unit, start, "log", 1.0, low, high, spread, wide=wide)
    # A zero says nothing of its size: others of the same unit do.
    alike = [abs(values[n]) for n, p in known.items() if p.unit == one.unit]
    scale = (one.high - one.low) if inside else abs(start) or max(alike, default=0.0) or 1.0
    far = 10 * scale
    low_value, high_value = max(one.low, start - far), min(one.high, start + far)
    gap = _EDGE * (high_value - low_value)
    low = min((low_value + (gap if one.open_low else 0) - start) / scale, 0.0)
    high = max((high_value - (gap if one.open_high else 0) - start) / scale, 0.0)
    spread = 0.5 if inside else 1.0
    return Unknown(one.name, one.unit, start, "linear", scale, low, high, spread)


def _within(one: Unknown, highest_v: float) -> Unknown:
    """The same; what may be a threshold beyond the data's voltage is looked for within it too."""
    if one.unit != "V" or one.turn != "log" or abs(one.start) < highest_v:
        return one
    return replace(one, shift=math.log(_WITHIN * highest_v / abs(one.start)))


def _ends(parameter: Parameter) -> tuple[float, float]:
    """The least and the largest number that a parameter may be."""
    low, high = parameter.low, parameter.high
    return (
        math.nextafter(low, math.inf) if parameter.open_low else low,
        math.nextafter(high, -math.inf) if parameter.open_high else high,
    )


def _state(state: State, place: float) -> Unknown:
    if state.lower is None:
        scale = abs(place) or 1.0
        return Unknown(state.name, state.unit, place, "linear", scale, -10.0, 10.0, 1.0, True)
    start = min(max(place, _EDGE), 1 - _EDGE)
    least = _logit(_EDGE)
    return Unknown(
        state.name, state.unit, start, "logit", 1.0,
        least - _logit(start), -least - _logit(start), 3.0, True,
    )  # fmt: skip


def _logit(place: float) -> float:
    return math.log(place) - math.log1p(-place)


def _logits(places: Array) -> Array:
    return np.asarray(np.log(places) - np.log1p(-places))
