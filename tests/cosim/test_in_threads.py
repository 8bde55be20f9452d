"""Pieces of work side by side."""

from __future__ import annotations

import multiprocessing
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from cosim.budget.in_threads import in_threads, with_threads
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


def test_callers_at_once_leave_every_thread_its_own_number() -> None:
    """One begins first and ends first: what the second saved would be the first one's 1."""
    both, over = threading.Barrier(2, timeout=20), threading.Event()
    inside: dict[str, int] = {}

    def second() -> None:
        both.wait()  # the first is inside
        with with_threads(1):
            inside["second"] = torch.get_num_threads()
            both.wait()
            over.wait(20)  # the first has ended
        inside["second after"] = torch.get_num_threads()

    other = threading.Thread(target=second)
    other.start()
    with with_threads(1):
        inside["first"] = torch.get_num_threads()
        both.wait()
        both.wait()
    over.set()
    other.join()
    assert inside == {"first": 1, "second": 1, "second after": 2}
    assert torch.get_num_threads() == 2
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2


def test_the_threads_own_number_reaches_openmp_and_mkl() -> None:
    """All of the processor time of an operation is the calling thread's."""
    torch.set_num_threads(2)  # from here on MKL has a number of its own
    a, b = torch.rand(1200, 1200), torch.rand(4_000_000)

    def others_share() -> float:
        whole, own = time.process_time(), time.thread_time()
        a @ a
        b.exp()
        whole, own = time.process_time() - whole, time.thread_time() - own
        return 1 - own / whole

    others_share()
    shared = others_share()
    time.sleep(0.05)  # torch's threads wait awake for a moment
    with with_threads(1):
        alone = others_share()
    assert shared > 0.2
    assert alone < 0.05
