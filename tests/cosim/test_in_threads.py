"""Pieces of work side by side."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections.abc import Iterator

import pytest
import torch

from cosim.in_threads import in_threads
from cosim.nodal.transfer import solve_transfer

WIRES = {"r_wordline_ohm": 1.5, "r_bitline_ohm": 0.7}


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_pieces_meet_and_come_back_in_order() -> None:
    """Two pieces wait for each other: one after the other they would wait for ever."""
    meeting = threading.Barrier(2, timeout=20)

    def work(piece: int) -> tuple[int, int]:
        meeting.wait()
        return 10 * piece, torch.get_num_threads()

    assert in_threads(work, [3, 1, 2, 0]) == [(30, 1), (10, 1), (20, 1), (0, 1)]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("graded", [True, False])
def test_gradients_are_recorded_as_where_it_is_called(graded: bool) -> None:
    free = torch.ones((), requires_grad=True)
    with torch.set_grad_enabled(graded):
        found = in_threads(lambda k: k * free, [1.0, 2.0])
    assert [one.requires_grad for one in found] == [graded, graded]
    with torch.inference_mode():
        assert all(one.is_inference() for one in in_threads(lambda k: k * free, [1.0, 2.0]))


def test_a_failure_comes_out_and_the_threads_are_given_back() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda k: 1 / k, [1, 0])
    assert torch.get_num_threads() == 2


def test_many_arrays_and_their_gradients_are_those_of_each() -> None:
    g = 1e-6 + 1e-4 * torch.rand(
        9, 48, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    together = g.clone().requires_grad_()
    found = solve_transfer(together, **WIRES).transfer_s
    found.square().sum().backward()
    for k in range(9):
        alone = g[k].clone().requires_grad_()
        wanted = solve_transfer(alone, **WIRES).transfer_s
        wanted.square().sum().backward()
        torch.testing.assert_close(found[k], wanted, rtol=1e-12, atol=0)
        assert together.grad is not None
        assert alone.grad is not None
        torch.testing.assert_close(together.grad[k], alone.grad, rtol=1e-10, atol=1e-22)


def test_a_forked_process_has_threads_of_its_own() -> None:
    assert in_threads(lambda k: k, [1, 2]) == [1, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of forks with threads
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply_async(_doubled).get(timeout=20) == [2, 4]


def _doubled() -> list[int]:
    return in_threads(lambda k: 2 * k, [1, 2])
