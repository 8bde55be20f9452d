"""A batch of cells as the integrator sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from compact_models.emit.torch_code import Value


@dataclass(frozen=True)
class Cells:
    """The solver's view of a batch of cells.

    Attributes:
        fractions: one tensor [cell] per state, see `compact_models.normal_form`.
        internal: the internal quantity [cell], or None where the model has none.
        step: the step size [s] that each cell would try next.
        failed: its last try was too long.
        taken: the last step that was good [s], 0 before the first.
        taken_error: its error, as a fraction of what was allowed.
        alive: False for a cell that could not be solved; its numbers are NaN.
    """

    fractions: tuple[torch.Tensor, ...]
    internal: torch.Tensor | None
    step: torch.Tensor
    failed: torch.Tensor
    taken: torch.Tensor
    taken_error: torch.Tensor
    alive: torch.Tensor

    def take(self, index: torch.Tensor) -> Cells:
        """The cells at `index`."""
        internal = None if self.internal is None else self.internal[index]
        return Cells(
            tuple(s[index] for s in self.fractions),
            internal,
            self.step[index],
            self.failed[index],
            self.taken[index],
            self.taken_error[index],
            self.alive[index],
        )

    @staticmethod
    def join(parts: Sequence[Cells]) -> Cells:
        """The cells of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        internals = [part.internal for part in parts if part.internal is not None]
        return Cells(
            tuple(torch.cat(column) for column in zip(*(c.fractions for c in parts), strict=True)),
            torch.cat(internals) if internals else None,
            torch.cat([part.step for part in parts]),
            torch.cat([part.failed for part in parts]),
            torch.cat([part.taken for part in parts]),
            torch.cat([part.taken_error for part in parts]),
            torch.cat([part.alive for part in parts]),
        )


def pick(p: Mapping[str, Value], index: torch.Tensor, count: int) -> dict[str, Value]:
    """The parameters of some of `count` cells: of those that differ from cell to cell."""
    return {
        name: value[index]
        if isinstance(value, torch.Tensor) and value.ndim == 1 and value.numel() == count
        else value
        for name, value in p.items()
    }
