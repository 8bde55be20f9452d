"""Units of equations: every sum, comparison and exponent of a model must make sense in SI.

A unit is a product of powers of the base units, held as a sympy monomial: `V` is
kg m^2 s^-3 A^-1. Only coherent SI units are known, so a number never carries a hidden factor: a
length is in `m`, an energy in eV is given as a potential in `V`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

import sympy
from sympy.core.relational import Relational

from compact_models.errors import InputError, closest

_BASE = {name: sympy.Symbol(name, positive=True) for name in ("m", "kg", "s", "A", "K")}
_M, _KG, _S, _A, _K = (_BASE[name] for name in ("m", "kg", "s", "A", "K"))
_VOLT = _KG * _M**2 / _S**3 / _A
UNITS: dict[str, sympy.Expr] = {
    **_BASE,
    "V": _VOLT,
    "ohm": _VOLT / _A,
    "S": _A / _VOLT,
    "W": _VOLT * _A,
    "J": _VOLT * _A * _S,
    "C": _A * _S,
    "F": _A * _S / _VOLT,
    "Hz": 1 / _S,
    "1": sympy.Integer(1),
}
DIMENSIONLESS = sympy.Integer(1)
_TEXT = re.compile(r"[A-Za-z0-9*/^(). -]+\Z")

# Functions of a pure number that give a pure number.
_PURE = (
    sympy.exp,
    sympy.log,
    sympy.sinh,
    sympy.cosh,
    sympy.tanh,
    sympy.sin,
    sympy.cos,
    sympy.atan,
    sympy.asin,
)
# Functions whose arguments share one unit, which is the result's too.
_SAME = (sympy.Abs, sympy.Min, sympy.Max)

FUNCTIONS = (
    ", ".join(sorted(one.__name__ for one in (*_PURE, *_SAME, sympy.sign)))
    + ", sqrt, powers, Piecewise"
)
"""What an equation may be made of, in words."""


class UnitError(ValueError):
    """An expression that makes no sense in units; the message says which part and why."""


class UnsupportedError(ValueError):
    """An expression with a part that equations cannot have.

    Args:
        what: what is not supported, and in which part.
        allowed: what is, in words.
        hint: what to write instead.
    """

    def __init__(self, what: str, allowed: str, hint: str) -> None:
        self.allowed = allowed
        self.hint = hint
        super().__init__(what)


@lru_cache(maxsize=1024)
def parse_unit(text: str) -> sympy.Expr:
    """The unit that `text` names, e.g. `m^2/(V*s)` or `1`.

    Raises:
        InputError: it is not made of coherent SI units.
    """
    words = re.findall(r"[A-Za-z]+", text)
    unknown = [word for word in words if word not in UNITS]
    if unknown or not _TEXT.match(text):
        raise InputError(
            "not a unit",
            where=f"unit {text!r}",
            value=unknown[0] if unknown else text,
            allowed=f"products of powers of {', '.join(UNITS)}, such as m^2/(V*s)",
            hint=closest(unknown[0], UNITS) if unknown else "",
        )
    try:
        unit = sympy.sympify(text.replace("^", "**"), locals=UNITS)
        coefficient, _ = unit.as_coeff_Mul()
    except (sympy.SympifyError, AttributeError, TypeError, SyntaxError) as error:
        raise InputError("not a unit", where=f"unit {text!r}", value=text) from error
    if coefficient != 1:
        raise InputError(
            "a unit cannot have a factor", where=f"unit {text!r}", value=float(coefficient)
        )
    return unit


def unit_text(unit: sympy.Expr) -> str:
    """A unit as a person writes it: `V`, or `m s^-1` where it has no name of its own."""
    for name, known in UNITS.items():
        if known == unit:
            return name
    powers = unit.as_powers_dict()
    return " ".join(
        name if powers[base] == 1 else f"{name}^{powers[base]}"
        for name, base in _BASE.items()
        if powers.get(base, 0) != 0
    )


def unit_of(expression: sympy.Basic, units: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr | None:
    """The unit of an expression; None for a plain zero, which fits every unit.

    Args:
        expression: sympy, of numbers and the symbols in `units`.
        units: the unit of every symbol.

    Raises:
        UnitError: a part of it makes no sense.
        UnsupportedError: a part of it is none that equations can have.
    """
    if expression.is_Number or expression.is_NumberSymbol:
        return None if expression.is_zero else DIMENSIONLESS
    if isinstance(expression, sympy.Symbol):
        if expression not in units:
            raise UnitError(f"the symbol {expression} is not declared")
        return units[expression]
    if isinstance(expression, (sympy.Add, *_SAME)):
        word = "added to" if isinstance(expression, sympy.Add) else "compared with"
        return _common(expression.args, units, word)
    if isinstance(expression, sympy.Mul):
        return _product(expression, units)
    if isinstance(expression, sympy.Pow):
        return _power(expression, units)
    if isinstance(expression, sympy.Piecewise):
        for _, condition in expression.args:
            _check_condition(condition, units)
        return _common([value for value, _ in expression.args], units, "an alternative to")
    if isinstance(expression, sympy.sign):
        unit_of(expression.args[0], units)
        return DIMENSIONLESS
    if isinstance(expression, _PURE):
        argument = expression.args[0]
        unit = unit_of(argument, units)
        if unit not in (None, DIMENSIONLESS):
            raise UnitError(
                f"{type(expression).__name__} of {_short(argument)} in {unit_text(unit)}: "
                "its argument must be a pure number"
            )
        return DIMENSIONLESS
    name = type(expression).__name__
    raise UnsupportedError(
        f"the function {name} is not supported in an equation, as in {_short(expression)}",
        FUNCTIONS,
        f"write {name} with these, or a formula near to it",
    )


def _product(expression: sympy.Mul, units: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr | None:
    unit = DIMENSIONLESS
    for factor in expression.args:
        factor_unit = unit_of(factor, units)
        if factor_unit is None:
            return None
        unit *= factor_unit
    return unit


def _power(expression: sympy.Pow, units: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr | None:
    base, exponent = expression.args
    base_unit = unit_of(base, units)
    exponent_unit = unit_of(exponent, units)
    if exponent_unit not in (None, DIMENSIONLESS):
        raise UnitError(f"the exponent {_short(exponent)} is in {unit_text(exponent_unit)}")
    if base_unit in (None, DIMENSIONLESS):
        return base_unit
    if not exponent.is_Number:
        raise UnitError(
            f"{_short(base)} in {unit_text(base_unit)} is raised to {_short(exponent)}, which is "
            "not a number: divide the base by a reference first"
        )
    return base_unit ** sympy.nsimplify(exponent)


def _common(
    parts: tuple[sympy.Basic, ...] | list[sympy.Basic],
    units: Mapping[sympy.Symbol, sympy.Expr],
    word: str,
) -> sympy.Expr | None:
    first: tuple[sympy.Basic, sympy.Expr] | None = None
    for part in parts:
        unit = unit_of(part, units)
        if unit is None:
            continue
        if first is None:
            first = (part, unit)
        elif unit != first[1]:
            raise UnitError(
                f"{_short(part)} in {unit_text(unit)} is {word} {_short(first[0])} in "
                f"{unit_text(first[1])}"
            )
    return first[1] if first else None


def _check_condition(condition: sympy.Basic, units: Mapping[sympy.Symbol, sympy.Expr]) -> None:
    if isinstance(condition, Relational):
        _common(condition.args, units, "compared with")
    elif isinstance(condition, sympy.And | sympy.Or | sympy.Not):
        for part in condition.args:
            _check_condition(part, units)
    elif condition not in (sympy.true, sympy.false):
        raise UnsupportedError(
            f"the condition {_short(condition)} is not supported in an equation",
            "comparisons such as V > 0, joined by And, Or and Not",
            "compare two values in it",
        )


def _short(expression: sympy.Basic) -> str:
    text = str(expression)
    return text if len(text) <= 40 else f"{text[:37]}..."
