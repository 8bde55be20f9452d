"""The symbols of a compact model: sympy symbols that know their unit, bounds and meaning.

They are used in equations like any sympy symbol. Names are lower case, because SPICE folds case.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any, Self

import sympy

from compact_models.errors import InputError
from compact_models.reserved import reserved_by
from compact_models.units import parse_unit

_CONTENT = "_content"
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


class ModelSymbol(sympy.Symbol):  # type: ignore[misc]  # sympy has no annotations
    """What parameters, states and the other symbols of a model have in common.

    Attributes:
        unit: a coherent SI unit, e.g. `m^2/(V*s)`.
        about: what it is, in a few words.
    """

    unit: str
    about: str

    def __new__(cls, name: str, unit: str, about: str, **_more: Any) -> Self:
        """Makes the symbol.

        Raises:
            InputError: the name cannot be used in a netlist, or the unit is not SI.
        """
        where = f"{cls.__name__.lower()} {name!r}"
        language = reserved_by(name)
        if language:
            raise InputError(
                f"a symbol cannot have this name, which means something else in {language}",
                where=where,
                allowed="any that is no word of Python, ngspice or Verilog-A",
                hint=f"take {name}_1, for example",
            )
        if not _NAME.match(name) or "__" in name:
            raise InputError(
                "a symbol cannot have this name",
                where=where,
                allowed="lower-case letters, digits and single underscores, a letter first",
            )
        parse_unit(unit)
        symbol: Self = sympy.Symbol.__xnew__(cls, name, real=True)
        symbol.unit = unit
        symbol.about = about
        return symbol

    def _hashable_content(self) -> tuple[Any, ...]:
        # sympy caches results by equality: two models' `r_on` with other bounds must differ.
        return (self.name, self.content)

    @property
    def content(self) -> str:
        """The same for symbols of the same kind, name and attributes only, to the last digit.

        Written once: sympy compares symbols all the time, those of an unpickled model in full.
        """
        found: str | None = self.__dict__.get(_CONTENT)
        if found is None:
            told = [type(self).__name__, self.name, *map(_told, sorted(self._attributes().items()))]
            found = hashlib.sha256(repr(told).encode()).hexdigest()
            self.__dict__[_CONTENT] = found
        return found

    def _attributes(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != _CONTENT}

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        """Pickles by the constructor's arguments and the attributes."""
        return _restore, (type(self), self.name, self.unit, self.about, self._attributes())


def _told(value: Any) -> Any:
    """A value with the expressions in it as text: all digits, and what their symbols are."""
    if isinstance(value, sympy.Basic):
        inside = [one.content for one in value.free_symbols if isinstance(one, ModelSymbol)]
        return (sympy.srepr(value), sorted(inside))
    return [_told(one) for one in value] if isinstance(value, tuple) else value


def _restore(
    cls: type[ModelSymbol], name: str, unit: str, about: str, attributes: dict[str, Any]
) -> ModelSymbol:
    symbol = ModelSymbol.__new__(cls, name, unit, about)
    symbol.__dict__.update(attributes)
    return symbol


class Parameter(ModelSymbol):
    """A number that a parameter set gives, the same during a run.

    Args:
        name: lower case, as in netlists.
        unit: coherent SI unit.
        about: what it is.
        low: least allowed value; `above` instead excludes the bound itself.
        high: largest allowed value; `below` instead excludes the bound itself.
    """

    low: float
    high: float
    open_low: bool
    open_high: bool

    def __new__(
        cls,
        name: str,
        unit: str,
        about: str,
        *,
        low: float = -math.inf,
        high: float = math.inf,
        above: float | None = None,
        below: float | None = None,
    ) -> Self:
        """Makes the parameter."""
        symbol = super().__new__(cls, name, unit, about)
        symbol.low = low if above is None else above
        symbol.high = high if below is None else below
        symbol.open_low = above is not None
        symbol.open_high = below is not None
        return symbol

    def allows(self, value: float) -> bool:
        """True if `value` is finite and within the bounds."""
        if not math.isfinite(value) or value < self.low or value > self.high:
            return False
        return not (self.open_low and value == self.low) and not (
            self.open_high and value == self.high
        )

    def allowed_text(self) -> str:
        """The allowed range in words."""
        parts = []
        if math.isfinite(self.low):
            parts.append(f"{'>' if self.open_low else '>='} {self.low:g}")
        if math.isfinite(self.high):
            parts.append(f"{'<' if self.open_high else '<='} {self.high:g}")
        unit = "" if self.unit == "1" else f" {self.unit}"
        if not parts:
            return f"any finite number, in {self.unit}" if unit else "any finite number"
        return " and ".join(parts) + unit


