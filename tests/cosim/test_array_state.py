"""Every node of an array, with a resistance per segment, held at both ends, open or floating."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from compact_models.errors import InputError
from cosim.nodal.lines import Lines
from cosim.nodal.state import ArrayState, solve_state
from cosim.nodal.transfer import solve_transfer
from tests.cosim.nodal_reference import nodal_state

SHAPES = [(1, 1), (1, 6), (6, 1), (4, 4), (5, 9), (17, 6), (24, 31)]
NAMES = ("word_v", "bit_v", "cell_a", "sense_a", "driver_a")


def problem(rows: int, cols: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Conductances, drive voltages [3, row] and a network with its own value everywhere."""
    rng = np.random.default_rng(seed)
    network = {
        "wordline_ohm": rng.uniform(0.5, 8, (rows, cols)),
        "bitline_ohm": rng.uniform(0.5, 30, (rows, cols)),
        "driver_ohm": rng.uniform(1, 200, rows),
        "sense_ohm": rng.uniform(1, 90, cols),
        "driver_right_ohm": rng.uniform(1, 400, rows),
        "sense_top_ohm": rng.uniform(1, 300, cols),
        "sense_v": rng.normal(0, 2e-3, cols),
    }
    return rng.uniform(1e-6, 3e-4, (rows, cols)), rng.uniform(-0.3, 0.3, (3, rows)), network


def ours(g: np.ndarray, drive: np.ndarray, network: dict[str, Any]) -> ArrayState:
    ohm = {f"r_{k}": torch.from_numpy(x) for k, x in network.items() if k.endswith("_ohm")}
    held = torch.from_numpy(network["sense_v"]) if "sense_v" in network else None
    return solve_state(torch.from_numpy(g), Lines(**ohm), torch.from_numpy(drive), held)


def agree(state: ArrayState, wanted: dict[str, np.ndarray], within: float = 1e-11) -> None:
    for name in NAMES:
        found = getattr(state, name).numpy()
        assert np.abs(found - wanted[name]).max() <= within * np.abs(wanted[name]).max(), name


@pytest.mark.parametrize(("rows", "cols"), SHAPES)
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("top", [False, True])
def test_every_node_agrees_with_the_nodal_matrix(
    rows: int, cols: int, right: bool, top: bool
) -> None:
    g, drive, network = problem(rows, cols)
    if not right:
        del network["driver_right_ohm"]
    if not top:
        del network["sense_top_ohm"]
    state = ours(g, drive, network)
    agree(state, nodal_state(g, drive, **network))
    ohm = {f"r_{k}": torch.from_numpy(x) for k, x in network.items() if k.endswith("_ohm")}
    transfer = solve_transfer(torch.from_numpy(g), **ohm)
    current = transfer.current_a(torch.from_numpy(drive), torch.from_numpy(network["sense_v"]))
    torch.testing.assert_close(current, state.sense_a, rtol=1e-11, atol=1e-18)


def test_single_values_are_those_everywhere() -> None:
    g, drive, _ = problem(9, 11)
    lines = Lines(2.0, 3.0, 50.0, 5.0, r_driver_right_ohm=70.0, r_sense_top_ohm=20.0)
    state = solve_state(torch.from_numpy(g), lines, torch.from_numpy(drive))
    full = np.full
    wanted = nodal_state(
        g, drive, wordline_ohm=full((9, 11), 2.0), bitline_ohm=full((9, 11), 3.0),
        driver_ohm=full(9, 50.0), sense_ohm=full(11, 5.0), driver_right_ohm=full(9, 70.0),
        sense_top_ohm=full(11, 20.0),
    )  # fmt: skip
    agree(state, wanted)


def test_open_segments_are_gaps() -> None:
    g, drive, network = problem(14, 13, seed=3)
    for i, j in ((2, 5), (2, 6), (9, 0), (9, 12), (13, 4)):
        network["wordline_ohm"][i, j] = np.inf
    for i, j in ((0, 0), (6, 6), (13, 12), (5, 5), (12, 4)):
        network["bitline_ohm"][i, j] = np.inf
    agree(ours(g, drive, network), nodal_state(g, drive, **network), within=1e-10)


def test_lines_may_float_at_either_end() -> None:
    g, drive, network = problem(11, 7, seed=4)
    network["driver_ohm"][[0, 4]] = np.inf
    network["driver_right_ohm"][[0, 7]] = np.inf  # word line 0 floats at both ends
    network["sense_ohm"][[2, 3]] = np.inf
    network["sense_top_ohm"][[3, 5]] = np.inf
    state = ours(g, drive, network)
    agree(state, nodal_state(g, drive, **network))
    assert float(state.driver_a[:, 0].abs().max()) < 1e-15
    assert float(state.sense_a[:, 3].abs().max()) < 1e-15


