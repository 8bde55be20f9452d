"""The checks of a compact model's equations: expressions, names, units, powers.

What passes here means the same in torch, in B sources and in Verilog-A. What could mean different
things, such as a power of a negative number, is refused with what to write instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import sympy

from compact_models.errors import InputError, closest
from compact_models.reserved import TAKEN_FOR_ONE
from compact_models.symbols import (
    Constant,
    Definition,
    Internal,
    ModelSymbol,
    Parameter,
    State,
    V,
)
from compact_models.units import (
    UNITS,
    UnitError,
    UnsupportedError,
    parse_unit,
    unit_of,
    unit_text,
)

if TYPE_CHECKING:
    from compact_models.model import CompactModel

KINDS = ("dynamic", "pulse", "read")
_NO_NUMBERS = (sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)


def check_equations(model: CompactModel) -> None:
    """Refuses a model whose equations make no sense.

    Raises:
        InputError: says which equation, and what is wrong with it.
    """
    if model.kind not in KINDS:
        raise InputError(
            "no such kind",
            where=f"model {model.name!r}",
            value=model.kind,
            allowed=", ".join(KINDS),
            hint=closest(model.kind, KINDS),
        )
    _check_names(model)
    named = [(f"model {model.name!r}, {what}", equation) for what, equation in _named(model)]
    for where, equation in named:
        _check_values(where, equation)
    _check_units(model)
    _check_pairs(model)
    for where, equation in named:
        _check_powers(where, equation)


def _check_pairs(model: CompactModel) -> None:
    """Pairs in order are of parameters of the equations, and of one unit."""
    for pair in model.ordered:
        where = f"model {model.name!r}, ordered"
        for one in pair:
            if one not in model.parameters:
                raise InputError(
                    "no parameter of the equations",
                    where=where,
                    value=str(one),
                    allowed=", ".join(known.name for known in model.parameters),
                )
        if parse_unit(pair[0].unit) != parse_unit(pair[1].unit):
            raise InputError(
                "parameters of two units have no order",
                where=where,
                value=f"{pair[0].name} in {pair[0].unit}, {pair[1].name} in {pair[1].unit}",
            )


def as_expression(value: object, where: str) -> sympy.Expr:
    """A number or an expression as an expression.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, sympy.Expr):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return sympy.Integer(value) if float(value).is_integer() else sympy.Float(value)
    raise InputError(
        "not an equation",
        where=where,
        value=value,
        allowed="an expression of sympy, or a number",
    )


def _named(model: CompactModel) -> Iterator[tuple[str, sympy.Expr]]:
    """Every expression of a model with what it is."""
    yield "the current", model.current
    for definition in model.definitions:
        yield f"definition {definition.name!r}", definition.expression
        for end in definition.limits or ():
            yield f"a limit of {definition.name!r}", end
    for state, rate in model.rates.items():
        yield f"the rate of {state.name!r}", rate
        for what, bound in (("lower bound", state.lower), ("upper bound", state.upper)):
            if bound is not None:
                yield f"the {what} of {state.name!r}", bound
    for internal, residual in model.implicit.items():
        yield f"the residual of {internal.name!r}", residual
        for end in (internal.low, internal.high):
            yield f"the bracket of {internal.name!r}", end
    if model.pulse is not None:
        names = ("the step up", "the step down", "the spread of up", "the spread of down")
        yield from zip(names, model.pulse.expressions, strict=True)


def _check_values(where: str, expression: sympy.Expr) -> None:
    """It has a value, and a finite one, everywhere."""
    for wrong in _NO_NUMBERS:
        if expression.has(wrong):
            raise InputError("an equation must be finite everywhere", where=where, value=str(wrong))
    if expression.has(sympy.Heaviside):
        raise InputError(
            "a step function is not supported",
            where=where,
            value=str(next(iter(expression.atoms(sympy.Heaviside)))),
            hint="write Piecewise((1, V > 0), (0, True)), or Max(0, V) where it multiplies V",
        )
    for choice in expression.atoms(sympy.Piecewise):
        if choice.args[-1][1] != sympy.true:
            raise InputError(
                "a choice has no value where none of its conditions holds",
                where=where,
                value=str(choice),
                hint="end the Piecewise with (value, True)",
            )


def _check_powers(where: str, expression: sympy.Expr) -> None:
    """No power that one simulator takes of a negative number and another does not."""
    for power in expression.atoms(sympy.Pow):
        whole = power.exp.is_Integer or power.exp in (sympy.S.Half, -sympy.S.Half)
        if not whole and not cannot_be_negative(power.base):
            raise InputError(
                "the base of such a power must not be able to become negative, and nothing in its "
                "form says that it cannot",
                where=where,
                value=str(power),
                hint="write Max(0, base) or Abs(base), or take a whole number as the exponent",
            )


def cannot_be_negative(base: sympy.Expr) -> bool:
    """True if a base is zero or more by its form and by the bounds of what is in it.

    The range of a state does not count: an integrator goes a little beyond it.
    """
    known = {}
    for symbol in base.free_symbols:
        if isinstance(symbol, Parameter):
            known[symbol] = _stand_in(symbol.low >= 0, symbol.low > 0 or symbol.open_low)
        elif isinstance(symbol, Constant):
            known[symbol] = _stand_in(symbol.value >= 0, symbol.value > 0)
        elif isinstance(symbol, State):
            known[symbol] = _stand_in(symbol.log, symbol.log)
        elif isinstance(symbol, Definition):
            sure = cannot_be_negative(symbol.expression)
            known[symbol] = _stand_in(sure, False)
    plain = base.xreplace(known)
    sums = [part for part in plain.atoms(sympy.Add) if _is_root_over_its_rest(part)]
    return bool(plain.xreplace({part: _stand_in(True, False) for part in sums}).is_nonnegative)


