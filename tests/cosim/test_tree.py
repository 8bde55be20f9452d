"""Parts of an array side by side on threads: the same answers as in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from cosim.nodal.lines import Lines
from cosim.nodal.programmed import ProgrammedArray
from cosim.nodal.state import solve_state
from cosim.nodal.transfer import solve_transfer
from cosim.nodal.tree import parts_of
from tests.cosim.nodal_reference import nodal_currents


@pytest.fixture(params=[2, 3, 4])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def random_array(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).uniform(1e-6, 1e-4, shape))


def lines_with_all(rows: int, cols: int, *, opens: bool) -> Lines:
    """Another resistance everywhere, drivers and sense nodes at both ends."""
    rng = np.random.default_rng(4)
    word, bit = (torch.from_numpy(rng.uniform(0.5, 9.0, (rows, cols))) for _ in range(2))
    ends = [torch.from_numpy(rng.uniform(1.0, 90.0, n)) for n in (rows, cols, rows, cols)]
    if opens:
        word[3, 10] = word[17, 2] = bit[40, 5] = torch.inf
        ends[0][7] = torch.inf
    return Lines(word, bit, *ends)


def test_only_arrays_that_are_worth_it_are_cut(threads: int) -> None:
    assert parts_of(random_array(16, 16), 8) == 1
    assert parts_of(random_array(128, 128), 512) == {2: 2, 3: 2, 4: 4}[threads]
    assert parts_of(random_array(1024, 8), 2) == 2


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("shape", [(96, 100), (65, 130), (5, 1700), (1400, 6)])
def test_parts_agree_with_the_nodal_matrix(shape: tuple[int, int]) -> None:
    rows, cols = shape
    assert parts_of(random_array(*shape), 4) >= 2
    g, rng = random_array(*shape), np.random.default_rng(1)
    drive = rng.uniform(-0.2, 0.2, (4, rows))
    sense_ohm, held = rng.uniform(0, 20, cols), rng.normal(0, 1e-3, cols)
    wires = {"r_wordline_ohm": 5.0, "r_bitline_ohm": 2.0, "r_driver_ohm": 30.0}
    transfer = solve_transfer(g, r_sense_ohm=torch.from_numpy(sense_ohm), **wires)
    current = transfer.current_a(torch.from_numpy(drive), torch.from_numpy(held)).numpy()
    reference = nodal_currents(g.numpy(), drive, r_sense_ohm=sense_ohm, sense_v=held, **wires)
    assert np.abs(current - reference).max() <= 1e-10 * np.abs(reference).max()


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("opens", [False, True])
def test_states_and_gradients_are_those_of_one_piece(opens: bool) -> None:
    def found() -> tuple[torch.Tensor, ...]:
        g = random_array(2, 62, 70).requires_grad_()
        assert torch.get_num_threads() == 1 or parts_of(g, 256) > 1
        lines = lines_with_all(62, 70, opens=opens)
        volts = torch.linspace(-0.3, 0.5, 5 * 62, dtype=torch.float64).reshape(5, 62)
        state = solve_state(g, lines, volts)
        (of_state,) = torch.autograd.grad(state.cell_a.square().sum(), g)
        (of_currents,) = torch.autograd.grad(
            solve_transfer(g, **vars(lines)).current_a(volts).sin().sum(), g
        )
        return state.cell_a, state.word_v, state.bit_v, state.sense_a, of_state, of_currents

    _same(found, 1e-10 if opens else 1e-12)


@pytest.mark.usefixtures("threads")
def test_updates_after_changed_cells_are_those_of_one_piece() -> None:
    def found() -> tuple[torch.Tensor, ...]:
        array = ProgrammedArray(random_array(90, 97), lines_with_all(90, 97, opens=False))
        changed = random_array(90, 97)
        assert torch.get_num_threads() == 1 or parts_of(changed, 256) > 1
        changed[2, 3] = changed[89, 96] = 5e-5
        updated = array.program(changed)
        assert array.solved == 1
        return updated.transfer_s, updated.sense_s

    _same(found, 1e-12)


def _same(found: Callable[[], tuple[torch.Tensor, ...]], most: float) -> None:
    in_parts = found()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole = found()
    torch.set_num_threads(threads)
    for one, other in zip(in_parts, whole, strict=True):
        error = (one - other).detach().abs().max()
        assert error <= most * other.detach().abs().max()
