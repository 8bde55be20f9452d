"""Arrays of dynamic cells in ngspice: against torch by cell, and against Kirchhoff in scipy."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from compact_models.devices.jart import MODEL as JART
from compact_models.devices.vteam import MODEL as VTEAM
from compact_models.errors import InputError
from compact_models.model import CompactModel
from compact_models.variation import Lognormal, StuckCells, TruncatedNormal
from compact_models.variation.draw import AMBIENT, Variation, draw, draw_initial
from cosim.devices.form import can_compile, device_form
from cosim.devices.run_torch import run_torch
from cosim.driven.pulsed_array import PulsedArray
from cosim.driven.spice import pulse_deck, run_spice
from cosim.ngspice import Ngspice, Outcome
from netlists.cells import memristor
from netlists.circuit import Circuit, PiecewiseVoltage
from netlists.device_array import DeviceArray
from netlists.dialects.ngspice import render
from netlists.pyspice import to_pyspice
from netlists.wires import Wires
from tests.devices.small_models import HEATED, JUNCTION

SINE = VTEAM.parameter_set("sine")
NO_WIRES = Wires(r_wordline_ohm=0, r_bitline_ohm=0)
TIME_S = np.array([0.0, 4e-9, 60e-9, 63e-9])
PULSE = np.array([0.0, 1.0, 1.0, 0.0])
FORMS = pytest.mark.parametrize("compiled", [True, False], ids=["osdi", "b"])


def lines(*volts: float) -> np.ndarray:
    return np.array(volts)[:, None] * PULSE


def vteam_array(**changes: Any) -> PulsedArray:
    """2x3, no two cells alike; some switch on, some off."""
    array = PulsedArray(
        model=VTEAM,
        parameter_set=SINE,
        shape=(2, 3),
        wires=NO_WIRES,
        time_s=TIME_S,
        word_v=lines(0.3, -0.16),
        bit_v=lines(0.02, 0.11, -0.1),
        initial={"w": 1e-9 * np.array([[0.4, 1.0, 1.3], [1.8, 2.7, 0.9]])},
    )
    return dataclasses.replace(array, **changes)


def require(ngspice: Ngspice, compiled: bool) -> None:
    if compiled and not can_compile(ngspice):
        pytest.skip("no compiled models here")


def in_torch(array: PulsedArray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Final states and currents [row, col, time] of cells without wires."""
    voltage = torch.from_numpy(array.word_v[:, None] - array.bit_v[None])
    values = {n: torch.from_numpy(array.value(n)) for n in array.parameter_set.values}
    start = {x.name: torch.from_numpy(array.start(x.name)) for x in array.model.states}
    trace = run_torch(array.model, values, start, array.time_s.tolist(), voltage, tolerance=1e-7)
    assert bool(trace.alive.all())
    return {n: s[..., -1].numpy() for n, s in trace.states.items()}, trace.current_a.numpy()


@pytest.mark.ngspice
@FORMS
@pytest.mark.parametrize("sample", [0, 1])
def test_the_same_sample_gives_the_same_array_in_torch_and_in_ngspice(
    ngspice: Ngspice, compiled: bool, sample: int
) -> None:
    require(ngspice, compiled)
    variation = Variation(
        device={
            "r_on": Lognormal(sigma=0.3),
            "w_off": TruncatedNormal(sigma=0.2, low=0.95, high=1.4),
            "k_off": Lognormal(sigma=0.5),
            "v_on": TruncatedNormal(sigma=0.2, low=0.8, high=1.5),
        }
    )
    values = draw(variation, VTEAM, SINE, (2, 3), seed=8, sample=sample, path="tile")
    array = vteam_array(values=values, initial=draw_initial(VTEAM, SINE, values, (2, 3)))
    found = run_spice(array, ngspice, compiled=compiled)
    assert found.outcome is Outcome.OK, found.reason
    states, current = in_torch(array)
    moved = np.abs(states["w"] - array.start("w")) / 3e-9
    assert np.ptp(moved) > 0.05
    np.testing.assert_allclose(found.states["w"], states["w"], atol=2e-4 * 3e-9)
    size = np.abs(current).max()
    np.testing.assert_allclose(found.word_a, current.sum(1), atol=1e-3 * size)
    np.testing.assert_allclose(found.bit_a, -current.sum(0), atol=1e-3 * size)


