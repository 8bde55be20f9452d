"""A compact model: a current equation, state equations, and the published numbers for them.

The equations are written once, in sympy. They are checked here (units, bounds, names); the
emitters in `compact_models/emit/` turn them into an ngspice subcircuit, Verilog-A and torch.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import sympy

from compact_models.errors import InputError, closest
from compact_models.model_checks import as_expression, check_equations
from compact_models.symbols import Constant, Definition, Internal, Parameter, State, V

Kind = Literal["dynamic", "pulse", "read"]
Numbers = Mapping[str, float]
_ORDER_SLACK = 1.05  # a resistor fitted by two resistances has both alike, but for its noise
SET_NAME = "lower-case letters, digits, _ and -, a letter first"
"""What a parameter set may be called, in a file and on the command line."""


def check_name(name: str, what: str, where: str, *, hyphens: bool = False) -> None:
    """Refuses a name that cannot stand in a netlist, or in the name of a file.

    Raises:
        InputError: it has other characters, or begins with something else than a letter.
    """
    pattern = r"[a-z][a-z0-9_-]*" if hyphens else r"[a-z][a-z0-9_]*"
    if not re.fullmatch(pattern, name):
        raise InputError(
            f"{what} cannot have this name",
            where=where,
            value=name,
            allowed=SET_NAME if hyphens else "lower-case letters, digits and _, a letter first",
        )


@dataclass(frozen=True)
class ParameterSet:
    """Numbers for a model, and where they come from.

    Attributes:
        name: lower case; what the command line calls it.
        source: the publication (DOI, equation or table), or what was fitted to what.
        values: a number for every parameter, by name, in SI units.
        initial: the state in which a run starts, by name of the state, in SI units.
        amplitude_v: voltage of an ordinary switching sweep, both polarities.
        period_s: period of that sweep.
        confirmed: False where the numbers could not be checked against their source: the
            publication or, of a fitted set, the data, whose error the source tells.
        d2d: standard deviation from cell to cell that the source states, by parameter.
    """

    name: str
    source: str
    values: Numbers
    initial: Numbers
    amplitude_v: float
    period_s: float
    confirmed: bool = True
    d2d: Numbers = field(default_factory=dict)

    @property
    def credit(self) -> str:
        """The source, marked where the numbers could not be checked against it."""
        return self.source if self.confirmed else f"{self.source} (unconfirmed)"


@dataclass(frozen=True)
class PulseResponse:
    """How far one pulse moves the state of a pulse-response device.

    Attributes:
        state: the state that moves.
        up: change by one pulse above `+threshold_v`, an expression of state and parameters.
        down: change by one pulse below `-threshold_v`, negative where the state falls.
        threshold_v: the parameter that says how high a pulse must be.
        width_s: the parameter that says how long a pulse is.
        spread_up: standard deviation of `up` from pulse to pulse, in the unit of the state.
        spread_down: standard deviation of `down` from pulse to pulse.
    """

    state: State
    up: sympy.Expr
    down: sympy.Expr
    threshold_v: Parameter
    width_s: Parameter
    spread_up: sympy.Expr = sympy.S.Zero
    spread_down: sympy.Expr = sympy.S.Zero

    @property
    def expressions(self) -> tuple[sympy.Expr, ...]:
        """Steps and spreads: up, down, spread of up, spread of down."""
        return (self.up, self.down, self.spread_up, self.spread_down)


@dataclass(frozen=True, eq=False)
class CompactModel:
    """A two-terminal device.

    Attributes:
        name: lower case; what the command line calls it.
        title: one line.
        kind: `dynamic` (switches by voltage), `pulse` (moves by a step per pulse), `read` (is
            programmed, then only read).
        source: the publication of the equations, with its DOI.
        current: the current from p to n [A], of `V`, states, internals and parameters.
        rates: the rate of change of every state, in its unit per second. At a bound, a rate
            that leads out of it is taken to zero by the emitters; the equations need not.
        parameter_sets: published numbers; the first is the default.
        implicit: the residual of every internal quantity, zero at the solution.
        pulse: how a pulse-response device moves; None for the others.
        ordered: pairs of parameters of one unit of which the first is never above the second, as
            the resistance when on is not above that when off. The bounds of a state need no pair.

    Raises:
        InputError: an equation does not type-check in units, a set lacks a number or has one out
            of bounds, or a name is used twice.
    """

    name: str
    title: str
    kind: Kind
    source: str
    current: sympy.Expr
    rates: Mapping[State, sympy.Expr]
    parameter_sets: tuple[ParameterSet, ...]
    implicit: Mapping[Internal, sympy.Expr] = field(default_factory=dict)
    pulse: PulseResponse | None = None
    ordered: tuple[tuple[Parameter, Parameter], ...] = ()

    def __post_init__(self) -> None:
        """Checks the model."""
        where = f"model {self.name!r}"
        check_name(self.name, "a model", "name")
        current = as_expression(self.current, f"{where}, the current")
        rates = {
            state: as_expression(rate, f"{where}, the rate of {state.name!r}")
            for state, rate in self.rates.items()
        }
        # Numbers become expressions here, once; the fields of a frozen class are set this way.
        object.__setattr__(self, "current", current)
        object.__setattr__(self, "rates", rates)
        if len(self.implicit) > 1:
            raise InputError(
                "a model can have one internal quantity",
                where=where,
                value=", ".join(internal.name for internal in self.implicit),
                hint="make the others states, or definitions of the first",
            )
        check_equations(self)
        if not self.parameter_sets:
            raise InputError("a model needs a parameter set", where=where)
        for parameter_set in self.parameter_sets:
            self.check_set(parameter_set)

    @property
    def states(self) -> tuple[State, ...]:
        """The states, in the order of `rates`."""
        return tuple(self.rates)

    @property
    def internals(self) -> tuple[Internal, ...]:
        """The internal quantities, in the order of `implicit`."""
        return tuple(self.implicit)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters of all equations, by name."""
        return tuple(symbol for symbol in self.symbols if isinstance(symbol, Parameter))

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """The constants of nature in the equations, by name."""
        return tuple(symbol for symbol in self.symbols if isinstance(symbol, Constant))

    @cached_property
    def definitions(self) -> tuple[Definition, ...]:
        """The named parts of the equations, each after those that it needs."""
        ordered: list[Definition] = []

        def visit(expression: sympy.Basic) -> None:
            found = {s for s in expression.free_symbols if isinstance(s, Definition)}
            for symbol in sorted(found, key=lambda s: s.name):
                if symbol not in ordered:
                    for part in (symbol.expression, *(symbol.limits or ())):
                        visit(part)
                    ordered.append(symbol)

        for expression in self._equations():
            visit(expression)
        return tuple(ordered)

    def parameter_set(self, name: str) -> ParameterSet:
        """The set of that name.

        Raises:
            InputError: there is none; the message lists those there are.
        """
        names = [one.name for one in self.parameter_sets]
        if name not in names:
            raise InputError(
                "no such parameter set",
                where=f"model {self.name!r}",
                value=name,
                allowed=", ".join(names),
                hint=closest(name, names),
            )
        return self.parameter_sets[names.index(name)]

    def check_set(self, parameter_set: ParameterSet) -> None:
        """Refuses a set that is incomplete, has a stranger, or leaves the bounds.

        Raises:
            InputError: says which parameter, its value and what is allowed.
        """
        where = f"model {self.name!r}, parameter set {parameter_set.name!r}"
        check_name(parameter_set.name, "a parameter set", f"model {self.name!r}", hyphens=True)
        if not parameter_set.source.strip():
            raise InputError(
                "a parameter set must say its source", where=where, hint="a DOI, or what was fitted"
            )
        for key in ("amplitude_v", "period_s"):
            if not 0 < getattr(parameter_set, key) < math.inf:
                raise InputError(
                    f"{key} must be positive",
                    where=where,
                    value=getattr(parameter_set, key),
                    allowed="> 0",
                )
        known = {parameter.name: parameter for parameter in self.parameters}
        for name, value in parameter_set.values.items():
            if name not in known:
                raise InputError(
                    "no such parameter",
                    where=where,
                    value=name,
                    allowed=", ".join(known),
                    hint=closest(name, known),
                )
            if not known[name].allows(value):
                raise InputError(
                    f"parameter {name!r} is out of bounds",
                    where=where,
                    value=value,
                    allowed=known[name].allowed_text(),
                )
        missing = [name for name in known if name not in parameter_set.values]
        if missing:
            raise InputError("a parameter has no value", where=where, value=missing[0])
        for name, value in parameter_set.d2d.items():
            if name not in known or not 0 <= value < math.inf:
                raise InputError(
                    "no spread from cell to cell of this parameter",
                    where=f"{where}: d2d {name}",
                    value=value,
                    allowed=f">= 0, of {', '.join(known)}",
                    hint=closest(name, known) if name not in known else "",
                )
        for less, greater in self.out_of_order(parameter_set.values):
            raise InputError(
                f"{less.name!r} is above {greater.name!r}, against their names",
                where=where,
                value=(parameter_set.values[less.name], parameter_set.values[greater.name]),
                allowed=f"{less.name} <= {greater.name}",
                hint=f"{less.name} is the {less.about}, {greater.name} the {greater.about}",
            )
        self._check_initial(parameter_set, where)

    def out_of_order(self, values: Numbers) -> list[tuple[Parameter, Parameter]]:
        """The pairs of `ordered` whose values contradict their names, by more than 5 %."""
        return [
            (less, greater)
            for less, greater in self.ordered
            if values[less.name] > _ORDER_SLACK * values[greater.name]
        ]

    def bounds(self, values: Numbers) -> dict[str, tuple[float, float] | None]:
        """The bounds of every state for these parameter values; None for a state without."""
        numbers = self._substitution(values)
        result: dict[str, tuple[float, float] | None] = {}
        for state in self.states:
            if state.lower is None or state.upper is None:
                result[state.name] = None
            else:
                low, high = (float(e.subs(numbers)) for e in (state.lower, state.upper))
                result[state.name] = (low, high)
        return result

    def _check_initial(self, parameter_set: ParameterSet, where: str) -> None:
        names = [state.name for state in self.states]
        strangers = [name for name in parameter_set.initial if name not in names]
        missing = [name for name in names if name not in parameter_set.initial]
        if strangers or missing:
            raise InputError(
                "the initial values must name the states",
                where=where,
                value=(strangers or missing)[0],
                allowed=", ".join(names),
            )
        for name, pair in self.bounds(parameter_set.values).items():
            if pair is None:
                continue
            if not pair[0] < pair[1] or (self._is_log(name) and pair[0] <= 0):
                raise InputError(
                    f"the bounds of state {name!r} are not in order", where=where, value=pair
                )
            if not pair[0] <= parameter_set.initial[name] <= pair[1]:
                raise InputError(
                    f"state {name!r} starts out of bounds",
                    where=where,
                    value=parameter_set.initial[name],
                    allowed=f"{pair[0]:g} to {pair[1]:g}",
                )

    def _is_log(self, name: str) -> bool:
        return next(state.log for state in self.states if state.name == name)

    def _substitution(self, values: Numbers) -> dict[sympy.Symbol, float]:
        numbers: dict[sympy.Symbol, float] = {s: values[s.name] for s in self.parameters}
        return numbers | {s: s.value for s in self.constants}

    def _equations(self) -> list[sympy.Expr]:
        bounds = [
            bound
            for state in self.states
            for bound in (state.lower, state.upper, state.scale)
            if bound is not None
        ]
        brackets = [end for one in self.internals for end in (one.low, one.high)]
        pulse = [] if self.pulse is None else self.pulse.expressions
        return [
            self.current,
            *self.rates.values(),
            *self.implicit.values(),
            *bounds,
            *brackets,
            *pulse,
        ]

    @cached_property
    def content(self) -> str:
        """The same for models of the same name, equations, symbols and parameter sets only."""
        written = [
            (self.name, self.title, self.kind, self.source, self.parameter_sets),
            [s.content for s in (*self.symbols, *self.states, *self.internals) if s != V],
            _written(self.current),
            _written(self.rates),
            _written(self.implicit),
            None if self.pulse is None else _written(vars(self.pulse)),
        ]
        return hashlib.sha256(repr(written).encode()).hexdigest()

    @cached_property
    def symbols(self) -> tuple[sympy.Symbol, ...]:
        """Every symbol of the equations, by name."""
        found: set[sympy.Symbol] = set()
        named = [part for d in self.definitions for part in (d.expression, *(d.limits or ()))]
        for expression in [*self._equations(), *named]:
            found |= expression.free_symbols
        return tuple(sorted(found, key=lambda symbol: symbol.name))


def _written(value: Any) -> Any:
    """A value with every expression in it as text that tells all of its digits."""
    if isinstance(value, sympy.Basic):
        return sympy.srepr(value)
    if isinstance(value, Mapping):
        return [(_written(key), _written(one)) for key, one in value.items()]
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    return value
