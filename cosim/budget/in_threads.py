"""Pieces of work on threads of their own, each of which computes on one core.

torch's own threads share every single operation. For many small matrices that is bad: LAPACK's
batches run on one core, and the threads meet thousands of times. Python's lock is not held while
torch computes, so that whole pieces go side by side.

`torch.set_num_threads` is a matter of the whole process: what two callers at once save there and
put back is lost. OpenMP and MKL, which torch computes with, have a number for each thread beside
it; only the calling thread's is touched here.

torch's threads also wait awake for some milliseconds after each operation that they shared, on the
cores that these threads need: short work between pieces belongs into `with_threads(1)`.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Piece], Result], pieces: Sequence[Piece], threads: int | None = None
) -> list[Result]:
    """`work` of every piece, in their order; the calling thread takes its share.

    Gradients are recorded as they are where this is called.

    Args:
        work: called with each piece, at the same time as others.
        pieces: what there is to do.
        threads: how many there may be; None for as many as torch has here.
    """
    threads = min(threads or torch.get_num_threads(), len(pieces))
    if threads <= 1:
        return [work(piece) for piece in pieces]
    graded, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    left = deque(enumerate(pieces))
    found: dict[int, Result] = {}

    def share() -> None:
        while left:
            try:
                k, piece = left.popleft()
            except IndexError:  # another thread was quicker
                return
            found[k] = work(piece)

    def as_here() -> None:
        with torch.inference_mode(inference), torch.set_grad_enabled(graded):
            share()

    others = [_pool(threads - 1).submit(as_here) for _ in range(threads - 1)]
    try:
        with with_threads(1):
            share()
    except BaseException:
        left.clear()
        raise
    finally:
        wait(others)
    for other in others:
        other.result()
    return [found[k] for k in range(len(pieces))]


@contextmanager
def with_threads(count: int) -> Iterator[int]:
    """The calling thread shares its operations among so many here. Gives how many it had."""
    before = torch.get_num_threads()  # torch also sets up a new thread by this
    restore = _set_own_threads(count) if count != before else None
    try:
        yield before
    finally:
        if restore is not None:
            restore()


def _set_own_threads(count: int) -> Callable[[], None]:
    """Sets the calling thread's number only. Gives what puts it back, to call in this thread.

    Where torch was built without OpenMP nothing happens: results are the same.
    """
    set_openmp, set_mkl = _setters()
    if set_openmp is None:
        return lambda: None
    before = torch.get_num_threads()
    set_openmp(count)
    mkl_before = set_mkl(count) if set_mkl is not None else 0

    def restore() -> None:
        set_openmp(before)
        if set_mkl is not None:
            set_mkl(mkl_before)  # 0 for what OpenMP says

    return restore


@cache
def _setters() -> tuple[Callable[[int], Any] | None, Callable[[int], Any] | None]:
    """OpenMP's and MKL's setters of the calling thread's number; None for what there is not."""
    path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    library = ctypes.CDLL(str(path)) if path.exists() else None
    set_openmp = getattr(library, "omp_set_num_threads", None)
    set_mkl = getattr(library, "MKL_Set_Num_Threads_Local", None)
    return set_openmp, set_mkl


def _alone() -> None:
    """Sets up a thread of the pool, which computes on one core for good."""
    torch.get_num_threads()
    _set_own_threads(1)


# Kept, as torch's own are: a new thread finds its memory cold, which costs more than a small piece
# does. A process that was forked has none of them.
@lru_cache(maxsize=1)
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, initializer=_alone)


os.register_at_fork(after_in_child=_pool.cache_clear)
