"""A model as a Verilog-A module, for OpenVAF (OSDI) and for commercial simulators.

The same unknowns as in the ngspice subcircuit. A state's node holds the distance from its initial
fraction. It starts at zero: from an operating point, where the node is held there because
`$abstime` is 0, and from nothing, as with ngspice's `uic`.
"""

from __future__ import annotations

import math

import sympy

from compact_models.emit.derivatives import share
from compact_models.emit.expressions import (
    EXP_LIMIT,
    SETTLING_S,
    NetlistPrinter,
    one_line_of_ascii,
)
from compact_models.model import CompactModel, ParameterSet
from compact_models.normal_form import normal_form, normalise
from compact_models.symbols import Parameter, State, V

_LEAK = 1e-15  # [1/s] keeps the node's matrix regular where the rate is zero


def module(model: CompactModel, parameter_set: ParameterSet, name: str) -> str:
    """The module's text; every parameter and `<state>_0` can be set per instance.

    Args:
        model: the device.
        parameter_set: defaults of the parameters and of the initial states.
        name: the module's name.
    """
    form = normal_form(model)
    printer = VerilogPrinter({V: "V(p, n)"})
    nodes = [f"s_{x.name}" for x in model.states] + [f"y_{y.name}" for y in model.internals]
    steps = share(form.steps, [*form.rates, *form.residuals, form.current])
    names = [symbol.name for symbol, _ in steps]
    names += [f"s__{x.name}" for x in model.states] + [y.name for y in model.internals]
    lines = [
        f"// {model.title}",
        f"// equations: {model.source}",
        f"// parameters: {parameter_set.source}",
        '`include "disciplines.vams"',
        f"module {name}(p, n);",
        "    inout p, n;",
        "    electrical p, n;",
        *([f"    electrical {', '.join(f'n_{node}' for node in nodes)};"] if nodes else []),
    ]
    for one in model.parameters:
        lines.append(instance_parameter(one, parameter_set.values[one.name]))
    for state in model.states:
        value = repr(float(parameter_set.initial[state.name]))
        lines.append(f'    (* type="instance" *) parameter real {state.name}_0 = {value};')
    lines += [f"    real {', '.join(sorted(set(names)))};", *LIMITED_EXP, "    analog begin"]
    for state in model.states:
        start = normalise(state, sympy.Symbol(f"{state.name}_0"))
        for definition in reversed(model.definitions):
            start = start.xreplace({definition: definition.expression})
        lines.append(f"        s__{state.name} = V(n_s_{state.name}) + {printer.doprint(start)};")
    for internal in model.internals:
        lines.append(f"        {internal.name} = {internal.scale!r}*V(n_y_{internal.name});")
    lines += [f"        {symbol.name} = {printer.doprint(value)};" for symbol, value in steps]
    for state, rate in zip(model.states, form.rates, strict=True):
        node = f"n_s_{state.name}"
        lines.append(f"        I({node}) <+ ddt(V({node})) - ($abstime > 0.0 ? {rate.name} : 0.0);")
        lines.append(f"        I({node}) <+ ($abstime > 0.0 ? {_LEAK!r} : 1.0)*V({node});")
    for internal, residual in zip(model.internals, form.residuals, strict=True):
        node = f"n_y_{internal.name}"
        lines.append(f"        I({node}) <+ {residual.name}/{internal.scale!r};")
        lines.append(f"        I({node}) <+ {SETTLING_S!r}*ddt(V({node}));")
    lines += [f"        I(p, n) <+ {form.current.name};", "    end", "endmodule"]
    return "\n".join(one_line_of_ascii(line) for line in lines) + "\n"


# Two underscores: no name of a model's has them.
LIMITED_EXP = (
    "    analog function real limited__exp;",
    "        input x;",
    "        real x;",
    f"        limited__exp = exp(min(x, {EXP_LIMIT}.0))*(1.0 + max(0.0, x - {EXP_LIMIT}.0));",
    "    endfunction",
)


def instance_parameter(one: Parameter, value: float) -> str:
    """The line that declares a parameter of an instance, with its bounds."""
    bounds = ""
    if math.isfinite(one.low) or math.isfinite(one.high):
        low = "-inf" if not math.isfinite(one.low) else repr(float(one.low))
        high = "inf" if not math.isfinite(one.high) else repr(float(one.high))
        left = "(" if one.open_low or low == "-inf" else "["
        right = ")" if one.open_high or high == "inf" else "]"
        bounds = f" from {left}{low}:{high}{right}"
    return f'    (* type="instance" *) parameter real {one.name} = {float(value)!r}{bounds};'


class VerilogPrinter(NetlistPrinter):
    """Expressions of an analog block."""

    def _print_exp(self, expr: sympy.Expr) -> str:
        return f"limited__exp({self._print(expr.args[0])})"

    def sign(self, text: str) -> str:
        """-1, 0 or 1."""
        return f"(({text}) > 0.0 ? 1.0 : (({text}) < 0.0 ? -1.0 : 0.0))"


def state_signal(instance: str, state: State) -> str:
    """The simulator's name of the node of a state, which holds the distance from the start."""
    return f"v({instance}#n_s_{state.name})"
