"""What a kind of block does, over its input and over what its instances draw.

Instances of a block have one curve F, whose input and output each of them shifts and scales:
y = s F(a x + b) + t, where a, b, s and t are polynomials of what it has drawn. An amplifier with
feedback R and offset V has F of -R i + V, a neuron with an offset F of v + V: what training, and
any number of chips, needs of an instance is then an evaluation, and no simulation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.pulses.trains import on_host
from cosim.surrogate.curve_loops import Array, pairs_gradient, read_pairs, read_side_sums
from cosim.surrogate.curves import Curves


def monomials(z: torch.Tensor) -> torch.Tensor:
    """1, z_i and z_i z_j, [..., term], for [..., parameter]."""
    count = z.shape[-1]
    left, right = torch.triu_indices(count, count)
    return torch.cat([torch.ones_like(z[..., :1]), z, z[..., left] * z[..., right]], -1)


@dataclass(frozen=True, eq=False)
class DrawnValue:
    """A number of a block as a polynomial of second degree of what its instances draw.

    Attributes:
        nominal: of the parameters, [parameter].
        scale: of their deviations, [parameter].
        coefficients: of `monomials` of the scaled deviations, [term].
    """

    nominal: torch.Tensor
    scale: torch.Tensor
    coefficients: torch.Tensor

    def at(self, *drawn: torch.Tensor) -> torch.Tensor:
        """Of instances of any shape; one tensor a parameter."""
        z = (torch.stack(drawn, -1) - self.nominal) / self.scale
        return monomials(z) @ self.coefficients


def fixed_value(nominal: Sequence[float], value: float, slopes: Sequence[float] = ()) -> DrawnValue:
    """A number that is the same for all instances, or straight in what they draw.

    Args:
        nominal: of the parameters.
        value: of the block without errors.
        slopes: by the parameters; none for 0.
    """
    count = len(nominal)
    coefficients = torch.zeros(1 + count + count * (count + 1) // 2, dtype=torch.float64)
    coefficients[0] = value
    coefficients[1 : 1 + len(slopes)] = torch.tensor(slopes, dtype=torch.float64)
    origin = torch.tensor(nominal, dtype=torch.float64)
    return DrawnValue(origin, torch.ones_like(origin), coefficients)


@dataclass(frozen=True, eq=False)
class BlockCurves:
    """The curve of a kind of block, and how its instances place it.

    Attributes:
        master: F, of the block without errors.
        scale: a.
        shift: b.
        out_scale: s; None where it is 1 for all.
        out_shift: t; None where it is 0 for all.
    """

    master: Curves
    scale: DrawnValue
    shift: DrawnValue
    out_scale: DrawnValue | None = None
    out_shift: DrawnValue | None = None

    def at(self, *drawn: torch.Tensor) -> PlacedCurves:
        """The curves of instances of any shape; one tensor a parameter."""
        placed = PlacedCurves(self.master, self.scale.at(*drawn), self.shift.at(*drawn))
        if self.out_scale is None or self.out_shift is None:
            return placed
        of_output = self.out_scale.at(*drawn), self.out_shift.at(*drawn)
        return PlacedCurves(self.master, placed.scale, placed.shift, of_output)


@dataclass(frozen=True, eq=False)
class PlacedCurves:
    """One curve for every instance; see `BlockCurves`.

    Attributes:
        master: F.
        scale: a, of the instances' shape, [..., 1, col].
        shift: b, likewise.
        of_output: s and t, likewise; None where outputs are F's.
    """

    master: Curves
    scale: torch.Tensor
    shift: torch.Tensor
    of_output: tuple[torch.Tensor, torch.Tensor] | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [..., batch, col] for inputs of that shape; instances are [..., 1, col]."""
        y = self.master.placed(*self._parts(x)).reshape(x.shape)
        if self.of_output is None:
            return y
        out_scale, out_shift = self.of_output
        return torch.addcmul(out_shift, y, out_scale)

    def arranged(self, order: Callable[[torch.Tensor], torch.Tensor]) -> PlacedCurves:
        """The same instances in another order, which `order` brings tensors to."""
        scale, shift = (order(one).contiguous() for one in (self.scale, self.shift))
        of_output = self.of_output
        if of_output is not None:
            of_output = order(of_output[0]).contiguous(), order(of_output[1]).contiguous()
        return PlacedCurves(self.master, scale, shift, of_output)

    def with_slope(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs and their slopes by x, without a graph."""
        y, slope = (one.reshape(x.shape) for one in self.master.with_slope(*self._parts(x)))
        if self.of_output is None:
            return y, slope
        out_scale, out_shift = self.of_output
        return torch.addcmul(out_shift, y, out_scale), slope * out_scale

    def pair_sums(self, x: torch.Tensor, edges: NDArray[np.int64]) -> torch.Tensor:
        """Second less first of pairs of columns over all tiles, [chip, batch, out].

        Args:
            x: [chip, tile, batch, col]; tiles side by side follow each other.
            edges: first output of every block of outputs, and the number of all.
        """
        total: torch.Tensor
        total = _PairSums.apply(x, self, edges)  # type: ignore[no-untyped-call]  # torch
        return total

    def side_sums(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs of second sides less those of first ones, over all parts; without a graph.

        Args:
            x: inputs [chip, part, side, batch, col], for instances [chip, part, side, 1, col].

        Returns:
            [chip, batch, col].
        """
        chips, _, _, batch, cols = x.shape
        total = np.empty((chips, batch, cols), on_host(x).dtype)
        master = self.master
        read_side_sums(
            on_host(x), *self._on_host, master.start, master.step, master.polynomials, total
        )
        return torch.from_numpy(total).to(x.device)

    @cached_property
    def _on_host(self) -> tuple[Array, Array, Array, Array]:
        """Scales and shifts of inputs, and those of outputs."""
        of_output = self.of_output
        if of_output is None:
            of_output = torch.ones_like(self.scale), torch.zeros_like(self.scale)
        return (
            on_host(self.scale), on_host(self.shift), on_host(of_output[0]), on_host(of_output[1]),
        )  # fmt: skip

    def _parts(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Inputs [part, batch, col], scales and shifts [part, col]."""
        *lead, batch, cols = x.shape
        parts = math.prod(lead)
        scale, shift = (
            one.expand(*lead, 1, cols).reshape(parts, cols) for one in (self.scale, self.shift)
        )
        return x.reshape(parts, batch, cols), scale, shift


class _PairSums(torch.autograd.Function):
    """The sums, and the slopes beside them: nothing else is kept for the gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, curves: PlacedCurves, edges: NDArray[np.int64]
    ) -> torch.Tensor:
        """See `PlacedCurves.pair_sums`."""
        chips, tiles, batch, cols = x.shape
        one = torch.ones_like(curves.scale), torch.zeros_like(curves.scale)
        given: tuple[Any, ...] = tuple(
            on_host(values.expand(chips, tiles, 1, cols).squeeze(2))
            for values in (curves.scale, curves.shift, *(curves.of_output or one))
        )
        master = curves.master
        total = torch.empty(chips, batch, int(edges[-1]), dtype=x.dtype)
        slope = torch.empty(x.shape, dtype=x.dtype)
        samples = master.start, master.step, master.polynomials
        read_pairs(*(on_host(x), *given, *samples, edges, total.numpy(), slope.numpy()))
        ctx.slope, ctx.edges = slope, edges
        return total.to(x.device)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """By the inputs."""
        found = torch.empty_like(ctx.slope)
        pairs_gradient(on_host(gradient), ctx.slope.numpy(), ctx.edges, found.numpy())
        return found.to(gradient.device), None, None
