"""Derivatives of a list of assignments by the chain rule, and their common subexpressions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy

from compact_models.normal_form import Step, needed


def with_derivatives(
    steps: Sequence[Step], outputs: Sequence[sympy.Symbol], seeds: Sequence[sympy.Symbol]
) -> tuple[tuple[Step, ...], dict[tuple[sympy.Symbol, sympy.Symbol], sympy.Symbol]]:
    """Adds d(output)/d(seed) to a list of assignments.

    Derivatives are taken assignment by assignment, so that they stay as short as the equations.

    Args:
        steps: assignments, in order.
        outputs: the assigned symbols to differentiate.
        seeds: the symbols to differentiate by.

    Returns:
        The longer list, and for every (output, seed) the symbol that holds its derivative.
    """
    longer: list[Step] = []
    slope: dict[tuple[sympy.Symbol, sympy.Symbol], sympy.Expr] = {
        (seed, seed): sympy.Integer(1) for seed in seeds
    }
    for symbol, expression in needed(steps, outputs):
        longer.append((symbol, expression))
        for seed in seeds:
            total = sympy.Add(
                *(
                    slope_of(expression, name) * slope[name, seed]
                    for name in sorted(expression.free_symbols, key=lambda s: s.name)
                    if (name, seed) in slope
                )
            )
            if total != 0:
                holder = sympy.Symbol(f"d_{symbol.name}__d_{seed.name}", real=True)
                longer.append((holder, total))
                slope[symbol, seed] = holder
    named: dict[tuple[sympy.Symbol, sympy.Symbol], sympy.Symbol] = {}
    for output in outputs:
        for seed in seeds:
            holder = sympy.Symbol(f"d_{output.name}__d_{seed.name}", real=True)
            if (output, seed) not in slope:
                longer.append((holder, sympy.Integer(0)))
            named[output, seed] = holder
    return tuple(longer), named


def slope_of(expression: sympy.Expr, name: sympy.Symbol) -> sympy.Expr:
    """The derivative of an expression by a symbol.

    As sympy's, but b^a with a symbol for a becomes a b^(a-1) and not a b^a / b, which at b = 0
    (below a threshold) would be 0 / 0.
    """
    powers = [
        power
        for power in expression.atoms(sympy.Pow)
        if power.has(name) and not power.exp.has(name) and not power.exp.is_number
    ]
    if not powers:
        # The derivative of a sign is zero everywhere but at its jump, where nothing is computed.
        return sympy.diff(expression, name).replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    power = max(powers, key=sympy.count_ops)  # an outer one before those inside it
    stand_in = sympy.Dummy(real=True)
    around = expression.xreplace({power: stand_in})
    inside = power.exp * power.base ** (power.exp - 1) * slope_of(power.base, name)
    total = slope_of(around, stand_in) * inside + slope_of(around, name)
    return total.xreplace({stand_in: power})


def share(steps: Sequence[Step], outputs: Sequence[sympy.Symbol]) -> tuple[Step, ...]:
    """The same assignments with common subexpressions computed once, unneeded ones left out."""
    kept = needed(steps, outputs)
    temporaries = sympy.numbered_symbols("t__", real=True)
    common, reduced = sympy.cse([e for _, e in kept], symbols=temporaries, order="none")
    everything = dict(common) | {
        symbol: expression for (symbol, _), expression in zip(kept, reduced, strict=True)
    }
    return tuple(_in_order(everything))


def _in_order(steps: dict[sympy.Symbol, sympy.Expr]) -> Iterator[Step]:
    """Every assignment after those that it needs."""
    done: set[sympy.Symbol] = set()

    def visit(symbol: sympy.Symbol) -> Iterator[Step]:
        if symbol in done or symbol not in steps:
            return
        done.add(symbol)
        for name in sorted(steps[symbol].free_symbols, key=lambda s: s.name):
            yield from visit(name)
        yield symbol, steps[symbol]

    for symbol in steps:
        yield from visit(symbol)
