"""A model in torch: current, rates, residual and their derivatives, for any number of cells.

States are passed as the fractions of `normal_form`; `to_fraction` and `to_physical` translate.
Every function takes (v, states, internals, p): tensors of one shape [...], and a dict of parameters
whose values are floats or tensors that broadcast to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import sympy
import torch

from compact_models.emit.derivatives import share, with_derivatives
from compact_models.emit.torch_code import Function, Value, compile_function
from compact_models.errors import InputError, closest
from compact_models.kept_by_content import kept_by_content
from compact_models.model import CompactModel
from compact_models.normal_form import NormalForm, Step, normal_form, normalise, physical
from compact_models.normal_form import between_kinks as form_between_kinks
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

    def prepared(self, p: Parameters) -> dict[str, Value]:
        """`p` with what the equations compute from parameters alone; see `Function.prepared`."""
        p = self.equations_slopes.prepared(self.equations.prepared(p))
        return p if self.residual is None else self.residual.prepared(p)

    def parameters(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The dict `p` for the functions: `values` with the constants of nature.

        Raises:
            InputError: a parameter is missing, or there is none of that name.
        """
        _check_names("parameter", values, [one.name for one in self.model.parameters], "values")
        return {**values, **{c.name: c.value for c in self.model.constants}}

    def in_order(self, states: Mapping[str, Value]) -> list[Value]:
        """Physical states by name, as a list in the model's order.

        Raises:
            InputError: a state is missing, or there is none of that name.
        """
        names = [state.name for state in self.model.states]
        _check_names("state", states, names, "states")
        return [states[name] for name in names]

    def fractions(self, states: Sequence[torch.Tensor], p: Parameters) -> list[torch.Tensor]:
        """The fractions of the physical `states`, each of the same shape."""
        return [_like(x, s) for x, s in zip(states, self.to_fractions(*states, p), strict=True)]

    def states(self, fractions: Sequence[torch.Tensor], p: Parameters) -> list[torch.Tensor]:
        """The physical states of the `fractions`, each of the same shape."""
        return [_like(s, x) for s, x in zip(fractions, self.to_states(*fractions, p), strict=True)]


def _check_names(kind: str, given: Mapping[str, Value], known: Sequence[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise InputError(
                f"there is no such {kind}",
                where=where,
                value=name,
                allowed=", ".join(known),
                hint=closest(name, known),
            )
    for name in known:
        if name not in given:
            raise InputError(f"the {kind} {name!r} is missing", where=where)


def _like(model: torch.Tensor, value: Value) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.full_like(model, value)


@kept_by_content(128)
def torch_model(model: CompactModel) -> TorchModel:
    """The torch functions of a model; kept for models of the same content."""
    form = normal_form(model)
    names = (*model.parameters, *model.constants)
    seeds = (*form.inputs, V, *model.internals)
    maker = _Maker(model.name, form)

    def plain(name: str, inputs: Sequence[sympy.Symbol], values: Sequence[sympy.Expr]) -> Function:
        outputs = [sympy.Symbol(f"out__{k}", real=True) for k in range(len(values))]
        named = [(d, d.expression) for d in model.definitions]
        steps = share([*named, *zip(outputs, values, strict=True)], outputs)
        return compile_function(f"{model.name}_{name}", inputs, names, steps, outputs)[0]

    internal = model.internals
    return TorchModel(
        model=model,
        form=form,
        rates=maker.function("rates", form.rates),
        equations=maker.equations(),
        equations_slopes=maker.equations_slopes(),
        residual=maker.residual(),
        current=maker.function("current", [form.current]),
        current_slopes=maker.slopes("current_slopes", [form.current], seeds, values=False),
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


@kept_by_content(256)
def between_kinks(model: CompactModel, signs: tuple[int, ...]) -> TorchModel:
    """The functions of a model for voltages at which its kinks have the given signs.

    They are those of `torch_model`, without the choices that are made already: most of the work of
    a model that has one equation for either polarity.

    Args:
        model: the model.
        signs: 1 or -1 for every kink of its normal form.
    """
    letters = "".join("p" if sign > 0 else "n" for sign in signs)
    maker = _Maker(f"{model.name}_{letters}", form_between_kinks(normal_form(model), signs))
    return replace(
        torch_model(model),
        equations=maker.equations(),
        equations_slopes=maker.equations_slopes(),
        residual=maker.residual(),
    )


@dataclass(frozen=True)
class _Maker:
    """Compiles functions of a normal form."""

    name: str
    form: NormalForm

    def function(self, name: str, outputs: Sequence[sympy.Symbol]) -> Function:
        return self._compiled(name, share(self.form.steps, outputs), outputs)

    def slopes(
        self,
        name: str,
        outputs: Sequence[sympy.Symbol],
        by: Sequence[sympy.Symbol],
        values: bool,
    ) -> Function:
        longer, slope = with_derivatives(self.form.steps, outputs, by)
        wanted = [slope[output, seed] for output in outputs for seed in by]
        wanted = [*outputs, *wanted] if values else wanted
        return self._compiled(name, share(longer, wanted), wanted)

    def equations(self) -> Function:
        return self.function("equations", (*self.form.rates, *self.form.residuals))

    def equations_slopes(self) -> Function:
        form = self.form
        by = (*form.inputs, *form.model.internals, V)
        return self.slopes("equations_slopes", (*form.rates, *form.residuals), by, values=True)

    def residual(self) -> Function | None:
        form = self.form
        if not form.residuals:
            return None
        return self.slopes("residual", form.residuals, form.model.internals, values=True)

    def _compiled(
        self, name: str, steps: Sequence[Step], outputs: Sequence[sympy.Symbol]
    ) -> Function:
        model = self.form.model
        names = (*model.parameters, *model.constants)
        arguments = (V, *self.form.inputs, *model.internals)
        return compile_function(f"{self.name}_{name}", arguments, names, steps, outputs)[0]
