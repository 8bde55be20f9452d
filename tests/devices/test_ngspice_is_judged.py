"""Numbers that ngspice calls a solution are looked at once more before they are one."""

from __future__ import annotations

import numpy as np
import pytest

from compact_models.devices.vteam import MODEL
from cosim.devices import run_ngspice as module
from cosim.ngspice import Outcome, find_ngspice

TIMES = np.array([0.0, 1e-9, 2e-8])
VOLTS = np.array([0.0, 0.25, 0.25])


@pytest.mark.ngspice
def test_a_state_out_of_its_bounds_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    one = MODEL.parameter_sets[0]
    right = module.run_ngspice(MODEL, one, TIMES, VOLTS, find_ngspice(), compiled=False)
    assert right.result.outcome is Outcome.OK
    text = module.subcircuit

    def without_the_edge(*arguments: object) -> str:
        # what a mistake in the emitted text could do: nothing holds the state inside
        return text(*arguments).replace("min(1.0,", "max(1.0,")

    monkeypatch.setattr(module, "subcircuit", without_the_edge)
    times = TIMES * 100
    wrong = module.run_ngspice(MODEL, one, times, VOLTS, find_ngspice(), compiled=False)
    assert wrong.result.outcome is Outcome.INVALID
    assert "state 'w' left its bounds" in wrong.result.reason
    assert np.isnan(wrong.current_a).all()
    assert np.isnan(wrong.states["w"]).all()
