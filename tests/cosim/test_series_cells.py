"""Two devices in series: against brentq, and arrays of them against ngspice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.ngspice import Ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from cosim.nodal.cells import ekv_channel, in_series, sinh_selector
from cosim.nodal.lines import Lines
from cosim.nodal.nonlinear import Cell, device_cell, sinh_cell, solve_nonlinear
from netlists.array import ReadArray, array_circuit
from netlists.circuit import BehaviouralCurrent, Resistor, Subcircuit
from netlists.crossbar import Crossbar
from netlists.wires import Wires

SHAPE = (6, 5)
THERMAL_V = 1.380649e-23 * 300 / 1.602176634e-19


def conductances() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return 1e-6 + 3e-4 * torch.rand(SHAPE, dtype=torch.float64, generator=generator)


def ohmic(g: torch.Tensor) -> Cell:
    return lambda v: (g * v, g.expand_as(v))


def by_brentq(first: Callable[[float], float], second: Callable[[float], float], v: float) -> float:
    if v == 0:
        return 0.0
    return first(brentq(lambda u: first(u) - second(v - u), min(0, v), max(0, v), xtol=1e-16))


@pytest.mark.parametrize("volts", [-1.3, -0.2, -1e-6, 0.0, 1e-9, 0.1, 0.7, 2.0])
def test_the_voltage_is_shared_as_brentq_says(volts: float) -> None:
    """A selector whose threshold is a thousandfold, before a resistor; asymmetric in the two."""
    cell = in_series(sinh_selector(1e-9, 0.06), ohmic(torch.tensor([[2e-5]], dtype=torch.float64)))
    v = torch.tensor([[[volts]]], dtype=torch.float64)
    current, slope = cell(v)
    known = by_brentq(lambda u: 1e-9 * np.sinh(u / 0.06), lambda u: 2e-5 * u, volts)
    assert float(current) == pytest.approx(known, rel=1e-10, abs=1e-25)
    step = 1e-5 * max(abs(volts), 1e-3)
    rise = float(cell(v + step)[0] - cell(v - step)[0]) / (2 * step)
    assert float(slope) == pytest.approx(rise, rel=1e-6)


@pytest.mark.parametrize("gate", [0.2, 0.6, 1.8])
def test_the_channel_is_that_of_its_equations(gate: float) -> None:
    """Off it is exponential in the gate, on it is a square law in saturation; slopes to match."""
    cell = ekv_channel(gate, threshold_v=0.5, i_spec_a=1e-6, slope=1.3)
    v = torch.tensor([[[-0.4, 1e-3, 0.05, 0.4, 1.5]]], dtype=torch.float64)
    current, slope = cell(v)
    thermal, pinch = THERMAL_V, (gate - 0.5) / 1.3
    half = np.log1p(np.exp(pinch / 2 / thermal)) ** 2
    rest = np.log1p(np.exp((pinch - v.numpy()) / 2 / thermal)) ** 2
    np.testing.assert_allclose(current.numpy(), 1e-6 * (half - rest), rtol=1e-9, atol=1e-22)
    rise = (cell(v + 1e-6)[0] - cell(v - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(slope.numpy(), rise.numpy(), rtol=1e-6, atol=1e-14)
    if gate == 1.8:  # square law: i = i_spec (v_p / 2 U)^2
        saturated = 1e-6 * (pinch / 2 / thermal) ** 2
        assert float(current[..., -1]) == pytest.approx(saturated, rel=1e-3)


@pytest.mark.ngspice
@pytest.mark.parametrize("kind", ["1s1r", "1t1r"])
def test_arrays_are_those_of_ngspice(kind: str, ngspice: Ngspice) -> None:
    g = conductances()
    rng = np.random.default_rng(4)
    drive = torch.from_numpy(rng.uniform(0.0, 0.6, (4, SHAPE[0])))
    u = THERMAL_V
    if kind == "1s1r":
        first: Cell = sinh_selector(2e-7, 0.09)
        text = "2e-7*sinh(v(wl,x)/0.09)"
    else:
        first = ekv_channel(1.1, threshold_v=0.45, i_spec_a=4e-6, slope=1.25)
        pinch = (1.1 - 0.45) / 1.25
        # The current of the channel lies between x and bl: the source is the bit line's end.
        text = (
            f"4e-6*(pow(ln(1+exp({pinch!r}/{2 * u!r})),2)"
            f"-pow(ln(1+exp(({pinch!r}-v(wl,x))/{2 * u!r})),2))"
        )
    block = Subcircuit(
        "both", ("wl", "bl"),
        (BehaviouralCurrent("bfirst", "wl", "x", text), Resistor("rcell", "x", "bl", "{1/g}")),
        parameters={"g": 1e-6},
    )  # fmt: skip
    array = ReadArray(
        Crossbar(g.numpy(), Wires(r_wordline_ohm=30.0, r_bitline_ohm=70.0)), r_driver_ohm=40.0
    )
    circuit = array_circuit(array, title="two devices a cell", cell=block)
    deck = sweep_deck(circuit, [f"in_{row}" for row in range(SHAPE[0])], drive.numpy(), name=kind)
    known = run_deck(deck, ngspice, timeout_s=60).plot.matrix(
        [f"i(vsense_{col})" for col in range(SHAPE[1])]
    )
    found = solve_nonlinear(in_series(first, ohmic(g)), Lines(30.0, 70.0, 40.0), drive, SHAPE)
    assert bool(found.converged.all())
    off = np.abs(found.state.sense_a.numpy() - known).max() / np.abs(known).max()
    assert off < 1e-8
    resistors = solve_nonlinear(ohmic(g), Lines(30.0, 70.0, 40.0), drive, SHAPE)
    assert np.abs(resistors.state.sense_a.numpy() - known).max() > 0.05 * np.abs(known).max()


def test_a_device_of_the_library_behind_a_selector() -> None:
    model = find_model("yakopcic")
    values = {**find_set(model, "oblea").values, "a_1": 3e-4, "a_2": 1e-4, "b": 2.0}
    x = torch.linspace(0.1, 0.9, 30, dtype=torch.float64).reshape(SHAPE)
    cell = in_series(sinh_selector(1e-7, 0.08), device_cell(model, values, {"x": x}))
    drive = torch.linspace(0, 0.8, 18, dtype=torch.float64).reshape(3, 6)
    found = solve_nonlinear(cell, Lines(5.0, 9.0, 20.0), drive, SHAPE)
    assert bool(found.converged.all())
    u = (found.state.word_v - found.state.bit_v)[1, 4, 2]
    known = by_brentq(
        lambda w: 1e-7 * np.sinh(w / 0.08),
        lambda w: float(x[4, 2]) * (3e-4 if w >= 0 else 1e-4) * np.sinh(2.0 * w),
        float(u),
    )
    assert float(found.state.cell_a[1, 4, 2]) == pytest.approx(known, rel=1e-8)


def test_a_thousandfold_selector_in_a_large_array_converges() -> None:
    """Half of the rows at a third of the voltage: off by three decades and a half."""
    generator = torch.Generator().manual_seed(5)
    g = 1e-6 + 1e-4 * torch.rand(64, 48, dtype=torch.float64, generator=generator)
    cell = in_series(sinh_selector(1e-11, 0.03), sinh_cell(g, 0.3))
    drive = torch.full((2, 64), 0.6, dtype=torch.float64)
    drive[1, ::2] = 0.2
    found = solve_nonlinear(cell, Lines(1.0, 1.0, 20.0), drive, (64, 48))
    assert bool(found.converged.all())


@pytest.mark.parametrize("gate", [0.7, 1.8])
@pytest.mark.parametrize("span", [0.1, 1.0])
def test_no_cell_of_many_depends_on_the_others(gate: float, span: float) -> None:
    """100,000 cells: the voltages that carry the current add up, and so they do one at a time."""
    generator = torch.Generator().manual_seed(0)
    g = 1e-6 + 1e-4 * torch.rand(64, 48, dtype=torch.float64, generator=generator)
    channel = ekv_channel(gate, threshold_v=0.5, i_spec_a=4e-6)
    cell = in_series(channel, sinh_cell(g, 0.26))
    v = span * torch.rand(33, 64, 48, dtype=torch.float64, generator=generator)
    current, slope = cell(v)
    behind = 0.26 * torch.asinh(current / (0.26 * g))
    torch.testing.assert_close(channel(v - behind)[0], current, rtol=1e-10, atol=0)
    alone, rise = (torch.cat(x) for x in zip(*(cell(one[None]) for one in v), strict=True))
    torch.testing.assert_close(current, alone, rtol=1e-13, atol=0)
    torch.testing.assert_close(slope, rise, rtol=1e-13, atol=0)


def test_cells_that_end_are_left_alone() -> None:
    """What is no number ends at once, and costs the others nothing."""
    calls = 0

    def counted(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nonlocal calls
        calls += 1
        return 1e-5 * v, torch.full_like(v, 1e-5)

    cell = in_series(counted, counted)
    v = torch.tensor([[[0.0, torch.nan, torch.inf, 0.3, -1e-200, 1e200]]], dtype=torch.float64)
    with torch.no_grad():
        current, _ = cell(v)
    finite = torch.isfinite(v)
    torch.testing.assert_close(current[finite], 5e-6 * v[finite], rtol=1e-14, atol=0)
    assert calls < 12


def test_its_gradient_is_its_slope_and_that_of_parameters() -> None:
    g = torch.tensor([[2e-5, 7e-5]], dtype=torch.float64, requires_grad=True)
    v = torch.tensor([[[0.2, 0.5]]], dtype=torch.float64, requires_grad=True)
    channel = ekv_channel(0.9, threshold_v=0.5, i_spec_a=4e-6)
    current, slope = in_series(channel, lambda u: (g * u, g.expand_as(u)))(v)
    of_v, of_g = torch.autograd.grad(current.sum(), (v, g))
    torch.testing.assert_close(of_v, slope.detach(), rtol=1e-9, atol=0)
    h = 1e-9

    def at(g: torch.Tensor) -> torch.Tensor:
        return in_series(channel, ohmic(g))(v.detach())[0]

    rise = (at(g.detach() + h) - at(g.detach() - h)) / (2 * h)
    torch.testing.assert_close(of_g, rise[0], rtol=1e-5, atol=0)


def test_transistors_in_a_large_array_converge() -> None:
    generator = torch.Generator().manual_seed(0)
    g = 1e-6 + 1e-4 * torch.rand(64, 48, dtype=torch.float64, generator=generator)
    cell = in_series(ekv_channel(1.8, threshold_v=0.5, i_spec_a=4e-6), sinh_cell(g, 0.26))
    drive = 0.3 * torch.rand(6, 64, dtype=torch.float64, generator=generator)
    found = solve_nonlinear(cell, Lines(1.0, 2.0, r_driver_ohm=50.0), drive, (64, 48))
    assert bool(found.converged.all())
    assert len(found.residual_v) < 8


def test_what_is_no_device_is_refused() -> None:
    for make in (
        lambda: sinh_selector(0.0, 0.1),
        lambda: sinh_selector(1e-9, torch.tensor([[0.1, -0.1]])),
        lambda: ekv_channel(1.0, threshold_v=0.4, i_spec_a=-1e-6),
        lambda: ekv_channel(1.0, threshold_v=0.4, i_spec_a=1e-6, slope=0.9),
        lambda: sinh_cell(-conductances(), 0.2),
        lambda: sinh_cell(conductances(), 0.0),
    ):
        with pytest.raises(InputError, match="allowed"):
            make()
