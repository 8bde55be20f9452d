"""The product of arrays in torch's graph: forward what a chip computes, backward its cells.

In the place of a gradient stands the array read backward, and what cells are to learn is left in
pairs of activations and errors.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch

from compact_models.errors import InputError
from cosim.array.combined import WeightArray
from cosim.array.parameter import AnalogParameter
from cosim.network.run import Periphery
from cosim.periphery.converters import clamped
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan


class InCells(Protocol):
    """A layer whose weights are in cells."""

    plan: LayerPlan
    hardware: Hardware
    array: WeightArray
    periphery: Periphery
    weight: AnalogParameter
    bias: AnalogParameter | None

    def sums_v(self, x: torch.Tensor) -> torch.Tensor:
        """What amplifiers add up to, [chip, batch, out], for digital inputs [chip, batch, in]."""
        ...

    def errors_at_inputs(self, d: torch.Tensor) -> torch.Tensor:
        """Errors at the digital inputs for errors at the sums, [chip, batch, in]."""
        ...


class Product(torch.autograd.Function):
    """The product of an array, with the backward read in the place of a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: AnalogParameter,
        bias: AnalogParameter | None,
        layer: InCells,
    ) -> torch.Tensor:
        """Codes of the converters, [chip, batch, out]."""
        ctx.layer = layer
        ctx.version = layer.array.version
        ctx.trained = (
            weight.requires_grad,
            bias is not None and bias.requires_grad,
        )
        found = layer.periphery.codes(layer.sums_v(x))
        # What is drawn of the periphery is in double precision, whatever the cells' states are in.
        ctx.save_for_backward(x, found.slope.to(x.dtype))
        return found.codes.to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, None, None, None]:
        """Leaves a pair, and reads the array backward where errors are wanted below."""
        layer: InCells = ctx.layer
        if ctx.version != layer.array.version:
            raise InputError(
                "the cells have moved between the forward and the backward read",
                where=layer.plan.source,
                hint="call backward before the optimiser's step",
            )
        x, slope = ctx.saved_tensors
        plan, hardware = layer.plan, layer.hardware
        # By the sums in logical units.
        d = (gradient * slope).mul_(hardware.adc.v_full_scale_v / plan.span)
        if any(ctx.trained):
            # A bias lies in the array as bias / input_scale and is driven with 1.
            bias = (1.0 / plan.input_scale if ctx.trained[1] else 0.0) if plan.has_bias else None
            scale = plan.input_scale if ctx.trained[0] else 0.0
            lines = clamped(x, signed=plan.signed_input, scale=scale, bias=bias)
            layer.weight.pairs.put(lines, d)
        below = layer.errors_at_inputs(d).to(x.dtype) if ctx.needs_input_grad[0] else None
        return below, None, None, None
