"""How many threads torch gets while a network trains.

Layers of a tile's size are over in microseconds: two threads gain nothing on them, and where
another process wants the second core they wait for each other (measured: 0.2 s an epoch with one
thread, 2.4 s with two beside one busy process).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Cells of a network from which a second thread has been seen to help.
_LARGE = 200_000


@contextmanager
def threads_for(cells: int) -> Iterator[None]:
    """One torch thread for small networks, torch's own number for large ones.

    Args:
        cells: memristors of the network.
    """
    before = torch.get_num_threads()
    if cells < _LARGE:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
