"""What a fit does not determine is named with its partner, and thresholds are looked for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from compact_models.library import find_model
from compact_models.model import CompactModel
from cosim.devices.run_torch import run_torch
from cosim.fitting.data import Sweep
from cosim.fitting.fit import fit_device
from cosim.fitting.partners import leaning
from cosim.fitting.settle import DEPENDENT
from cosim.fitting.space import make_space
from cosim.fitting.verdicts import loop_left
from tests.devices.agreement import reference_run

Array = NDArray[np.float64]
DOCS = Path(__file__).parents[2] / "docs" / "devices.md"


def leaky_switch(folder: Path) -> CompactModel:
    """The device of the docs."""
    found = re.search(
        r'```python\n("""A switch that closes.*?)```', DOCS.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    path = folder / "leaky_switch.py"
    path.write_text(found[1], encoding="utf-8")
    return find_model(str(path))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3])
def test_an_off_conductance_and_the_initial_state_do_each_others_work(
    tmp_path: Path, seed: int
) -> None:
    """At 2 % noise g_off alone is known to 1 %, and beside x at the start to 35 %."""
    model = leaky_switch(tmp_path)
    one = model.parameter_sets[0]
    time_s = np.linspace(0, 4e-6, 401)
    volts = 0.8 * np.sin(2 * np.pi * time_s / 2e-6)
    ran = run_torch(
        model, one.values, one.initial, torch.from_numpy(time_s), torch.from_numpy(volts)
    )
    rng = np.random.default_rng(seed)
    noise = 1 + 0.02 * rng.standard_normal(401)
    # The 10 nA of an instrument: they once took g_off to nothing, and x to 41 times its error.
    current = ran.current_a.numpy() * noise + (1e-8 * rng.standard_normal(401) if not seed else 0)
    fit = fit_device(model, one, Sweep(time_s, volts, current))
    assert fit.outcome == "ok", fit.reason
    g_off = fit.values["g_off"]
    assert g_off.note == ""
    if g_off.given:
        assert (g_off.given, g_off.stderr) == (("x",), None)
        assert fit.fixed["x"].startswith(DEPENDENT)
        assert "g_off" in fit.fixed["x"]
    else:
        assert g_off.stderr is not None
        assert abs(g_off.value - 1e-6) < 4 * g_off.stderr
        assert {"g_off", "x"} in [{a, b} for a, b, _ in fit.correlated]
        start = fit.initial["x"]
        assert start.stderr is not None
        assert abs(start.value) < 4 * start.stderr


@pytest.mark.slow
def test_a_threshold_beyond_the_data_is_looked_for_within_them() -> None:
    model = find_model("yakopcic")
    truth, start = model.parameter_set("oblea"), model.parameter_set("high_threshold")
    time_s = np.linspace(0, truth.period_s, 151)
    volts = truth.amplitude_v * np.sin(2 * np.pi * time_s / truth.period_s)
    assert start.values["v_p"] > volts.max()
    current = reference_run(model, truth, time_s, volts).current_a
    noise = 1 + 0.02 * np.random.default_rng(1).standard_normal(len(current))
    fit = fit_device(model, start, Sweep(time_s, volts, current * noise))
    assert fit.outcome == "ok", fit.reason
    assert fit.values["v_p"].value == pytest.approx(0.16, rel=0.1)
    assert fit.rms_decades < 0.02


def test_only_thresholds_beyond_the_data_have_other_starts() -> None:
    model = find_model("yakopcic")
    names = [one.name for one in model.parameters]
    start = model.parameter_set("high_threshold")
    near, far = (
        make_space(model, start, names, with_initial=True, highest_v=v) for v in (0.9, 0.45)
    )
    assert not near.shifts.any()
    shifted = {name for name, one in zip(far.names, far.shifts, strict=True) if one}
    assert shifted == {"v_p", "v_n"}
    assert len(far.candidates(16, 0)) == 2 * len(near.candidates(16, 0))


def test_a_model_that_never_switches_is_no_fit_to_a_loop() -> None:
    turn = np.linspace(0, 2 * np.pi, 201)
    volts = np.sin(turn)
    loop = np.cos(turn)  # one sign on the way up, the other on the way down
    assert "never switches" in loop_left(volts, loop, 1e-5)
    assert loop_left(volts, loop, 0.5) == ""
    assert loop_left(volts, volts, 1e-5) == ""  # off, but one line
    assert loop_left(volts, np.random.default_rng(1).standard_normal(201), 1e-5) == ""


def test_an_error_leans_on_what_is_like_it_and_on_nothing_else() -> None:
    rng = np.random.default_rng(2)
    first, second, other = rng.standard_normal((3, 100))
    jacobian = np.stack([first, second], 1)
    assert leaning(jacobian, first + 1e-3 * other).tolist() == [True, False]
    assert leaning(jacobian, other).tolist() == [False, False]


def test_a_state_that_was_left_keeps_its_digits() -> None:
    model = find_model("yakopcic")
    one = model.parameter_set("oblea")  # x = 0.11, which comes back from a fraction as 0.11000...3
    space = make_space(model, one, ["a_1"], with_initial=False)
    kept = space.parameter_set(np.zeros(1), name="a", source="b", amplitude_v=1.0, period_s=1.0)
    assert kept.initial == one.initial
    space = make_space(model, one, ["a_1"], with_initial=True)
    kept = space.parameter_set(np.zeros(2), name="a", source="b", amplitude_v=1.0, period_s=1.0)
    assert kept.initial == one.initial
