"""Fits to data of known devices, which scipy or a few lines here have made: not our integrator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.library import find_model
from compact_models.model import CompactModel, ParameterSet
from cosim.fitting.data import PulseTrain, Sweep
from cosim.fitting.fit import FitOptions, fit_device
from cosim.fitting.noise import noise_floor
from cosim.fitting.result import Fit
from cosim.fitting.settle import DEPENDENT, NO_EFFECT
from cosim.fitting.space import make_space
from tests.devices.agreement import reference_run, triangle

Array = NDArray[np.float64]

NOISE = 0.02
QUICK = FitOptions(starts=2, draws=24, rounds=12)
TINY = FitOptions(starts=1, draws=8, rounds=4)


def measured(model: CompactModel, one: ParameterSet, seed: int) -> Sweep:
    """One period of a triangle, with noise of 2 %."""
    time_s, voltage_v = (x[:53] for x in triangle(one, 13))
    truth = reference_run(model, one, time_s, voltage_v).current_a
    noise = 1 + NOISE * np.random.default_rng(seed).standard_normal(len(truth))
    return Sweep(time_s, voltage_v, truth * noise)


def disturbed(one: ParameterSet, names: tuple[str, ...], seed: int) -> ParameterSet:
    """The named parameters off by up to 30 %."""
    rng = np.random.default_rng(seed)
    changed = {name: one.values[name] * (1 + rng.uniform(-0.3, 0.3)) for name in names}
    return dataclasses.replace(one, name="start", values={**one.values, **changed})


def is_near(fit: Fit, one: ParameterSet, names: tuple[str, ...]) -> None:
    """Every one of these is there, with an error that its distance from the truth agrees with."""
    for name in names:
        found = fit.values[name]
        error = found.stderr_given if found.given else found.stderr
        assert error is not None, name
        assert abs(found.value - one.values[name]) < 4 * error, (name, found)
        assert error < 0.5 * abs(one.values[name]), (name, found)


@pytest.mark.parametrize(
    ("shape", "periods", "wanted"),
    [
        ("sine", 1.0, 1.0),
        ("sine", 1.4, 1.0),
        ("sine", 5.0, 1.0),
        ("cosine", 3.0, 1.0),
        ("positive", 3.0, 1.0),
        ("with a rest at zero", 3.0, 1.0),
        ("uneven", 2.0, 1.0),
        ("after one of four times the height", 5.0, 1.0),
        ("rise", 3.0, 3.0),
        ("constant, with noise", 3.0, 3.0),
    ],
)
def test_the_period_is_that_of_the_sweep(shape: str, periods: float, wanted: float) -> None:
    rng = np.random.default_rng(1)
    t = np.sort(rng.uniform(0, periods, 2000)) + 7.0
    t[0], t[-1] = 7.0, 7.0 + periods
    turn = t - 7.0
    sine = np.sin(2 * np.pi * turn)
    volts = {
        "sine": sine,
        "cosine": np.cos(2 * np.pi * turn),
        "positive": np.abs(np.sin(np.pi * turn)),
        "with a rest at zero": np.where(turn % 1 < 0.5, np.sin(4 * np.pi * turn), 0.0),
        "uneven": np.where(sine > 0, 1.5 * sine, 0.5 * sine),
        "after one of four times the height": np.where(turn < 1, 4 * sine, sine),
        "rise": turn,
        "constant, with noise": 1 + 0.02 * rng.standard_normal(len(t)),
    }[shape]
    data = Sweep(t, volts + 0.005 * rng.standard_normal(len(t)) * np.ptp(volts), np.ones_like(t))
    assert data.period_s == pytest.approx(wanted, rel=1e-2)


def test_a_few_numbers_are_found_from_a_start_that_is_off() -> None:
    model = find_model("yakopcic")
    one = model.parameter_set("oblea")
    turned = ("a_2", "v_p", "a_n")
    data = measured(model, one, seed=1).thinned(27)
    fit = fit_device(model, disturbed(one, turned, seed=2), data, turned, TINY)
    assert fit.outcome == "ok", fit.reason
    is_near(fit, one, turned)


@pytest.mark.slow
def test_yakopcic_is_found_again() -> None:
    model = find_model("yakopcic")
    one = model.parameter_set("oblea")
    turned = ("a_1", "a_2", "v_p", "v_n", "a_p", "a_n", "alpha_n", "x_n")
    data = measured(model, one, seed=1)
    fit = fit_device(model, disturbed(one, turned, seed=2), data, options=QUICK)
    assert fit.outcome == "ok", fit.reason
    assert fit.rms_decades == pytest.approx(NOISE / np.log(10), rel=0.2)
    # A hyperbolic sine that is straight up to the amplitude: only a b counts.
    assert fit.fixed == {"b": f"{DEPENDENT}: the data cannot tell these from a_1, a_2"}
    # So the errors of both hold only if b is right, and are not claimed.
    for name in ("a_1", "a_2"):
        assert (fit.values[name].stderr, fit.values[name].given) == (None, ("b",))
    assert fit.values["v_p"].stderr is not None
    is_near(fit, one, ("a_1", "a_2", "v_p", "v_n", "a_p", "a_n", "alpha_n", "x_n"))
    assert not fit.not_noise, fit.follows_itself
    start = fit.initial["x"]
    assert start.stderr is not None
    assert abs(start.value - 0.11) < 4 * start.stderr


@pytest.mark.slow
def test_residuals_that_are_no_noise_are_told() -> None:
    """Only the conductances may follow: the switching is where it was, and the model is off."""
    model = find_model("yakopcic")
    one = model.parameter_set("oblea")
    data = measured(model, one, seed=1)
    off = dataclasses.replace(one, values={**one.values, "v_p": 1.4 * one.values["v_p"]})
    fit = fit_device(model, off, data, free=["a_1", "a_2"], options=TINY)
    assert fit.outcome == "poor_fit"
    assert "times the noise" in fit.reason
    assert fit.not_noise
    assert fit.follows_itself > 0.6


@pytest.mark.slow
def test_vteam_is_found_from_another_set() -> None:
    model = find_model("vteam")
    truth = model.parameter_set("pt_hf_ti")
    start = model.parameter_set("sine")
    data = measured(model, truth, seed=3)
    fit = fit_device(model, start, data, options=FitOptions(starts=3, draws=32, rounds=10))
    assert fit.outcome == "ok", fit.reason
    assert fit.rms_decades == pytest.approx(NOISE / np.log(10), rel=0.2)
    # It reaches its ON side, but so quickly that its threshold, speed and exponent look alike.
    assert fit.values["r_on"].value == pytest.approx(100, rel=0.02)
    assert all(why.startswith((DEPENDENT, NO_EFFECT)) for why in fit.fixed.values())
    assert {"w_on", "w_off"} <= set(fit.fixed)


@pytest.mark.slow
def test_what_is_asked_for_and_not_told_is_said() -> None:
    model = find_model("vteam")
    one = model.parameter_set("sine")
    free = ["r_on", "r_off", "w_off", "k_on", "k_off"]
    fit = fit_device(model, one, measured(model, one, seed=4), free, QUICK)
    assert set(fit.values) == set(free)
    assert any(
        found.note.startswith(DEPENDENT) and found.stderr is None for found in fit.values.values()
    )
    assert set(fit.fixed) == {"w_on", "v_on", "v_off", "alpha_on", "alpha_off"}


def soft_bounds_train(seed: int) -> PulseTrain:
    """60 up, 60 down, then by turns, of numbers that are no set's; 1 % noise."""
    w, low, high, step = -0.3, -1.0, 1.0, 0.06
    after = []
    direction = [1] * 60 + [-1] * 60 + [1, -1] * 15
    for sign in direction:
        w += step * (1 - w / high) if sign > 0 else -0.7 * step * (1 - w / low)
        after.append(5e-6 + (w - low) / (high - low) * 6e-5)
    noise = 1 + 0.01 * np.random.default_rng(seed).standard_normal(len(after))
    return PulseTrain(np.array(direction, dtype=float), np.array(after) * noise)


