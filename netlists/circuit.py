"""A circuit as data: elements, subcircuits and the top level, in no simulator's language.

Dialects turn it into text (`netlists.dialects`), `netlists.pyspice` into PySpice objects.
Expressions of behavioural sources use `V(node)`, `I(source)`, arithmetic, `min`, `max`, `floor`,
`sqrt`, `exp`, `tanh`, `pwl` and names of parameters in braces; parentheses are always explicit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from compact_models.errors import InputError
from netlists.crossbar import Crossbar, CrossbarCells
from netlists.device_array import DeviceArray


@dataclass(frozen=True)
class Resistor:
    """A resistor; `resistance_ohm` is a positive number or an expression of parameters."""

    name: str
    a: str
    b: str
    resistance_ohm: float | str


@dataclass(frozen=True)
class VoltageSource:
    """A DC voltage source; with 0 V it is also how a current is measured."""

    name: str
    plus: str
    minus: str
    dc_v: float | str


@dataclass(frozen=True)
class PiecewiseVoltage:
    """A voltage source that is straight between the points (time [s], voltage [V])."""

    name: str
    plus: str
    minus: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Vcvs:
    """A linear voltage-controlled voltage source."""

    name: str
    plus: str
    minus: str
    control_plus: str
    control_minus: str
    gain: float


@dataclass(frozen=True)
class Behavioural:
    """A source whose value, `quantity`, is an expression of node voltages and currents."""

    name: str
    plus: str
    minus: str
    expression: str
    quantity: ClassVar[Literal["V", "I"]]


class BehaviouralVoltage(Behavioural):
    """Of voltage."""

    quantity = "V"


class BehaviouralCurrent(Behavioural):
    """Of current, from `plus` through itself to `minus`."""

    quantity = "I"


@dataclass(frozen=True)
class Instance:
    """An instance of a subcircuit; `nodes` in the order of its ports."""

    name: str
    subcircuit: str
    nodes: tuple[str, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelCard:
    """A card `name` for a compiled model, the module `module` of a library the simulator loads."""

    name: str
    module: str


@dataclass(frozen=True)
class Note:
    """A comment for the designer who reads the deck."""

    text: str


@dataclass(frozen=True)
class Shared:
    """A value that many elements share: a parameter of the whole deck, and what it is."""

    name: str
    value: float
    what: str


@dataclass(frozen=True)
class SegmentModel:
    """A resistor model `name` for wire segments, all of the resistance `shared`."""

    name: str
    shared: Shared


@dataclass(frozen=True)
class Segments:
    """The wires of an array without its cells; segments name their resistor models.

    Args:
        array: the array.
        word: the model of a word-line segment.
        bit: the model of a bit-line segment.
    """

    array: Crossbar
    word: str
    bit: str


@dataclass(frozen=True)
class LibrarySection:
    """The place where a deck takes in a section of a file beside it."""

    file: str
    section: str


@dataclass(frozen=True)
class Drawn:
    """Elements with values that a sample draws; `netlists.design_deck` gives them a file."""

    name: str
    items: tuple[Instance, ...]


Element = (
    Resistor
    | VoltageSource
    | PiecewiseVoltage
    | Vcvs
    | BehaviouralVoltage
    | BehaviouralCurrent
    | Instance
    | ModelCard
    | Note
    | Crossbar
    | CrossbarCells
    | DeviceArray
    | SegmentModel
    | Segments
    | LibrarySection
    | Drawn
)


@dataclass(frozen=True)
class Subcircuit:
    """A block: ports, elements, parameters with defaults and a line that says what it is.

    A `Crossbar` or `DeviceArray` among the items stands for all its segments and cells: an array
    of a million cells is one object here. `shared` are the parameters of the whole deck that its
    elements name.
    """

    name: str
    ports: tuple[str, ...]
    items: tuple[Element, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)
    description: str = ""
    shared: tuple[Shared, ...] = ()


@dataclass(frozen=True, eq=False)
class SourceFiles:
    """Files of the user's own that stand beside a deck; `netlists.foreign_files` reads them.

    Args:
        cards: the lines that bring them in, `.include "file"` and `.lib "file" section`.
        texts: their text by plain file name. They name each other by these names.
        subcircuits: the names that they define beside the blocks themselves.
    """

    cards: tuple[str, ...]
    texts: Mapping[str, str]
    subcircuits: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ForeignSubcircuit:
    """A user's own block as finished text, plugged in where a cell, neuron or amplifier goes.

    Args:
        name: the name after `.subckt`.
        ports: its ports, in order.
        text: the whole definition, `.subckt` to `.ends`, other subcircuits it needs included;
            empty where `files` have it.
        parameters: the parameters that an instance may set, with their defaults; an expression
            as its text.
        files: the user's own files that define it, one object for all blocks of a chip.
        elements: how many it is worth of ours: limits of time and memory follow them.
        lines: how many it has in `files`, where it stands there.
    """

    name: str
    ports: tuple[str, ...]
    text: str
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    description: str = "the user's own block"
    files: SourceFiles | None = None
    elements: int = 10
    lines: int = 0


@dataclass(frozen=True)
class Circuit:
    """A whole circuit: header lines, block definitions and the top level.

    Raises:
        InputError: a file of the user defines a subcircuit under the name of one of these blocks.
    """

    title: str
    subcircuits: tuple[Subcircuit | ForeignSubcircuit, ...]
    items: tuple[Element, ...]
    header: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the names."""
        taken = {block.name for block in self.subcircuits}
        for block in self.subcircuits:
            if isinstance(block, ForeignSubcircuit) and block.files is not None:
                twice = taken & block.files.subcircuits
                if twice:
                    raise InputError(
                        "a subcircuit of this name is a block of the chip already",
                        where=f"the files of the user's {block.name!r}",
                        value=min(twice),
                        hint="rename it where it is defined",
                    )

    def subcircuit(self, name: str) -> Subcircuit | ForeignSubcircuit:
        """The block of that name.

        Raises:
            KeyError: there is none.
        """
        for block in self.subcircuits:
            if block.name == name:
                return block
        raise KeyError(name)

    @property
    def files(self) -> Mapping[str, str]:
        """The user's own files that a deck of this circuit has to stand beside, by name."""
        found: dict[str, str] = {}
        for block in self.subcircuits:
            if isinstance(block, ForeignSubcircuit) and block.files is not None:
                found |= block.files.texts
        return found

    @property
    def shared(self) -> tuple[Shared, ...]:
        """The parameters that stand at the top of the deck, each once.

        Raises:
            ValueError: two blocks want different values under one name.
        """
        wanted = [item.shared for item in self.items if isinstance(item, SegmentModel)]
        for block in self.subcircuits:
            wanted += block.shared if isinstance(block, Subcircuit) else ()
        found: dict[str, Shared] = {}
        for one in wanted:
            if found.setdefault(one.name, one) != one:
                raise ValueError(f"two values for {one.name}: {found[one.name]}, {one}")
        return tuple(found.values())

    def element_count(self) -> int:
        """How many elements the flattened circuit has.

        A wire of 0 ohm and an open cell are none. What subcircuits of a library hold, which blocks
        of the user call, is not looked at: such a call is one.
        """
        return sum(self._counts(self.items, self._elements_of))

    def load(self) -> int:
        """The size that run times follow: a device with an equation is as much as ten resistors."""
        return sum(self._counts(self.items, _load_of))

    def _elements_of(self, item: Crossbar | DeviceArray | ForeignSubcircuit) -> int:
        if isinstance(item, ForeignSubcircuit):
            return item.lines or sum(line[:1].isalpha() for line in item.text.splitlines())
        each = 1
        if not item.compiled and any(one.name == item.cell for one in self.subcircuits):
            block = self.subcircuit(item.cell)
            each = (
                sum(self._counts(block.items, self._elements_of))
                if isinstance(block, Subcircuit)
                else self._elements_of(block)
            )
        wires = item.wires.segments(item.rows, item.cols)
        if isinstance(item, Crossbar):
            return wires + each * int(np.count_nonzero(item.conductance_s))
        works = np.isnan(item.stuck_s)
        before = 0 if item.access is None else works.size
        return wires + before + each * int(works.sum()) + int((item.stuck_s > 0).sum())

    def _counts(
        self,
        items: Sequence[Element],
        array: Callable[[Crossbar | DeviceArray | ForeignSubcircuit], int],
    ) -> Iterator[int]:
        sizes: dict[str, int] = {}
        for item in items:
            if isinstance(item, Instance):
                if item.subcircuit not in sizes:
                    block = self.subcircuit(item.subcircuit)
                    if isinstance(block, Subcircuit):
                        sizes[item.subcircuit] = sum(self._counts(block.items, array))
                    else:
                        sizes[item.subcircuit] = array(block)
                yield sizes[item.subcircuit]
            elif isinstance(item, Crossbar | DeviceArray):
                yield array(item)
            elif isinstance(item, Drawn):
                yield from self._counts(item.items, array)
            elif not isinstance(item, Note | ModelCard):
                yield 1


def _load_of(item: Crossbar | DeviceArray | ForeignSubcircuit) -> int:
    if isinstance(item, ForeignSubcircuit):
        return item.elements
    if isinstance(item, DeviceArray):
        # A compiled cell is one element, but as much work as the sources it replaces.
        return 10 * item.rows * item.cols
    return (12 if item.states else 3) * item.conductance_s.size
