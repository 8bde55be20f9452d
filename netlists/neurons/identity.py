"""No activation: the amplifier's output goes straight to the converter (logits, mostly)."""

from __future__ import annotations

import torch
from torch import nn

from netlists.neurons.spec import Neuron, NeuronSpec


def point(v: float, _knee: float, _full: float, _span: float) -> tuple[float, float]:
    """See `netlists.neurons.spec.Point`."""
    return v, 1.0


class Identity:
    """A buffer."""

    name = "identity"
    module: type[nn.Module] = nn.Identity
    signed = True
    point = staticmethod(point)

    def expression(self, v: str, spec: NeuronSpec, *, v_full_v: float, span: float) -> str:
        """See `Neuron.expression`."""
        return v

    def output_v(
        self, v: torch.Tensor, spec: NeuronSpec, *, v_full_v: float, span: float
    ) -> torch.Tensor:
        """See `Neuron.output_v`."""
        return v

    def ideal(self, y: torch.Tensor) -> torch.Tensor:
        """See `Neuron.ideal`."""
        return y

    def output_span(self, span: float) -> float:
        """Unbounded: the output has the scale of the input."""
        return span


NEURON: Neuron = Identity()
