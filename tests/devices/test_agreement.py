"""Every dynamic model and set by four routes: torch, B sources, compiled, scipy from the paper."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from compact_models.library import all_models
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.form import can_compile
from cosim.ngspice import find_ngspice
from tests.devices import agreement
from tests.devices.agreement import Run
from tests.devices.references import all_references

CASES = [
    (model.name, one.name)
    for model in all_models().values()
    if model.kind == "dynamic"
    for one in model.parameter_sets
]
# One of each family of equations; what differs in a window or in numbers alone runs under --all.
FAMILIES = (
    ("ion_drift_biolek", "hp"),
    ("jart_v1b", "hfo2"),
    ("messaris", "tio2"),
    ("stanford", "sky130"),
    ("team_exp", "xyce"),
    ("vteam", "sine"),
    ("yakopcic", "oblea"),
)
Case = tuple[str, str]


def each(cases: Sequence[Case], quick: Sequence[Case]) -> pytest.MarkDecorator:
    """A test of these cases, of which only some are among the quick ones."""
    marked = [pytest.param(*one, marks=() if one in quick else pytest.mark.slow) for one in cases]
    return pytest.mark.parametrize(("model_name", "set_name"), marked)


EVERY = each(CASES, FAMILIES)
# JART as B sources takes six seconds: short pulses and plain decks have it among the quick tests.
SPICE = each(CASES, [one for one in FAMILIES if one[0] != "jart_v1b"])
FIRST = each(
    list({name: (name, one) for name, one in reversed(CASES)}.values()),
    [one for one in FAMILIES if one[0] != "jart_v1b"],
)
SENSITIVE = each(CASES, [("vteam", "sine"), ("yakopcic", "oblea")])
# Of the amplitude, for the switching times. At 2.2 V the field takes Stanford's barrier away before
# the middle: the published rate goes to 1e15 ranges per second, and all that is left is an instant.
PART_OF_AMPLITUDE = {"stanford": 0.8}
POLARITY = pytest.mark.parametrize("polarity", [1, -1])


def found(model_name: str, set_name: str) -> tuple[CompactModel, ParameterSet]:
    model = all_models()[model_name]
    return model, model.parameter_set(set_name)


@cache
def by_reference(model_name: str, set_name: str) -> Run:
    model, one = found(model_name, set_name)
    return agreement.reference_run(model, one, *agreement.triangle(one))


@cache
def by_torch(model_name: str, set_name: str) -> Run:
    model, one = found(model_name, set_name)
    return agreement.torch_run(model, one, *agreement.triangle(one))


@cache
def by_sources(model_name: str, set_name: str) -> Run:
    model, one = found(model_name, set_name)
    return agreement.spice_run(model, one, *agreement.triangle(one), find_ngspice(), compiled=False)


@EVERY
def test_torch_agrees_with_the_paper(model_name: str, set_name: str) -> None:
    truth = by_reference(model_name, set_name)
    apart = agreement.difference(by_torch(model_name, set_name), truth)
    assert apart.points > 400
    assert apart.current <= 1e-3
    assert apart.switching_v <= 2e-3
    # It is a loop: at the same voltage other currents on the way back.
    n, i = agreement.POINTS_PER_QUARTER, truth.current_a
    there = [i[first + 1 : first + n] for first in (0, 2 * n)]
    back = [i[first + 2 * n - 1 : first + n : -1] for first in (0, 2 * n)]
    assert max(np.abs(a / b - 1).max() for a, b in zip(there, back, strict=True)) > 0.01
    assert np.abs(by_torch(model_name, set_name).current_a[truth.voltage_v == 0]).max() == 0


@pytest.mark.ngspice
@SPICE
def test_ngspice_agrees_with_torch_and_the_paper(model_name: str, set_name: str) -> None:
    run = by_sources(model_name, set_name)
    for other in (by_torch(model_name, set_name), by_reference(model_name, set_name)):
        apart = agreement.difference(run, other)
        assert apart.points > 400
        assert apart.current <= 1e-3
        assert apart.switching_v <= 2e-3


@pytest.mark.ngspice
@SPICE
def test_the_two_forms_in_ngspice_agree(model_name: str, set_name: str) -> None:
    ngspice = find_ngspice()
    if not can_compile(ngspice):
        pytest.skip("no OSDI here")
    model, one = found(model_name, set_name)
    compiled = agreement.spice_run(model, one, *agreement.triangle(one), ngspice, compiled=True)
    assert agreement.difference(compiled, by_sources(model_name, set_name)).current <= 1e-4


def started(model: CompactModel, one: ParameterSet, fraction: float) -> ParameterSet:
    """The set, with its first state at a fraction of the range."""
    state = model.states[0]
    pair = model.bounds(one.values)[state.name]
    assert pair is not None
    start = pair[0] + fraction * (pair[1] - pair[0])
    return replace(one, initial={**one.initial, state.name: start})


def switching(model: CompactModel, one: ParameterSet, volts: float) -> tuple[ParameterSet, float]:
    """A start from which `volts` drives the state through its middle, and how long that takes."""
    for fraction in (0.3, 0.7):
        start = started(model, one, fraction)
        time_s = agreement.reference_switching_time_s(
            model, start, volts, model.states[0].name, 1e6 * one.period_s
        )
        if math.isfinite(time_s):
            return start, time_s
    return one, math.inf


@pytest.mark.ngspice
@POLARITY
@FIRST
def test_switching_times_agree(model_name: str, set_name: str, polarity: int) -> None:
    model, one = found(model_name, set_name)
    volts = polarity * PART_OF_AMPLITUDE.get(model_name, 1.0) * one.amplitude_v
    start, time_s = switching(model, one, volts)
    if math.isinf(time_s):
        other = switching(model, one, -volts)[1]
        assert math.isfinite(other), "it switches at neither polarity"
        pytest.skip("at this polarity it stops short of the middle")
    times = np.linspace(0, 2 * time_s, 101)
    pulse = np.full(len(times), volts)
    runs = (
        agreement.torch_run(model, start, times, pulse),
        agreement.spice_run(model, start, times, pulse, find_ngspice(), compiled=False),
    )
    for run in runs:
        assert agreement.switching_time_s(run, model.states[0].name) == pytest.approx(
            time_s, rel=0.02
        )


def test_every_dynamic_model_has_a_reference() -> None:
    dynamic = {name for name, model in all_models().items() if model.kind == "dynamic"}
    assert dynamic == set(all_references())


@SENSITIVE
def test_a_wrong_answer_is_told_from_a_right_one(model_name: str, set_name: str) -> None:
    # 1 % in a single parameter, the one that the current feels most, must not pass.
    model, one = found(model_name, set_name)
    truth = by_reference(model_name, set_name)
    errors = []
    for name, value in one.values.items():
        wrong = replace(one, values={**one.values, name: value * 1.01})
        try:
            model.check_set(wrong)
        except ValueError:
            continue
        run = agreement.reference_run(model, wrong, truth.time_s, truth.voltage_v)
        errors.append(agreement.difference(run, truth).current)
    assert max(errors) > 5e-3
    assert sum(error > 1e-3 for error in errors) >= 2
