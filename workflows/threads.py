"""How many threads torch gets while a network trains.

Layers of a tile's size are over in microseconds: two threads gain nothing on them, and where
another process wants the second core they wait for each other (measured: 0.2 s an epoch with one
thread, 2.4 s with two beside one busy process).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from cosim.budget.in_threads import with_threads

# Cells of a network from which a second thread has been seen to help.
_LARGE = 200_000


def threads_of(cells: int) -> int:
    """One torch thread for small networks, as many as torch has here for large ones.

    Args:
        cells: memristors of the network.
    """
    return 1 if cells < _LARGE else torch.get_num_threads()


def threads_for(cells: int) -> AbstractContextManager[object]:
    """The threads of a network; others of the process than the calling one keep what they have.

    Args:
        cells: memristors of the network.
    """
    return with_threads(threads_of(cells))
