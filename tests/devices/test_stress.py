"""The hardest stimuli of the stress list; `./run bench device_stress` has all of them."""

from __future__ import annotations

import pytest

from benchmarks.device_stress import in_ngspice, in_torch, stimuli
from compact_models.library import all_models
from cosim.ngspice import find_ngspice

MODELS = [model.name for model in all_models().values() if model.kind == "dynamic"]
HARDEST = ("3x 1e0 Hz", "+3x DC", "-3x 1 ns")


def test_the_list_is_whole() -> None:
    names = [stimulus.name for stimulus in stimuli(1.0)]
    assert len(set(names)) == len(names) == 26
    assert set(HARDEST) <= set(names)
    assert min(stimulus.time_s[-1] for stimulus in stimuli(1.0)) < 1e-8


@pytest.mark.ngspice
@pytest.mark.parametrize("name", MODELS)
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
