"""Transfer curves of blocks, measured in ngspice and read back by interpolation.

One curve per instance, so that the surrogate knows each amplifier's own offset and gain. Between
samples a cubic Hermite polynomial with monotone slopes (Fritsch and Carlson, SIAM J. Numer.
Anal. 17, 1980, through scipy) is read; beyond the last sample the curve goes on straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Curves over one uniform grid.

    Args:
        start: input at the first sample.
        step: distance of samples.
        value: [..., sample]; what is before the samples counts curves, and may be nothing.
        slope: [..., sample], derivative at each sample.
    """

    start: float
    step: float
    value: torch.Tensor
    slope: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Reads each curve at its own inputs; differentiable.

        Args:
            x: of any shape that the curves' own can be broadcast to.
        """
        found: torch.Tensor
        found = _Read.apply(x, self)  # type: ignore[no-untyped-call]  # torch
        return found

    @cached_property
    def _polynomials(self) -> torch.Tensor:
        """Of the distance from a sample in steps, [4, curve and interval]; constants first."""
        y0, y1 = self.value[..., :-1], self.value[..., 1:]
        m0, m1 = self.slope[..., :-1] * self.step, self.slope[..., 1:] * self.step
        bend = 2 * (y0 - y1) + m0 + m1
        return torch.stack([y0, m0, -3 * (y0 - y1) - 2 * m0 - m1, bend]).flatten(1)

    @cached_property
    def _first(self) -> torch.Tensor:
        """The first interval of every curve among those of all."""
        shape = self.value.shape[:-1]
        numbers = torch.arange(shape.numel(), device=self.value.device)
        return numbers.reshape(shape) * (self.value.shape[-1] - 1)


class _Read(torch.autograd.Function):
    """The value, and the slope beside it: nothing else is kept for the gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, curves: Curves) -> torch.Tensor:
        """Of inputs of any shape."""
        last = curves.value.shape[-1] - 1
        position = (x.detach() - curves.start) / curves.step
        interval = position.floor().clamp_(0, last - 1).nan_to_num_(0.0)
        t = position.sub_(interval)
        outside = bool((t.amin() < 0) | (t.amax() > 1)) if t.numel() else False
        beyond = t - t.clamp(0, 1) if outside else None  # steps past either end, 0 inside
        if outside:
            t = t.clamp_(0, 1)
        place = interval.long().add_(curves._first)
        c0, c1, c2, c3 = (torch.take(one, place) for one in curves._polynomials)
        slope = torch.addcmul(c1, t, torch.addcmul(2 * c2, t, c3, value=3.0))
        found = c3.mul_(t).add_(c2).mul_(t).add_(c1).mul_(t).add_(c0)
        if beyond is not None:
            found.addcmul_(beyond, slope)
        ctx.save_for_backward(slope.div_(curves.step))
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Of the inputs."""
        (slope,) = ctx.saved_tensors
        return gradient * slope, None


def fit_curves(x: Array, y: Array) -> Curves:
    """Curves through samples.

    Args:
        x: uniform inputs, [sample], at least 3.
        y: outputs, [sample, curve].
    """
    slope = PchipInterpolator(x, y, axis=0).derivative()(x)
    return Curves(
        float(x[0]),
        float(x[1] - x[0]),
        torch.from_numpy(np.ascontiguousarray(y.T)),
        torch.from_numpy(np.ascontiguousarray(np.asarray(slope).T)),
    )
