"""Curves through samples: exact where they were measured, smooth between, straight beyond."""

from __future__ import annotations

import numpy as np
import torch

from cosim.surrogate.curves import fit_curves


def _two() -> tuple[np.ndarray, np.ndarray]:
    x = np.linspace(-2, 3, 101)
    return x, np.stack([np.tanh(x), np.where(x > 0, x, 0.0)], axis=1)


def test_each_curve_reads_its_own_column() -> None:
    x, y = _two()
    curves = fit_curves(x, y)
    at = torch.tensor([[0.5, -1.0], [-1.5, 2.0]], dtype=torch.float64)
    expected = torch.stack([torch.tanh(at[:, 0]), at[:, 1].clamp(min=0)], dim=1)
    torch.testing.assert_close(curves(at), expected, rtol=0, atol=2e-4)


def test_samples_come_back_exactly() -> None:
    x, y = _two()
    grid = torch.from_numpy(np.repeat(x[:, None], 2, axis=1))
    torch.testing.assert_close(fit_curves(x, y)(grid), torch.from_numpy(y), rtol=0, atol=1e-12)


def test_beyond_the_samples_it_goes_on_straight() -> None:
    x, y = _two()
    curves = fit_curves(x, y)
    far = torch.tensor([[3.0, 3.0], [5.0, 5.0], [7.0, 7.0]], dtype=torch.float64)
    value = curves(far)
    torch.testing.assert_close(value[2] - value[1], value[1] - value[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        value[1, 1], torch.tensor(5.0, dtype=torch.float64), rtol=1e-9, atol=0
    )


def test_gradients_inside_and_outside() -> None:
    curves = fit_curves(*_two())
    x = torch.tensor([[0.513, 0.517], [-3.1, 4.2], [2.951, -1.003]], dtype=torch.float64)
    assert torch.autograd.gradcheck(curves, (x.requires_grad_(),))
