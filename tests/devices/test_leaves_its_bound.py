"""A state that starts at its bound and leaves it within a ramp that begins at rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compact_models.library import find_model, find_set
from cosim.devices.run_torch import run_torch

TIMES = np.array([0.0, 1e-9, 21e-9, 22e-9, 1e-3])
VOLTS = np.array([0.0, -1.0, -1.0, 0.0, 0.0])


# At 0 V the rate is exactly nothing, and the state lies in its edge: a step of the whole ramp was
# taken there though the internal quantity had not followed it, at any tolerance.
@pytest.mark.parametrize(
    ("tolerance", "allowed"),
    [
        (1e-5, 5e-5),
        pytest.param(1e-6, 1e-5, marks=pytest.mark.slow),
        pytest.param(1e-8, 1e-7, marks=pytest.mark.slow),
    ],
)
def test_one_ramp_is_two_thousand_short_ones(tolerance: float, allowed: float) -> None:
    model = find_model("jart_v1b")
    numbers = find_set(model, "hfo2")
    assert numbers.initial["n_disc"] == numbers.values["n_min"]
    short = np.unique(np.concatenate([TIMES, np.linspace(0, 22e-9, 2001)]))
    last = []
    for times in (TIMES, short):
        volts = torch.from_numpy(np.interp(times, TIMES, VOLTS))
        trace = run_torch(model, numbers.values, numbers.initial, times, volts, tolerance=tolerance)
        last.append(float(trace.states["n_disc"][-1]))
    span = np.log(numbers.values["n_max"] / numbers.values["n_min"])
    assert np.log(last[0] / numbers.values["n_min"]) / span > 0.03
    assert abs(np.log(last[0] / last[1])) / span < allowed
