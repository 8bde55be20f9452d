"""The form in which every emitter solves a model: states between 0 and 1, held inside.

A state x with bounds is solved for as s = (x - lower) / (upper - lower), or as the same fraction
of its logarithm; one without bounds as x / scale. Simulators then see numbers of order one with
one tolerance for all of them.

Published models clip the state at its bounds. A clip makes the rate jump, at which a simulator's
time step collapses; here the rate that leads out of the range falls to zero, linearly, over the
last `EDGE` of it. It is continuous, it cannot trap a state at the bound, and it brings back one
that a finite step has carried across.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import sympy
from sympy.core.relational import Relational

from compact_models.kept_by_content import kept_by_content
from compact_models.model import CompactModel
from compact_models.symbols import State, V

# Fraction of the range over which an outward rate falls to zero. Against a hard clip the state is
# off by at most EDGE / e, and only while it arrives.
EDGE = 1e-4

Step = tuple[sympy.Symbol, sympy.Expr]


@dataclass(frozen=True)
class NormalForm:
    """A model as a list of assignments, in an order in which they can be evaluated.

    Attributes:
        model: the model.
        inputs: one symbol per state: what the emitters solve for.
        steps: assignments from the inputs, `V`, the internals and the parameters.
        rates: for every state the symbol that holds d(input)/dt [1/s].
        residuals: for every internal quantity the symbol that holds its residual.
        current: the symbol that holds the current [A].
        kinks: expressions of `V` and parameters, straight in `V`, at whose zeros the rates have a
            kink or a jump: thresholds. An integrator steps up to them, never across.
    """

    model: CompactModel
    inputs: tuple[sympy.Symbol, ...]
    steps: tuple[Step, ...]
    rates: tuple[sympy.Symbol, ...]
    residuals: tuple[sympy.Symbol, ...]
    current: sympy.Symbol
    kinks: tuple[sympy.Expr, ...]


def normalise(state: State, x: sympy.Expr) -> sympy.Expr:
    """The solved-for fraction at the physical value `x`."""
    if state.lower is None or state.upper is None:
        return x / state.scale
    if state.log:
        return sympy.log(x / state.lower) / sympy.log(state.upper / state.lower)
    return (x - state.lower) / (state.upper - state.lower)


def physical(state: State, s: sympy.Expr) -> sympy.Expr:
    """The physical value at the fraction `s`."""
    if state.lower is None or state.upper is None:
        return s * state.scale
    if state.log:
        return state.lower * sympy.exp(s * sympy.log(state.upper / state.lower))
    return state.lower + s * (state.upper - state.lower)


@kept_by_content(128)
def normal_form(model: CompactModel) -> NormalForm:
    """The normal form of a model; kept for models of the same content."""
    inputs = tuple(_real(f"s__{state.name}") for state in model.states)
    steps: list[Step] = [
        (state, physical(state, s)) for state, s in zip(model.states, inputs, strict=True)
    ]
    steps += [(definition, definition.expression) for definition in model.definitions]
    rates = []
    for state, s in zip(model.states, inputs, strict=True):
        free, held = _real(f"free__{state.name}"), _real(f"rate__{state.name}")
        steps.append((free, model.rates[state] / sympy.diff(physical(state, s), s)))
        steps.append((held, free if state.lower is None else _held_inside(free, s)))
        rates.append(held)
    residuals = []
    for internal, residual in model.implicit.items():
        symbol = _real(f"residual__{internal.name}")
        steps.append((symbol, residual))
        residuals.append(symbol)
    current = _real("current")
    steps.append((current, model.current))
    return NormalForm(
        model, inputs, tuple(steps), tuple(rates), tuple(residuals), current, _kinks(model)
    )


def rates_without_states(form: NormalForm) -> bool:
    """True if no free rate has a state or an internal quantity in it: the voltage alone decides."""
    wanted = tuple(_real(f"free__{state.name}") for state in form.model.states)
    used = {symbol for _, value in needed(form.steps, wanted) for symbol in value.free_symbols}
    return not used & {*form.inputs, *form.model.internals}


@kept_by_content(128)
def has_vanishing_rate(model: CompactModel) -> bool:
    """True if a rate is zero at a bound of its own state, whatever the voltage: by a window."""
    form = normal_form(model)
    steps = dict(form.steps)
    for state, s in zip(model.states, form.inputs, strict=True):
        if state.lower is None:
            continue
        rate = steps[_real(f"free__{state.name}")]
        for symbol, value in reversed(form.steps):
            if symbol != _real(f"free__{state.name}"):
                rate = rate.xreplace({symbol: value})
        if any(rate.xreplace({s: sympy.Integer(end)}) == 0 for end in (0, 1)):
            return True
    return False


_CHOICES = (sympy.Max, sympy.Min, sympy.Abs, sympy.sign, Relational)


def between_kinks(form: NormalForm, signs: Sequence[int]) -> NormalForm:
    """The normal form as it is where every kink has a known sign: with fewer choices to make.

    Args:
        form: the normal form of a model.
        signs: 1 or -1 for every one of its `kinks`.
    """
    known: dict[sympy.Expr, int] = dict(zip(form.kinks, signs, strict=True))

    def sign_of(difference: sympy.Expr) -> int:
        return known[difference] if difference in known else -known.get(-difference, 0)

    def decided(expression: sympy.Expr) -> sympy.Expr:
        made = {}
        for part in expression.atoms(*_CHOICES):
            if isinstance(part, sympy.Max | sympy.Min):
                simpler = _without_losers(part, sign_of)
            else:
                (difference,) = _differences(part)
                sign = sign_of(difference)
                simpler = _made(part, sign) if sign else part
                simpler = part if simpler.has(V) else simpler
            if simpler != part:
                made[part] = simpler
        return expression.xreplace(made)

    return replace(form, steps=tuple((symbol, decided(value)) for symbol, value in form.steps))


def _differences(part: sympy.Basic) -> tuple[sympy.Expr, ...]:
    """The expressions whose signs decide a choice; a maximum has one for every two arguments."""
    if isinstance(part, Relational):
        return (part.lhs - part.rhs,)
    if isinstance(part, sympy.Max | sympy.Min):
        return tuple(a - b for a, b in itertools.combinations(part.args, 2))
    return (part.args[0],)


def _without_losers(
    part: sympy.Max | sympy.Min, sign_of: Callable[[sympy.Expr], int]
) -> sympy.Expr:
    """A maximum or minimum without the arguments of which it is known that others win."""
    wins = 1 if isinstance(part, sympy.Max) else -1
    kept = list(part.args)
    for one in part.args:
        # One that loses to what has the voltage in it stays: it may guard a root or a power, and
        # rounding may end on its other side.
        if any(sign_of(other - one) == wins for other in kept if other != one and not other.has(V)):
            kept.remove(one)
    return part.func(*kept)


def _made(part: sympy.Basic, sign: int) -> sympy.Basic:
    """What a choice comes to if the expression that decides it has that sign."""
    if isinstance(part, Relational):
        return sympy.true if part.func(sign, 0) else sympy.false
    return part if isinstance(part, sympy.Abs) else sympy.Integer(sign)


def _kinks(model: CompactModel) -> tuple[sympy.Expr, ...]:
    """Where in voltage the rates change their form."""
    found: dict[sympy.Expr, None] = {}
    for rate in model.rates.values():
        for definition in reversed(model.definitions):
            rate = rate.xreplace({definition: definition.expression})
        for part in sorted(rate.atoms(*_CHOICES), key=str):
            for candidate in _differences(part):
                slope = sympy.diff(candidate, V)
                known = {V, *model.parameters, *model.constants}
                if slope != 0 and not slope.has(V) and candidate.free_symbols <= known:
                    found[candidate] = None
    return tuple(found)


def _held_inside(rate: sympy.Expr, s: sympy.Expr) -> sympy.Expr:
    """`rate`, brought to zero where it leads out of [0, 1]."""
    # The distance to the bound ahead: 1 - s where the rate is positive, s where it is negative. A
    # choice by Piecewise would be the same and several times slower in torch.
    half = sympy.Rational(1, 2)
    ahead = half + sympy.sign(rate) * (half - s)
    return rate * sympy.Min(1, ahead / EDGE)


def _real(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, real=True)


def needed(steps: Sequence[Step], outputs: Sequence[sympy.Symbol]) -> tuple[Step, ...]:
    """The assignments that `outputs` depend on, in the same order."""
    wanted = set(outputs)
    kept: list[Step] = []
    for symbol, expression in reversed(steps):
        if symbol in wanted:
            kept.append((symbol, expression))
            wanted |= expression.free_symbols
    return tuple(reversed(kept))
