"""What a computation may take of the machine: threads of torch, and decks at a time.

A command asks for it once and hands it down; nothing below asks the process again or sets what
belongs to all of it.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch

from cosim.budget.in_threads import with_threads

# Cells of a network from which a second thread has been seen to help. Layers of a tile's size are
# over in microseconds: two threads gain nothing on them, and where another process wants the second
# core they wait for each other (measured: 0.2 s an epoch with one thread, 2.4 s with two beside one
# busy process).
_LARGE = 200_000


@dataclass(frozen=True)
class Budget:
    """A share of the machine.

    Attributes:
        threads: of torch, among which the computing thread shares its operations.
        decks: that ngspice solves at a time, each on a core.
    """

    threads: int
    decks: int

    @staticmethod
    def of_process(decks: int = 0) -> Budget:
        """All that this process may have.

        Args:
            decks: at a time; 0 for one per core.
        """
        return Budget(torch.get_num_threads(), decks or len(os.sched_getaffinity(0)))

    def for_cells(self, cells: int) -> Budget:
        """That of a network with so many memristors: one thread if it is small."""
        return self if cells >= _LARGE else replace(self, threads=1)

    def in_use(self) -> AbstractContextManager[object]:
        """The calling thread has these threads; others of the process keep what they have."""
        return with_threads(self.threads)
