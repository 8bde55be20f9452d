"""A model as an ngspice subcircuit of behavioural sources; it runs on ngspice 39 and later.

Ports p and n. Every state is the voltage of an inner node `s_<state>` on a capacitor of 1 F, in the
fractions of `normal_form`, so the current into it is its rate. An internal quantity is a node into
which its residual flows. Every parameter of the model, and `<state>_0` for every state, is a
parameter of the subcircuit and can be set per instance.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import sympy
from sympy.core.relational import Relational

from compact_models.emit.expressions import (
    EXP_LIMIT,
    SETTLING_S,
    NetlistPrinter,
    one_line_of_ascii,
)
from compact_models.emit.hoist import IsFixed, hoist
from compact_models.model import CompactModel, ParameterSet
from compact_models.model_checks import cannot_be_negative
from compact_models.normal_form import NormalForm, Step, normal_form, normalise
from compact_models.symbols import Constant, Parameter, State, V

# A rate longer than this gets a node of its own, because the text below holds it twice.
_LONG = 40
# What a volt at such a node is, in 1/s. Newton's method ends when no node changes by vntol: in 1/s
# no rate is lost in that, and a state at its bound, where the rate is large, comes to rest. A rate
# that follows an internal quantity never becomes as quiet as that, and counts in 1/ns.
_RATE, _RATE_OF_SOLVED = 1.0, 1e9
_LEAK = 1e-15  # [1/s] the least decay: every node needs a way to ground
_WIDTH = 120
_FIXED = "fixed__"  # how the names of computed parameters begin
# Current that an ordinary amount of residual, one scale of its quantity, sends into its node.
RESIDUAL_A = 1e-6


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
    return "\n".join(continued(one_line_of_ascii(line)) for line in lines) + "\n"


def continued(line: str) -> str:
    """An element over several lines, where it is long; a comment as it is."""
    if line.startswith("*") or len(line) <= _WIDTH:
        return line
    return "\n".join(
        textwrap.wrap(
            line, _WIDTH, subsequent_indent="+ ", break_long_words=False, break_on_hyphens=False
        )
    )


def _body(model: CompactModel, form: NormalForm) -> list[str]:
    steps = dict(form.steps)
    nodes = _own_nodes(model, steps)
    printer = BSourcePrinter(_names(model, nodes))
    for definition in model.definitions:
        if definition.limits:
            low, high = (printer.text(end) for end in definition.limits)
            printer.name(definition, f"max({low}, min({high}, v(d_{definition.name})))")
    between = [step for step in form.steps if step[0] not in nodes]

    def text(expression: sympy.Expr) -> str:
        return printer.text(inlined(expression, between))

    lines = []
    for symbol, scale in nodes.items():
        lines.append(f"bd_{symbol.name} d_{symbol.name} 0 v={text(steps[symbol] / scale)}")
    for internal, residual in zip(model.internals, form.residuals, strict=True):
        node = f"y_{internal.name}"
        # Small, so that the rounding errors of a residual near zero lie below any abstol in use.
        size = internal.scale / RESIDUAL_A
        lines.append(f"by_{internal.name} {node} 0 i=({text(steps[residual])})/{size!r}")
        lines.append(f"cy_{internal.name} {node} 0 {RESIDUAL_A * SETTLING_S!r}")
    for state, rate in zip(model.states, form.rates, strict=True):
        node, start = state_node(state), normalise(state, sympy.Symbol(f"{state.name}_0"))
        decay, rest = _decay(inlined(steps[rate], between), form.inputs[model.states.index(state)])
        # At the operating point (time is 0 there) it is held where it starts: a transient needs no
        # `uic`, and a source that is not 0 at first does not send it to a bound.
        begins = in_braces(inlined(start, between))
        needs = "" if decay == 0 else f"*(1+{{{in_braces(decay)}}})"
        held = f"({{{begins}}}){needs}-v({node})"
        lines += [
            f"c_{state.name} {node} 0 1 ic={{{begins}}}",
            f"r_{state.name} {node} 0 {_resistance(decay)}",
            f"b_{state.name} 0 {node} i=time > 0 ? ({text(rest)}) : ({held})",
        ]
    lines.append(f"bi p n i={text(model.current)}")
    return [*printer.parameters(), *lines]


def _decay(rate: sympy.Expr, s: sympy.Symbol) -> tuple[sympy.Expr, sympy.Expr]:
    """The fixed rate at which a state decays, 0 if none is sure, and the rate without it.

    A fast decay that balances a fast gain, as of a temperature, is the difference of two large
    numbers: as a source of current it never settles to ngspice's tolerance. A resistor does.
    """
    slope = sympy.diff(rate, s)
    jumps = any(part.has(s) for part in rate.atoms(Relational))  # of which the slope knows nothing
    if slope == 0 or jumps or not (_is_fixed(slope) and cannot_be_negative(-slope)):
        return sympy.Integer(0), rate
    return -slope, rate.xreplace({s: sympy.Integer(0)})


def _resistance(decay: sympy.Expr) -> str:
    """What a state decays through; with some values of its parameters a decay can be 0."""
    if decay == 0:
        return f"{1 / _LEAK:g}"
    return f"{{{in_braces(1 / sympy.Max(_LEAK, decay))}}}"


def _own_nodes(
    model: CompactModel, steps: dict[sympy.Symbol, sympy.Expr]
) -> dict[sympy.Symbol, float]:
    """What is computed at a node of its own, and the size of one volt there.

    Long rates are, and definitions with limits. The others are not: Newton's method on a chain of
    nodes passes through values that no device has, and a root or an arcsine of one stops the run.
    """
    nodes: dict[sympy.Symbol, float] = {d: 1.0 for d in model.definitions if d.limits}
    for state in model.states:
        symbol = sympy.Symbol(f"free__{state.name}", real=True)
        rate = inlined(steps[symbol], [s for s in steps.items() if s[0] not in nodes])
        if sympy.count_ops(rate) > _LONG:
            solved = {*model.internals, *(d for d in model.definitions if d.limits)}
            nodes[symbol] = _RATE_OF_SOLVED if rate.free_symbols & solved else _RATE
    return nodes


def inlined(expression: sympy.Expr, steps: Sequence[Step]) -> sympy.Expr:
    """The expression with what is assigned in its symbols' place, the last assignment first."""
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
    return names


