"""States that decay by themselves, as B sources: a speed of 0 and a jump beside it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sympy
import torch

from compact_models.emit.ngspice import subcircuit
from compact_models.model import CompactModel
from compact_models.symbols import Parameter, State, V
from cosim.devices.form import can_compile
from cosim.devices.run_ngspice import run_ngspice
from cosim.devices.run_torch import run_torch
from cosim.ngspice import Ngspice
from tests.devices.small_models import FOLLOWER, g, k, v_one

h = State("h", "1", "a state without bounds", scale=1)
speed = Parameter("speed", "1/s", "of a decay, or none", low=0)
growth = Parameter("growth", "1/s", "of a growth, or none", high=0)
either = Parameter("either", "1/s", "of either")
TIMES = np.linspace(0, 1e-6, 4)
VOLTS = np.array([0.0, 0.8, -0.4, 0.6])


def model(rate: sympy.Expr, **values: float) -> CompactModel:
    """A state without bounds that the voltage moves, and that moves by `rate` besides."""
    one = dataclasses.replace(
        FOLLOWER.parameter_sets[0],
        values={"k": 1e6, "v_one": 2.0, "g": 1e-3, **values},
        initial={"h": 0.4},
    )
    return dataclasses.replace(
        FOLLOWER,
        name="alone",
        current=g * (h + 3) * V,
        rates={h: k * V / v_one + rate},
        parameter_sets=(one,),
    )


MODELS = [
    model(-speed * h, speed=0.0),
    model(-speed * h, speed=3e6),
    model(-growth * h, growth=0.0),
    model(-growth * h, growth=-1e6),
    model(-either * h, either=0.0),
    model(-either * h, either=2e6),
    # The slope knows nothing of the jump: taken apart, the source would rest on one side of it.
    model(-speed * h - 5e5 * sympy.Piecewise((k / 1e6, h < 0.3), (0, True)), speed=1e6),
]


@pytest.mark.ngspice
@pytest.mark.parametrize("one", MODELS)
@pytest.mark.parametrize("compiled", [False, True])
def test_a_decay_of_any_speed_runs(ngspice: Ngspice, one: CompactModel, compiled: bool) -> None:
    if compiled and not can_compile(ngspice):
        pytest.skip("no compiled models here")
    values = one.parameter_sets[0]
    trace = run_ngspice(one, values, TIMES, VOLTS, ngspice, compiled=compiled)
    assert trace.result.ok, trace.result.reason
    known = run_torch(one, values.values, values.initial, TIMES.tolist(), torch.from_numpy(VOLTS))
    assert trace.states["h"] == pytest.approx(known.states["h"].numpy(), abs=2e-3)


def test_what_a_resistor_can_stand_for() -> None:
    def resistors(one: CompactModel) -> str:
        text = subcircuit(one, one.parameter_sets[0], "sub")
        return next(line for line in text.splitlines() if line.startswith("r_h "))

    assert "max(1e-15, speed)" in resistors(MODELS[0])
    assert resistors(MODELS[2]).endswith(" 1e+15")
    assert resistors(MODELS[4]).endswith(" 1e+15")
    assert resistors(MODELS[6]).endswith(" 1e+15")
