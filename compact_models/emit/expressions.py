"""Expressions as the text of a netlist language: what ngspice and Verilog-A have in common."""

from __future__ import annotations

from collections.abc import Mapping

import sympy
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.str import StrPrinter

from compact_models.symbols import Constant

# Above this argument an exponential goes on as a straight line. No valid solution is near it
# (e^80 is 5e34); a Newton iteration on its way can be: it must not overflow nor lose its slope.
EXP_LIMIT = 80
# An internal quantity settles in this time [s]. Where a residual has several zeros, the one that a
# device is on can vanish; only if it takes some time can it be followed to the next one.
SETTLING_S = 1e-15
_MOST_FACTORS = 4


class NetlistPrinter(StrPrinter):  # type: ignore[misc]  # sympy has no annotations
    """Prints numbers as plain exponents, powers and choices as both languages read them.

    Args:
        names: what stands in the text for a symbol; its own name for one that is not in it.
    """

    def __init__(self, names: Mapping[sympy.Symbol, str]) -> None:
        super().__init__()
        self._names = dict(names)

    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        return str(self._names.get(expr, expr.name))

    _print_Parameter = _print_State = _print_Internal = _print_Definition = _print_Symbol

    def _print_Constant(self, expr: Constant) -> str:
        return f"({expr.value!r})"

    def _print_log(self, expr: sympy.Expr) -> str:
        return f"ln({self._print(expr.args[0])})"

    def _print_Float(self, expr: sympy.Float) -> str:
        return _number(float(expr))

    def _print_Rational(self, expr: sympy.Rational) -> str:
        return _number(float(expr))

    def _print_Integer(self, expr: sympy.Integer) -> str:
        return _number(float(expr))

    _print_Half = _print_NegativeOne = _print_One = _print_Zero = _print_Integer

    def _print_NumberSymbol(self, expr: sympy.NumberSymbol) -> str:
        return _number(float(expr))

    _print_Pi = _print_Exp1 = _print_EulerGamma = _print_GoldenRatio = _print_NumberSymbol
    _print_Catalan = _print_TribonacciConstant = _print_NumberSymbol

    def _print_Mul(self, expr: sympy.Mul) -> str:
        # Factor by factor: to bring a sum inside one of them to a common denominator would make
        # divisors that are products of the smallest constants.
        below = [part for part in expr.args if _is_inverse(part)]
        above = [part for part in expr.args if not _is_inverse(part)]
        text = "*".join(self._factor(part) for part in above) or "1.0"
        return text + "".join(f"/{self._factor(sympy.Pow(x.base, -x.exp))}" for x in below)

    def _factor(self, part: sympy.Expr) -> str:
        if part.is_Number:
            text = self._print(part)
            return f"({text})" if text.startswith("-") else str(text)
        return str(self.parenthesize(part, PRECEDENCE["Pow"]))

    def _print_Pow(self, expr: sympy.Pow, rational: bool = False) -> str:
        base, exponent = expr.base, expr.exp
        inner = self._print(base)
        if exponent == sympy.Rational(1, 2):
            return f"sqrt({inner})"
        if exponent.is_Integer and 0 < exponent <= _MOST_FACTORS:
            return "(" + "*".join([f"({inner})"] * int(exponent)) + ")"
        if exponent.is_number and exponent < 0:
            return f"(1.0/({self._print(sympy.Pow(base, -exponent))}))"
        if exponent.is_Integer and exponent % 2 == 1:
            return f"({self.sign(inner)}*{self.power(f'abs({inner})', self._print(exponent))})"
        return self.power(f"abs({inner})" if exponent.is_Integer else inner, self._print(exponent))

    def power(self, base: str, exponent: str) -> str:
        """`base`, which is not negative, to the power of `exponent`."""
        return f"pow({base}, {exponent})"

    def sign(self, text: str) -> str:
        """-1, 0 or 1."""
        raise NotImplementedError

    def _print_sign(self, expr: sympy.sign) -> str:
        return self.sign(str(self._print(expr.args[0])))

    def _print_Abs(self, expr: sympy.Abs) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_Max(self, expr: sympy.Max) -> str:
        return self._nested("max", expr.args)

    def _print_Min(self, expr: sympy.Min) -> str:
        return self._nested("min", expr.args)

    def _nested(self, name: str, args: tuple[sympy.Expr, ...]) -> str:
        text = str(self._print(args[0]))
        for argument in args[1:]:
            text = f"{name}({text}, {self._print(argument)})"
        return text

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        *cases, (last, _) = expr.args
        text = f"({self._print(last)})"
        for value, condition in reversed(cases):
            text = f"(({self._print(condition)}) ? ({self._print(value)}) : {text})"
        return text

    def _print_Relational(self, expr: sympy.Rel) -> str:
        return f"(({self._print(expr.lhs)}) {expr.rel_op} ({self._print(expr.rhs)}))"

    def _print_And(self, expr: sympy.And) -> str:
        return self._joined(" && ", expr.args)

    def _print_Or(self, expr: sympy.Or) -> str:
        return self._joined(" || ", expr.args)

    def _joined(self, sign: str, parts: tuple[sympy.Basic, ...]) -> str:
        # Always in parentheses: the languages disagree about what binds tighter.
        return f"({sign.join(f'({self._print(part)})' for part in parts)})"

    def _print_Not(self, expr: sympy.Not) -> str:
        # As comparisons turned around, joined: not every language has a sign for "not".
        return str(self._print(sympy.to_nnf(expr)))


def _is_inverse(part: sympy.Expr) -> bool:
    return bool(part.is_Pow and part.exp.is_number and part.exp < 0)


def _number(value: float) -> str:
    return repr(value)


def one_line_of_ascii(text: str) -> str:
    """`text` with `?` for what a netlist or a Verilog-A file cannot hold, line breaks among it."""
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text)
