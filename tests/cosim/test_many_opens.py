"""Arrays with many opens: islands, floating lines, cells cut off from both their lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from compact_models.errors import InputError
from cosim.nodal.lines import Lines
from cosim.nodal.programmed import ProgrammedArray
from cosim.nodal.state import ArrayState, solve_state
from cosim.nodal.transfer import Transfer, solve_transfer

Array = np.ndarray


def reference(g: Array, drive: Array, held: Array, ohm: dict[str, Array]) -> dict[str, Array]:
    """Node voltages and currents; pieces that nothing drives are at 0 V."""
    rows, cols = g.shape
    word = np.arange(rows * cols).reshape(rows, cols)
    bit = word + rows * cols
    driver = 2 * rows * cols + np.arange(rows)
    sense = driver[-1] + 1 + np.arange(cols)
    size = 2 * rows * cols + rows + cols
    edges = [
        (word[:, :-1], word[:, 1:], 1 / ohm["r_wordline_ohm"][:, 1:]),
        (bit[1:], bit[:-1], 1 / ohm["r_bitline_ohm"][:-1]),
        (word, bit, g),
        (driver, word[:, 0], 1 / (ohm["r_driver_ohm"] + ohm["r_wordline_ohm"][:, 0])),
        (bit[-1], sense, 1 / (ohm["r_sense_ohm"] + ohm["r_bitline_ohm"][-1])),
    ]
    if "r_driver_right_ohm" in ohm:
        edges.append((driver, word[:, -1], 1 / ohm["r_driver_right_ohm"]))
    if "r_sense_top_ohm" in ohm:
        edges.append((bit[0], sense, 1 / ohm["r_sense_top_ohm"]))
    a, b, y = (np.concatenate([x[k].ravel() for x in edges]) for k in range(3))
    a, b, y = a[y > 0], b[y > 0], y[y > 0]
    w = sp.coo_matrix((y, (a, b)), shape=(size, size))
    w = w + w.T
    laplacian = (sp.diags(np.asarray(w.sum(1)).ravel()) - w).tocsc()
    label = connected_components(w, directed=False)[1]
    known = np.concatenate([driver, sense])
    v = np.zeros((size, len(drive)))
    v[driver], v[sense] = drive.T, held[:, None]
    free = np.setdiff1d(np.flatnonzero(np.isin(label, label[known])), known)
    if free.size:
        matrix, rhs = laplacian[free][:, free].tocsc(), -(laplacian[free] @ v)
        solved = splu(matrix)
        v[free] = solved.solve(rhs)
        v[free] -= solved.solve(laplacian[free] @ v)
    into = (laplacian[known] @ v).T
    return {
        "word_v": v.T[:, word],
        "bit_v": v.T[:, bit],
        "driver_a": into[:, :rows],
        "sense_a": -into[:, rows:],
    }


def problem(
    rows: int, cols: int, opens: float, *, seed: int = 0, far: bool = False
) -> tuple[Array, Array, Array, dict[str, Array]]:
    """Conductances, drives, voltages of sense nodes, resistances: some segments and ends open."""
    rng = np.random.default_rng(seed)
    ohm = {
        "r_wordline_ohm": rng.uniform(0.5, 8, (rows, cols)),
        "r_bitline_ohm": rng.uniform(0.5, 30, (rows, cols)),
        "r_driver_ohm": rng.uniform(1, 200, rows),
        "r_sense_ohm": rng.uniform(1, 90, cols),
    }
    if far:
        ohm["r_driver_right_ohm"] = rng.uniform(0.1, 400, rows)
        ohm["r_sense_top_ohm"] = rng.uniform(0.1, 300, cols)
    for x in ohm.values():
        x[rng.random(x.shape) < opens] = np.inf
    g = rng.uniform(1e-6, 1e-4, (rows, cols))
    return g, rng.uniform(-0.3, 0.3, (2, rows)), rng.normal(0, 0.05, cols), ohm


def tensors(ohm: dict[str, Array]) -> dict[str, torch.Tensor]:
    return {k: torch.from_numpy(x) for k, x in ohm.items()}


def both(g: Array, drive: Array, held: Array, ohm: dict[str, Array]) -> tuple[ArrayState, Transfer]:
    lines = tensors(ohm)
    given = (torch.from_numpy(x) for x in (drive, held))
    state = solve_state(torch.from_numpy(g), Lines(**lines), *given)
    return state, solve_transfer(torch.from_numpy(g), **lines)


def agree(g: Array, drive: Array, held: Array, ohm: dict[str, Array]) -> dict[str, Array]:
    wanted = reference(g, drive, held, ohm)
    state, transfer = both(g, drive, held, ohm)
    for name in ("word_v", "bit_v"):
        assert np.abs(getattr(state, name).numpy() - wanted[name]).max() < 1e-9, name
    currents = {
        "driver_a": state.driver_a,
        "sense_a": state.sense_a,
        "transfer": transfer.current_a(torch.from_numpy(drive), torch.from_numpy(held)),
        "cell_a": state.cell_a,
    }
    wanted["transfer"] = wanted["sense_a"]
    wanted["cell_a"] = g * (wanted["word_v"] - wanted["bit_v"])
    for name, found in currents.items():
        scale = max(np.abs(wanted[name]).max(), 1e-6)
        assert np.abs(found.numpy() - wanted[name]).max() < 1e-9 * scale, name
    return wanted


def test_a_cell_cut_off_from_both_lines_beside_another_open() -> None:
    ohm = {"r_wordline_ohm": np.ones((64, 48)), "r_bitline_ohm": np.full((64, 48), 2.0)}
    for name, i, j in (("word", 60, 28), ("bit", 60, 28), ("bit", 60, 29)):
        ohm[f"r_{name}line_ohm"][i, j] = np.inf
    ohm |= {"r_driver_ohm": np.zeros(64), "r_sense_ohm": np.zeros(48)}
    agree(np.full((64, 48), 5e-5), np.full((1, 64), 0.2), np.zeros(48), ohm)


@pytest.mark.parametrize("opens", [0.02, 0.1, 0.3, 0.6])
@pytest.mark.parametrize(("rows", "cols"), [(1, 7), (6, 1), (4, 6), (9, 17), (40, 23), (23, 50)])
@pytest.mark.parametrize("far", [False, True])
def test_random_opens(rows: int, cols: int, opens: float, far: bool) -> None:
    for seed in range(3):
        g, drive, held, ohm = problem(rows, cols, opens, seed=seed, far=far)
        agree(g, drive, held, ohm)
        g[np.random.default_rng(seed).random(g.shape) < opens] = 0.0  # islands without opens inside
        agree(g, drive, held, ohm)


def test_lines_that_float_as_a_whole_and_islands_of_many_blocks() -> None:
    g, drive, held, ohm = problem(33, 29, 0.0, seed=1)
    ohm["r_driver_ohm"][[0, 5, *range(20, 33)]] = np.inf
    ohm["r_sense_ohm"][[*range(9), 28]] = np.inf  # a corner where both kinds float
    agree(g, drive, held, ohm)
    # Rows 4 to 13 of columns 6 to 20 are cut out, each of their sides open.
    for name, cut in (
        ("r_wordline_ohm", (slice(4, 14), [6, 21])),
        ("r_bitline_ohm", ([3, 13], slice(6, 21))),
    ):
        ohm[name][cut] = np.inf
    wanted = agree(g, drive, held, ohm)
    assert not wanted["word_v"][:, 4:14, 6:21].any()
    state, _ = both(g, drive, held, ohm)
    assert not state.word_v[:, 4:14, 6:21].any()
    assert not state.bit_v[:, 4:14, 6:21].any()
    assert not state.cell_a[:, 4:14, 6:21].any()


def test_nothing_is_driven() -> None:
    g, drive, held, ohm = problem(5, 9, 0.0, seed=2)
    ohm["r_wordline_ohm"][:] = np.inf
    ohm["r_sense_ohm"][:] = np.inf
    agree(g, drive, held, ohm)
    agree(np.zeros_like(g), drive, held, ohm)


def test_arrays_of_a_batch_have_their_own_opens() -> None:
    parts = [problem(9, 13, opens, seed=3, far=True) for opens in (0.0, 0.1, 0.4)]
    g = torch.from_numpy(np.stack([x[0] for x in parts]))
    drive = torch.from_numpy(np.stack([x[1] for x in parts]))
    ohm = {k: torch.from_numpy(np.stack([x[3][k] for x in parts])) for k in parts[0][3]}
    transfer = solve_transfer(g, **ohm)
    state = solve_state(g, Lines(**ohm), drive)
    for k, (one, volts, held, lines) in enumerate(parts):
        wanted = reference(one, volts, 0 * held, lines)
        scale = np.abs(wanted["sense_a"]).max()
        found = transfer.current_a(drive)[k].numpy()
        assert np.abs(found - wanted["sense_a"]).max() < 1e-9 * scale
        assert np.abs(state.word_v[k].numpy() - wanted["word_v"]).max() < 1e-9
    # Only far ends differ between arrays.
    right = torch.tensor([[20.0], [torch.inf]], dtype=torch.float64).expand(2, 9)
    rest = {k: x[2] for k, x in ohm.items()} | {"r_driver_right_ohm": right}
    both_of = solve_transfer(g[2], **rest).transfer_s
    for k in range(2):
        alone = solve_transfer(g[2], **(rest | {"r_driver_right_ohm": right[k]})).transfer_s
        torch.testing.assert_close(both_of[k], alone, rtol=1e-11, atol=1e-17)


def losses(
    names: list[str], drive: torch.Tensor, held: torch.Tensor
) -> list[Callable[..., torch.Tensor]]:
    def of_transfer(g: torch.Tensor, *ohm: torch.Tensor) -> torch.Tensor:
        found = solve_transfer(g * 1e-4, **dict(zip(names, ohm, strict=True)))
        return (found.current_a(drive, held) * 1e4).square().sum()

    def of_state(g: torch.Tensor, *ohm: torch.Tensor) -> torch.Tensor:
        state = solve_state(g * 1e-4, Lines(**dict(zip(names, ohm, strict=True))), drive, held)
        return (state.sense_a * 1e4).square().sum() + state.word_v.sum() - state.bit_v.sum()

    return [of_transfer, of_state]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("far", [False, True])
def test_gradients_beside_opens(which: int, far: bool) -> None:
    g, drive, held, ohm = problem(9, 11, 0.25, seed=4, far=far)
    names = list(ohm)
    loss = losses(names, torch.from_numpy(drive), torch.from_numpy(held))[which]
    given = [torch.from_numpy(g * 1e4), *tensors(ohm).values()]
    slopes = torch.autograd.grad(
        loss(*(x.requires_grad_() for x in given)), given, allow_unused=True
    )
    rng = np.random.default_rng(5)
    for x, slope in zip(given, slopes, strict=True):
        assert slope is not None
        assert torch.isfinite(slope).all()
        assert not slope[x.isinf()].any() or float(slope[x.isinf()].abs().max()) < 1e-12
        closed = x.detach().isfinite()
        way = torch.from_numpy(rng.uniform(0.5, 1, x.shape)).masked_fill(~closed, 0.0)
        ends = []
        for step in (-1e-4, 1e-4):
            moved = [y.detach() if y is not x else x.detach() + step * way for y in given]
            ends.append(float(loss(*moved).detach()))
        wanted = (ends[1] - ends[0]) / 2e-4
        assert float((slope * way).sum()) == pytest.approx(wanted, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", ["sense_a", "driver_a", "cell_a", "word_v", "bit_v", "power_w"])
def test_cells_of_nothing_have_gradients(name: str) -> None:
    g, drive, _, ohm = problem(6, 5, 0.0, seed=6)
    g[1, 1] = g[4, 0] = 0.0
    cells = torch.from_numpy(g).requires_grad_()

    def of(conductance: torch.Tensor) -> torch.Tensor:
        state = solve_state(conductance, Lines(**tensors(ohm)), torch.from_numpy(drive))
        found: torch.Tensor = getattr(state, name).square().sum()
        return found

    (slope,) = torch.autograd.grad(of(cells), cells)
    assert torch.isfinite(slope).all()
    step = torch.zeros_like(cells)
    step[1, 1] = 1e-8
    there = (4 * of(cells + step) - of(cells + 2 * step) - 3 * of(cells)) / 2e-8
    assert float(slope[1, 1]) == pytest.approx(float(there.detach()), rel=1e-4)


def test_gradients_after_a_solution_in_inference_mode() -> None:
    rows, cols = 13, 19  # of no other test: what is kept is kept by shape
    g = torch.full((rows, cols), 3e-5, dtype=torch.float64)
    lines = Lines(1.25, 2.75)
    with torch.inference_mode():
        solve_transfer(g, r_wordline_ohm=1.25, r_bitline_ohm=2.75)
        ProgrammedArray(g, lines)
    trained = g.clone().requires_grad_()
    solve_state(trained, lines, torch.ones(1, rows, dtype=torch.float64)).sense_a.sum().backward()
    assert trained.grad is not None
    assert torch.isfinite(trained.grad).all()


def test_a_second_derivative_of_the_transfer_is_refused() -> None:
    g = torch.full((3, 4), 1e-4, dtype=torch.float64).requires_grad_()

    def slope(found: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(found, g, create_graph=True)[0]

    for power in (1, 2):  # linear in the transfer, where autograd itself would say nothing
        first = slope(
            (solve_transfer(g, r_wordline_ohm=9.0, r_bitline_ohm=5.0).transfer_s ** power).sum()
        )
        assert first.requires_grad
        with pytest.raises(InputError, match=r"no second derivatives.*solve_state"):
            first.square().sum().backward()
    state = solve_state(g, Lines(9.0, 5.0), torch.ones(1, 3, dtype=torch.float64))
    second = slope(slope(state.sense_a.sum())[1, 2])
    assert float(second[1, 2].detach()) < 0


def test_an_update_beside_opens_is_a_new_solution_where_pieces_may_change() -> None:
    g, _, _, ohm = problem(9, 7, 0.0, seed=7)
    ohm["r_wordline_ohm"][4, 3] = ohm["r_bitline_ohm"][4, 3] = ohm["r_wordline_ohm"][4, 4] = np.inf
    g[3, 3] = 0.0
    lines = Lines(**tensors(ohm))
    programmed = ProgrammedArray(torch.from_numpy(g), lines)
    for cell, value in (((3, 3), 4e-5), ((4, 3), 0.0), ((2, 1), 5e-5), ((4, 3), 2e-5)):
        g[cell] = value
        found = programmed.program(torch.from_numpy(g.copy()))
        wanted = solve_transfer(torch.from_numpy(g), **tensors(ohm))
        torch.testing.assert_close(found.transfer_s, wanted.transfer_s, rtol=1e-10, atol=1e-17)
        torch.testing.assert_close(found.sense_s, wanted.sense_s, rtol=1e-10, atol=1e-17)


def refused(work: Callable[[], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        work()


def test_messages_say_which_number_is_wrong() -> None:
    g = torch.full((3, 2), 1e-5, dtype=torch.float64)
    wires = {"r_wordline_ohm": 1.0, "r_bitline_ohm": 2.0}
    wrong = g.clone()
    wrong[2, 1] = -1e-6
    refused(
        lambda: solve_transfer(wrong, **wires),
        r"^conductance_s\[2, 1\]: not a conductance; got -1e-06",
    )
    refused(lambda: solve_transfer(g.numpy(), **wires), "not a torch tensor; got 'ndarray'")
    segments = torch.ones(3, 2)
    segments[1, 0] = -1
    refused(
        lambda: solve_transfer(g, r_wordline_ohm=1.0, r_bitline_ohm=segments),
        r"^r_bitline_ohm\[1, 0\]: not a resistance; got -1.0",
    )
    transfer = solve_transfer(g, **wires)
    volts, held = torch.ones(4, 3, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    missing = volts.clone()
    missing[3, 0] = torch.nan
    cases: list[tuple[Any, Any, str]] = [
        (missing, None, r"^drive_v\[3, 0\]: not a voltage; got nan"),
        (volts, held / 0, r"^sense_v\[0\]: not a voltage; got nan"),
        (volts.float(), None, "^drive_v: .*double precision; got 'torch.float32'"),
        (volts.numpy(), None, "^drive_v: not a torch tensor; got 'ndarray'"),
        (volts[:, :2], None, r"^drive_v: as many voltages as lines; got \(4, 2\)"),
        (volts, volts, r"^sense_v: as many voltages as lines; got \(4, 3\)"),
    ]
    for drive, sense, said in cases:
        refused(lambda: transfer.current_a(drive, sense), said)  # noqa: B023
        refused(lambda: solve_state(g, Lines(1.0, 2.0), drive, sense), said)  # noqa: B023