def test_shorts_join_neighbours() -> None:
    g, drive, network = problem(8, 8, seed=5)
    for i, j in ((1, 3), (1, 4), (7, 7)):
        network["wordline_ohm"][i, j] = 0.0
        network["bitline_ohm"][i, j] = 0.0
    state = ours(g, drive, network)
    assert float((state.word_v[:, 1, 2] - state.word_v[:, 1, 3]).abs().max()) < 1e-15
    # A nodal matrix has no place for 0 ohm, and few digits beside 10 uohm.
    nearly = {k: np.maximum(x, 1e-5) if k.endswith("_ohm") else x for k, x in network.items()}
    agree(state, nodal_state(g, drive, **nearly), within=3e-6)


def test_power_is_what_every_resistance_makes() -> None:
    g, drive, network = problem(6, 10, seed=6)
    state = ours(g, drive, network)
    word, bit, cell = (x.numpy() for x in (state.word_v, state.bit_v, state.cell_a))
    held = network["sense_v"]
    total = (cell * (word - bit)).sum((1, 2))
    total += (np.diff(word, axis=2) ** 2 / network["wordline_ohm"][:, 1:]).sum((1, 2))
    total += (np.diff(bit, axis=1) ** 2 / network["bitline_ohm"][:-1]).sum((1, 2))
    first = network["driver_ohm"] + network["wordline_ohm"][:, 0]
    total += ((drive - word[:, :, 0]) ** 2 / first).sum(1)
    total += ((drive - word[:, :, -1]) ** 2 / network["driver_right_ohm"]).sum(1)
    last = network["sense_ohm"] + network["bitline_ohm"][-1]
    total += ((bit[:, -1] - held) ** 2 / last).sum(1)
    total += ((bit[:, 0] - held) ** 2 / network["sense_top_ohm"]).sum(1)
    np.testing.assert_allclose(state.power_w.numpy(), total, rtol=1e-11)


def test_several_arrays_with_their_own_wires_at_once() -> None:
    parts = [problem(10, 6, seed=k) for k in range(3)]
    together = {
        k: np.stack([network[k] for _, _, network in parts])
        for k in parts[0][2]
        if k.endswith("_ohm")
    }
    lines = Lines(**{f"r_{k}": torch.from_numpy(x) for k, x in together.items()})
    g = torch.from_numpy(np.stack([g for g, _, _ in parts]))
    drive = torch.from_numpy(np.stack([drive for _, drive, _ in parts]))
    state = solve_state(g, lines, drive)
    for k, (one, volts, network) in enumerate(parts):
        del network["sense_v"]
        wanted = nodal_state(one, volts, **network)
        for name in NAMES:
            found = getattr(state, name)[k].numpy()
            assert np.abs(found - wanted[name]).max() <= 1e-11 * np.abs(wanted[name]).max()


def test_many_arrays_are_solved_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    g = torch.from_numpy(rng.uniform(1e-6, 1e-4, (2, 5, 6, 4))).requires_grad_()
    word = torch.from_numpy(rng.uniform(1, 9, (5, 6, 4))).requires_grad_()
    sense = torch.from_numpy(rng.uniform(1, 9, (2, 1, 4))).requires_grad_()
    wires = {"r_wordline_ohm": word, "r_bitline_ohm": 3.0, "r_sense_ohm": sense}
    found = []
    for at_once in (1 << 20, 3 * 24, 1):
        monkeypatch.setattr("cosim.nodal.transfer._CELLS_AT_ONCE", at_once)
        solved = solve_transfer(g, **wires)
        assert solved.sense_s.shape == (2, 5, 4, 4)
        loss = (solved.transfer_s**2).sum() * 1e8 + solved.sense_s.sum() * 1e3
        slopes = torch.autograd.grad(loss, (g, word, sense))
        found.append((solved.transfer_s.detach(), *slopes))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-18)


