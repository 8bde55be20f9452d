"""A long record is compared at fewer points; what the device was given is not thinned with them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compact_models.library import find_model
from cosim.fitting.data import Sweep

Array = NDArray[np.float64]

VTEAM = find_model("vteam")
ONE = VTEAM.parameter_set("pt_hf_ti")
PULSES = 300
PEAK_V, READ_V = -0.556, 0.1
ROWS = 8  # of a pulse and its read


def pulses() -> tuple[Array, Array, Array]:
    """Times, voltages and the true state after SET pulses at random times, in closed form.

    Between the thresholds VTEAM stands still, so the state moves by k_on (v / v_on - 1)^3 dt in the
    pulse alone: on its top, and on the part of either ramp beyond the threshold, a quarter of it.
    """
    p = ONE.values
    rng = np.random.default_rng(0)
    t, v, w = [0.0], [0.0], [2.9e-9]
    over = PEAK_V / p["v_on"] - 1
    ramp = p["k_on"] * over**4 / 4 / (over + 1) * 1e-10
    top = p["k_on"] * over**3 * 3e-10
    for _ in range(PULSES):
        rest = 1e-7 * float(rng.uniform(0.2, 2))
        for dt, volts, moved in (
            (rest, 0.0, 0.0), (1e-10, PEAK_V, ramp), (3e-10, PEAK_V, top), (1e-10, 0.0, ramp),
            (1e-9, 0.0, 0.0), (1e-10, READ_V, 0.0), (1e-9, READ_V, 0.0), (1e-10, 0.0, 0.0),
        ):  # fmt: skip
            t.append(t[-1] + dt)
            v.append(volts)
            w.append(w[-1] + moved)
    return np.array(t), np.array(v), np.array(w)


def measured() -> Sweep:
    p = ONE.values
    time_s, voltage_v, w = pulses()
    assert 0.5e-9 < w[-1] < 2.4e-9  # it moves, and comes to no bound
    return Sweep(time_s, voltage_v, voltage_v / (p["r_on"] + (p["r_off"] - p["r_on"]) * w / 3e-9))


def test_the_truth_is_true_on_a_thinned_record() -> None:
    whole = measured()
    thin = whole.thinned(300)
    assert len(thin.values) <= 300
    start = [torch.tensor([2.9e-9], dtype=torch.float64)]
    found = thin.answer(VTEAM, ONE.values, start, 1e-5)[0]
    assert found == pytest.approx(thin.current_a, rel=1e-3, abs=1e-12)
    fractions = thin.fractions(VTEAM, ONE.values, start, 1e-5)
    at = np.searchsorted(whole.time_s, thin.time_s)
    assert fractions[0] == pytest.approx(pulses()[2][at] / 3e-9, abs=1e-4)


def test_no_voltage_on_the_way_is_off() -> None:
    rng = np.random.default_rng(1)
    time_s = np.cumsum(rng.uniform(0.1, 1.9, 20_000))
    shapes = {
        "pulses": np.where(rng.random(20_000) < 0.05, 1.0, 0.0),
        "sine": np.sin(time_s / 3000),
        "noise": rng.standard_normal(20_000),
    }
    for name, voltage_v in shapes.items():
        thin = Sweep(time_s, voltage_v, voltage_v).thinned(200)
        assert len(thin.values) <= 200
        assert set(thin.time_s) <= set(thin.rows.time_s)
        way = np.interp(time_s, thin.rows.time_s, thin.rows.voltage_v)
        assert np.abs(way - voltage_v).max() <= 0.02 * np.ptp(voltage_v), name
        if name == "sine":  # what is straight is not integrated row by row
            assert len(thin.rows.time_s) <= 200


@pytest.mark.parametrize(("most", "wanted"), [(400, 400), (300, 300), (250, 250), (60, 60)])
def test_as_many_points_are_compared_as_were_asked_for(most: int, wanted: int) -> None:
    time_s = np.linspace(0, 4e-6, 401)
    voltage_v = 0.8 * np.sin(2 * np.pi * time_s / 2e-6)
    thin = Sweep(time_s, voltage_v, voltage_v).thinned(most)
    assert len(thin.values) == wanted
    rows = np.searchsorted(time_s, thin.time_s)
    assert np.diff(rows).max() <= 2 * 401 / most + 1  # evenly
    assert thin.voltage_v.max() > 0.99 * 0.8


def test_no_place_in_the_period_is_left_out() -> None:
    # So many points that a stride in step with the pulses would take the same row of each for long:
    # the start of all, and of the first many no read, or nothing else.
    most = 2 * PULSES + 2
    whole = measured()
    thin = whole.thinned(most)
    rows = np.searchsorted(whole.time_s, thin.time_s)
    assert len(rows) == most
    for part in range(5):
        there = rows[(rows > part * len(whole.time_s) / 5) & (rows < (part + 1) * rows[-1] / 5)]
        counts = np.bincount(there % ROWS, minlength=ROWS)
        assert counts[0] > PULSES / 5 - 3  # the even half
        assert counts.min() > PULSES / 5 / (ROWS - 1) / 3
