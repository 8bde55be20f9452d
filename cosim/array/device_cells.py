"""Cells that are devices: which state has which conductance at the read voltage, and back.

Weights are conductances, and what a device conducts depends on the voltage. The conductance of a
state is its current at the read voltage over that voltage; below it a cell with a bent curve
conducts less. Every cell has the same equations and numbers and differs in one state, the one by
which the device switches; others are at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.cell_device import CellDevice
from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.read_form import is_linear, read_form
from cosim.devices.operating_point import OperatingPoint, operating_point
from cosim.devices.switching_time import switching_state
from cosim.nodal.nonlinear import Cell

_PLACES = 1025  # of a state's range, at which its conductance is looked up first
_SECANTS = 40  # more than enough: each halves an interval at least
_EXACT = 1e-14  # of a conductance
_SLACK = 1e-9
# Where it is seen whether curves of all states have one shape: every so many places, and parts of
# the read voltage.
_EVERY = 16
_LOOKS = (-1.7, -1.0, -0.6, -0.23, -0.01, 0.003, 0.1, 0.37, 0.8, 1.3)


@lru_cache(maxsize=16)
def device_cells(device: CellDevice, read_v: float) -> DeviceCells:
    """The cells of a device; kept by its content, as their curve is seen at many states first.

    Raises:
        InputError: cells of this device cannot hold weights.
    """
    return DeviceCells(device, read_v)


@dataclass(frozen=True, eq=False)
class DeviceCells:
    """Any number of cells of one device.

    Attributes:
        device: what they are.
        read_v: the voltage at which their conductance is meant [V].

    Raises:
        InputError: of no state or of several follows a current that rises and falls with it, or
            there is none at this voltage.
    """

    device: CellDevice
    read_v: float

    def __post_init__(self) -> None:
        """Refuses a device that cannot hold a weight."""
        model = self.device.model
        memory = model.states[switching_state(model)]
        if memory not in read_form(model).states:
            raise self._refused(f"its current does not depend on {memory.name!r}")
        g = self._curve[1]
        if not bool(torch.isfinite(g).all()) or not bool((g >= 0).all()):
            raise self._refused("there is no current in some of its states")
        steps = g.diff()
        if not (bool((steps > 0).all()) or bool((steps < 0).all())):
            raise self._refused(f"its current does not follow {memory.name!r} one way")

    def _refused(self, why: str) -> InputError:
        return InputError(
            f"cells of {self.device.label} cannot hold weights: {why}",
            where="[device]",
            value=self.device.label,
            hint=f"at the read voltage, {self.read_v:g} V",
        )

    @property
    def memory(self) -> str:
        """The name of the state that holds the weight."""
        model = self.device.model
        return str(model.states[switching_state(model)].name)

    @property
    def linear(self) -> bool:
        """The current is proportional to the voltage: reads are those of ohmic cells."""
        return is_linear(self.device.model)

    @property
    def range_s(self) -> tuple[float, float]:
        """The least and the largest conductance [S]."""
        ends = self._curve[1][[0, -1]]
        return float(ends.min()), float(ends.max())

    def nonlinearity(self) -> float:
        """By how much a cell conducts more at the read voltage than near 0 V, as a part of that.

        Of the state that has the geometric mean of both ends; a cell whose current is proportional
        to the voltage has 0.
        """
        low, high = self.range_s
        middle = torch.tensor([(max(low, 1e-3 * high) * high) ** 0.5], dtype=torch.float64)
        state = self.states_for(middle)
        tiny = 1e-3 * self.read_v
        beside = self.current(torch.full_like(state, tiny), state)[0] / tiny
        return float(middle / beside) - 1.0

    def point(self, v: torch.Tensor, states: torch.Tensor) -> OperatingPoint:
        """What a circuit sees of cells.

        Args:
            v: voltages from word to bit line [V], [...].
            states: [...], broadcast to the voltages.
        """
        return operating_point(self.device.model, self._values, self._named(states), v)

    def current(self, v: torch.Tensor, states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents [A] and their slopes [S]; arguments as of `point`."""
        point = self.point(v, states)
        return point.current_a, point.conductance_s

    def conductance_s(self, states: torch.Tensor) -> torch.Tensor:
        """Current over voltage at the read voltage [S], [...]; differentiable."""
        return self.point(torch.full_like(states, self.read_v), states).current_a / self.read_v

    def law(self, conductance_s: torch.Tensor) -> Cell:
        """The cells of an array, or of a stack of arrays, as a circuit sees them.

        Args:
            conductance_s: what they conduct at the read voltage [S], [..., row, col]; 0 is an open.

        Returns:
            Currents and slopes for voltages from word to bit line, [..., batch, row, col] all;
            differentiable by voltages and conductances.

        Raises:
            InputError: a conductance that no state has.
        """
        g = conductance_s.unsqueeze(-3)
        if self.linear:
            return lambda v: (g * v, g.expand_as(v))
        if self._same_shape:
            return lambda v: self._scaled(g, v)
        there = g.detach() > 0
        states = self.states_for(self._there(g))

        def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            current, slope = self.current(v, states)
            return torch.where(there, current, 0.0), torch.where(there, slope, 0.0)

        return cell

    def current_of(self, conductance_s: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """The current alone of the cells that `law` describes."""
        if self._same_shape and not self.device.model.internals:
            per_v = (self.read_v / self._one_a) * conductance_s.unsqueeze(-3)
            return lambda v: per_v * self._shape(v)
        law = self.law(conductance_s)
        return lambda v: law(v)[0]

    def _shape(self, v: torch.Tensor) -> torch.Tensor:
        """The current of the one state that `_scaled` goes by."""
        functions = torch_model(self.device.model)
        p = functions.parameters(self._values)
        ordered = functions.in_order(self._named(self._one))
        places = functions.fractions([torch.as_tensor(x, dtype=v.dtype) for x in ordered], p)
        (current,) = functions.current(v, *places, p)
        return torch.as_tensor(current).expand_as(v)

    def _scaled(self, g: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Currents and slopes of cells whose curves differ by a factor only."""
        current, slope = self.current(v, self._one)
        per_s = self.read_v / self._one_a
        return g * (per_s * current), g * (per_s * slope)

    @cached_property
    def _one(self) -> torch.Tensor:
        """The state with the most current at the read voltage."""
        places, curve = self._curve
        with torch.no_grad():
            return self._state(places[int(curve.argmax()), None])[0]

    @cached_property
    def _one_a(self) -> float:
        return max(self.range_s) * self.read_v

    @cached_property
    def _same_shape(self) -> bool:
        """The current is a function of the state times one of the voltage.

        Seen at states and voltages of all sizes, to rounding, and not read off the equations: what
        is a product need not be written as one.
        """
        places, curve = self._curve
        with torch.no_grad():
            states = self._state(places[curve > 0][::_EVERY])
            volts = self.read_v * torch.tensor(_LOOKS, dtype=torch.float64).unsqueeze(-1)
            shape = volts.shape[0], states.shape[0]
            at = self.current(volts.expand(shape), states.expand(shape))[0]
            ratio = at / (self.conductance_s(states) * self.read_v)
        return bool(((ratio - ratio[:, :1]).abs() <= 1e-12 * ratio.abs()).all())

    def states_for(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """The states of conductances, in the unit of the state, [...]; differentiable.

        Raises:
            InputError: a conductance that no state has.
        """
        given = conductance_s.detach()
        low, high = self.range_s
        wrong = ~((given >= low - _SLACK * high) & (given <= high * (1 + _SLACK)))  # NaN too
        if bool(wrong.any()):
            raise InputError(
                f"{int(wrong.sum())} of {given.numel()} cells cannot have this conductance",
                where="conductance_s",
                value=float(given[wrong].flatten()[0]),
                allowed=f"{low:.4g} to {high:.4g} S, what {self.device.label} reaches at"
                f" {self.read_v:g} V",
            )
        with torch.no_grad():
            states = self._state(self._fraction_for(given.to(torch.float64)))
        if not (torch.is_grad_enabled() and conductance_s.requires_grad):
            return states
        with torch.enable_grad():
            free = states.clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.conductance_s(free).sum(), free)
        return states + (conductance_s - given) / slope

    def reached(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """What cells come to that are programmed to conductances: no further than their ends.

        An open (0 S), where a tile is only padded, stays one.
        """
        return torch.where(conductance_s > 0, conductance_s.clamp(*self.range_s), conductance_s)

    def held_of(self, conductance_s: torch.Tensor) -> dict[str, NDArray[np.float64]]:
        """What a netlist is given of every cell: the states that its current depends on, by name.

        Args:
            conductance_s: of the cells, [row, col]; an open (0 S) is in any state.

        Raises:
            InputError: a conductance that no state has.
        """
        states = self.states_for(self._there(conductance_s.detach()))
        named = self._named(states)
        return {
            one.name: np.array(np.broadcast_to(np.asarray(named[one.name]), states.shape))
            for one in read_form(self.device.model).states
        }

    def _there(self, conductance_s: torch.Tensor) -> torch.Tensor:
        """Conductances with that of some state where a cell is open."""
        middle = torch.full_like(conductance_s, sum(self.range_s) / 2)
        return torch.where(conductance_s > 0, conductance_s, middle)

    @cached_property
    def _values(self) -> dict[str, float]:
        return {k: float(x) for k, x in self.device.parameter_set.values.items()}

    def _named(self, states: torch.Tensor) -> Mapping[str, Value]:
        """All states by name; those at rest as numbers."""
        rest = self.device.parameter_set.initial
        return {
            one.name: states if one.name == self.memory else float(rest[one.name])
            for one in self.device.model.states
        }

    def _state(self, fraction: torch.Tensor) -> torch.Tensor:
        """The state at fractions of its range."""
        model = self.device.model
        functions = torch_model(model)
        p = functions.parameters(self._values)
        rest = self.device.parameter_set.initial
        given = [torch.full_like(fraction, float(rest[one.name])) for one in model.states]
        begun = list(functions.fractions(given, p))
        begun[switching_state(model)] = fraction
        return functions.states(begun, p)[switching_state(model)]

    def _at(self, fraction: torch.Tensor) -> torch.Tensor:
        return self.conductance_s(self._state(fraction))

    @cached_property
    def _curve(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Fractions of the state's range, and the conductance there."""
        with torch.no_grad():
            places = torch.linspace(0.0, 1.0, _PLACES, dtype=torch.float64)
            return places, self._at(places)

    def _fraction_for(self, wanted_s: torch.Tensor) -> torch.Tensor:
        """Regula falsi inside the interval of the table, with the Illinois rule.

        Dowell, Jarratt, BIT 11 (1971) 168, doi 10.1007/BF01934364: an end that stays twice counts
        half, so that both come in.
        """
        places, curve = self._curve
        if float(curve[0]) > float(curve[-1]):
            places, curve = places.flip(0), curve.flip(0)
        flat = wanted_s.flatten().clamp(float(curve[0]), float(curve[-1]))
        above = torch.searchsorted(curve, flat).clamp(1, len(curve) - 1)
        low, high = places[above - 1], places[above]
        off_low, off_high = curve[above - 1] - flat, curve[above] - flat
        found = torch.where(off_high == 0, high, low)
        near = (off_low == 0) | (off_high == 0)
        for _ in range(_SECANTS):
            if bool(near.all()):
                break
            tried = low - off_low * (high - low) / torch.where(near, 1.0, off_high - off_low)
            off = self._at(tried) - flat
            found = torch.where(near, found, tried)
            near = near | (off.abs() <= _EXACT * flat) | ((high - low).abs() <= _EXACT)
            below = off < 0
            off_high = torch.where(below, torch.where(near, off_high, 0.5 * off_high), off)
            off_low = torch.where(below, off, torch.where(near, off_low, 0.5 * off_low))
            low, high = torch.where(below, tried, low), torch.where(below, high, tried)
        return found.reshape(wanted_s.shape)
