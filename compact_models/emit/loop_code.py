"""What a pulse does to one cell, as the text of a Python function for loops over single cells."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import sympy

from compact_models.emit.derivatives import share
from compact_models.emit.torch_code import printed
from compact_models.errors import InputError
from compact_models.model import CompactModel


def pulse_law(model: CompactModel, of_cells: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """`law(cells, shared, cell, w, up)` -> (step, standard deviation of its noise).

    `cells` [cell, parameter] begins with the parameters named in `of_cells`, in this order;
    `shared` has the others. What is the same in all cells a compiler computes once.

    Args:
        model: a pulse device.
        of_cells: the parameters that have a value for each cell.

    Returns:
        The text of the function, to be executed in `FUNCTIONS`, and the names of the parameters and
        constants in `shared`.

    Raises:
        InputError: the model is no pulse device.
    """
    pulse = model.pulse
    if pulse is None:
        raise InputError("not a pulse device", where="model", value=model.name)
    place = {name: f"cells[cell, {k}]" for k, name in enumerate(of_cells)}
    shared = [one.name for one in (*model.parameters, *model.constants) if one.name not in place]
    place |= {name: f"shared[{k}]" for k, name in enumerate(shared)}
    outputs = [sympy.Symbol("step__", real=True), sympy.Symbol("spread__", real=True)]
    named = [(one, one.expression) for one in model.definitions]
    text = ["def law(cells, shared, cell, w, up):", f"    {pulse.state.name} = w"]
    for head, *values in (
        ("    if up:", pulse.up, pulse.spread_up),
        ("    else:", pulse.down, pulse.spread_down),
    ):
        steps = share([*named, *zip(outputs, values, strict=True)], outputs)
        free = {symbol.name for _, expression in steps for symbol in expression.free_symbols}
        text.append(head)
        text += [f"        {name} = {where}" for name, where in place.items() if name in free]
        text += [f"        {symbol.name} = {printed(value)}" for symbol, value in steps]
    return "\n".join([*text, "    return step__, spread__", ""]), tuple(shared)


def _sign(x: float) -> float:
    return 1.0 if x > 0 else (-1.0 if x < 0 else 0.0)


def _heaviside(x: float) -> float:
    return 1.0 if x > 0 else 0.0


def _where(condition: bool, x: float, y: float) -> float:
    return x if condition else y


def _pow(x: float, n: float) -> float:
    return float(x**n)


FUNCTIONS: dict[str, Any] = {
    **{
        f"_{name}": getattr(math, name)
        for name in ("exp", "log", "sqrt", "sinh", "cosh", "tanh", "sin", "cos", "atan", "asin")
    },
    "_abs": abs,
    "_max": max,
    "_min": min,
    "_sign": _sign,
    "_heaviside": _heaviside,
    "_where": _where,
    "_pow": _pow,
}