def test_soft_bounds_are_found_from_pulses() -> None:
    model = find_model("soft_bounds")
    fit = fit_device(model, model.parameter_set("reram_array_hfo2"), soft_bounds_train(5))
    assert fit.outcome == "ok", fit.reason
    assert fit.rms_decades == pytest.approx(0.01 / np.log(10), rel=0.2)
    true = {"dw_min": 0.06, "up_down": 0.3, "g_max": 6.5e-5, "g_min": 5e-6}
    for name, value in true.items():
        found = fit.values[name]
        error = found.stderr_given if found.given else found.stderr
        assert error is not None, name
        assert abs(found.value - value) < 4 * error, (name, found)
    assert {"dw_min_std": NO_EFFECT, "threshold_v": NO_EFFECT, "width_s": NO_EFFECT}.items() <= (
        fit.fixed.items()
    )


def test_another_law_follows_the_same_pulses() -> None:
    model = find_model("exp_step")
    fit = fit_device(model, model.parameter_sets[0], soft_bounds_train(6))
    assert fit.outcome == "ok", fit.reason
    assert fit.rms_decades < 0.02


def test_time_that_is_up_is_an_outcome() -> None:
    model = find_model("vteam")
    one = model.parameter_set("sine")
    options = FitOptions(timeout_s=0.5)
    fit = fit_device(model, one, measured(model, one, seed=7), options=options)
    assert fit.outcome == "not_converged"
    assert "0.5 s" in fit.reason
    assert np.isfinite(fit.answer).all()


