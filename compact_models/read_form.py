"""The read form of a model: its current while the states stand still.

A read is too short and too low for a state to move, and a sweep of operating points has no time in
which one could: in the dynamic form the states of a `.dc` sweep run to their bounds. Here they are
numbers that are given, like parameters. The equations are those of the model, fewer: the rates and
what they alone need are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from compact_models.kept_by_content import kept_by_content
from compact_models.model import CompactModel
from compact_models.normal_form import Step
from compact_models.symbols import Definition, Parameter, State, V


@dataclass(frozen=True)
class ReadForm:
    """The current of a device whose states are given.

    Attributes:
        model: the model.
        states: those that the current depends on, in the model's order; in their own units.
        parameters: likewise.
        definitions: the named parts of its equations, each after those that it needs.
        conductance: current over voltage [S], an expression of states and parameters, where the
            current is proportional to the voltage; None where it is not.
    """

    model: CompactModel
    states: tuple[State, ...]
    parameters: tuple[Parameter, ...]
    definitions: tuple[Definition, ...]
    conductance: sympy.Expr | None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The definitions as assignments, in an order in which they can be evaluated."""
        return tuple((one, one.expression) for one in self.definitions)


@kept_by_content(128)
def read_form(model: CompactModel) -> ReadForm:
    """The read form of a model; kept for models of the same content."""
    found: set[sympy.Symbol] = set()

    def visit(expression: sympy.Basic) -> None:
        for symbol in expression.free_symbols - found:
            found.add(symbol)
            if isinstance(symbol, Definition):
                for part in (symbol.expression, *(symbol.limits or ())):
                    visit(part)

    visit(model.current)
    if found & {*model.internals}:
        for residual in model.implicit.values():
            visit(residual)
    return ReadForm(
        model,
        tuple(state for state in model.states if state in found),
        tuple(one for one in model.parameters if one in found),
        tuple(one for one in model.definitions if one in found),
        None if found & {*model.internals} else _conductance(model),
    )


def is_linear(model: CompactModel) -> bool:
    """True if the current is proportional to the voltage while the states stand still."""
    return read_form(model).conductance is not None


def _conductance(model: CompactModel) -> sympy.Expr | None:
    """Current over voltage where the voltage drops out of it."""
    current = model.current
    for definition in reversed(model.definitions):
        current = current.xreplace({definition: definition.expression})
    quotient = current / V
    return None if quotient.has(V) or quotient.has(sympy.Piecewise) else quotient
