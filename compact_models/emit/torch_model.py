"""A model in torch: current, rates, residual and their derivatives, for any number of cells.

States are passed as the fractions of `normal_form`; `to_fraction` and `to_physical` translate.
Every function takes (v, states, internals, p): tensors of one shape [...], and a dict of parameters
whose values are floats or tensors that broadcast to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import sympy
import torch

from compact_models.emit.derivatives import share, with_derivatives
from compact_models.emit.torch_code import Function, Value, compile_function
from compact_models.model import CompactModel
from compact_models.normal_form import NormalForm, normal_form, normalise, physical
from compact_models.symbols import V

Parameters = Mapping[str, Value]


@dataclass(frozen=True)
class TorchModel:
    """The functions of one model. Positional arguments: v, the fractions, the internals, p.

    Attributes:
        model: the model.
        form: its normal form, which says what the fractions are.
        rates: d(fraction)/dt of every state [1/s].
        equations: the rates, then the residual of the internal quantity, if there is one.
        equations_slopes: the equations; then per equation its derivatives by every fraction, by the
            internal quantity, if there is one, and by v.
        residual: the residual of the internal quantity and its derivative by it.
        current: the current [A].
        current_slopes: derivatives of the current by every fraction, by v and by the internal.
        bracket: both ends of the interval that holds the internal quantity; of v and p alone.
        kinks: `NormalForm.kinks`; of v and p alone.
        to_fractions: the fractions of physical states; of the states and p alone.
        to_states: the physical states of fractions; of the fractions and p alone.
        pulse_steps: for a pulse-response device the change of state by a pulse up and one down and
            the standard deviation of each, of the physical state and p alone.
    """

    model: CompactModel
    form: NormalForm
    rates: Function
    equations: Function
    equations_slopes: Function
    residual: Function | None
    current: Function
    current_slopes: Function
    bracket: Function | None
    kinks: Function
    to_fractions: Function
    to_states: Function
    pulse_steps: Function | None

    def parameters(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The dict `p` for the functions: `values` with the constants of nature."""
        return {**values, **{c.name: c.value for c in self.model.constants}}

    def fractions(self, states: Sequence[torch.Tensor], p: Parameters) -> list[torch.Tensor]:
        """The fractions of the physical `states`, each of the same shape."""
        return [_like(x, s) for x, s in zip(states, self.to_fractions(*states, p), strict=True)]

    def states(self, fractions: Sequence[torch.Tensor], p: Parameters) -> list[torch.Tensor]:
        """The physical states of the `fractions`, each of the same shape."""
        return [_like(s, x) for s, x in zip(fractions, self.to_states(*fractions, p), strict=True)]


def _like(model: torch.Tensor, value: Value) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.full_like(model, value)


@cache
def torch_model(model: CompactModel) -> TorchModel:
    """The torch functions of a model; made once per process."""
    form = normal_form(model)
    names = (*model.parameters, *model.constants)
    arguments = (V, *form.inputs, *model.internals)
    seeds = (*form.inputs, V, *model.internals)

    def function(name: str, outputs: Sequence[sympy.Symbol]) -> Function:
        steps = share(form.steps, outputs)
        return compile_function(f"{model.name}_{name}", arguments, names, steps, outputs)[0]

    def slopes(
        name: str, outputs: Sequence[sympy.Symbol], by: Sequence[sympy.Symbol], values: bool
    ) -> Function:
        longer, slope = with_derivatives(form.steps, outputs, by)
        wanted = [slope[output, seed] for output in outputs for seed in by]
        wanted = [*outputs, *wanted] if values else wanted
        steps = share(longer, wanted)
        return compile_function(f"{model.name}_{name}", arguments, names, steps, wanted)[0]

    def plain(name: str, inputs: Sequence[sympy.Symbol], values: Sequence[sympy.Expr]) -> Function:
        outputs = [sympy.Symbol(f"out_{k}", real=True) for k in range(len(values))]
        named = [(d, d.expression) for d in model.definitions]
        steps = share([*named, *zip(outputs, values, strict=True)], outputs)
        return compile_function(f"{model.name}_{name}", inputs, names, steps, outputs)[0]

    internal = model.internals
    equations = (*form.rates, *form.residuals)
    return TorchModel(
        model=model,
        form=form,
        rates=function("rates", form.rates),
        equations=function("equations", equations),
        equations_slopes=slopes(
            "equations_slopes", equations, (*form.inputs, *internal, V), values=True
        ),
        residual=slopes("residual", form.residuals, internal, values=True) if internal else None,
        current=function("current", [form.current]),
        current_slopes=slopes("current_slopes", [form.current], seeds, values=False),
        bracket=plain("bracket", [V], [internal[0].low, internal[0].high]) if internal else None,
        kinks=plain("kinks", [V], form.kinks),
        to_fractions=plain("fractions", model.states, [normalise(x, x) for x in model.states]),
        to_states=plain(
            "states",
            form.inputs,
            [physical(x, s) for x, s in zip(model.states, form.inputs, strict=True)],
        ),
        pulse_steps=plain("pulse_steps", model.states, model.pulse.expressions)
        if model.pulse
        else None,
    )
