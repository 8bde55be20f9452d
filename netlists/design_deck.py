"""A circuit laid out for a designer: shared values once, what a sample draws in a file of its own.

Two decks of one chip can then be compared line by line: another wire resistance is one line of the
deck, another sample is another `sample.inc`. The deck brings it in section by section, each at its
place inside the subcircuit, so that names and order of nodes are those of the deck in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from netlists.circuit import (
    Circuit,
    Drawn,
    Element,
    LibrarySection,
    SegmentModel,
    Segments,
    Shared,
    Subcircuit,
)
from netlists.crossbar import Crossbar
from netlists.dialects.ngspice import render_items

SAMPLE_FILE = "sample.inc"
_WORD, _BIT = "wordline_segment", "bitline_segment"


@dataclass(frozen=True)
class DesignDeck:
    """A circuit whose drawn values stand beside it.

    Args:
        circuit: everything else; it names `sample.inc`.
        sample: the text of `sample.inc`.
    """

    circuit: Circuit
    sample: str


def design_deck(circuit: Circuit) -> DesignDeck:
    """Takes what a sample draws out of a circuit, and gives shared wires a name.

    Args:
        circuit: a circuit in one piece; its crossbars must have the same wires.
    """
    sections: list[str] = [
        "* What the sample draws: conductances, feedback resistors, offsets and gains.",
    ]

    def away(name: str, items: tuple[Element, ...], where: str) -> LibrarySection:
        sections.append(
            "\n".join(["", f".lib {name}", *render_items(items, where), f".endl {name}"])
        )
        return LibrarySection(SAMPLE_FILE, name)

    def split(block: Subcircuit) -> Iterator[Element]:
        for item in block.items:
            if isinstance(item, Crossbar):
                word, bit = item.wires.r_wordline_ohm, item.wires.r_bitline_ohm
                yield Segments(
                    item,
                    _WORD if isinstance(word, float) else "",
                    _BIT if isinstance(bit, float) else "",
                )
                yield away(f"{block.name}_cells", (item.cells,), block.name)
            elif isinstance(item, Drawn):
                yield away(item.name, item.items, block.name)
            else:
                yield item

    blocks = tuple(
        replace(block, items=tuple(split(block))) if isinstance(block, Subcircuit) else block
        for block in circuit.subcircuits
    )
    return DesignDeck(
        replace(circuit, subcircuits=blocks, items=(*_wire_models(circuit), *circuit.items)),
        "\n".join([*sections, ""]),
    )


def _wire_models(circuit: Circuit) -> Iterator[Element]:
    """Resistor models for the segments: a line of a segment then has a name and no number."""
    wires = next(
        (
            item.wires
            for block in circuit.subcircuits
            if isinstance(block, Subcircuit)
            for item in block.items
            if isinstance(item, Crossbar)
        ),
        None,
    )
    if wires is None:
        return
    for model, name, ohm, line in (
        (_WORD, "r_wordline", wires.r_wordline_ohm, "word"),
        (_BIT, "r_bitline", wires.r_bitline_ohm, "bit"),
    ):
        if isinstance(ohm, float) and ohm > 0:  # segments that differ have their own numbers
            yield SegmentModel(model, Shared(name, ohm, f"a segment of a {line} line [ohm]"))