@pytest.mark.ngspice
@FORMS
@pytest.mark.parametrize("model", [HEATED, JUNCTION], ids=lambda model: model.name)
def test_models_with_two_states_or_an_inner_voltage_stand_in_arrays_too(
    ngspice: Ngspice, compiled: bool, model: CompactModel
) -> None:
    require(ngspice, compiled)
    array = PulsedArray(
        model,
        model.parameter_sets[0],
        (3, 2),
        NO_WIRES,
        TIME_S * (20 if model is HEATED else 3),
        lines(0.9, 0.3, -0.6),
        lines(-0.05, 0.2),
        initial={"x": np.array([[0.2, 0.3], [0.5, 0.4], [0.8, 0.7]])},
    )
    found = run_spice(array, ngspice, compiled=compiled)
    assert found.outcome is Outcome.OK, found.reason
    states, current = in_torch(array)
    assert np.abs(states["x"] - array.start("x")).max() > 0.05
    for name, want in states.items():
        scale = 1 if name == "x" else 100
        np.testing.assert_allclose(found.states[name], want, atol=5e-4 * scale)
    np.testing.assert_allclose(found.word_a, current.sum(1), atol=1e-3 * np.abs(current).max())


@pytest.mark.ngspice
def test_jart_cells_at_the_temperature_of_the_die(ngspice: Ngspice) -> None:
    require(ngspice, True)
    parameter_set = JART.parameter_sets[0]
    spread = TruncatedNormal(sigma=0.05, low=0.9, high=1.1)
    variation = Variation(device={"r_det": spread}, temperature_k=340)
    values = draw(variation, JART, parameter_set, (1, 3), seed=0, sample=0, path="tile")
    assert np.all(values[AMBIENT] == 340)
    array = PulsedArray(
        JART, parameter_set, (1, 3), NO_WIRES, TIME_S, lines(0.0), lines(0.62, 0.95, 0.8),
        values=values, initial={"n_disc": np.array([[9e25, 1e25, 8e26]])},
    )  # fmt: skip
    found = run_spice(array, ngspice, compiled=True)
    assert found.outcome is Outcome.OK, found.reason
    states, current = in_torch(array)
    np.testing.assert_allclose(found.states["n_disc"], states["n_disc"], rtol=5e-3)
    # One word line: the current of a bit line is that of one cell.
    np.testing.assert_allclose(
        -found.bit_a[:, 1:3], current[0, :, 1:3], rtol=5e-3, atol=1e-3 * np.abs(current).max()
    )
    cold, _ = in_torch(dataclasses.replace(array, values={"r_det": values["r_det"]}))
    assert np.abs(np.log(states["n_disc"] / cold["n_disc"])).max() > 0.01


def by_kirchhoff(array: PulsedArray) -> tuple[np.ndarray, np.ndarray]:
    """Final states of a wired VTEAM array and word-line currents at the third time, by scipy.

    Nodes are the cells' two ends; the equations are written here from the paper.
    """
    rows, cols = array.shape
    p = SINE.values
    g_word, g_bit = 1 / array.wires.r_wordline_ohm, 1 / array.wires.r_bitline_ohm
    count = rows * cols

    def solve(w: np.ndarray, word_v: np.ndarray, bit_v: np.ndarray) -> tuple[Any, Any]:
        matrix, right = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
        r = p["r_on"] + (p["r_off"] - p["r_on"]) * w / p["w_off"]

        def join(a: int, b: int, g: float) -> None:
            matrix[a, a] += g
            matrix[b, b] += g
            matrix[a, b] -= g
            matrix[b, a] -= g

        def fix(a: int, v: float, g: float) -> None:
            matrix[a, a] += g
            right[a] += g * v

        for i in range(rows):
            for j in range(cols):
                top, under = i * cols + j, count + i * cols + j
                join(top, under, 1 / r[i, j])
                if j == 0:
                    fix(top, word_v[i], g_word)
                else:
                    join(top, top - 1, g_word)
                if i == rows - 1:
                    fix(under, bit_v[j], g_bit)
                else:
                    join(under, under + cols, g_bit)
        v = np.linalg.solve(matrix, right)
        across = (v[:count] - v[count:]).reshape(rows, cols)
        return across, (word_v - v[:count].reshape(rows, cols)[:, 0]) * g_word

    def at(t: float) -> tuple[np.ndarray, np.ndarray]:
        return tuple(  # type: ignore[return-value]
            np.array([np.interp(t, array.time_s, row) for row in v])
            for v in (array.word_v, array.bit_v)
        )

    def rate(t: float, flat: np.ndarray) -> np.ndarray:
        w = flat.reshape(rows, cols)
        v, _ = solve(w, *at(t))
        speed = np.where(v > p["v_off"], p["k_off"] * np.maximum(v / p["v_off"] - 1, 0), 0)
        speed += p["k_on"] * np.maximum(v / p["v_on"] - 1, 0) ** 3
        return speed.ravel()

    end = solve_ivp(
        rate, array.time_s[[0, -1]], array.start("w").ravel(), method="LSODA",
        rtol=1e-8, atol=1e-15, max_step=1e-9, t_eval=[array.time_s[2], array.time_s[-1]],
    )  # fmt: skip
    plateau, final = (end.y[:, k].reshape(rows, cols) for k in (0, 1))
    assert final.min() > 0
    assert final.max() < p["w_off"]
    return final, solve(plateau, *at(array.time_s[2]))[1]


