"""The blocks of a circuit while it is put together: each name once."""

from __future__ import annotations

from collections.abc import Iterator

from compact_models.errors import InputError
from netlists.circuit import ForeignSubcircuit, Subcircuit

Block = Subcircuit | ForeignSubcircuit


class Blocks:
    """Blocks by name."""

    def __init__(self) -> None:
        self._found: dict[str, Block] = {}

    def add(self, block: Block) -> str:
        """Takes a block in, unless it is there already; returns its name.

        Raises:
            InputError: another block has this name.
        """
        if self._found.setdefault(block.name, block) != block:
            raise InputError(
                "two blocks of the chip have this name",
                where="a block of the user",
                value=block.name,
                allowed="a name of its own",
                hint="rename the user's subcircuit",
            )
        return block.name

    def __getitem__(self, name: str) -> Block:
        """The block of that name."""
        return self._found[name]

    def __iter__(self) -> Iterator[Block]:
        """All of them, in the order in which they came."""
        return iter(self._found.values())