def test_gradients_reach_cells_wires_ends_and_voltages() -> None:
    g, drive, network = problem(5, 6, seed=7)
    ohm = {k: torch.from_numpy(x) for k, x in network.items() if k.endswith("_ohm")}
    held = torch.from_numpy(network["sense_v"])

    def loss(conductance: torch.Tensor, volts: torch.Tensor, *wires: torch.Tensor) -> torch.Tensor:
        lines = Lines(**{f"r_{k}": x for k, x in zip(ohm, wires, strict=True)})
        state = solve_state(conductance * 1e-4, lines, volts, held)
        return (state.sense_a * 1e4).sum() + state.word_v.square().sum() + state.power_w.sum() * 1e3

    inputs = (torch.from_numpy(g * 1e4), torch.from_numpy(drive), *ohm.values())
    assert torch.autograd.gradcheck(loss, tuple(x.requires_grad_() for x in inputs), atol=1e-6)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (2, 3), (5, 6), (9, 5)])
@pytest.mark.parametrize("ends", ["near", "both"])
def test_the_adjoint_of_the_transfer_is_its_gradient(rows: int, cols: int, ends: str) -> None:
    g, _, network = problem(rows, cols, seed=8)
    if ends == "near":
        del network["driver_right_ohm"], network["sense_top_ohm"]
    ohm = {k: torch.from_numpy(x) for k, x in network.items() if k.endswith("_ohm")}
    weight = torch.from_numpy(np.random.default_rng(9).normal(size=(rows, cols)))

    def loss(conductance: torch.Tensor, *wires: torch.Tensor) -> torch.Tensor:
        lines = {f"r_{k}": x for k, x in zip(ohm, wires, strict=True)}
        solved = solve_transfer(conductance * 1e-4, **lines)
        return (solved.transfer_s * weight).sum() * 1e4 + (solved.sense_s**2).sum() * 1e8

    inputs = (torch.from_numpy(g * 1e4), *ohm.values())
    assert torch.autograd.gradcheck(loss, tuple(x.requires_grad_() for x in inputs), atol=1e-6)


def test_a_gradient_is_summed_over_what_shares_its_value() -> None:
    g, _, _ = problem(6, 5, seed=10)
    several = torch.from_numpy(np.stack([g, 2 * g, 0.3 * g]))
    one, two, three = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (3, 4, 50))

    def loss(*wires: torch.Tensor) -> torch.Tensor:
        word, bit, driver = wires
        found = solve_transfer(
            several, r_wordline_ohm=word, r_bitline_ohm=bit, r_driver_ohm=driver, r_sense_ohm=7.0
        )
        return (found.transfer_s * 1e4).square().sum()

    assert torch.autograd.gradcheck(loss, (one, two, three), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"r_wordline_ohm": -1.0}, "r_wordline_ohm: not a resistance; got -1.0"),
        ({"r_bitline_ohm": torch.ones(3, 2)}, r"r_bitline_ohm: .*got \(3, 2\).*\[..., 2, 3\]"),
        ({"r_driver_ohm": torch.ones(3)}, "r_driver_ohm: .*one for every line"),
        ({"r_sense_ohm": float("nan")}, "r_sense_ohm: not a resistance; got nan"),
        ({"r_wordline_ohm": 0.0, "r_driver_right_ohm": 0.0}, "no resistance between them"),
        ({"g": torch.full((2, 3), -1e-6, dtype=torch.float64)}, "not a conductance; got -1e-06"),
        ({"g": torch.ones(2, 3)}, "double precision"),
        ({"g": torch.ones(0, 3, dtype=torch.float64)}, "not an array"),
        ({"drive": torch.ones(1, 3, dtype=torch.float64)}, r"drive_v.*got \(1, 3\).*2"),
    ],
)
def test_what_cannot_be_solved_is_refused(change: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"r_wordline_ohm": 1.0, "r_bitline_ohm": 1.0, **change}
    g = given.pop("g", torch.full((2, 3), 1e-5, dtype=torch.float64))
    drive = given.pop("drive", torch.ones(1, 2, dtype=torch.float64))
    with pytest.raises(InputError, match=said):
        solve_state(g, Lines(**given), drive)


def test_voltages_may_be_the_same_for_all_arrays_and_are_refused_for_others() -> None:
    g = 1e-6 + 1e-4 * torch.rand(3, 5, 4, dtype=torch.float64)
    lines = Lines(r_wordline_ohm=2.0, r_bitline_ohm=1.0)
    volts = torch.rand(6, 5, dtype=torch.float64)
    together = solve_state(g, lines, volts)
    for k in range(3):
        alone = solve_state(g[k], lines, volts)
        torch.testing.assert_close(together.cell_a[k], alone.cell_a, rtol=1e-12, atol=0)
        torch.testing.assert_close(together.power_w[k], alone.power_w, rtol=1e-12, atol=0)
    for wrong in (volts[0], volts.expand(2, 6, 5)):
        with pytest.raises(InputError, match=r"drive_v.*batch, row"):
            solve_state(g, lines, wrong)
