"""Pieces of work on threads of their own, each of which computes on one core.

torch's own threads share every single operation. For many small matrices that is bad: LAPACK's
batches run on one core, and the threads meet thousands of times. Python's lock is not held while
torch computes, so that whole pieces go side by side.

torch's threads also wait awake for some milliseconds after each operation that they shared, on the
cores that these threads need: short work between pieces belongs into `with_threads(1)`.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

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
    """Torch shares operations among so many threads here. Gives how many it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield before
    finally:
        torch.set_num_threads(before)


# Kept, as torch's own are: a new thread finds its memory cold, which costs more than a small piece
# does. A process that was forked has none of them.
@lru_cache(maxsize=1)
def _pool(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))


os.register_at_fork(after_in_child=_pool.cache_clear)