class BSourcePrinter(NetlistPrinter):
    """Expressions of B sources; what depends on parameters alone becomes a parameter of its own.

    That is not for speed only: ngspice adds about 1e-35 to every divisor of a B source, and it
    differentiates a quotient as (a'b - ab')/b^2. A division by the cube of the permittivity is
    wrong by percents, and the derivative of one by Planck's constant is nothing. Parameters are
    computed once and without that.
    """

    def __init__(self, names: Mapping[sympy.Symbol, str], *, fixed: IsFixed | None = None) -> None:
        super().__init__(names)
        self._is_fixed = fixed or _is_fixed
        self._fixed: dict[sympy.Expr, sympy.Symbol] = {}

    def text(self, expression: sympy.Expr) -> str:
        """The text of an expression; `parameters` has what it refers to."""
        return str(self.doprint(hoist(expression, self._is_fixed, self._fixed, _FIXED)))

    def name(self, symbol: sympy.Symbol, text: str) -> None:
        """From now on `symbol` is written as `text`."""
        self._names[symbol] = text

    def parameters(self) -> list[str]:
        """The lines that define what the expressions so far refer to."""
        return [f".param {one.name}={{{in_braces(part)}}}" for part, one in self._fixed.items()]

    def _print_Symbol(self, expr: sympy.Symbol) -> str:
        if expr.name.startswith(_FIXED):
            return f"({{{expr.name}}})"
        return str(super()._print_Symbol(expr))

    def _print_exp(self, expr: sympy.Expr) -> str:
        argument = expr.args[0]
        inner = self._print(argument)
        limits = [x for x in argument.args if x.is_Number] if argument.func == sympy.Min else []
        if argument.is_number or any(x <= EXP_LIMIT for x in limits):
            return f"exp({inner})"
        return f"(exp(min({inner}, {EXP_LIMIT}))*(1+max(0, ({inner})-{EXP_LIMIT})))"

    def sign(self, text: str) -> str:
        """-1, 0 or 1."""
        return f"sgn({text})"

    def power(self, base: str, exponent: str) -> str:
        """`base`, which is not negative, to the power of `exponent`."""
        return f"(({base})**({exponent}))"


class _ParameterPrinter(NetlistPrinter):
    """Expressions of parameters, as ngspice computes them in braces."""

    def _print_exp(self, expr: sympy.Expr) -> str:
        return f"exp({self._print(expr.args[0])})"

    def sign(self, text: str) -> str:
        """-1, 0 or 1."""
        return f"sgn({text})"

    def power(self, base: str, exponent: str) -> str:
        """`base`, which is not negative, to the power of `exponent`."""
        return f"(({base})**({exponent}))"


def in_braces(expression: sympy.Expr) -> str:
    """The text of an expression of parameters and constants, for use inside braces."""
    return str(_ParameterPrinter({}).doprint(expression))


def _is_fixed(expr: sympy.Basic) -> bool:
    """True for an expression of parameters and numbers alone, and of what braces can hold."""
    return (
        isinstance(expr, sympy.Expr)
        and all(isinstance(s, Parameter | Constant) for s in expr.free_symbols)
        and not expr.has(sympy.Piecewise)
    )
