"""Pieces of work on threads of their own, each of which computes on one core.

torch's own threads share every single operation. For many small matrices that is bad: LAPACK's
batches run on one core, and the threads meet thousands of times. Python's lock is not held while
torch computes, so that whole pieces go side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_threads(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """`work` of every piece, in their order, on as many threads as torch has here.

    Gradients are recorded as they are where this is called.

    Args:
        work: called with each piece, at the same time as others.
        pieces: what there is to do.
    """
    threads = torch.get_num_threads()
    if threads == 1 or len(pieces) == 1:
        return [work(piece) for piece in pieces]
    graded, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def as_here(piece: Piece) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(graded):
            return work(piece)

    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            return list(pool.map(as_here, pieces))
        finally:
            torch.set_num_threads(threads)  # which is also what threads to come begin with
