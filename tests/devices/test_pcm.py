"""Phase-change memory: its drift in every engine, and its statistics against published figures."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compact_models.devices.pcm import MODEL
from compact_models.pcm_statistics import (
    drift_exponent_mean,
    drift_exponent_std,
    drift_exponents,
    noisy_read_s,
    programmed_s,
    programming_std_s,
    read_noise_part,
)
from cosim.devices.form import can_compile
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import Ngspice

Array = NDArray[np.float64]
ONE = MODEL.parameter_sets[0]
G_MAX_S = 25e-6
CELLS = 100_000
DECADES = 8
# By the power law a decade of age takes 10^-0.049 of the conductance.
PER_DECADE = 0.893305


def decade_times(age_s: float, decades: int) -> Array:
    """Times since `age_s` at which the age is its multiples, eight to a decade."""
    return np.asarray(age_s * (np.logspace(0, decades, 8 * decades + 1) - 1))


def test_eight_decades_of_drift_in_torch() -> None:
    times = decade_times(20.0, DECADES)
    volts = torch.full((len(times),), 0.2, dtype=torch.float64)
    trace = run_torch(MODEL, ONE.values, ONE.initial, times.tolist(), volts)
    g = trace.states["g"][::8].numpy()
    assert g == pytest.approx(1.25e-5 * PER_DECADE ** np.arange(DECADES + 1), rel=2e-5)
    assert trace.current_a[::8].numpy() == pytest.approx(0.2 * g, rel=1e-12)
    assert float(trace.states["age"][-1]) == pytest.approx(2e9, rel=1e-9)


@pytest.mark.ngspice
@pytest.mark.parametrize("compiled", [False, True])
def test_eight_decades_of_drift_in_ngspice(ngspice: Ngspice, compiled: bool) -> None:
    if compiled and not can_compile(ngspice):
        pytest.skip("no compiled models here")
    # In parts of two decades: a simulator's steps are at least 1e-11 of a run. Each starts as the
    # one before has ended. From 20 us, because its steps are also at most some minutes.
    one = replace(ONE, values={**ONE.values, "t_c": 2e-5})
    state = {"g": 1.25e-5, "age": 2e-5}
    for part in range(DECADES // 2):
        times = decade_times(state["age"], 2)
        trace = run_ngspice(
            MODEL,
            replace(one, initial=state),
            times,
            np.full(times.shape, -0.2),
            ngspice,
            compiled=compiled,
        )
        assert trace.result.ok, trace.result.log
        state = {name: float(column[-1]) for name, column in trace.states.items()}
        want = 1.25e-5 * PER_DECADE ** (2 * part + 2)
        assert trace.current_a[-1] == pytest.approx(-0.2 * want, rel=1e-3)
        assert state["age"] == pytest.approx(2e-5 * 100 ** (part + 1), rel=1e-5)


@pytest.mark.ngspice
@pytest.mark.parametrize("compiled", [False, True])
def test_a_read_of_a_microsecond_after_years(ngspice: Ngspice, compiled: bool) -> None:
    if compiled and not can_compile(ngspice):
        pytest.skip("no compiled models here")
    old = replace(ONE, initial={"g": 1e-5, "age": 3e8})
    times, volts = np.array([0.0, 1e-7, 9e-7, 1e-6]), np.array([0.0, 0.3, 0.3, -0.1])
    trace = run_ngspice(MODEL, old, times, volts, ngspice, compiled=compiled)
    assert trace.current_a == pytest.approx([0.0, 3e-6, 3e-6, -1e-6], rel=1e-6, abs=1e-15)


def test_an_array_programmed_at_the_largest_conductance_is_read_with_its_drift() -> None:
    aim = np.full(CELLS, G_MAX_S)
    g = programmed_s(aim, G_MAX_S, 1, 0, "array")
    assert np.mean(g > G_MAX_S) == pytest.approx(0.5, abs=0.01)
    assert g.max() < 1.3 * G_MAX_S  # the model holds as much again
    nu = drift_exponents(aim, G_MAX_S, 1, 0, "array")
    age = np.full(CELLS, 20.0)
    volts = torch.tensor([0.1, 0.1], dtype=torch.float64)
    trace = run_torch(
        MODEL,
        {**ONE.values, "nu": torch.from_numpy(nu)},
        {"g": torch.from_numpy(g), "age": torch.from_numpy(age)},
        [0.0, 1e3],
        volts,
    )
    drifted = g * (1020.0 / 20.0) ** -nu
    assert trace.states["g"][:, -1].numpy() == pytest.approx(drifted, rel=1e-4)
    assert trace.current_a[:, 0].numpy() == pytest.approx(0.1 * g, rel=1e-12)
    read = noisy_read_s(g, drifted, G_MAX_S, 1020.0, 1, 0, "array", 0)
    assert read.mean() == pytest.approx(drifted.mean(), rel=2e-3)


@pytest.mark.ngspice
def test_a_cell_above_the_largest_aim_is_read_in_ngspice(ngspice: Ngspice) -> None:
    above = replace(ONE, initial={"g": 1.2 * G_MAX_S, "age": 20.0})
    times, volts = np.array([0.0, 1e-7, 1e-6]), np.array([0.1, 0.1, 0.1])
    trace = run_ngspice(MODEL, above, times, volts, ngspice)
    assert trace.current_a == pytest.approx(np.full(3, 3e-6), rel=1e-6)


def test_cells_of_a_batch_drift_by_their_own_exponents() -> None:
    nu = torch.tensor([0.0, 0.05, 0.1], dtype=torch.float64)
    volts = torch.tensor([0.1, 0.1], dtype=torch.float64)
    trace = run_torch(MODEL, {**ONE.values, "nu": nu}, ONE.initial, [0.0, 1980.0], volts)
    part = trace.states["g"][:, -1] / 1.25e-5
    assert part.tolist() == pytest.approx([1.0, 0.794328, 0.630957], rel=1e-4)


def test_programming_scatters_most_above_half() -> None:
    # Figures of the published polynomial: 0.26 uS at zero, 1.09 uS at its top, which is at 0.84.
    g = np.array([0.0, 0.4, 0.8375, 1.0]) * G_MAX_S
    assert programming_std_s(g, G_MAX_S) * 1e6 == pytest.approx(
        [0.2635, 0.8618, 1.0863, 1.0554], abs=2e-4
    )
    drawn = programmed_s(np.full(CELLS, 0.4 * G_MAX_S), G_MAX_S, 5, 0, "array")
    assert drawn.mean() == pytest.approx(10e-6, abs=4 * 0.8618e-6 / CELLS**0.5)
    assert drawn.std() == pytest.approx(0.8618e-6, rel=0.01)
    low = programmed_s(np.zeros(CELLS), G_MAX_S, 5, 0, "array")
    assert low.min() == 0
    assert np.mean(low == 0) == pytest.approx(0.5, abs=0.01)
    # The same material with twice the conductance has twice the error.
    assert programming_std_s(np.array([20e-6]), 50e-6)[0] == pytest.approx(1.7236e-6, rel=1e-3)


def test_low_conductances_drift_more_and_scatter_more() -> None:
    g = np.array([1e-3, 0.1, 0.5]) * G_MAX_S
    assert drift_exponent_mean(g, G_MAX_S) == pytest.approx([0.1, 0.06009, 0.049], abs=1e-5)
    assert drift_exponent_std(g, G_MAX_S) == pytest.approx([0.045, 0.02288, 0.008], abs=1e-5)
    nu = drift_exponents(np.full(CELLS, 2.5e-6), G_MAX_S, 1, 0, "array")
    assert nu.min() >= 0
    assert nu.mean() == pytest.approx(0.0601, rel=0.01)
    assert nu.std() == pytest.approx(0.0228, rel=0.02)


def test_draws_are_repeated_by_seed_and_are_otherwise_independent() -> None:
    g = np.full(CELLS, 1e-5)
    first = programmed_s(g, G_MAX_S, 1, 0, "array")
    assert np.array_equal(first, programmed_s(g, G_MAX_S, 1, 0, "array"))
    nu = drift_exponents(g, G_MAX_S, 1, 0, "array")
    read = noisy_read_s(g, g, G_MAX_S, 20.0, 1, 0, "array", 0)
    others = [
        nu,
        read,
        programmed_s(g, G_MAX_S, 1, 1, "array"),
        programmed_s(g, G_MAX_S, 1, 0, "b"),
    ]
    for other in others:
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.015


def test_read_noise_grows_with_age_and_for_low_conductances() -> None:
    g = np.array([1e-9, 0.1, 1.0]) * G_MAX_S
    # sqrt(ln((20 + 250e-9) / 500e-9)) = 4.1838.
    assert read_noise_part(g, G_MAX_S, 20.0) == pytest.approx(
        [0.2 * 4.1838, 0.0088 * 10**0.65 * 4.1838, 0.0088 * 4.1838], rel=1e-4
    )
    assert np.all(read_noise_part(g, G_MAX_S, 1e-7) == 0)
    late = read_noise_part(g, G_MAX_S, 3.15e7)[2] / read_noise_part(g, G_MAX_S, 20.0)[2]
    assert late == pytest.approx((31.774 / 17.504) ** 0.5, rel=1e-3)
    cells = np.full(CELLS, G_MAX_S)
    read = noisy_read_s(cells, 0.8 * cells, G_MAX_S, 20.0, 2, 0, "array", 0)
    assert read.mean() == pytest.approx(20e-6, rel=1e-3)
    assert read.std() == pytest.approx(20e-6 * 0.03682, rel=0.01)


def test_statistics_are_those_of_aihwkit() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of another project's imports
        pytest.importorskip("aihwkit", exc_type=ImportError)
        from aihwkit.inference.noise.pcm import PCMLikeNoiseModel
    peer = PCMLikeNoiseModel(g_max=25.0)
    torch.manual_seed(0)
    for part in (0.05, 0.3, 0.9):
        g_us = torch.full((CELLS,), 25.0 * part)
        g_s = np.full(CELLS, G_MAX_S * part)
        theirs = peer.apply_programming_noise_to_conductance(g_us).numpy() * 1e-6
        ours = programmed_s(g_s, G_MAX_S, 0, 0, "array")
        assert ours.std() == pytest.approx(theirs.std(), rel=0.015)
        assert ours.mean() == pytest.approx(theirs.mean(), rel=0.005)
        nu = peer.generate_drift_coefficients(g_us)
        our_nu = drift_exponents(g_s, G_MAX_S, 0, 0, "array")
        assert our_nu.mean() == pytest.approx(float(nu.mean()), rel=0.005)
        assert our_nu.std() == pytest.approx(float(nu.std()), rel=0.02)
        # A day later, every cell with the same exponent: drift and read noise.
        later = peer.apply_drift_noise_to_conductance(g_us, torch.full((CELLS,), 0.06), 86_400.0)
        age = 86_420.0
        drifted = g_s * (age / 20.0) ** -0.06
        read = noisy_read_s(g_s, drifted, G_MAX_S, age, 0, 0, "array", 0)
        assert read.mean() == pytest.approx(float(later.mean()) * 1e-6, rel=0.005)
        assert read.std() == pytest.approx(float(later.std()) * 1e-6, rel=0.015)
