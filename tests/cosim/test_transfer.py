"""The exact transfer: against a nodal matrix, against circuits solved by hand, against ngspice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.array.read_one import read_array
from cosim.ngspice import Ngspice
from cosim.nodal.dense import solve
from cosim.nodal.lines import Lines
from cosim.nodal.state import solve_state
from cosim.nodal.transfer import solve_transfer
from netlists.array import ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires
from tests.cosim.nodal_reference import nodal_currents


def random_array(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1e-6, 1e-4, (rows, cols))


@pytest.mark.parametrize(
    ("rows", "cols"), [(1, 1), (1, 7), (7, 1), (5, 9), (9, 5), (24, 24), (70, 45), (33, 130)]
)
@pytest.mark.parametrize(("r_word", "r_bit", "r_drive"), [(1, 1, 0), (5, 2, 0), (3, 11, 100)])
def test_agrees_with_the_nodal_matrix(
    rows: int, cols: int, r_word: float, r_bit: float, r_drive: float
) -> None:
    g = random_array(rows, cols)
    rng = np.random.default_rng(1)
    drive = rng.uniform(-0.2, 0.2, (4, rows))
    sense_ohm, held = rng.uniform(0, 20, cols), rng.normal(0, 1e-3, cols)
    wires = {"r_wordline_ohm": r_word, "r_bitline_ohm": r_bit, "r_driver_ohm": r_drive}
    transfer = solve_transfer(torch.from_numpy(g), r_sense_ohm=torch.from_numpy(sense_ohm), **wires)
    current = transfer.current_a(torch.from_numpy(drive), torch.from_numpy(held)).numpy()
    reference = nodal_currents(g, drive, r_sense_ohm=sense_ohm, sense_v=held, **wires)
    assert np.abs(current - reference).max() <= 1e-10 * np.abs(reference).max()


@pytest.mark.parametrize(("rows", "cols"), [(5, 1), (17, 16), (16, 33), (50, 21)])
@pytest.mark.parametrize("varies", ["r_wordline_ohm", "r_bitline_ohm", "r_sense_top_ohm", "both"])
def test_one_kind_of_wire_may_differ_from_segment_to_segment(
    rows: int, cols: int, varies: str
) -> None:
    """Where one kind is one value it is the same as that value written out for every segment."""
    rng = np.random.default_rng(2)
    g = torch.from_numpy(random_array(rows, cols))
    each = torch.from_numpy(rng.uniform(0.5, 20, (rows, cols)))
    top = torch.from_numpy(rng.uniform(1, 50, cols))
    ohms: dict[str, float | torch.Tensor] = {"r_wordline_ohm": 2.0, "r_bitline_ohm": 3.0}
    if varies in ohms:
        ohms[varies] = each
    if varies in ("r_sense_top_ohm", "both"):
        ohms["r_sense_top_ohm"] = top
    if varies == "both":
        ohms["r_bitline_ohm"] = each
    full = {
        k: x if k == "r_sense_top_ohm" else torch.as_tensor(x, dtype=g.dtype).expand(rows, cols) * 1
        for k, x in ohms.items()
    }
    found, wanted = solve_transfer(g, **ohms), solve_transfer(g, **full)
    torch.testing.assert_close(found.transfer_s, wanted.transfer_s, rtol=1e-10, atol=1e-20)
    volts = torch.from_numpy(rng.uniform(-0.2, 0.2, (3, rows)))
    state = solve_state(g, Lines(**ohms), volts)
    sensed = found.current_a(volts)
    torch.testing.assert_close(state.sense_a, sensed, rtol=1e-9, atol=1e-18)
    # And a network of its own: the currents of the cells of a bit line are those that leave it.
    torch.testing.assert_close(state.cell_a.sum(-2), sensed, rtol=1e-9, atol=1e-18)


def test_a_lone_cell_sees_the_segments_on_its_own_path() -> None:
    """Row 1 of 4, column 2 of 3: three word-line segments from the left, three bit-line ones."""
    g = torch.zeros(4, 3, dtype=torch.float64)
    g[1, 2] = 1e-3
    transfer = solve_transfer(
        g, r_wordline_ohm=10, r_bitline_ohm=1000, r_driver_ohm=7, r_sense_ohm=5
    ).transfer_s
    path_ohm = 1e3 + 7 + 3 * 10 + 3 * 1000 + 5
    expected = torch.zeros(4, 3, dtype=torch.float64)
    expected[1, 2] = 1 / path_ohm
    torch.testing.assert_close(transfer, expected, rtol=1e-13, atol=1e-18)


def test_without_wires_it_is_the_conductance_matrix() -> None:
    g = torch.from_numpy(random_array(6, 4))
    transfer = solve_transfer(g, r_wordline_ohm=0, r_bitline_ohm=0)
    torch.testing.assert_close(transfer.transfer_s, g, rtol=1e-14, atol=0)


def test_a_small_resistance_tends_to_none() -> None:
    """Merged nodes (0 ohm) and nearly merged ones must not differ: no special case gone wrong."""
    g = torch.from_numpy(random_array(6, 9))
    for keys in (("r_wordline_ohm",), ("r_bitline_ohm",), ("r_wordline_ohm", "r_bitline_ohm")):
        base = {"r_wordline_ohm": 3.0, "r_bitline_ohm": 4.0, "r_driver_ohm": 2.0}
        none = solve_transfer(g, **(base | dict.fromkeys(keys, 0.0))).transfer_s
        tiny = solve_transfer(g, **(base | dict.fromkeys(keys, 1e-9))).transfer_s
        torch.testing.assert_close(none, tiny, rtol=1e-9, atol=0)


def test_what_goes_in_comes_out() -> None:
    """All ports at one voltage: no current anywhere."""
    g = torch.from_numpy(random_array(12, 5))
    t = solve_transfer(g, r_wordline_ohm=2, r_bitline_ohm=3, r_driver_ohm=50, r_sense_ohm=1)
    current = t.current_a(
        torch.ones(1, 12, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    )
    assert current.abs().max() < 1e-13 * t.transfer_s.sum()


def test_several_arrays_at_once_are_the_arrays_one_by_one() -> None:
    g = torch.from_numpy(np.stack([random_array(8, 6, seed) for seed in range(3)]))
    wires = {"r_wordline_ohm": 5.0, "r_bitline_ohm": 1.0, "r_driver_ohm": 20.0}
    together = solve_transfer(g, **wires)
    for k in range(3):
        alone = solve_transfer(g[k], **wires)
        torch.testing.assert_close(together.transfer_s[k], alone.transfer_s, rtol=1e-12, atol=0)
        torch.testing.assert_close(together.sense_s[k], alone.sense_s, rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize("largest", [1, 2, 3, 16])
def test_how_the_array_is_cut_changes_nothing(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = torch.from_numpy(np.stack([random_array(11, 6, seed) for seed in range(2)]))
    wires = {"r_wordline_ohm": 5.0, "r_bitline_ohm": 2.0, "r_driver_ohm": 30.0, "r_sense_ohm": 1.0}
    known = solve_transfer(g, **wires)
    monkeypatch.setattr("cosim.nodal.hierarchy._LARGEST", largest)
    other = solve_transfer(g, **wires)
    torch.testing.assert_close(other.transfer_s, known.transfer_s, rtol=1e-13, atol=0)
    torch.testing.assert_close(other.sense_s, known.sense_s, rtol=1e-13, atol=1e-20)


def test_gradients() -> None:
    scale = 1e-4  # gradcheck steps by 1e-6: conductances near 1 keep it far from rounding

    def loss(g: torch.Tensor, r_sense: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        t = solve_transfer(
            g * scale, r_wordline_ohm=30, r_bitline_ohm=50, r_driver_ohm=10, r_sense_ohm=r_sense
        )
        return t.transfer_s / scale, t.sense_s / scale

    g = torch.from_numpy(random_array(4, 3)) / scale
    r = torch.tensor([1.0, 5.0, 0.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(loss, (g.requires_grad_(), r.requires_grad_()))


def test_single_precision_is_refused() -> None:
    with pytest.raises(InputError, match="double precision"):
        solve_transfer(torch.ones(2, 2), r_wordline_ohm=1, r_bitline_ohm=1)


@pytest.mark.ngspice
@pytest.mark.parametrize(("rows", "cols"), [(16, 16), (32, 32), (64, 64), (48, 20)])
@pytest.mark.parametrize("r_ohm", [1.0, 5.0])
def test_agrees_with_ngspice(rows: int, cols: int, r_ohm: float, ngspice: Ngspice) -> None:
    wires = Wires(r_wordline_ohm=r_ohm, r_bitline_ohm=r_ohm)
    array = ReadArray(Crossbar(random_array(rows, cols), wires))
    drive = np.random.default_rng(2).uniform(0, 0.2, (3, rows))
    spice = read_array(array, drive, "spice", ngspice=ngspice)
    exact = read_array(array, drive, "exact")
    assert spice.outcome == "ok", spice.reason
    largest = np.abs(spice.current_a).max()
    assert np.abs(exact.current_a - spice.current_a).max() <= 1e-9 * largest


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("r_word", "r_bit", "r_drive", "r_sense"),
    [(0, 0, 0, 0), (0, 3, 0, 2), (3, 0, 10, 0), (0, 0, 10, 5), (2, 4, 10, 5), (2, 4, 0, 0)],
)
def test_every_mix_of_absent_resistances_agrees_with_ngspice(
    r_word: float, r_bit: float, r_drive: float, r_sense: float, ngspice: Ngspice
) -> None:
    g = random_array(3, 5)
    g[1, 3] = 0.0  # an open cell
    array = ReadArray(
        Crossbar(g, Wires(r_wordline_ohm=r_word, r_bitline_ohm=r_bit)), r_drive, r_sense
    )
    drive = np.array([[0.2, 0.0, -0.1], [0.0, 0.15, 0.2]])
    spice = read_array(array, drive, "spice", ngspice=ngspice)
    exact = read_array(array, drive, "exact")
    assert spice.outcome == "ok", spice.reason
    np.testing.assert_allclose(exact.current_a, spice.current_a, rtol=1e-10)


def test_a_sense_resistance_of_zero_has_its_gradient() -> None:
    g = torch.from_numpy(random_array(4, 3))
    zero = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    wires = {"r_wordline_ohm": 5.0, "r_bitline_ohm": 2.0}
    total = solve_transfer(g, r_sense_ohm=zero, **wires).transfer_s.sum()
    (slope,) = torch.autograd.grad(total, zero)
    step = 1.0
    for k in range(3):
        some = torch.zeros(3, dtype=torch.float64)
        some[k] = step
        moved = solve_transfer(g, r_sense_ohm=some, **wires).transfer_s.sum() - total.detach()
        assert float(slope[k]) == pytest.approx(float(moved) / step, rel=1e-3)


@pytest.mark.parametrize("batch", [(), (3,), (2, 1)])
def test_large_systems_are_solved_one_by_one(batch: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    matrix, rhs = (
        torch.rand(*batch, 130, cols, dtype=torch.float64, generator=generator) for cols in (130, 5)
    )
    matrix = (matrix * 0.01 + torch.eye(130, dtype=torch.float64)).requires_grad_()
    found = solve(matrix, rhs)
    torch.testing.assert_close(matrix @ found, rhs, rtol=1e-11, atol=1e-12)
    (slope,) = torch.autograd.grad(found.sum(), matrix)
    (known,) = torch.autograd.grad(torch.linalg.solve(matrix, rhs).sum(), matrix)
    torch.testing.assert_close(slope, known, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("value", ["5", None, True, [1.0, 2.0], np.ones((6, 4))])
def test_what_is_no_number_is_no_resistance(value: Any) -> None:
    g = torch.from_numpy(random_array(6, 4))
    with pytest.raises(InputError, match=r"r_bitline_ohm.*a number or a torch tensor"):
        solve_transfer(g, r_wordline_ohm=1.0, r_bitline_ohm=value)


def test_one_value_a_line_is_none_for_wires() -> None:
    g = torch.from_numpy(random_array(6, 4))
    ohm = torch.ones(6, dtype=torch.float64)
    with pytest.raises(InputError, match=r"one value for all, or one for every segment.*6, 4"):
        solve_transfer(g, r_wordline_ohm=ohm, r_bitline_ohm=1.0)
    with pytest.raises(InputError, match=r"r_driver_ohm.*one for every line|one for every line"):
        solve_transfer(g, r_wordline_ohm=1.0, r_bitline_ohm=1.0, r_driver_ohm=ohm[:4])