class Constant(ModelSymbol):
    """A constant of nature with the value that the model's source uses."""

    value: float

    def __new__(cls, name: str, unit: str, about: str, *, value: float) -> Self:
        """Makes the constant."""
        symbol = super().__new__(cls, name, unit, about)
        symbol.value = value
        return symbol


class State(ModelSymbol):
    """A quantity that remembers: its rate of change is an equation of the model.

    Args:
        name: lower case; also the name of its column and of its netlist node.
        unit: coherent SI unit.
        about: what it is.
        lower: least value, a number or an expression of parameters; None if it has none.
        upper: largest value, likewise. A state has both bounds or neither.
        scale: where there are no bounds, the size of an ordinary change, in the same unit.
        log: solve for its logarithm; for a state that spans decades.
    """

    lower: sympy.Expr | None
    upper: sympy.Expr | None
    scale: sympy.Expr
    log: bool

    def __new__(
        cls,
        name: str,
        unit: str,
        about: str,
        *,
        lower: sympy.Expr | float | None = None,
        upper: sympy.Expr | float | None = None,
        scale: sympy.Expr | float = 1.0,
        log: bool = False,
    ) -> Self:
        """Makes the state.

        Raises:
            InputError: it has one bound only, or is logarithmic without bounds.
        """
        symbol = super().__new__(cls, name, unit, about)
        if (lower is None) != (upper is None) or (log and lower is None):
            raise InputError(
                "a state needs both bounds or neither, and both if it is logarithmic",
                where=f"state {name!r}",
            )
        symbol.lower = None if lower is None else sympy.sympify(lower)
        symbol.upper = None if upper is None else sympy.sympify(upper)
        symbol.scale = sympy.sympify(scale)
        symbol.log = log
        return symbol


class Definition(ModelSymbol):
    """A named part of the equations: a temperature, a barrier height, a resistance.

    Args:
        name: lower case; also the name of its netlist node, if it gets one.
        unit: coherent SI unit.
        about: what it is.
        expression: what it is equal to.
        low: no solution is below it. With both limits the definition is a node of its own in a
            netlist, and a solver that strays beyond a limit on its way goes on with the limit.
        high: no solution is above it.
    """

    expression: sympy.Expr
    limits: tuple[sympy.Expr, sympy.Expr] | None

    def __new__(
        cls,
        name: str,
        unit: str,
        about: str,
        expression: sympy.Expr,
        *,
        low: sympy.Expr | float | None = None,
        high: sympy.Expr | float | None = None,
    ) -> Self:
        """Names an expression.

        Raises:
            InputError: it has one limit only.
        """
        symbol = super().__new__(cls, name, unit, about)
        symbol.expression = sympy.sympify(expression)
        if (low is None) != (high is None):
            raise InputError(
                "a definition needs both limits or neither", where=f"definition {name!r}"
            )
        symbol.limits = (
            None if low is None or high is None else (sympy.sympify(low), sympy.sympify(high))
        )
        return symbol


class Internal(ModelSymbol):
    """A quantity that an equation fixes at every instant, such as an inner voltage.

    The model gives its residual, an expression that is zero at the solution.

    Args:
        name: lower case; also the name of its netlist node.
        unit: coherent SI unit.
        about: what it is.
        low: an end of the interval that holds the solution, an expression of v and parameters.
        high: the other end; either may be the larger one.
        scale: the size of an ordinary change, in the same unit.
    """

    low: sympy.Expr
    high: sympy.Expr
    scale: float

    def __new__(
        cls,
        name: str,
        unit: str,
        about: str,
        *,
        low: sympy.Expr | float,
        high: sympy.Expr | float,
        scale: float,
    ) -> Self:
        """Makes the internal quantity."""
        symbol = super().__new__(cls, name, unit, about)
        symbol.low = sympy.sympify(low)
        symbol.high = sympy.sympify(high)
        symbol.scale = scale
        return symbol


# The voltage across the device, positive where terminal p is above terminal n.
V = sympy.Symbol("v", real=True)
