"""Sums of decaying exponentials: when they leave a band for the last time."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.settling.exponentials import evaluate, last_outside


def test_the_last_exit_of_a_sum_of_exponentials() -> None:
    rng = np.random.default_rng(3)
    rate = np.array([1.0, 2.0, 5.0, 9.0, 400.0])
    amplitude = rng.normal(size=(300, 5))
    band = np.full(300, 0.05)
    found = last_outside(amplitude, rate, band)
    times = np.append(0.0, np.geomspace(1e-5, 10, 60_000))
    outside = np.abs(evaluate(amplitude, rate, times)) > 0.05
    last = len(times) - 1 - outside[:, ::-1].argmax(1)
    assert outside.any(1).all()
    assert ((found >= times[last] * (1 - 1e-9)) & (found <= times[last + 1])).all()
    assert (np.count_nonzero(np.diff(outside.astype(int), axis=1), axis=1) > 1).sum() > 30


def test_a_peak_between_two_points_of_the_grid_is_seen() -> None:
    """exp(-t) - exp(-1.5 t) has its largest value, 0.148148, at t = 2 ln 1.5."""
    amplitude, rate = np.array([[1.0, -1.0]]), np.array([1.0, 1.5])
    peak = 4 / 27
    assert last_outside(amplitude, rate, np.array([peak * (1 + 1e-9)])).tolist() == [0.0]
    found = last_outside(amplitude, rate, np.array([peak * (1 - 1e-9)]))
    assert found[0] == pytest.approx(2 * np.log(1.5), rel=1e-3)
