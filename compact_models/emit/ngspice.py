"""A model as an ngspice subcircuit of behavioural sources; it runs on ngspice 39 and later.

Ports p and n. Every state is the voltage of an inner node `s_<state>` on a capacitor of 1 F, in the
fractions of `normal_form`, so the current into it is its rate. An internal quantity is a node into
which its residual flows. Every parameter of the model, and `<state>_0` for every state, is a
parameter of the subcircuit and can be set per instance.
"""

from __future__ import annotations

import sympy

from compact_models.emit.expressions import EXP_LIMIT, NetlistPrinter, one_line_of_ascii
from compact_models.model import CompactModel, ParameterSet
from compact_models.normal_form import NormalForm, Step, normal_form, normalise
from compact_models.symbols import Definition, Internal, State, V

# A rate longer than this gets a node of its own, because the text below holds it twice.
_LONG = 40
# Such a node holds the rate in 1/ns: volts of ordinary size even for the fastest switching.
_RATE_SCALE = 1e9


def state_node(state: State) -> str:
    """The inner node that holds the fraction of a state."""
    return f"s_{state.name}"


def subcircuit(model: CompactModel, parameter_set: ParameterSet, name: str) -> str:
    """The subcircuit's text, `.subckt` to `.ends`, with the set's values as defaults.

    Args:
        model: the device.
        parameter_set: defaults of the parameters and of the initial states.
        name: the subcircuit's name.
    """
    form = normal_form(model)
    values = {**parameter_set.values}
    defaults = [f"{k}={v!r}" for k, v in values.items()]
    defaults += [f"{state.name}_0={parameter_set.initial[state.name]!r}" for state in model.states]
    lines = [
        f"* {model.title}",
        f"* equations: {model.source}",
        f"* parameters: {parameter_set.source}",
        f".subckt {name} p n",
        *(f"+ {' '.join(defaults[k : k + 4])}" for k in range(0, len(defaults), 4)),
    ]
    lines += _body(model, form)
    lines.append(f".ends {name}")
    return "\n".join(one_line_of_ascii(line) for line in lines) + "\n"


def _body(model: CompactModel, form: NormalForm) -> list[str]:
    steps = dict(form.steps)
    nodes = _own_nodes(model, steps)
    printer = _NgspicePrinter(_names(model, nodes))
    inlined = [step for step in form.steps if step[0] not in nodes]

    def text(expression: sympy.Expr) -> str:
        return str(printer.doprint(_inline(expression, inlined)))

    lines = []
    for symbol, scale in nodes.items():
        lines.append(f"bd_{symbol.name} d_{symbol.name} 0 v={text(steps[symbol] / scale)}")
    for internal, residual in zip(model.internals, form.residuals, strict=True):
        node = f"y_{internal.name}"
        # Its own units make an amount of residual that moves the node by one volt one ampere.
        lines.append(f"by_{internal.name} {node} 0 i=({text(steps[residual])})/{internal.scale!r}")
    for state, rate in zip(model.states, form.rates, strict=True):
        node, start = state_node(state), normalise(state, sympy.Symbol(f"{state.name}_0"))
        lines += [
            f"c_{state.name} {node} 0 1 ic={{{_brace(start, model)}}}",
            f"r_{state.name} {node} 0 1e15",
            f"b_{state.name} 0 {node} i={text(steps[rate])}",
        ]
    lines.append(f"bi p n i={text(model.current)}")
    return lines


def _own_nodes(
    model: CompactModel, steps: dict[sympy.Symbol, sympy.Expr]
) -> dict[sympy.Symbol, float]:
    """What is computed at a node of its own, and the size of one volt there.

    Long rates are; and with an internal quantity the definitions, which are used many times over.
    """
    nodes: dict[sympy.Symbol, float] = {}
    if model.internals:
        nodes |= {d: 1.0 for d in model.definitions if _varies(d)}
    for state in model.states:
        symbol = sympy.Symbol(f"free__{state.name}", real=True)
        if (
            sympy.count_ops(_inline(steps[symbol], [s for s in steps.items() if s[0] not in nodes]))
            > _LONG
        ):
            nodes[symbol] = _RATE_SCALE
    return nodes


def _varies(definition: Definition) -> bool:
    """True if a definition depends on more than parameters."""
    return any(
        isinstance(symbol, State | Internal)
        or symbol == V
        or (isinstance(symbol, Definition) and _varies(symbol))
        for symbol in definition.expression.free_symbols
    )


def _inline(expression: sympy.Expr, steps: list[Step]) -> sympy.Expr:
    for symbol, value in reversed(steps):
        expression = expression.xreplace({symbol: value})
    return expression


def _names(model: CompactModel, nodes: dict[sympy.Symbol, float]) -> dict[sympy.Symbol, str]:
    names = {V: "v(p,n)"}
    names |= {sympy.Symbol(f"s__{x.name}", real=True): f"v({state_node(x)})" for x in model.states}
    names |= {y: f"({y.scale!r}*v(y_{y.name}))" for y in model.internals}
    names |= {
        symbol: f"v(d_{symbol.name})" if scale == 1 else f"({scale!r}*v(d_{symbol.name}))"
        for symbol, scale in nodes.items()
    }
    # Braces are replaced by text: without the parentheses `a-{b}` with a negative b goes wrong.
    names |= {one: f"({{{one.name}}})" for one in model.parameters}
    names |= {one: f"({one.value!r})" for one in model.constants}
    return names


def _brace(expression: sympy.Expr, model: CompactModel) -> str:
    """An expression of parameters alone, for use inside braces."""
    names = {one: one.name for one in model.parameters}
    names |= {one: f"({one.value!r})" for one in model.constants}
    return str(
        _NgspicePrinter(names).doprint(
            _inline(expression, [(d, d.expression) for d in model.definitions])
        )
    )


class _NgspicePrinter(NetlistPrinter):
    """Expressions of B sources."""

    def _print_exp(self, expr: sympy.Expr) -> str:
        inner = self._print(expr.args[0])
        return f"(exp(min({inner}, {EXP_LIMIT}))*(1+max(0, ({inner})-{EXP_LIMIT})))"

    def sign(self, text: str) -> str:
        """-1, 0 or 1."""
        return f"sgn({text})"

    def power(self, base: str, exponent: str) -> str:
        """`base`, which is not negative, to the power of `exponent`."""
        return f"(({base})**({exponent}))"
