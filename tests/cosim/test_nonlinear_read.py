"""Arrays of nonlinear cells: against scipy's root finder, ngspice, and the ohmic solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import root

from compact_models.errors import InputError
from compact_models.library import find_model, find_set
from cosim.ngspice import Deck, Outcome, find_ngspice, run_deck
from cosim.nodal.lines import Lines
from cosim.nodal.nonlinear import Cell, device_cell, sinh_cell, solve_nonlinear
from cosim.nodal.state import solve_state
from tests.cosim.nodal_reference import nodal_state

LINES = Lines(3.0, 7.0, 40.0, 20.0)


def problem(rows: int, cols: int, batch: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    g = torch.from_numpy(rng.uniform(1e-6, 3e-4, (rows, cols)))
    return g, torch.from_numpy(rng.uniform(-0.3, 0.3, (batch, rows)))


def test_without_nonlinearity_it_is_the_ohmic_array() -> None:
    g, drive = problem(9, 13)
    found = solve_nonlinear(sinh_cell(g, 1e6), LINES, drive, (9, 13))
    wanted = solve_state(g, LINES, drive)
    assert bool(found.converged.all())
    for name in ("cell_a", "word_v", "bit_v", "driver_a", "sense_a", "power_w"):
        torch.testing.assert_close(
            getattr(found.state, name), getattr(wanted, name), rtol=1e-9, atol=1e-16
        )


def test_it_solves_kirchhoffs_equations() -> None:
    """The nodes of a fixed network with the cells' currents drawn from them, by scipy."""
    rows, cols, v_0 = 4, 5, 0.08
    g, drive = problem(rows, cols, batch=1)
    full = np.full
    network = {
        "wordline_ohm": full((rows, cols), 3.0), "bitline_ohm": full((rows, cols), 7.0),
        "driver_ohm": full(rows, 40.0), "sense_ohm": full(cols, 20.0),
    }  # fmt: skip

    def contradiction(u: np.ndarray) -> np.ndarray:
        # A conductance that draws the same current at this voltage makes the cell an ohmic one.
        volts = u.reshape(rows, cols)
        secant = g.numpy() * v_0 * np.sinh(volts / v_0) / volts
        state = nodal_state(secant, drive.numpy(), **network)
        return (state["word_v"] - state["bit_v"])[0].ravel() - u

    start = np.repeat(drive.numpy()[0], cols) * 0.9
    wanted = root(contradiction, start, tol=1e-13).x.reshape(rows, cols)
    found = solve_nonlinear(sinh_cell(g, v_0), LINES, drive, (rows, cols))
    volts = (found.state.word_v - found.state.bit_v)[0].numpy()
    assert np.abs(volts - wanted).max() < 1e-10
    current = g.numpy() * v_0 * np.sinh(wanted / v_0)
    np.testing.assert_allclose(found.state.cell_a[0].numpy(), current, rtol=1e-8)
    assert (
        np.abs(volts - nodal_state(g.numpy(), drive.numpy(), **network)["word_v"][0]).max() > 1e-3
    )


def test_the_last_steps_square_the_error() -> None:
    g, drive = problem(24, 20, batch=4)
    found = solve_nonlinear(sinh_cell(g, 0.05), LINES, drive, (24, 20))
    assert bool(found.converged.all())
    off = found.residual_v.amax(1)
    near = [k for k in range(len(off) - 1) if 1e-6 < off[k] < 1e-3]
    assert near
    for k in near:
        assert float(off[k + 1]) < float(off[k]) ** 2 / 0.05 + 1e-12