@pytest.mark.ngspice
@FORMS
def test_wires_take_their_share_as_kirchhoff_says(ngspice: Ngspice, compiled: bool) -> None:
    require(ngspice, compiled)
    array = vteam_array(wires=Wires(r_wordline_ohm=30, r_bitline_ohm=12))
    found = run_spice(array, ngspice, compiled=compiled)
    assert found.outcome is Outcome.OK, found.reason
    states, word_a = by_kirchhoff(array)
    np.testing.assert_allclose(found.states["w"], states, atol=3e-4 * 3e-9)
    finer = run_spice(array, ngspice, compiled=compiled, steps=1000)
    np.testing.assert_allclose(finer.states["w"], states, atol=2e-5 * 3e-9)
    np.testing.assert_allclose(found.word_a[:, 2], word_a, rtol=1e-3, atol=1e-8)
    ideal, _ = in_torch(vteam_array())
    assert np.abs(states - ideal["w"]).max() > 0.02 * 3e-9


@pytest.mark.ngspice
@FORMS
def test_a_stuck_cell_is_a_resistor_and_its_neighbours_go_on(
    ngspice: Ngspice, compiled: bool
) -> None:
    require(ngspice, compiled)
    stuck = np.array([[np.nan, 2e-3, np.nan], [0.0, np.nan, np.nan]])
    found = run_spice(vteam_array(stuck_s=stuck), ngspice, compiled=compiled)
    assert found.outcome is Outcome.OK, found.reason
    states, current = in_torch(vteam_array())
    works = np.isnan(stuck)
    assert np.isnan(found.states["w"][~works]).all()
    np.testing.assert_allclose(found.states["w"][works], states["w"][works], atol=2e-4 * 3e-9)
    current[0, 1] = 2e-3 * (0.3 - 0.11) * PULSE
    current[1, 0] = 0
    np.testing.assert_allclose(found.word_a, current.sum(1), atol=1e-3 * np.abs(current).max())


def test_stuck_cells_of_a_sample_go_into_the_array_as_they_are_drawn() -> None:
    stuck = StuckCells.on_and_off(0.3, 1e-2, 0.3).draw((6, 7), seed=1, sample=0, path="tile")
    array = PulsedArray(
        VTEAM, SINE, (6, 7), NO_WIRES, TIME_S, lines(*[0.1] * 6), lines(*[0.0] * 7), stuck_s=stuck
    )
    text = render(Circuit("t", (), (array.device_array(cell="cell", compiled=False),)))
    for (row, col), g in np.ndenumerate(stuck):
        at = f"{row}_{col} wl_{row} bl_{col} "
        assert (f"\nxcell_{at}cell" in text) == bool(np.isnan(g))
        assert (f"\nrcell_{at}100.0 " in text) == (g == 1e-2)
        assert (f"* cell_{row}_{col} is stuck open" in text) == (g == 0)


@pytest.mark.ngspice
def test_a_failed_run_is_a_result_without_numbers(ngspice: Ngspice, tmp_path: Path) -> None:
    broken = tmp_path / "ngspice"
    said = "doAnalyses: TRAN:  Timestep too small; time = 1e-09, timestep = 1e-20"
    broken.write_text(f"#!/bin/sh\necho '{said}'\nexit 1\n")
    broken.chmod(0o755)
    array = vteam_array()
    found = run_spice(array, dataclasses.replace(ngspice, path=broken), compiled=False)
    assert found.outcome is Outcome.NO_CONVERGENCE
    assert found.reason
    assert np.isnan(found.states["w"]).all()
    assert np.isnan(found.word_a).all()
    assert found.bit_a.shape == (3, 4)


