"""The page of a device that forgets by itself, whether it also takes pulses or not."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from compact_models.library import find_model, find_set
from cosim.portraits.decay import Decay
from cosim.portraits.panel import QUICK
from cosim.portraits.switching import PulseTrain
from workflows.device.axes import NEUTRAL, RESET, SET
from workflows.device.plot import page, panels_of, plot_device
from workflows.report.style import figure_style

LEAKY = """
import sympy
from compact_models.model import CompactModel, ParameterSet
from compact_models.symbols import Parameter, State, V

g = Parameter("g", "S", "conductance", above=0)
k = Parameter("k", "1/s", "speed", above=0)
tau = Parameter("tau", "s", "time constant of opening", above=0)
v_t = Parameter("v_t", "V", "threshold", above=0)
x = State("x", "1", "closed part", lower=0, upper=1)
MODEL = CompactModel(
    name="leaky", title="opens by itself", kind="dynamic",
    source="someone, doi 10.1000/a-very-long-name.with.hyphens-and-points",
    current=g * (x + sympy.Rational(1, 10)) * V,
    rates={x: k * sympy.Max(0, sympy.Abs(V) / v_t - 1) ** 2 - x / tau},
    parameter_sets=(
        ParameterSet("one", "words " * 18, {"g": 1e-4, "k": 1e7, "tau": 1e-6, "v_t": 0.3},
                     {"x": 0.0}, 0.8, 2e-6),
    ),
)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPICELOOP_DEVICES", str(tmp_path_factory.mktemp("no-devices")))


def test_a_device_that_forgets_has_its_decay(tmp_path: Path) -> None:
    path = tmp_path / "leaky.py"
    path.write_text(LEAKY, encoding="utf-8")
    model = find_model(str(path))
    one = model.parameter_sets[0]
    panels = panels_of(model, one, QUICK)
    found = panels["decay"]
    assert isinstance(found, Decay)
    assert found.from_on
    assert found.half_s == pytest.approx(1e-6 * math.log(0.99 / 0.5), rel=1e-5)
    x = 0.99 * np.exp(-found.time_s / 1e-6)
    assert found.conductance_s == pytest.approx(1e-4 * (x + 0.1), rel=1e-4)
    with figure_style():
        figure = page(model, one, panels)
    loop, _, _, pulses, _, table = figure.axes
    assert {line.get_color() for line in loop.lines[2:]} == {NEUTRAL}  # no polarity is RESET's
    assert "by itself" in pulses.get_title(loc="left")
    assert pulses.get_xlabel() == "time at 0 V"
    assert "forgets half in" in [text.get_text() for text in table.texts]
    heading = figure.texts[1].get_text()
    assert "doi\N{NO-BREAK SPACE}10.1000/a-very-long-name.with.hyphens-and-points" in heading
    # One that remembers has none.
    vteam = find_model("vteam")
    assert "decay" not in panels_of(vteam, find_set(vteam, "sine"), QUICK)


def test_a_device_that_switches_both_ways_and_forgets_says_both(tmp_path: Path) -> None:
    path = tmp_path / "leaky.py"
    both = "- k * sympy.Max(0, -V / v_t - 1) ** 2 * x - x / tau"
    one_way = "sympy.Max(0, sympy.Abs(V) / v_t - 1) ** 2 - x / tau"
    text = LEAKY.replace(one_way, f"sympy.Max(0, V / v_t - 1) ** 2 * (1 - x) {both}")
    path.write_text(text.replace('"tau": 1e-6', '"tau": 1e-4'), encoding="utf-8")
    model = find_model(str(path))
    one = model.parameter_sets[0]
    panels = panels_of(model, one, QUICK)
    assert isinstance(panels["pulses"], PulseTrain)
    found = panels["decay"]
    assert isinstance(found, Decay)
    assert found.half_s == pytest.approx(1e-4 * math.log(0.99 / 0.5), rel=1e-5)
    with figure_style():
        figure = page(model, one, panels)
    loop, _, _, pulses, _, table = figure.axes
    assert {line.get_color() for line in loop.lines[2:]} == {SET, RESET}
    assert pulses.get_xlabel() == "pulse"
    assert "forgets half in" in [text.get_text() for text in table.texts]
    plotted = plot_device(str(path), "one", tmp_path / "leaky.png", QUICK)
    (remark,) = plotted.remarks
    assert "from 99 to 50 % of its range in 68.3 \N{MICRO SIGN}s at 0 V" in remark