def _is_root_over_its_rest(total: sympy.Add) -> bool:
    """True for a + sqrt(a^2 + b) with a b that is not negative: a maximum with a round corner."""
    for term in total.args:
        factor, root = term.as_coeff_Mul()
        if factor > 0 and root.is_Pow and root.exp == sympy.S.Half:
            above = sympy.expand(factor**2 * root.base - (total - term) ** 2)
            if above.is_nonnegative:
                return True
    return False


def _stand_in(nonnegative: bool, positive: bool) -> sympy.Dummy:
    """A symbol of which sympy knows as much as that."""
    if nonnegative and positive:
        return sympy.Dummy(positive=True)
    return sympy.Dummy(nonnegative=True) if nonnegative else sympy.Dummy(real=True)


def _check_names(model: CompactModel) -> None:
    """No name means two things; every symbol is known to be what it is."""
    where = f"model {model.name!r}"
    seen: dict[str, ModelSymbol] = {}
    for symbol in [*model.symbols, *model.states, *model.internals]:
        if symbol == V:
            continue
        if not isinstance(symbol, ModelSymbol):
            raise InputError(
                "a symbol of the equations is not declared",
                where=where,
                value=symbol.name,
                allowed="Parameter, Constant, State, Definition, Internal and V",
            )
        if seen.setdefault(symbol.name, symbol) != symbol:
            raise InputError("a name is used for two symbols", where=where, value=symbol.name)
        if isinstance(symbol, State) and symbol not in model.rates:
            raise InputError("a state has no rate", where=where, value=symbol.name)
        if isinstance(symbol, Internal) and symbol not in model.implicit:
            raise InputError("an internal quantity has no residual", where=where, value=symbol.name)
    for pair in TAKEN_FOR_ONE:
        if all(isinstance(seen.get(name), Parameter) for name in pair):
            raise InputError(
                "ngspice takes these two parameters of a compiled model for one",
                where=where,
                value=" and ".join(pair),
                allowed="one of them",
            )
    made = _made_names(model)
    for name in seen:
        if name in made:
            raise InputError(
                f"a symbol cannot have the name that the netlists give to {made[name]}",
                where=where,
                value=name,
                allowed="other names",
                hint=f"take {name}_ref, for example",
            )


def _made_names(model: CompactModel) -> dict[str, str]:
    """The names that the emitters make up of a model's own, each with what it is there.

    What else they make up has two underscores, which no symbol of a model can have.
    """
    made: dict[str, str] = {}
    for state in model.states:
        made[f"{state.name}_0"] = f"the initial value of {state.name!r}"
        made[f"n_s_{state.name}"] = f"the node of {state.name!r}"
    for internal in model.internals:
        made[f"n_y_{internal.name}"] = f"the node of {internal.name!r}"
    return made


def _check_units(model: CompactModel) -> None:
    """Every equation has the unit that it must have."""
    volt, ampere, second = (UNITS[name] for name in ("V", "A", "s"))
    units: dict[sympy.Symbol, sympy.Expr] = {V: volt}
    for symbol in [*model.symbols, *model.states, *model.internals]:
        if isinstance(symbol, ModelSymbol):
            units[symbol] = parse_unit(symbol.unit)
    wanted = [("the current", model.current, ampere)]
    for definition in model.definitions:
        wanted.append((f"definition {definition.name!r}", definition.expression, units[definition]))
        for end in definition.limits or ():
            if not end.is_Number:
                wanted.append((f"a limit of {definition.name!r}", end, units[definition]))
    for state, rate in model.rates.items():
        wanted.append((f"the rate of {state.name!r}", rate, units[state] / second))
        for what, bound in (("lower bound", state.lower), ("upper bound", state.upper)):
            if bound is not None and not bound.is_Number:
                wanted.append((f"the {what} of {state.name!r}", bound, units[state]))
    for internal in model.internals:
        for end in (internal.low, internal.high):
            if not end.is_Number:
                wanted.append((f"the bracket of {internal.name!r}", end, units[internal]))
    if model.pulse is not None:
        moved = units[model.pulse.state]
        names = ("the step up", "the step down", "the spread of up", "the spread of down")
        wanted += [
            (what, expression, moved)
            for what, expression in zip(names, model.pulse.expressions, strict=True)
        ]
    for what, expression, unit in wanted:
        _require_unit(model.name, what, expression, unit, units)
    for internal, residual in model.implicit.items():
        _require_unit(model.name, f"the residual of {internal.name!r}", residual, None, units)


def _require_unit(
    name: str,
    what: str,
    expression: sympy.Expr,
    wanted: sympy.Expr | None,
    units: Mapping[sympy.Symbol, sympy.Expr],
) -> None:
    where = f"model {name!r}, {what}"
    try:
        unit = unit_of(expression, units)
    except UnitError as error:
        raise InputError(f"the units do not fit: {error}", where=where) from error
    except UnsupportedError as error:
        raise InputError(str(error), where=where, allowed=error.allowed, hint=error.hint) from error
    if wanted is not None and unit is not None and unit != wanted:
        raise InputError(
            f"the units do not fit: the equation is in {unit_text(unit)}",
            where=where,
            allowed=unit_text(wanted),
        )
