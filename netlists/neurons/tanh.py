"""Tanh: what a differential pair does by itself."""

from __future__ import annotations

import math

import torch
from torch import nn

from netlists.names import number
from netlists.neurons.spec import Neuron, NeuronSpec


def point(v: float, _knee: float, full: float, span: float) -> tuple[float, float]:
    """See `netlists.neurons.spec.Point`."""
    share = math.tanh(v * (span / full))
    return full * share, span * (1.0 - share * share)


class Tanh:
    """v_full tanh(span v / v_full)."""

    name = "tanh"
    module: type[nn.Module] = nn.Tanh
    signed = True
    point = staticmethod(point)

    def expression(self, v: str, spec: NeuronSpec, *, v_full_v: float, span: float) -> str:
        """See `Neuron.expression`."""
        return f"{number(v_full_v)}*tanh({v}*{number(span / v_full_v)})"

    def output_v(
        self, v: torch.Tensor, spec: NeuronSpec, *, v_full_v: float, span: float
    ) -> torch.Tensor:
        """See `Neuron.output_v`."""
        return v_full_v * torch.tanh(v * (span / v_full_v))

    def ideal(self, y: torch.Tensor) -> torch.Tensor:
        """See `Neuron.ideal`."""
        return torch.tanh(y)

    def output_span(self, span: float) -> float:
        """Bounded: full-scale voltage stands for 1."""
        return 1.0


NEURON: Neuron = Tanh()