@pytest.mark.parametrize("v_0", [0.3, 0.05])
def test_ngspice_says_the_same(v_0: float) -> None:
    rows, cols = 6, 5
    g, drive = problem(rows, cols, batch=1)
    lines = [f"* array of sinh cells, v_0 = {v_0}"]
    for i in range(rows):
        lines += [f"vd{i} d{i} 0 {float(drive[0, i])!r}", f"rd{i} d{i} w{i}_x 40"]
        for j in range(cols):
            before = f"w{i}_{j - 1}" if j else f"w{i}_x"
            below = f"b{i + 1}_{j}" if i < rows - 1 else f"s{j}"
            lines += [
                f"rw{i}_{j} {before} w{i}_{j} 3",
                f"rb{i}_{j} b{i}_{j} {below} 7",
                f"bc{i}_{j} w{i}_{j} b{i}_{j} i={float(g[i, j]) * v_0!r}"
                f"*sinh(v(w{i}_{j},b{i}_{j})/{v_0!r})",
            ]
    lines += [f"rs{j} s{j} t{j} 20\nvs{j} t{j} 0 0" for j in range(cols)]
    signals = tuple(f"i(vs{j})" for j in range(cols))
    options = ".options reltol=1e-9 abstol=1e-18 vntol=1e-12 gmin=1e-18"
    text = "\n".join([*lines, options, f".save {' '.join(signals)}", ".op", ".end", ""])
    deck = Deck(text=text, name="sinh", expected_signals=signals)
    result = run_deck(deck, find_ngspice(), timeout_s=30)
    assert result.outcome is Outcome.OK, result.reason
    wanted = np.array([result.plots[0].signal(name)[-1] for name in signals])
    found = solve_nonlinear(sinh_cell(g, v_0), LINES, drive, (rows, cols)).state.sense_a[0]
    assert np.abs(found.numpy() - wanted).max() <= 1e-8 * np.abs(wanted).max()


def test_selectors_that_conduct_a_millionfold_more_above_their_threshold() -> None:
    """Half-selected: exponential selectors in every cell, 1 V on one line, 0.5 V on others."""
    g, _ = problem(16, 16)
    drive = torch.full((2, 16), 0.5, dtype=torch.float64)
    drive[0, 3], drive[1, 12] = 1.0, 0.9
    held = torch.full((16,), 0.5, dtype=torch.float64)
    held[5] = 0.0
    cell = sinh_cell(g * 1e-6, 0.04)
    found = solve_nonlinear(cell, LINES, drive, (16, 16), sense_v=held)
    assert bool(found.converged.all())
    volts = found.state.word_v - found.state.bit_v
    torch.testing.assert_close(found.state.cell_a, cell(volts)[0], rtol=1e-6, atol=1e-16)
    assert float(found.state.cell_a[0, 3, 5]) > 20 * float(found.state.cell_a[0, 7, 5])


@pytest.mark.parametrize("name", ["jart_v1b", "yakopcic", "stanford", "vteam"])
def test_devices_at_rest_are_cells(name: str) -> None:
    model = find_model(name)
    one = model.parameter_sets[0]
    rng = np.random.default_rng(3)
    states = {}
    for state in model.states:
        bounds = model.bounds(one.values)[state.name]
        if bounds is None:
            states[state.name] = one.initial[state.name]
            continue
        low, high = bounds
        part = rng.uniform(0.2, 0.9, (5, 6))
        value = low * (high / low) ** part if state.log else low + (high - low) * part
        states[state.name] = torch.from_numpy(value)
    drive = torch.from_numpy(rng.uniform(-0.2, 0.2, (3, 5)))
    cell = device_cell(model, one.values, states)
    found = solve_nonlinear(cell, LINES, drive, (5, 6))
    assert bool(found.converged.all())
    volts = found.state.word_v - found.state.bit_v
    largest = float(found.state.cell_a.abs().max())
    assert float((found.state.cell_a - cell(volts)[0]).abs().max()) < 1e-8 * largest
    torch.testing.assert_close(
        found.state.cell_a.sum(1), found.state.sense_a, rtol=1e-9, atol=1e-20
    )


