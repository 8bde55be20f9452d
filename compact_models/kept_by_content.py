"""Results of functions of a model, kept by what the model is and not by which object holds it.

A model that comes out of a pickle, as in every task of a farm, is another object with the same
equations: it must find what was compiled for the first one, and must not leave a copy behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, update_wrapper
from typing import TypeVar, TypeVarTuple, Unpack

from compact_models.model import CompactModel

More = TypeVarTuple("More")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Key:
    """A model that is equal to every other one of the same content."""

    model: CompactModel

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.model.content == other.model.content

    def __hash__(self) -> int:
        return hash(self.model.content)


def kept_by_content(
    most: int,
) -> Callable[
    [Callable[[CompactModel, Unpack[More]], Result]],
    Callable[[CompactModel, Unpack[More]], Result],
]:
    """Keeps the last results of a function whose first argument is a model.

    Args:
        most: how many are kept; what was not asked for longest goes first.
    """

    def decorate(
        function: Callable[[CompactModel, Unpack[More]], Result],
    ) -> Callable[[CompactModel, Unpack[More]], Result]:
        @lru_cache(maxsize=most)
        def kept(key: _Key, more: tuple[*More]) -> Result:
            return function(key.model, *more)

        def found(model: CompactModel, *more: *More) -> Result:
            return kept(_Key(model), more)

        return update_wrapper(found, function)

    return decorate
