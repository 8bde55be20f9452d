"""The products of a chain of arrays in torch's graph: one function, whatever the number of layers.

Forward it is what the chip computes, layer by layer. Backward, in the place of a gradient, stand
the arrays read backward, and what cells are to learn is left in pairs of activations and errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from compact_models.errors import InputError
from cosim.array.combined import WeightArray
from netlists.tiles import LayerPlan


class InCells(Protocol):
    """A layer whose weights are in cells."""

    plan: LayerPlan
    array: WeightArray
    code_full: float

    @property
    def trained(self) -> tuple[bool, bool]:
        """Whether its weights, and whether its biases are to learn."""
        ...

    def read(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes and their slopes by the sums, [chip, batch, out], for digital [chip, batch, in]."""
        ...

    def errors(self, gradient: torch.Tensor, slope: torch.Tensor, times: float) -> torch.Tensor:
        """Gradients by the logical sums for those by codes over `times`, [chip, batch, out]."""
        ...

    def leave(self, x: torch.Tensor, d: torch.Tensor, trained: tuple[bool, bool]) -> None:
        """Leaves a pair of activations [chip, batch, in] and `errors` for who updates the cells."""
        ...

    def errors_at_inputs(self, d: torch.Tensor) -> torch.Tensor:
        """Gradients by the digital inputs [chip, batch, in] for `errors`: a backward read."""
        ...


class Products(torch.autograd.Function):
    """Codes of the last layer's converters, times a number, for inputs of the first.

    `apply` takes digital inputs [in] or [batch, in] for all chips, or [chip, batch, in]; the
    layers; the number; and their parameters, which make this a part of the graph.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        layers: Sequence[InCells],
        times: float,
        *_parameters: torch.Tensor | None,
    ) -> torch.Tensor:
        """[out] or [batch, out], with one axis more for many chips or where inputs had it."""
        chips, dtype = layers[0].array.chips, layers[0].array.dtype
        values = x if x.dtype == dtype else x.to(dtype)
        if x.ndim < 3:
            values = values.reshape(1, -1, x.shape[-1])
            if chips > 1:
                values = values.expand(chips, -1, -1)
        kept = []
        codes = values
        for number, layer in enumerate(layers):
            if number:
                values = codes / layers[number - 1].code_full
            codes, slope = layer.read(values)
            kept.append((values, slope))
        ctx.layers, ctx.times, ctx.kept = layers, times, kept
        ctx.versions = [one.array.version for one in layers]
        ctx.trained = [one.trained for one in layers]
        ctx.save_for_backward(x)
        if times != 1.0:
            codes = codes * times
        if x.ndim == 3:
            return codes
        codes = codes[:, 0] if x.ndim == 1 else codes
        return codes if chips > 1 else codes[0]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Leaves pairs, and reads arrays backward where errors are wanted below."""
        layers: Sequence[InCells] = ctx.layers
        for layer, version in zip(layers, ctx.versions, strict=True):
            if version != layer.array.version:
                raise InputError(
                    "the cells have moved between the forward and the backward read",
                    where=layer.plan.source,
                    hint="call backward before the optimiser's step",
                )
        (x,) = ctx.saved_tensors
        slope = ctx.kept[-1][1]
        found, times = gradient.reshape(slope.shape), ctx.times
        if found.dtype != slope.dtype:
            found = found.to(slope.dtype)
        lowest = _lowest(ctx.trained, below=ctx.needs_input_grad[0])
        for number in range(len(layers) - 1, lowest - 1, -1):
            layer, (values, slope) = layers[number], ctx.kept[number]
            d = layer.errors(found, slope, times)
            layer.leave(values, d, ctx.trained[number])
            if number > lowest or ctx.needs_input_grad[0]:
                found, times = layer.errors_at_inputs(d), 1.0 / layers[number - 1].code_full
        if not ctx.needs_input_grad[0]:
            return (None,) * len(ctx.needs_input_grad)
        if x.ndim < 3:
            found = found.sum(0) if len(found) > 1 else found[0]
        return found.reshape(x.shape).to(x.dtype), *((None,) * (len(ctx.needs_input_grad) - 1))


def _lowest(trained: Sequence[tuple[bool, bool]], *, below: bool) -> int:
    """The first layer that errors are wanted for; as many as there are where it is none."""
    if below:
        return 0
    return next((k for k, one in enumerate(trained) if any(one)), len(trained))
