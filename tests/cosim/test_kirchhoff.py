"""The current law's guard: it passes what is right, and finds what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from cosim.laws.kirchhoff import ArrayVoltages, KirchhoffCheck, check_array
from cosim.ngspice import Ngspice, RawPlot, run_deck
from cosim.ngspice.bench import sweep_deck
from netlists.array import ReadArray, array_circuit
from netlists.crossbar import Crossbar
from netlists.wires import Wires

pytestmark = pytest.mark.ngspice

ROWS, COLS = 3, 4


def _read(g: np.ndarray, wires: Wires, ngspice: Ngspice) -> tuple[ArrayVoltages, np.ndarray]:
    array = ReadArray(Crossbar(g, wires), r_driver_ohm=10.0)
    volts = np.array([[0.2, 0.1, 0.05], [0.0, 0.2, -0.1]])
    inputs = [f"in_{row}" for row in range(ROWS)]
    deck = sweep_deck(array_circuit(array, title="t"), inputs, volts, name="guard")
    plot = run_deck(deck, ngspice, timeout_s=60).plot
    return _voltages(array.crossbar, plot), plot.matrix([f"i(vsense_{k})" for k in range(COLS)])


def _voltages(crossbar: Crossbar, plot: RawPlot) -> ArrayVoltages:
    def node(name: str) -> str:
        return f"v(xtile_0.{name})" if name[:2] in ("w_", "b_") else f"v({name})"

    def cells(of: object) -> np.ndarray:
        assert callable(of)
        names = [node(of(row, col)) for row in range(ROWS) for col in range(COLS)]
        return plot.matrix(names).reshape(-1, ROWS, COLS)

    return ArrayVoltages(
        plot.matrix([f"v(wl_{row})" for row in range(ROWS)]),
        cells(crossbar.word_node),
        cells(crossbar.bit_node),
        plot.matrix([f"v(bl_{col})" for col in range(COLS)]),
    )


def _check(scale_s: float, r_ohm: float, ngspice: Ngspice, *, wrong: bool) -> KirchhoffCheck:
    """The simulator gets one array; the check is told of it, or of one with another cell."""
    g = scale_s * np.random.default_rng(0).uniform(0.1, 1.0, (ROWS, COLS))
    wires = Wires(r_wordline_ohm=r_ohm, r_bitline_ohm=r_ohm)
    voltages, sense = _read(g, wires, ngspice)
    told = g.copy()
    if wrong:
        told[1, 2] *= 3
    return check_array(told, wires, voltages, sense)


# Ordinary wires, none at all, and wires in whose balance rounding drowns everything.
CASES = [(1e-4, 1.0), (1e-4, 0.0), (1e-9, 1e-6), (1e-4, 1e-6), (1e-4, 1e6)]


@pytest.mark.parametrize(("scale_s", "r_ohm"), CASES)
def test_a_right_result_passes(scale_s: float, r_ohm: float, ngspice: Ngspice) -> None:
    assert _check(scale_s, r_ohm, ngspice, wrong=False).ok.all()


@pytest.mark.parametrize(("scale_s", "r_ohm"), CASES)
def test_one_wrong_cell_is_found(scale_s: float, r_ohm: float, ngspice: Ngspice) -> None:
    assert not _check(scale_s, r_ohm, ngspice, wrong=True).ok.any()


def test_a_node_off_by_a_thousandth_is_found(ngspice: Ngspice) -> None:
    g = np.random.default_rng(0).uniform(1e-5, 1e-4, (ROWS, COLS))
    wires = Wires(r_wordline_ohm=2.0, r_bitline_ohm=2.0)
    v, sense = _read(g, wires, ngspice)
    v.bit[1, 2, 3] *= 1.001
    ok = check_array(g, wires, v, sense).ok
    assert ok[0]
    assert not ok[1]


def test_what_cannot_be_checked_does_not_pass(ngspice: Ngspice) -> None:
    g = np.full((ROWS, COLS), 1e-9)
    wires = Wires(r_wordline_ohm=1e-6, r_bitline_ohm=1e-6)
    v, sense = _read(g, wires, ngspice)
    assert not check_array(g, wires, v).ok.any()
    assert check_array(g, wires, v, sense).ok.all()
    v.word[0, 0, 0] = np.nan
    assert not check_array(g, wires, v, sense).ok[0]
