"""Parts of an expression that depend on parameters alone, taken out of it.

They are the same for every voltage and state: computed once, they cost nothing, and numbers of
extreme size meet each other there and not in the middle of an iteration.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy

IsFixed = Callable[[sympy.Basic], bool]


def hoist(
    expression: sympy.Basic, is_fixed: IsFixed, taken: dict[sympy.Expr, sympy.Symbol], prefix: str
) -> sympy.Basic:
    """`expression` with a symbol for every fixed part that is more than a symbol or a number.

    Fixed factors of one product, and fixed terms of one sum, become one part.

    Args:
        expression: any expression.
        is_fixed: says whether an expression depends on parameters alone.
        taken: the parts so far and their symbols; more are added.
        prefix: the symbols' names are this and a number.
    """
    if expression.is_Atom:
        return expression
    if is_fixed(expression):
        return _symbol(expression, taken, prefix)
    args = expression.args
    if isinstance(expression, sympy.Add | sympy.Mul):
        fixed = [one for one in args if is_fixed(one)]
        if len(fixed) > 1:
            varying = [one for one in args if not is_fixed(one)]
            args = (_symbol(expression.func(*fixed), taken, prefix), *varying)
    return expression.func(*(hoist(one, is_fixed, taken, prefix) for one in args))


def _symbol(part: sympy.Expr, taken: dict[sympy.Expr, sympy.Symbol], prefix: str) -> sympy.Expr:
    if part.is_Atom:
        return part
    if part not in taken:
        taken[part] = sympy.Symbol(f"{prefix}{len(taken)}", real=True)
    return taken[part]
