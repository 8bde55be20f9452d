"""Transfer curves of blocks, measured in ngspice and read back by interpolation.

One curve per instance, so that the surrogate knows each amplifier's own offset and gain. Between
samples a cubic Hermite polynomial with monotone slopes (Fritsch and Carlson, SIAM J. Numer.
Anal. 17, 1980, through scipy) is read; beyond the last sample the curve goes on straight.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        value: [curve, sample].
        slope: [curve, sample], derivative at each sample.
    """

    start: float
    step: float
    value: torch.Tensor
    slope: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Reads each curve at its own inputs: [..., curve] in, [..., curve] out."""
        position = (x - self.start) / self.step
        last = self.value.shape[-1] - 1
        cell = position.detach().floor().clamp(0, last - 1).long()
        t = position - cell
        beyond = t - t.clamp(0, 1)  # steps past either end, 0 inside
        t = t.clamp(0, 1)
        y0, y1 = self._at(self.value, cell), self._at(self.value, cell + 1)
        m0, m1 = self._at(self.slope, cell) * self.step, self._at(self.slope, cell + 1) * self.step
        bend = 2 * (y0 - y1) + m0 + m1
        inside = y0 + t * (m0 + t * (-3 * (y0 - y1) - 2 * m0 - m1 + t * bend))
        return inside + beyond * torch.where(beyond < 0, m0, m1)

    @staticmethod
    def _at(table: torch.Tensor, cell: torch.Tensor) -> torch.Tensor:
        curves = torch.arange(table.shape[0], device=table.device)
        return table[curves.expand(cell.shape), cell]


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
