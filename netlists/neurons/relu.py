"""ReLU: a rectifier whose corner is rounded over `v_knee_v`, as a real one's is."""

from __future__ import annotations

import math

import torch
from torch import nn

from netlists.names import number
from netlists.neurons.spec import Neuron, NeuronSpec


def point(v: float, knee: float, _full: float, _span: float) -> tuple[float, float]:
    """See `netlists.neurons.spec.Point`."""
    root = math.sqrt(v * v + knee * knee)
    return 0.5 * (v + root), 0.5 + 0.5 * v / root if root > 0.0 else 0.0


class Relu:
    """max(0, y), in the circuit (v + sqrt(v^2 + knee^2))/2."""

    name = "relu"
    module: type[nn.Module] = nn.ReLU
    signed = False
    point = staticmethod(point)

    def expression(self, v: str, spec: NeuronSpec, *, v_full_v: float, span: float) -> str:
        """See `Neuron.expression`."""
        return f"0.5*({v}+sqrt({v}*{v}+{number(spec.v_knee_v**2)}))"

    def output_v(
        self, v: torch.Tensor, spec: NeuronSpec, *, v_full_v: float, span: float
    ) -> torch.Tensor:
        """See `Neuron.output_v`."""
        return 0.5 * (v + torch.sqrt(v * v + spec.v_knee_v**2))

    def ideal(self, y: torch.Tensor) -> torch.Tensor:
        """See `Neuron.ideal`."""
        return torch.relu(y)

    def output_span(self, span: float) -> float:
        """Unbounded: the output has the scale of the input."""
        return span


NEURON: Neuron = Relu()