def test_a_vector_that_does_not_converge_is_data() -> None:
    g, drive = problem(4, 4, batch=3)
    plain = sinh_cell(g, 0.1)

    def cell(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        current, slope = plain(v)
        if v.shape[0] == 3:  # vector 1 has a cell without a current that fits
            current = current.clone()
            current[1, 2, 2] = torch.nan
        return current, slope

    found = solve_nonlinear(cell, LINES, drive, (4, 4))
    assert found.converged.tolist() == [True, False, True]
    assert bool(torch.isnan(found.state.sense_a[1]).all())
    alone = solve_nonlinear(plain, LINES, drive, (4, 4))
    torch.testing.assert_close(
        found.state.sense_a[[0, 2]], alone.state.sense_a[[0, 2]], rtol=1e-9, atol=1e-18
    )


def test_a_tolerance_must_be_positive() -> None:
    g, drive = problem(3, 3)
    cell: Cell = sinh_cell(g, 0.1)
    with pytest.raises(InputError, match="tolerance_v"):
        solve_nonlinear(cell, LINES, drive, (3, 3), tolerance_v=0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"drive_v": torch.full((2, 3), torch.nan, dtype=torch.float64)}, "drive_v.*nan"),
        ({"drive_v": torch.ones(3, dtype=torch.float64)}, r"drive_v.*\(3,\).*\[batch, 3\]"),
        ({"drive_v": torch.ones(2, 4, dtype=torch.float64)}, r"drive_v.*\(2, 4\).*\[\.\.\., 3\]"),
        ({"drive_v": torch.ones(0, 3, dtype=torch.float64)}, "drive_v.*one vector"),
        ({"sense_v": torch.ones(2, 4, dtype=torch.float64)}, r"sense_v.*\[4\]"),
        ({"cell": lambda v: 1e-4 * v}, "cell: a cell returns current and slope"),
        ({"cell": lambda v: (v[:, :1], v)}, "cell: a cell returns"),
        ({"cell": lambda v: (v * torch.nan, v)}, "cell: cells draw no finite current.*nan"),
    ],
)
def test_what_cannot_be_read_is_named(change: dict[str, object], words: str) -> None:
    g, _ = problem(3, 4)
    given = {"cell": sinh_cell(g, 0.1), "drive_v": torch.ones(2, 3, dtype=torch.float64), **change}
    sense = given.pop("sense_v", None)
    with pytest.raises(InputError, match=words):
        solve_nonlinear(given["cell"], LINES, given["drive_v"], (3, 4), sense_v=sense)  # type: ignore[arg-type]


def test_cells_of_another_array_are_refused_in_words() -> None:
    lines, volts = Lines(r_wordline_ohm=1.0, r_bitline_ohm=1.0), torch.ones(2, 6).double()
    g = torch.full((6, 5), 1e-5, dtype=torch.float64)
    model = find_model("yakopcic")
    values = find_set(model, "oblea").values
    for cell in (
        sinh_cell(g, torch.ones(3, dtype=torch.float64)),
        device_cell(model, values, {"x": 0.5 + 0 * g[:3, :3]}),
    ):
        with pytest.raises(InputError, match=r"cell.*of \(6, 5\)"):
            solve_nonlinear(cell, lines, volts, (6, 5))
    for wrong in (5.1, -0.2, float("nan")):
        with pytest.raises(InputError, match=r"x: state of 'yakopcic' out of its bounds"):
            device_cell(model, values, {"x": wrong + 0 * g})


def test_lines_of_many_arrays_are_refused() -> None:
    g = torch.full((6, 5), 1e-5, dtype=torch.float64)
    many = Lines(r_wordline_ohm=torch.ones(3, 6, 5, dtype=torch.float64), r_bitline_ohm=1.0)
    with pytest.raises(InputError, match=r"lines: lines of more arrays.*\(3,\).*one array"):
        solve_nonlinear(sinh_cell(g, 0.3), many, torch.ones(2, 6).double(), (6, 5))
