"""Sigmoid: a differential pair whose output is taken from one side."""

from __future__ import annotations

import math

import torch
from torch import nn

from netlists.names import number
from netlists.neurons.spec import Neuron, NeuronSpec


def point(v: float, _knee: float, full: float, span: float) -> tuple[float, float]:
    """See `netlists.neurons.spec.Point`."""
    y = v * (span / full)
    # Of a number that is not positive: exp cannot overflow.
    less = math.exp(-abs(y))
    share = 1.0 / (1.0 + less) if y >= 0.0 else less / (1.0 + less)
    return full * share, span * share * (1.0 - share)


class Sigmoid:
    """v_full (1 + tanh(span v / (2 v_full)))/2, which is v_full sigmoid(span v / v_full)."""

    name = "sigmoid"
    module: type[nn.Module] = nn.Sigmoid
    signed = False
    point = staticmethod(point)

    def expression(self, v: str, spec: NeuronSpec, *, v_full_v: float, span: float) -> str:
        """See `Neuron.expression`; tanh because it cannot overflow where exp can."""
        return f"{number(v_full_v / 2)}*(1+tanh({v}*{number(span / (2 * v_full_v))}))"

    def output_v(
        self, v: torch.Tensor, spec: NeuronSpec, *, v_full_v: float, span: float
    ) -> torch.Tensor:
        """See `Neuron.output_v`."""
        return v_full_v * torch.sigmoid(v * (span / v_full_v))

    def ideal(self, y: torch.Tensor) -> torch.Tensor:
        """See `Neuron.ideal`."""
        return torch.sigmoid(y)

    def output_span(self, span: float) -> float:
        """Bounded: full-scale voltage stands for 1."""
        return 1.0


NEURON: Neuron = Sigmoid()