def test_a_candidate_without_solution_is_seen() -> None:
    # r_low above r_high: no state is between them.
    model = find_model("messaris")
    one = model.parameter_sets[0]
    space = make_space(model, one, ["r_low", "r_high", "a_p", "a_n"], with_initial=True)
    assert space.unknowns[0].name == "a_n"
    lost = np.zeros((2, len(space.unknowns)))
    lost[1, space.names.index("r_low")] = 3.0
    assert space.cells(lost)[2].tolist() == [True, False]


@pytest.mark.slow
def test_a_candidate_without_solution_is_data() -> None:
    # Such candidates are among the starts, which no exception may be.
    model = find_model("messaris")
    one = model.parameter_sets[0]
    data = measured(model, one, seed=8)
    start = disturbed(one, ("a_p", "a_n"), seed=9)
    fit = fit_device(model, start, data, ["r_low", "r_high", "a_p", "a_n"], QUICK)
    assert fit.rms_decades < 0.012


def test_the_floor_is_the_noise() -> None:
    rng = np.random.default_rng(10)
    smooth = np.sin(np.linspace(0, 6, 400))
    assert noise_floor(smooth + 1e-3 * rng.standard_normal(400)) == pytest.approx(1e-3, rel=0.3)
    with pytest.raises(InputError, match="zero"):
        noise_floor(np.zeros(9))


def test_a_long_record_is_thinned_without_its_pulses_lost() -> None:
    time_s = np.arange(20_000.0)
    voltage_v = np.zeros(20_000)
    voltage_v[[3001, 12_345]] = (0.5, -0.5)
    thin = Sweep(time_s, voltage_v, voltage_v * 1e-3).thinned(300)
    assert len(thin.time_s) <= 300
    back = np.interp(time_s, thin.time_s, thin.voltage_v)
    assert np.abs(back - voltage_v).max() < 0.02


@pytest.mark.parametrize(
    ("name", "free", "words"),
    [("vteam", ["r_onn"], "r_on"), ("vteam", None, "pulse"), ("pcm", None, "read")],
)
def test_what_cannot_be_fitted_is_refused(name: str, free: list[str] | None, words: str) -> None:
    model = find_model(name)
    one = model.parameter_sets[0]
    sweep = Sweep(np.arange(9.0), np.ones(9), np.ones(9))
    data = soft_bounds_train(1) if name == "vteam" and free is None else sweep
    with pytest.raises(InputError, match=words):
        fit_device(model, one, data, free)


def test_nothing_to_fit_is_refused_with_what_to_do() -> None:
    model = find_model("vteam")
    one = model.parameter_set("sine")
    data = measured(model, one, 1)
    fixed = FitOptions(with_initial=False)
    with pytest.raises(InputError, match=r"nothing to fit; allowed: .*r_on.*; name .* --free"):
        fit_device(model, one, data, [], fixed)
    read = find_model("pcm")
    with pytest.raises(InputError, match=r"only read.*; .*kind dynamic or pulse"):
        fit_device(read, read.parameter_sets[0], data)
    with pytest.raises(InputError, match=r"--free.*'w'.*initial"):
        fit_device(model, one, data, ["r_on", "w"], fixed)