def test_every_cell_and_segment_hangs_where_the_conventions_say() -> None:
    tables = {"r_on": np.array([[1.0, 2.0], [3.0, 4.0]]), "w_0": np.array([[5.0, 6.0], [7.0, 8.0]])}
    stuck = np.array([[np.nan, np.nan], [0.25, np.nan]])
    wires = Wires(r_wordline_ohm=2.5, r_bitline_ohm=0.5)
    array = DeviceArray(stuck, wires, "card", True, tables)
    source = PiecewiseVoltage("vwl_0", "wl_0", "0", ((0.0, 0.0), (1e-9, -0.5)))
    card, _ = memristor.compiled(VTEAM, SINE)
    text = render(Circuit("t", (), (card, array, source)))
    assert text.split("\n")[2:-1] == [
        ".model card_device_vteam device_vteam",
        "rw_0_0 wl_0 w_0_0 2.5",
        "rb_0_0 b_0_0 b_1_0 0.5",
        "ncell_0_0 w_0_0 b_0_0 card r_on=1.0 w_0=5.0",
        "rw_0_1 w_0_0 w_0_1 2.5",
        "rb_0_1 b_0_1 b_1_1 0.5",
        "ncell_0_1 w_0_1 b_0_1 card r_on=2.0 w_0=6.0",
        "rw_1_0 wl_1 w_1_0 2.5",
        "rb_1_0 b_1_0 bl_0 0.5",
        "rcell_1_0 w_1_0 b_1_0 4.0 ; stuck at 0.25 S",
        "rw_1_1 w_1_0 w_1_1 2.5",
        "rb_1_1 b_1_1 bl_1 0.5",
        "ncell_1_1 w_1_1 b_1_1 card r_on=4.0 w_0=8.0",
        "vwl_0 wl_0 0 pwl(",
        "+ 0.0 0.0",
        "+ 1e-09 -0.5",
        "+ )",
    ]


def test_an_array_of_devices_goes_over_to_pyspice_as_it_is() -> None:
    array = vteam_array().device_array(cell="device_vteam", compiled=False)
    source = PiecewiseVoltage("vwl_0", "wl_0", "0", ((0.0, 0.0), (1e-9, -0.5)))
    circuit = Circuit("t", (memristor.behavioural(VTEAM, SINE),), (array, source))
    handed_over = set(str(to_pyspice(circuit)).split("\n"))
    assert {line for line in render(circuit).split("\n") if line.startswith("xcell")} < handed_over
    assert {"vwl_0 wl_0 0 pwl(", "+ 1e-09 -0.5", ".subckt device_vteam p n"} < handed_over


@pytest.mark.ngspice
def test_a_compiled_deck_uses_one_thread(ngspice: Ngspice) -> None:
    require(ngspice, True)
    array = vteam_array()
    form = device_form(array.model, array.parameter_set, ngspice, compiled=True)
    deck, _ = pulse_deck(array, form=form)
    control = deck.text[deck.text.index(".control") : deck.text.index(".endc")]
    assert control.split("\n")[1:-1] == ["set num_threads=1", "pre_osdi model.osdi"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_s": np.array([0.0, 2e-9, 1e-9, 3e-9])}, "times must rise"),
        ({"word_v": lines(0.1, 0.2, 0.3)}, r"word_v: wrong shape.*allowed: \(2, 4\)"),
        ({"bit_v": lines(0.1, np.nan, 0.3)}, "bit_v: voltages must be finite"),
        ({"values": {"r_onn": np.ones((2, 3))}}, "no such parameter.*did you mean 'r_on'"),
        ({"values": {"r_on": np.zeros((2, 3))}}, "'r_on' is out of bounds.*> 0 ohm"),
        ({"values": {"r_on": np.ones((3, 2))}}, "r_on: wrong shape"),
        ({"initial": {"x": np.ones((2, 3))}}, "no such state"),
        ({"initial": {"w": np.full((2, 3), 4e-9)}}, r"'w' starts out of bounds.*draw_initial"),
        ({"initial": {"w": np.full((2, 3), np.nan)}}, r"'w' starts out of bounds"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        vteam_array(**changes)


def test_an_array_that_cannot_be_built_is_refused() -> None:
    for stuck in (-1e-3, np.inf):
        with pytest.raises(InputError, match=r"stuck_s\[0, 1\]"):
            DeviceArray(np.array([[np.nan, stuck]]), NO_WIRES)
    with pytest.raises(InputError, match="another shape than the array"):
        DeviceArray(np.full((1, 2), np.nan), NO_WIRES, parameters={"r_on": np.ones((2, 1))})
    with pytest.raises(InputError, match=r"stuck_s: wrong shape"):
        DeviceArray(np.full(3, np.nan), NO_WIRES)


@pytest.mark.ngspice
@pytest.mark.parametrize("volts", [-0.9, 0.9])
def test_with_wires_jart_comes_to_rest(ngspice: Ngspice, volts: float) -> None:
    """At rest the sign of a voltage behind wires is rounding; the run ended there, every time."""
    require(ngspice, compiled=True)
    array = PulsedArray(
        model=JART,
        parameter_set=JART.parameter_set("hfo2"),
        shape=(2, 2),
        wires=Wires(r_wordline_ohm=5, r_bitline_ohm=4),
        time_s=TIME_S,
        word_v=lines(volts, 0.0),
        bit_v=lines(0.0, 0.5 * volts),
        initial={"n_disc": np.array([[1e26, 9e23], [4e24, 1.2e27]])},
    )
    result = run_spice(array, ngspice, compiled=True)
    assert result.outcome is Outcome.OK, result.reason
    assert np.abs(result.word_a[:, -1]).max() < 1e-9
