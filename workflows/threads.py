"""How many threads torch gets while a network trains.

Layers of a tile's size are over in microseconds: two threads gain nothing on them, and where
another process wants the second core they wait for each other (measured: 0.2 s an epoch with one
thread, 2.4 s with two beside one busy process).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from cosim.budget.in_threads import with_threads

# Cells of a network from which a second thread has been seen to help.
_LARGE = 200_000


def threads_for(cells: int) -> AbstractContextManager[object]:
    """One torch thread for small networks, torch's own number for large ones.

    Only the calling thread is meant; others of the process keep what they have.

    Args:
        cells: memristors of the network.
    """
    return with_threads(1) if cells < _LARGE else nullcontext()
