"""What every neuron file offers, and how a neuron is found by the torch module it stands for.

A neuron file has a class with `Neuron`'s members and one instance of it called `NEURON`; adding
an activation is adding a file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Protocol

from pydantic import Field

import netlists.neurons
from compact_models.errors import InputError
from compact_models.spec import Spec
from netlists.circuit import BehaviouralVoltage, Subcircuit

if TYPE_CHECKING:  # a configuration is read before torch is
    import torch
    from torch import nn


Point = Callable[[float, float, float, float], tuple[float, float]]
"""`Neuron.output_v` of one voltage and its slope, for v, v_knee, v_full and span, by `math` alone:
loops are compiled from it. Without a knee and in volts it is the activation of the network."""


class NeuronSpec(Spec):
    """Parameters that all neurons share."""

    v_knee_v: float = Field(2e-3, gt=0, le=1, description="rounding of a rectifier's corner [V]")
    sigma_offset_v: float = Field(
        1e-3, ge=0, le=1, description="standard deviation of the input offset [V]"
    )
    sigma_gain: float = Field(
        0.0, ge=0, le=0.5, description="relative standard deviation of the gain at the input"
    )


class Neuron(Protocol):
    """One activation: as a circuit, as its equation, and as the ideal function of the network."""

    name: str
    module: type[nn.Module]
    signed: bool  # whether its output takes both signs

    def expression(self, v: str, spec: NeuronSpec, *, v_full_v: float, span: float) -> str:
        """The output voltage as an expression of the input voltage `v` (an expression too).

        Args:
            v: the input voltage.
            spec: the neuron's parameters.
            v_full_v: the voltage that stands for `span` at the input and for 1 (bounded
                activations) or `span` (unbounded ones) at the output.
            span: the pre-activation, in the network's own numbers, at `v_full_v`.
        """
        ...

    def output_v(
        self, v: torch.Tensor, spec: NeuronSpec, *, v_full_v: float, span: float
    ) -> torch.Tensor:
        """The same as `expression`, evaluated: volts in, volts out, any shape."""
        ...

    @property
    def point(self) -> Point:
        """See `Point`."""
        ...

    def ideal(self, y: torch.Tensor) -> torch.Tensor:
        """The activation of the network, in its own numbers."""
        ...

    def output_span(self, span: float) -> float:
        """The activation, in the network's own numbers, at full-scale output voltage."""
        ...


def subcircuit(
    neuron: Neuron, spec: NeuronSpec, *, name: str, v_full_v: float, span: float
) -> Subcircuit:
    """A neuron's block, ports (in, out), parameters `gain` and `vos` [V], both at the input."""
    inside = "(V(in)*({gain})+({vos}))"
    expression = neuron.expression(inside, spec, v_full_v=v_full_v, span=span)
    return Subcircuit(
        name=name,
        ports=("in", "out"),
        items=(BehaviouralVoltage("bout", "out", "0", expression),),
        parameters={"vos": 0.0, "gain": 1.0},
        description=f"neuron: {neuron.name}, {v_full_v:g} V stands for {span:.6g}; vos [V]",
    )


@cache
def _registry() -> dict[str, Neuron]:
    """All neurons by name: one for every file beside this one, which are read once."""
    found: dict[str, Neuron] = {}
    for module in pkgutil.iter_modules(netlists.neurons.__path__):
        one = getattr(importlib.import_module(f"netlists.neurons.{module.name}"), "NEURON", None)
        if one is not None:
            found[one.name] = one
    return found


def all_neurons() -> tuple[Neuron, ...]:
    """Every neuron of this folder."""
    return tuple(_registry().values())


def neuron_by_name(name: str) -> Neuron:
    """The neuron called `name`.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    known = _registry()
    if name not in known:
        raise InputError("unknown activation", value=name, allowed=", ".join(sorted(known)))
    return known[name]


def neuron_for(module: nn.Module) -> Neuron | None:
    """The neuron that stands for a torch module, or None."""
    return next((neuron for neuron in all_neurons() if type(module) is neuron.module), None)
