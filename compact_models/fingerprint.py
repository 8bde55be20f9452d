"""What a model computes, as one short text: the key of everything that is kept of it."""

from __future__ import annotations

import hashlib

import sympy

from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import ModelSymbol, V


def fingerprint(model: CompactModel, parameter_set: ParameterSet) -> str:
    """A sha256 over equations, symbols and numbers; names of people and papers are not in it.

    Two models of one name with other equations, bounds or constants differ, and so do two sets.

    Args:
        model: the device.
        parameter_set: its numbers and initial states.
    """
    expressions = [
        ("current", model.current),
        *((f"rate of {state.name}", rate) for state, rate in model.rates.items()),
        *((f"residual of {one.name}", value) for one, value in model.implicit.items()),
    ]
    if model.pulse is not None:
        means = (model.pulse.state, model.pulse.threshold_v, model.pulse.width_s)
        steps = enumerate((*means, *model.pulse.expressions))
        expressions += [(f"pulse {k}", one) for k, one in steps]
    symbols = (*model.symbols, *model.states, *model.internals, *model.definitions)
    lines = [
        f"{model.name} {model.kind} {parameter_set.name}",
        *(f"{name}: {sympy.srepr(value)}" for name, value in expressions),
        *sorted({f"{type(one).__name__} {_attributes(one)}" for one in symbols if one != V}),
        *(f"{name} = {float(value)!r}" for name, value in sorted(parameter_set.values.items())),
        *(f"{name}_0 = {float(value)!r}" for name, value in sorted(parameter_set.initial.items())),
        f"{parameter_set.amplitude_v!r} V, {parameter_set.period_s!r} s",
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _attributes(symbol: ModelSymbol) -> str:
    """Name, unit, bounds, value, expression: all that a symbol has but its description."""
    kept = sorted((key, value) for key, value in vars(symbol).items() if key != "about")
    return f"{symbol}: " + ", ".join(f"{key}={sympy.srepr(value)}" for key, value in kept)
