"""Stanford's filament and the sky130 cell: kinetics over decades, a cell behind a resistor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from compact_models.devices.stanford import MODEL
from compact_models.emit.ngspice import state_node, subcircuit
from compact_models.emit.torch_model import torch_model
from cosim.devices.run_ngspice import OPTIONS
from cosim.devices.switching_time import switching_times
from cosim.ngspice import Deck, find_ngspice, run_deck
from tests.devices.references.stanford import current, rates

SET = MODEL.parameter_set("sky130")
P = dict(SET.values)
SIZE = np.array([1e-9, 300.0])  # of gap and temperature
RANGE_M = P["gap_max"] - P["gap_min"]


def slopes(volts: float, y: np.ndarray) -> list[float]:
    found = rates(volts, {"gap": y[0] * SIZE[0], "temperature": y[1] * SIZE[1]}, P)
    return [found["gap"] / SIZE[0], found["temperature"] / SIZE[1]]


def set_time_s(volts: float, start_m: float, reached_m: float) -> float:
    """By the published equations in plain Python, at a constant voltage."""

    def there(_t: float, y: np.ndarray) -> float:
        return float(y[0] * SIZE[0] - reached_m)

    there.terminal = True  # type: ignore[attr-defined]  # scipy's way to end at an event
    known = solve_ivp(
        lambda _t, y: slopes(volts, y),
        (0, 1e8),
        [start_m / SIZE[0], 1.0],
        method="LSODA",
        rtol=1e-8,
        atol=1e-10,
        events=there,
        first_step=1e-14,
    )
    return float(known.t_events[0][0])


def test_set_kinetics_over_eleven_decades() -> None:
    volts = [0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0]
    known = [set_time_s(v, 1.69e-9, 0.5e-9) for v in volts]
    ours = switching_times(
        MODEL,
        SET,
        volts,
        from_fraction=(1.69e-9 - P["gap_min"]) / RANGE_M,
        to_fraction=(0.5e-9 - P["gap_min"]) / RANGE_M,
        longest_s=1e8,
    )
    assert ours.tolist() == pytest.approx(known, rel=0.02)
    assert known[0] / known[-1] > 1e11
    # What an earlier reading of the same equations had.
    assert known == pytest.approx([6.4e5, 8.5e3, 1.16e2, 1.61, 2.2e-2, 3.0e-4, 4.0e-6], rel=0.05)


@pytest.mark.parametrize(
    ("volts", "gap_m", "is_published"),
    [(1.5, 1.2e-9, True), (-1.7, 0.4e-9, True), (6.6, 1.7e-9, False), (-6.6, 0.2e-9, False)],
)
def test_no_filament_outruns_the_attempt_velocity(
    volts: float, gap_m: float, is_published: bool
) -> None:
    functions = torch_model(MODEL)
    p = functions.parameters(dict(P))
    place = [torch.tensor(x, dtype=torch.float64) for x in (volts, gap_m, 300.0)]
    s = functions.fractions(place[1:], p)
    ours = float(functions.rates(place[0], *s, p)[0]) * RANGE_M
    published = rates(volts, {"gap": gap_m, "temperature": 300.0}, P)["gap"]
    assert ours == pytest.approx(
        published if is_published else np.copysign(P["velocity"], published), rel=1e-4
    )


SERIES_OHM = 5e3
START_M = 1.69e-9
QUARTER = 500
TIMES_S = np.linspace(0, 200e-6, 4 * QUARTER + 1)
SWEEP_V = np.interp(TIMES_S, np.linspace(0, 200e-6, 5), [0, 2.2, 0, -2.2, 0])


def behind_a_resistor() -> np.ndarray:
    """Current [time] by the published equations, brentq for the divider."""

    def cell_v(source_v: float, gap: float) -> float:
        def excess(v: float) -> float:
            return v + SERIES_OHM * current(v, {"gap": gap}, P) - source_v

        return float(brentq(excess, *sorted((0.0, source_v)), xtol=1e-15)) if source_v else 0.0

    def free(t: float, y: np.ndarray) -> list[float]:
        gap = float(np.clip(y[0] * SIZE[0], P["gap_min"], P["gap_max"]))
        found = slopes(cell_v(float(np.interp(t, TIMES_S, SWEEP_V)), gap), y)
        ahead = P["gap_max"] - y[0] * SIZE[0] if found[0] > 0 else y[0] * SIZE[0] - P["gap_min"]
        found[0] *= float(np.clip(ahead / (1e-5 * RANGE_M), 0, 1))
        return found

    y, gaps = np.array([START_M / SIZE[0], 1.0]), [START_M]
    for start, end in itertools.pairwise(TIMES_S):
        y = solve_ivp(free, (start, end), y, method="LSODA", rtol=1e-7, atol=1e-9).y[:, -1]
        gaps.append(float(np.clip(y[0] * SIZE[0], P["gap_min"], P["gap_max"])))
    return np.array(
        [
            current(cell_v(float(v), gap), {"gap": gap}, P)
            for v, gap in zip(SWEEP_V, gaps, strict=True)
        ]
    )


@pytest.mark.slow  # test_plain_decks.py has the same circuit, at two of these points
@pytest.mark.ngspice
def test_a_cell_behind_a_resistor() -> None:
    gap = state_node(MODEL.states[0])
    deck = Deck(
        f"* a cell behind a resistor\n{subcircuit(MODEL, SET, 'cell')}"
        "vin in 0 pwl(0 0 50u 2.2 150u -2.2 200u 0)\n"
        f"rs in p {SERIES_OHM!r}\nxdut p 0 cell gap_0={START_M!r}\n{OPTIONS}\n"
        f".save v(in) i(vin) v(xdut.{gap})\n.tran 1e-8 200e-6 0 1e-8 uic\n.end\n",
        expected_signals=("v(in)", "i(vin)", f"v(xdut.{gap})"),
    )
    result = run_deck(deck, find_ngspice(), timeout_s=60)
    assert result.ok, result.reason
    plot = result.plot
    ours = -np.interp(TIMES_S, plot.signal("time"), plot.signal("i(vin)"))
    known = behind_a_resistor()
    places = []
    for i in (known, ours):
        on = np.abs(i) > 3e-5
        strong = np.abs(SWEEP_V) > 2
        places += [np.argmax(on & strong), np.argmax(~on & strong & (SWEEP_V < 0))]
    # Another port to ngspice, from the same start: SET at 2.100 V, RESET at -2.188 V.
    assert SWEEP_V[places[0]] == pytest.approx(2.100, abs=5e-3)
    assert SWEEP_V[places[1]] == pytest.approx(-2.188, abs=5e-3)
    assert np.abs(np.subtract(places[:2], places[2:])).max() <= 1  # 4.4 mV
    away = np.abs(SWEEP_V) > 0.1
    for k in places:
        away[k - 5 : k + 6] = False
    assert away.sum() > 1800
    assert np.abs(ours / np.where(away, known, 1) - 1)[away].max() < 1e-3
    at = int(np.argmin(np.abs(SWEEP_V[:QUARTER] - 1.65)))
    assert ours[at] == pytest.approx(2.95473e-6, rel=2e-3)
    assert ours[2 * QUARTER - at] == pytest.approx(1.56896e-4, rel=2e-3)
