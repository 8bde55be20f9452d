"""Fits that say nothing are called so, and values that a bound alone determines are named."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from compact_models.library import find_model
from compact_models.symbols import State
from cosim.fitting.data import PulseTrain, Sweep
from cosim.fitting.fit import FitOptions, fit_device
from cosim.fitting.verdicts import as_good, by_bounds
from tests.devices.agreement import reference_run, triangle

Array = NDArray[np.float64]

QUICK = FitOptions(starts=1, draws=8, rounds=4)
VTEAM = find_model("vteam")


def sweep(points: int) -> tuple[Array, Array]:
    time_s = np.linspace(0, 1e-2, points)
    return time_s, 0.45 * np.sin(2 * np.pi * time_s / 1e-2)


@pytest.mark.parametrize(
    ("seed", "free"),
    [
        pytest.param(3, ["r_on", "r_off"], id="3-two"),
        pytest.param(3, None, marks=pytest.mark.slow, id="3"),
        pytest.param(9, None, marks=pytest.mark.slow, id="9"),
    ],
)
def test_noise_is_no_fit(seed: int, free: list[str] | None) -> None:
    time_s, voltage_v = sweep(31)
    noise = 1e-6 * np.random.default_rng(seed).standard_normal(31)
    data = Sweep(time_s, voltage_v, noise)
    fit = fit_device(VTEAM, VTEAM.parameter_sets[0], data, free, QUICK)
    assert fit.outcome == "no_fit"
    assert "no better than a constant would" in fit.reason
    assert f"{len(fit.values) + len(fit.initial)} fitted values" in fit.reason


def resistor() -> Sweep:
    time_s, voltage_v = sweep(31)
    noise = 1 + 0.01 * np.random.default_rng(1).standard_normal(31)
    return Sweep(time_s, voltage_v, voltage_v / 1e3 * noise)


@pytest.mark.parametrize("name", ["ion_drift", pytest.param("vteam", marks=pytest.mark.slow)])
def test_a_resistor_is_no_memristor(name: str) -> None:
    model = find_model(name)
    fit = fit_device(model, model.parameter_sets[0], resistor(), options=QUICK)
    assert fit.outcome == "no_fit"
    assert "a resistor would" in fit.reason


def test_a_resistor_is_one_where_it_is_asked_for() -> None:
    asked = fit_device(VTEAM, VTEAM.parameter_sets[0], resistor(), ["r_on", "r_off"], QUICK)
    assert asked.outcome == "ok", asked.reason
    assert asked.values["r_off"].value == pytest.approx(1000, rel=0.01)


def straight_fits(points: int, terms: int, height: float, seeds: int) -> list[str]:
    """What is said of polynomials of `terms` terms, fitted to noise about a line of a height."""
    x = np.linspace(-1, 1, points)
    said = []
    for seed in range(seeds):
        noisy = height * x + np.random.default_rng(seed).standard_normal(points)
        # Far below the floor, asinh(x / (2 floor)) is x / (2 floor): least squares know the answer.
        found = np.polynomial.Polynomial.fit(x, noisy, terms - 1)(x)
        data = PulseTrain(np.ones(points), noisy)
        said.append(as_good(data, (found - noisy) / 200, 100.0, terms, resistor=True))
    return said


def test_chance_is_told_from_a_law() -> None:
    # Noise: once in a thousand something is seen in it. A line five deviations high: always.
    assert sum(not one for one in straight_fits(60, 8, 0.0, 300)) <= 2
    assert not any(straight_fits(60, 8, 5.0, 50))
    # The same line says less where hardly more points than terms speak of it.
    assert all(straight_fits(9, 8, 1.0, 20))


@pytest.mark.parametrize("faster", [pytest.param(1.0, marks=pytest.mark.slow), 4.0])
def test_what_only_a_bound_determines_is_named(faster: float) -> None:
    # Four times as fast it rests at its ON side for a while, as published it comes to neither end.
    one = VTEAM.parameter_set("sine")
    speeds = {name: faster * one.values[name] for name in ("k_on", "k_off")}
    one = dataclasses.replace(one, values={**one.values, **speeds})
    time_s, voltage_v = (x[:101] for x in triangle(one, 25))
    truth = reference_run(VTEAM, one, time_s, voltage_v)
    w = truth.fractions["w"]
    noise = 1 + 0.02 * np.random.default_rng(2).standard_normal(101)
    data = Sweep(time_s, voltage_v, truth.current_a * noise)
    fit = fit_device(VTEAM, one, data, ["r_on", "r_off", "k_on", "k_off"], QUICK)
    assert fit.outcome == "ok", fit.reason
    found = {name: value.by_bound for name, value in {**fit.values, **fit.initial}.items()}
    resting = int((w < 1e-3).sum())
    if faster == 1:
        assert resting == 0
        assert set(found.values()) == {""}
    else:
        told = re.fullmatch(r"w at its lower bound at (\d+) of 101 points", found["r_on"])
        assert told is not None, found
        assert abs(int(told[1]) - resting) <= 2


def state(*, bounded: bool) -> State:
    return State("x", "1", "a state", lower=0, upper=1) if bounded else State("x", "1", "a state")


def test_a_bound_counts_only_where_nothing_else_determines_a_value() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((2, 100))
    there = np.arange(100) < 20
    # Of the first two the other points tell the sum alone; the third is known from all of them.
    jacobian = np.stack([first, np.where(there, 0.0, first), second], 1)
    s = np.where(there, 1 - 1e-5, 0.5)[None]
    text = "x at its upper bound at 20 of 100 points"
    assert by_bounds([state(bounded=True)], s, jacobian) == [text, text, ""]
    assert by_bounds([state(bounded=True)], 1 - s, jacobian)[0] == text.replace("upper", "lower")
    assert by_bounds([state(bounded=False)], s, jacobian) == ["", "", ""]
    short = np.where(np.arange(100) < 4, 1.0, 0.5)[None]  # no rest: 4 % of the points
    assert by_bounds([state(bounded=True)], short, jacobian) == ["", "", ""]
    assert by_bounds([state(bounded=True)], s, jacobian[:, [0, 2]]) == ["", ""]
    # Nothing else is left: all lean on it.
    assert by_bounds([state(bounded=True)], np.ones((1, 100)), jacobian)[2].endswith("100 points")
