"""What the cells of a chip are: a compact model with one of its parameter sets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a configuration is read before sympy is
    from compact_models.model import CompactModel, ParameterSet


class CellDevice:
    """A device, by its equations and numbers.

    Args:
        model: the equations.
        parameter_set: the numbers of all cells.
    """

    def __init__(self, model: CompactModel, parameter_set: ParameterSet) -> None:
        self.model = model
        self.parameter_set = parameter_set

    @property
    def label(self) -> str:
        """What a user calls it."""
        return f"{self.model.name} {self.parameter_set.name}"

    @property
    def content(self) -> str:
        """The same for the same equations and numbers only."""
        numbers = self.parameter_set
        told = (sorted(numbers.values.items()), sorted(numbers.initial.items()))
        return hashlib.sha256(f"{self.model.content} {told!r}".encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        """By content."""
        return isinstance(other, CellDevice) and self.content == other.content

    def __hash__(self) -> int:
        """By content."""
        return hash(self.content)
