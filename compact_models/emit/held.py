"""The read form of a model as text: an ngspice subcircuit and a Verilog-A module.

Ports wl and bl: the device's terminal p is at the word line. Every parameter that the current needs
and every state, under its own name and in its own unit, can be set per instance. Nothing in it
moves, so it goes through any operating point and any `.dc` sweep.
"""

from __future__ import annotations

import sympy

from compact_models.emit.derivatives import share
from compact_models.emit.expressions import one_line_of_ascii
from compact_models.emit.ngspice import RESIDUAL_A, BSourcePrinter, continued, in_braces, inlined
from compact_models.emit.verilog_a import LIMITED_EXP, VerilogPrinter, instance_parameter
from compact_models.model import CompactModel, ParameterSet
from compact_models.normal_form import Step
from compact_models.read_form import ReadForm, read_form
from compact_models.symbols import Constant, Definition, Parameter, State, V

_PORTS = ("wl", "bl")


def held_subcircuit(model: CompactModel, parameter_set: ParameterSet, name: str) -> str:
    """The subcircuit's text, `.subckt` to `.ends`, with the set's values as defaults.

    A current that is proportional to the voltage is a linear element, any other a B source.

    Args:
        model: the device.
        parameter_set: defaults of the parameters and of the states.
        name: the subcircuit's name.
    """
    form = read_form(model)
    defaults = [f"{one}={value!r}" for one, value in held_defaults(model, parameter_set).items()]
    lines = [
        *_heading("*", model, parameter_set),
        f".subckt {name} {' '.join(_PORTS)}",
        *(f"+ {' '.join(defaults[k : k + 4])}" for k in range(0, len(defaults), 4)),
        *(_linear(form) if form.conductance is not None else _sources(form)),
        f".ends {name}",
    ]
    return "\n".join(continued(one_line_of_ascii(line)) for line in lines) + "\n"


def held_defaults(model: CompactModel, parameter_set: ParameterSet) -> dict[str, float]:
    """What an instance may set, with the values that it has otherwise: parameters, then states."""
    form = read_form(model)
    values = {one.name: float(parameter_set.values[one.name]) for one in form.parameters}
    return values | {one.name: float(parameter_set.initial[one.name]) for one in form.states}


def _heading(mark: str, model: CompactModel, parameter_set: ParameterSet) -> list[str]:
    return [
        f"{mark} {model.title}; for reads, the states stand still",
        f"{mark} equations: {model.source}",
        f"{mark} parameters: {parameter_set.source}",
    ]


def _linear(form: ReadForm) -> list[str]:
    """A conductance that is computed once."""
    return [f"gcell wl bl wl bl {{{in_braces(form.conductance)}}}"]


def _sources(form: ReadForm) -> list[str]:
    model = form.model
    names = {V: "v(wl,bl)"}
    names |= {y: f"({y.scale!r}*v(y_{y.name}))" for y in model.internals}
    # Braces are replaced by text: without the parentheses `a-{b}` with a negative b goes wrong.
    names |= {one: f"({{{one.name}}})" for one in (*form.parameters, *form.states)}
    printer = BSourcePrinter(names, fixed=_is_held)
    of_nodes = [one for one in form.definitions if one.limits and not _is_fixed(one, form)]
    for one in of_nodes:
        low, high = (printer.text(inlined(end, form.steps)) for end in one.limits or ())
        printer.name(one, f"max({low}, min({high}, v(d_{one.name})))")
    steps: list[Step] = [step for step in form.steps if step[0] not in of_nodes]

    def text(expression: sympy.Expr) -> str:
        return printer.text(inlined(expression, steps))

    lines = [f"bd_{one.name} d_{one.name} 0 v={text(one.expression)}" for one in of_nodes]
    for internal, residual in model.implicit.items():
        # Small, so that the rounding errors of a residual near zero lie below any abstol in use.
        size = internal.scale / RESIDUAL_A
        lines.append(f"by_{internal.name} y_{internal.name} 0 i=({text(residual)})/{size!r}")
    lines.append(f"bcell wl bl i={text(model.current)}")
    return [*printer.parameters(), *lines]


def _is_held(expr: sympy.Basic) -> bool:
    """True for an expression of what stands still alone, and of what braces can hold."""
    return (
        isinstance(expr, sympy.Expr)
        and all(isinstance(s, Parameter | Constant | State) for s in expr.free_symbols)
        and not expr.has(sympy.Piecewise)
    )


def _is_fixed(one: Definition, form: ReadForm) -> bool:
    return _is_held(inlined(one.expression, form.steps))


def held_module(model: CompactModel, parameter_set: ParameterSet, name: str) -> str:
    """The Verilog-A module's text.

    Args:
        model: the device.
        parameter_set: defaults of the parameters and of the states.
        name: the module's name.
    """
    form = read_form(model)
    printer = VerilogPrinter({V: "V(wl, bl)"})
    current = sympy.Symbol("current", real=True)
    residuals = {
        internal: sympy.Symbol(f"residual__{internal.name}", real=True)
        for internal in model.internals
    }
    assigned: list[Step] = [
        *form.steps,
        *((residuals[internal], model.implicit[internal]) for internal in model.internals),
        (current, model.current),
    ]
    steps = share(assigned, [*residuals.values(), current])
    nodes = [f"n_y_{y.name}" for y in model.internals]
    names = sorted({*(symbol.name for symbol, _ in steps), *(y.name for y in model.internals)})
    defaults = held_defaults(model, parameter_set)
    lines = [
        *_heading("//", model, parameter_set),
        '`include "disciplines.vams"',
        f"module {name}({', '.join(_PORTS)});",
        f"    inout {', '.join(_PORTS)};",
        f"    electrical {', '.join([*_PORTS, *nodes])};",
        *(instance_parameter(one, defaults[one.name]) for one in form.parameters),
    ]
    for state in form.states:
        value = repr(defaults[state.name])
        lines.append(f'    (* type="instance" *) parameter real {state.name} = {value};')
    lines += [f"    real {', '.join(names)};", *LIMITED_EXP, "    analog begin"]
    for internal in model.internals:
        lines.append(f"        {internal.name} = {internal.scale!r}*V(n_y_{internal.name});")
    lines += [f"        {symbol.name} = {printer.doprint(value)};" for symbol, value in steps]
    for internal, residual in residuals.items():
        lines.append(f"        I(n_y_{internal.name}) <+ {residual.name}/{internal.scale!r};")
    lines += [f"        I(wl, bl) <+ {current.name};", "    end", "endmodule"]
    return "\n".join(one_line_of_ascii(line) for line in lines) + "\n"
