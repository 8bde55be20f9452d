"""The hardest stimuli of the stress list; `./run bench device_stress` has all of them."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.device_stress import in_ngspice, in_torch, stimuli
from compact_models.errors import InputError
from compact_models.library import all_models, find_set
from cosim.devices.run_ngspice import run_ngspice
from cosim.ngspice import Outcome, find_ngspice

MODELS = [model.name for model in all_models().values() if model.kind == "dynamic"]
HARDEST = ("3x 1e0 Hz", "+3x DC", "-3x 1 ns")
# One of each family of equations; of the filaments each takes a quarter of a minute.
QUICK = {"ion_drift_biolek", "messaris", "team_exp", "vteam", "yakopcic"}


def test_the_list_is_whole() -> None:
    names = [stimulus.name for stimulus in stimuli(1.0)]
    assert len(set(names)) == len(names) == 26
    assert set(HARDEST) <= set(names)
    assert min(stimulus.time_s[-1] for stimulus in stimuli(1.0)) < 1e-8


@pytest.mark.ngspice
@pytest.mark.parametrize(
    "name", [pytest.param(k, marks=() if k in QUICK else pytest.mark.slow) for k in MODELS]
)
def test_it_stands_the_hardest_stimuli(name: str) -> None:
    model = all_models()[name]
    one = model.parameter_sets[0]
    for stimulus in stimuli(one.amplitude_v):
        if stimulus.name in HARDEST:
            by_torch = in_torch(model, one, stimulus)
            by_ngspice = in_ngspice(model, one, stimulus, find_ngspice(), compiled=False)
            assert by_torch.ok, (stimulus.name, by_torch)
            assert by_ngspice.ok, (stimulus.name, by_ngspice)
            assert by_ngspice.final == pytest.approx(by_torch.final, abs=2e-3), stimulus.name


@pytest.mark.ngspice
def test_a_second_at_a_voltage_at_which_it_switches_in_a_tenth_of_a_picosecond() -> None:
    """The state gets to its bound on the way to the first voltage, thirteen decades too early."""
    model = all_models()["vteam"]
    one = find_set(model, "pt_hf_ti")
    (stimulus,) = (x for x in stimuli(one.amplitude_v) if x.name == "-3x DC")
    found = in_ngspice(model, one, stimulus, find_ngspice(), compiled=False)
    assert found.ok, found
    assert found.final == pytest.approx((0.0,), abs=1e-9)


@pytest.mark.ngspice
def test_it_says_when_it_tries_again_and_ends_when_its_time_is_up() -> None:
    model = all_models()["vteam"]
    one = find_set(model, "pt_hf_ti")
    times, volts = np.array([0.0, 1.0]), np.full(2, -3 * one.amplitude_v)
    said: list[str] = []
    ngspice = find_ngspice()
    whole = run_ngspice(model, one, times, volts, ngspice, compiled=False, tell=said.append)
    assert whole.result.ok
    assert "try 2 of 6" in said[0]
    cut = run_ngspice(model, one, times, volts, ngspice, compiled=False, timeout_s=0.01)
    assert cut.result.outcome is Outcome.TIMEOUT, cut.result.reason
    assert "0.01 s" in cut.result.reason
    assert np.isnan(cut.current_a).all()
    with pytest.raises(InputError, match="timeout_s"):
        run_ngspice(model, one, times, volts, ngspice, timeout_s=0.0)
