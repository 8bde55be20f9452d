"""The picture and the table of a fit: nothing is cut off, flattened, or left without its name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from matplotlib.figure import Figure

from compact_models.library import find_model
from cosim.fitting.data import PulseTrain, Sweep
from cosim.fitting.result import Fit, FittedValue
from workflows.device.fit_plot import _magnitude, _residual, fit_figure
from workflows.device.fit_rows import shown_values
from workflows.report.style import figure_style

STATE = FittedValue(3e-15, 1.5e-9, None, 3e-15, 3e-9, at_bound=True, unit="m")
R_ON = FittedValue(51.3, 50.0, 1.3, 5e-5, 5e7, at_bound=False, unit="ohm")
K_OFF = FittedValue(5e-4, 5e-4, None, 5e-10, 500.0, at_bound=False, unit="m/s")


def sweep() -> Sweep:
    """A resistor of 1 kohm; the voltage steps over 0 V on its way back."""
    volts = np.concatenate([np.linspace(0, 0.5, 26), np.linspace(0.49, -0.5, 51)])
    return Sweep(np.arange(77.0), volts, volts / 1e3)


def fit(**changes: object) -> Fit:
    """A fit that is 1 % off everywhere."""
    one = {
        "outcome": "ok", "reason": "", "answer": sweep().current_a * 1.01, "floor": 1e-7,
        "rms": 1e-6, "rms_decades": 0.004, "max_error": 5e-6, "fixed": {"w_on": "a reason"},
        "values": {"r_on": R_ON, "k_off": K_OFF}, "initial": {"w": STATE},
        "space": SimpleNamespace(model=find_model("vteam")),
    }  # fmt: skip
    return cast("Fit", SimpleNamespace(**{**one, **changes}))


def test_the_logarithmic_panel_is_broken_at_zero() -> None:
    ax = Figure().add_subplot()
    _magnitude(ax, sweep(), fit())
    foot = ax.get_ylim()[0]
    assert 1e-7 / 2 <= foot < 1e-5
    v, i = (np.asarray(x) for x in ax.lines[1].get_data())
    shown = (v < 0.05) & (v > -0.05) & np.isfinite(i)
    assert shown.any()
    assert np.abs(v[shown]).min() >= 0.02 * 0.5  # nearer to 0 V a line would fall straight down
    assert i[shown].min() > foot
    assert i[shown] == pytest.approx(np.abs(v[shown]) * 1.01 / 1e3, rel=1e-9)  # straight


def test_the_noise_floor_is_drawn_where_currents_are_below() -> None:
    ax = Figure().add_subplot()
    _magnitude(ax, sweep(), fit(floor=2e-5))
    assert [text.get_text() for text in ax.texts] == ["noise floor"]
    assert ax.get_ylim()[0] == pytest.approx(1.333e-5, rel=0.1)


def test_one_point_does_not_flatten_the_residuals() -> None:
    answer = sweep().current_a * np.where(np.arange(77) % 2, 1.01, 0.99)
    answer[20] *= 100
    ax = Figure().add_subplot()
    _residual(ax, np.arange(77.0), sweep(), fit(answer=answer, floor=1e-12))
    assert ax.get_ylim()[1] < 0.01  # log10(1.01) is 0.0043
    assert ax.get_title("right") == "1 point lies beyond, up to 2 decades"
    assert np.asarray(ax.lines[2].get_xdata()).tolist() == [20]
    ax = Figure().add_subplot()
    _residual(ax, np.arange(77.0), sweep(), fit())
    assert ax.get_title("right") == ""


@pytest.mark.parametrize("kind", ["sweep", "pulses"])
def test_the_picture_names_what_was_fitted(kind: str) -> None:
    data: Sweep | PulseTrain = sweep()
    one = fit(outcome="not_converged", reason="no solution after 60 steps")
    if kind == "pulses":
        data = PulseTrain(np.ones(9), np.linspace(1e-5, 2e-5, 9))
        one = fit(answer=data.values)
    with figure_style():
        figure = fit_figure(data, one, "vteam fitted to cell.csv")
        figure.draw_without_rendering()
        words = [text.get_text() for ax in figure.axes for text in ax.texts]
    for word in ("r_on", "51.3\N{NO-BREAK SPACE}Ω", "±\N{NO-BREAK SPACE}2.5\N{NO-BREAK SPACE}%",
                 "k_off", "not determined", "w at the start", "at its bound",
                 "left as they were: w_on"):  # fmt: skip
        assert word in words
    summary = figure.texts[1].get_text()
    assert summary.startswith("not_converged: no solution" if kind == "sweep" else "rms error")


def test_a_state_at_its_bound_is_0_and_a_small_parameter_is_not() -> None:
    rows = shown_values(fit())
    w = rows["w at the start"]
    assert (w.value, w.low, w.start, w.high) == (0, 0, 1.5e-9, 3e-9)
    assert (rows["k_off"].low, rows["r_on"].low) == (5e-10, 5e-5)
