"""Assignments as Python text that computes on tensors, and as the function that it defines.

A parameter may be a float (one for all cells) or a tensor (one per cell): whatever depends on
floats alone is computed once, in Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from sympy.printing.pycode import PythonCodePrinter

from compact_models.emit.hoist import hoist
from compact_models.normal_form import Step

Value = torch.Tensor | float


def _either(name: str) -> Callable[[Value], Value]:
    on_tensor, on_float = getattr(torch, name), getattr(math, name)

    def function(x: Value) -> Value:
        if isinstance(x, torch.Tensor):
            of_tensor: torch.Tensor = on_tensor(x)
            return of_tensor
        return float(on_float(x))

    return function


def _absolute(x: Value) -> Value:
    return x.abs() if isinstance(x, torch.Tensor) else abs(x)


def _sign(x: Value) -> Value:
    return torch.sign(x) if isinstance(x, torch.Tensor) else float((x > 0) - (x < 0))


def _heaviside(x: Value) -> Value:
    # Derivative of a maximum: on the corner either side will do, and 0 is the cheaper one.
    return (x > 0).to(x.dtype) if isinstance(x, torch.Tensor) else float(x > 0)


def _maximum(x: Value, y: Value) -> Value:
    if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor):
        return torch.maximum(x, y)
    if isinstance(x, torch.Tensor):
        return x.clamp_min(y)
    return y.clamp_min(x) if isinstance(y, torch.Tensor) else max(x, y)


def _minimum(x: Value, y: Value) -> Value:
    if isinstance(x, torch.Tensor) and isinstance(y, torch.Tensor):
        return torch.minimum(x, y)
    if isinstance(x, torch.Tensor):
        return x.clamp_max(y)
    return y.clamp_max(x) if isinstance(y, torch.Tensor) else min(x, y)


def _where(condition: Any, x: Value, y: Value) -> Value:
    if not isinstance(condition, torch.Tensor):
        return x if condition else y
    if not isinstance(x, torch.Tensor) and not isinstance(y, torch.Tensor):
        # Of two plain numbers torch makes the default dtype, which has half the digits.
        x = torch.full((), x, dtype=torch.float64, device=condition.device)
    return torch.where(condition, x, y)


def _power(x: Value, n: Value) -> Value:
    # A whole power by multiplications: ten times as fast.
    if isinstance(x, torch.Tensor) and not isinstance(n, torch.Tensor):
        for whole in _WHOLE:  # compared one by one, which torch.compile can follow
            if n == whole:
                return _whole_power(x, whole)
    power: Value = x**n
    return power


_WHOLE = range(1, 13)


def _whole_power(x: torch.Tensor, n: int) -> torch.Tensor:
    if n == 1:
        return x
    half = _whole_power(x, n // 2)
    return half * half * x if n % 2 else half * half


_NAMESPACE: dict[str, Any] = {
    **{
        f"_{name}": _either(name)
        for name in ("exp", "log", "sqrt", "sinh", "cosh", "tanh", "sin", "cos", "atan", "asin")
    },
    "_abs": _absolute,
    "_sign": _sign,
    "_heaviside": _heaviside,
    "_max": _maximum,
    "_min": _minimum,
    "_where": _where,
    "_pow": _power,
}


class _TorchPrinter(PythonCodePrinter):  # type: ignore[misc]  # sympy has no annotations
    """Python text of an expression, in the functions of `_NAMESPACE`."""

    def _print_Function(self, expr: sympy.Function) -> str:
        name = type(expr).__name__
        known = {"Abs": "_abs", "sign": "_sign", "Heaviside": "_heaviside"}.get(name, f"_{name}")
        if known not in _NAMESPACE:
            raise NotImplementedError(f"no torch form of {name}")
        return f"{known}({self._print(expr.args[0])})"

    _print_exp = _print_log = _print_sinh = _print_cosh = _print_tanh = _print_Function
    _print_sin = _print_cos = _print_atan = _print_asin = _print_Function
    _print_Abs = _print_sign = _print_Heaviside = _print_Function

    def _print_Max(self, expr: sympy.Max) -> str:
        return self._nested("_max", expr.args)

    def _print_Min(self, expr: sympy.Min) -> str:
        return self._nested("_min", expr.args)

    def _nested(self, name: str, args: Sequence[sympy.Expr]) -> str:
        text = str(self._print(args[0]))
        for argument in args[1:]:
            text = f"{name}({text}, {self._print(argument)})"
        return text

    def _print_Piecewise(self, expr: sympy.Piecewise) -> str:
        *cases, (last, _) = expr.args
        text = str(self._print(last))
        for value, condition in reversed(cases):
            text = f"_where({self._print(condition)}, {self._print(value)}, {text})"
        return text

    def _print_And(self, expr: sympy.And) -> str:
        return " & ".join(f"({self._print(part)})" for part in expr.args)

    def _print_Or(self, expr: sympy.Or) -> str:
        return " | ".join(f"({self._print(part)})" for part in expr.args)

    def _print_Not(self, expr: sympy.Not) -> str:
        return str(self._print(sympy.to_nnf(expr)))

    def _print_Relational(self, expr: sympy.Rel) -> str:
        return f"(({self._print(expr.lhs)}) {expr.rel_op} ({self._print(expr.rhs)}))"

    def _print_Pow(self, expr: sympy.Pow, **_options: Any) -> str:
        base, exponent = self._print(expr.base), expr.exp
        if exponent == -1:
            return f"(1.0/({base}))"
        if exponent == sympy.Rational(1, 2):
            return f"_sqrt({base})"
        if exponent == sympy.Rational(1, 4):
            return f"_sqrt(_sqrt({base}))"
        if exponent == -sympy.Rational(1, 2):
            return f"(1.0/_sqrt({base}))"
        return f"_pow({base}, {self._print(exponent)})"

    def _print_Rational(self, expr: sympy.Rational) -> str:
        return repr(float(expr))

    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))

    def _print_NumberSymbol(self, expr: sympy.NumberSymbol) -> str:
        return repr(float(expr))

    _print_Pi = _print_Exp1 = _print_EulerGamma = _print_GoldenRatio = _print_NumberSymbol
    _print_Catalan = _print_TribonacciConstant = _print_NumberSymbol


@dataclass(frozen=True)
class Function:
    """A compiled function; with a single cell and no gradient it is computed in Python floats.

    A tensor of one number costs as much per operation as one of thousands.

    Attributes:
        body: the function of the positional arguments and the prepared parameters.
        prelude: computes what it needs of the parameters alone.
        keys: the names of these in the prepared parameters.
    """

    body: Callable[..., tuple[Value, ...]]
    prelude: Callable[[Mapping[str, Value]], dict[str, Value]]
    keys: tuple[str, ...]

    def prepared(self, p: Mapping[str, Value]) -> dict[str, Value]:
        """`p` with everything that this function computes from parameters alone.

        Called with it, the function is faster; the results are the same. A parameter that is
        changed afterwards must be changed in an unprepared `p`.
        """
        return {**p, **self.prelude(p)}

    def plain(self, *arguments: Any) -> tuple[Value, ...]:
        """The function itself, on tensors or floats."""
        *values, p = arguments
        is_prepared = not self.keys or self.keys[0] in p
        return self.body(*values, p if is_prepared else self.prepared(p))

    def __call__(self, *arguments: Any) -> tuple[Value, ...]:
        """The outputs, for positional arguments and last the dict of parameters."""
        *values, p = arguments
        tensors = [x for x in values if isinstance(x, torch.Tensor)]
        single = tensors and all(x.numel() == 1 and not x.requires_grad for x in tensors)
        if not single or any(isinstance(x, torch.Tensor) for x in p.values()):
            return self.plain(*arguments)
        try:
            results = self.plain(*(float(x) for x in values), p)
            if any(isinstance(x, complex) for x in results):
                return self.plain(*arguments)
        except (ArithmeticError, ValueError):  # infinities and NaN are torch's business
            return self.plain(*arguments)
        shape = torch.broadcast_shapes(*(x.shape for x in tensors))
        return tuple(tensors[0].new_full(shape, float(x)) for x in results)


def compile_function(
    name: str,
    arguments: Sequence[sympy.Symbol],
    parameters: Sequence[sympy.Symbol],
    steps: Sequence[Step],
    outputs: Sequence[sympy.Symbol],
) -> tuple[Function, str]:
    """A function of `arguments` and a dict `p` of parameters that returns `outputs`.

    Args:
        name: the function's name, shown in profiles and tracebacks.
        arguments: positional arguments.
        parameters: symbols looked up in the last argument, `p`, by name.
        steps: the assignments, in order.
        outputs: what is returned, in order.

    Returns:
        The function and its text.
    """
    early, late = _split(parameters, steps)
    of_late = set(outputs).union(*(e.free_symbols for _, e in late))
    handed = [symbol for symbol, _ in early if symbol in of_late]
    keys = {symbol: f"{name}.{symbol.name}" for symbol in handed}
    body = [f"def {name}({', '.join([*(a.name for a in arguments), 'p'])}):"]
    body += [f"    {one.name} = p[{one.name!r}]" for one in parameters if one in of_late]
    body += [f"    {symbol.name} = p[{key!r}]" for symbol, key in keys.items()]
    body += [f"    {symbol.name} = {printed(value)}" for symbol, value in late]
    body += [f"    return ({''.join(f'{symbol.name}, ' for symbol in outputs)})"]
    of_early: set[sympy.Basic] = set().union(*(e.free_symbols for _, e in early))
    prelude = ["def prelude(p):"]
    prelude += [f"    {one.name} = p[{one.name!r}]" for one in parameters if one in of_early]
    prelude += [f"    {symbol.name} = {printed(value)}" for symbol, value in early]
    prelude += [f"    return {{{', '.join(f'{k!r}: {s.name}' for s, k in keys.items())}}}"]
    text = "\n".join([*body, "", "", *prelude, ""])
    scope = dict(_NAMESPACE)
    # The text is printed from a parsed sympy expression just above; nothing of a user's is in it.
    exec(compile(text, f"<spiceloop {name}>", "exec"), scope)  # noqa: S102  # see above
    return Function(scope[name], scope["prelude"], tuple(keys.values())), text


def printed(value: sympy.Expr) -> str:
    """An expression in the functions of a name space like `_NAMESPACE`."""
    return str(_TorchPrinter({"fully_qualified_modules": False}).doprint(value))


def _split(
    parameters: Sequence[sympy.Symbol], steps: Sequence[Step]
) -> tuple[list[Step], list[Step]]:
    """The assignments that parameters alone decide, and the others without such parts in them."""
    fixed: set[sympy.Basic] = set(parameters)

    def is_fixed(part: sympy.Basic) -> bool:
        return isinstance(part, sympy.Expr) and part.free_symbols <= fixed

    early: list[Step] = []
    late: list[Step] = []
    taken: dict[sympy.Expr, sympy.Symbol] = {}
    for symbol, expression in steps:
        if is_fixed(expression):
            early.append((symbol, expression))
            fixed.add(symbol)
        else:
            late.append((symbol, hoist(expression, is_fixed, taken, "fixed__")))
    return [*early, *((symbol, part) for part, symbol in taken.items())], late
