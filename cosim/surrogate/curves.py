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

from cosim.surrogate.curve_loops import read_curves

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """Curves over one uniform grid.

    Args:
        start: input at the first sample.
        step: distance of samples.
        value: [curve, sample], or [sample] for one curve.
        slope: likewise, derivative at each sample.
    """

    start: float
    step: float
    value: torch.Tensor
    slope: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Reads each curve at its own inputs: [..., curve], or of any shape where there is one."""
        cols = self.value.shape[0] if self.value.ndim > 1 else 1
        one = torch.ones(1, cols, dtype=x.dtype, device=x.device)
        batch = x.numel() // cols
        return self.placed(x.reshape(1, batch, cols), one, torch.zeros_like(one)).reshape(x.shape)

    def placed(self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        """Reads at `scale` x + `shift`; differentiable in x.

        Args:
            x: [part, batch, col]; one curve for all columns, or one for each.
            scale: [part, col].
            shift: [part, col].
        """
        found: torch.Tensor
        found = _Read.apply(x, scale, shift, self)  # type: ignore[no-untyped-call]  # torch
        return found

    def with_slope(
        self, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `placed`, and the slopes by x; without a graph."""
        at, a, b = (one.detach().cpu().contiguous().numpy() for one in (x, scale, shift))
        found, slope = (torch.empty(x.shape, dtype=x.dtype) for _ in range(2))
        made = found.numpy(), slope.numpy()
        read_curves(at, a, b, self.start, self.step, self.polynomials, *made)
        return found.to(x.device), slope.to(x.device)

    @cached_property
    def polynomials(self) -> Array:
        """Of the distance from a sample in steps, [curve, interval, 4]; constants first."""
        value, slope = (x.reshape(-1, x.shape[-1]) for x in (self.value, self.slope))
        y0, y1 = value[:, :-1], value[:, 1:]
        m0, m1 = slope[:, :-1] * self.step, slope[:, 1:] * self.step
        bend = 2 * (y0 - y1) + m0 + m1
        return torch.stack([y0, m0, -3 * (y0 - y1) - 2 * m0 - m1, bend], -1).cpu().numpy()


class _Read(torch.autograd.Function):
    """The value, and the slope beside it: nothing else is kept for the gradient."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, curves: Curves
    ) -> torch.Tensor:
        """Of inputs [part, batch, col]."""
        found, slope = curves.with_slope(x, scale, shift)
        ctx.save_for_backward(slope)
        return found

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """Of the inputs."""
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None, None


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
