"""The comments at the top of an emitted device: the numbers in them are whole."""

from __future__ import annotations

import dataclasses
import re

import pytest

from compact_models.library import find_model
from workflows.device.usage import how_to_use


@pytest.mark.parametrize("compiled", [False, True])
def test_a_device_that_no_voltage_writes_says_so(compiled: bool) -> None:
    for name, told in (("pcm", True), ("vteam", False)):
        model = find_model(name)
        lines = how_to_use(model, model.parameter_sets[0], "block", compiled=compiled)
        assert any(line.startswith("read only: no voltage writes") for line in lines) == told


@pytest.mark.parametrize("compiled", [False, True])
def test_the_run_has_the_whole_period(compiled: bool) -> None:
    model = find_model("vteam")
    period_s = 1.23456789012345e-6
    one = dataclasses.replace(model.parameter_sets[0], period_s=period_s)
    text = "\n".join(how_to_use(model, one, "block", compiled=compiled))
    run = re.search(r"run: \.tran (\S+) (\S+) 0 (\S+)$", text, re.MULTILINE)
    assert run is not None
    step, stop, longest = (float(word) for word in run.groups())
    assert stop == period_s
    assert step == longest == pytest.approx(period_s / 2000, rel=1e-5)
