"""Currents that a source has held are told from those of a device."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.library import find_model, find_set
from cosim.devices.run_torch import run_torch
from cosim.fitting.compliance import Held, without_compliance
from cosim.fitting.data import Sweep


def vteam_sweep(shape: str, noise: float = 0.0) -> Sweep:
    model = find_model("vteam")
    one = find_set(model, "sine")
    t = np.linspace(0, 2 * one.period_s, 801)
    turn = t / one.period_s
    v = one.amplitude_v * (
        np.sin(2 * np.pi * turn)
        if shape == "sine"
        else 2 / np.pi * np.arcsin(np.sin(2 * np.pi * turn))
    )
    current = run_torch(
        model, one.values, one.initial, t.tolist(), torch.from_numpy(v)
    ).current_a.numpy()
    rng = np.random.default_rng(0)
    return Sweep(t, v, current * (1 + noise * rng.standard_normal(len(t))))


@pytest.mark.parametrize("shape", ["sine", "triangle"])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_no_device_is_taken_for_a_source_at_its_limit(shape: str, noise: float) -> None:
    sweep = vteam_sweep(shape, noise)
    left, held = without_compliance(sweep)
    assert held is None
    assert left is sweep


@pytest.mark.parametrize("signs", [(1,), (1, -1)])
def test_what_was_held_is_not_compared_and_still_applied(signs: tuple[int, ...]) -> None:
    sweep = vteam_sweep("triangle", 0.01)
    limit = 0.5 * np.abs(sweep.current_a).max()
    current = np.minimum(sweep.current_a, limit)
    if -1 in signs:
        current = np.maximum(current, -limit)
    clipped = Sweep(sweep.time_s, sweep.voltage_v, current)
    left, held = without_compliance(clipped)
    # Noise makes a row or two beside the limit fall below it.
    true = np.abs(sweep.current_a) >= limit if -1 in signs else sweep.current_a >= limit
    assert isinstance(held, Held)
    assert abs(held.rows - true.sum()) <= 0.1 * true.sum() + 4
    assert held.limits_a == pytest.approx([sign * limit for sign in signs])
    assert not np.isin(left.time_s, sweep.time_s[true]).mean() > 0.1
    np.testing.assert_array_equal(left.rows.voltage_v, sweep.voltage_v)
    thin = left.thinned(100)
    assert len(thin.time_s) <= 100
    assert set(thin.time_s) <= set(left.time_s)
