"""The text of a circuit for ngspice 39 and later."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from netlists.access import Access
from netlists.circuit import (
    Behavioural,
    Circuit,
    Drawn,
    Element,
    ForeignSubcircuit,
    Instance,
    LibrarySection,
    ModelCard,
    Note,
    PiecewiseVoltage,
    Resistor,
    SegmentModel,
    Segments,
    Shared,
    Subcircuit,
    Vcvs,
    VoltageSource,
)
from netlists.crossbar import Crossbar, CrossbarCells, Mesh
from netlists.device_array import DeviceArray
from netlists.names import check_identifier, comment, number


def render(circuit: Circuit) -> str:
    """The circuit without analyses and without `.end`: title, header, blocks, top level."""
    lines = [f"* {comment(circuit.title)}"]
    lines += [f"* {comment(line)}" for line in circuit.header]
    if circuit.shared:
        lines += ["", *render_shared(circuit.shared)]
    brought: set[str] = set()
    for block in circuit.subcircuits:
        lines.append("")
        if isinstance(block, ForeignSubcircuit):
            lines += _foreign(block, brought)
        else:
            lines += render_subcircuit(block)
    lines.append("")
    for item in circuit.items:
        lines += _element(item, "the top level")
    return "\n".join(lines) + "\n"


def render_items(items: Sequence[Element], where: str) -> list[str]:
    """The lines of some elements of the subcircuit `where`."""
    return [line for item in items for line in _element(item, where)]


def render_shared(shared: Sequence[Shared]) -> list[str]:
    """The parameters of a deck, each with what it is."""
    return [
        f".param {check_identifier(one.name, 'a parameter of the deck')}={number(one.value)}"
        f" ; {comment(one.what)}"
        for one in shared
    ]


def _foreign(block: ForeignSubcircuit, brought: set[str]) -> list[str]:
    """A user's own block: its text, or the cards of its files that no block before has brought."""
    lines = [f"* {comment(block.name)}: {comment(block.description)}"]
    if block.files is None:
        return [*lines, block.text.strip()]
    lines += [card for card in block.files.cards if card not in brought]
    brought.update(block.files.cards)
    return lines


def render_subcircuit(block: Subcircuit) -> list[str]:
    """The lines of one block, `.subckt` to `.ends`; those of a row of an array in one string."""
    name = check_identifier(block.name, "a subcircuit's name")
    lines = [f"* {comment(block.description)}"] if block.description else []
    # Ports over several lines: a tile has hundreds, and a designer has to read them.
    lines.append(f".subckt {name}")
    lines += [f"+ {' '.join(block.ports[k : k + 16])}" for k in range(0, len(block.ports), 16)]
    if block.parameters:
        lines.append(f"+ params: {_parameters(block.parameters)}")
    for item in block.items:
        lines += _element(item, name)
    lines.append(f".ends {name}")
    return lines


def _element(item: Element, where: str) -> list[str]:
    if isinstance(item, Note):
        return [f"* {comment(item.text)}"]
    if isinstance(item, Crossbar):
        return [*_segments_of(item, *_values(item)), *_cells(item)]
    if isinstance(item, Segments):
        return list(_segments_of(item.array, item.word, item.bit))
    if isinstance(item, CrossbarCells):
        return list(_cells(item.array))
    if isinstance(item, Drawn):
        return render_items(item.items, where)
    if isinstance(item, LibrarySection):
        return [f'.lib "{item.file}" {check_identifier(item.section, "a section")}']
    if isinstance(item, DeviceArray):
        return list(_device_array(item))
    name = check_identifier(item.name, f"an element of {where}")
    if isinstance(item, Resistor):
        return [f"{name} {item.a} {item.b} {_value(item.resistance_ohm)}"]
    if isinstance(item, VoltageSource):
        return [f"{name} {item.plus} {item.minus} {_value(item.dc_v)}"]
    if isinstance(item, PiecewiseVoltage):
        points = [f"+ {number(time_s)} {number(v)}" for time_s, v in item.points]
        return [f"{name} {item.plus} {item.minus} pwl(", *points, "+ )"]
    if isinstance(item, SegmentModel):
        return [f".model {name} r r={{{check_identifier(item.shared.name, 'a parameter')}}}"]
    if isinstance(item, ModelCard):
        return [f".model {name} {check_identifier(item.module, 'a compiled module')}"]
    if isinstance(item, Vcvs):
        control = f"{item.control_plus} {item.control_minus}"
        return [f"{name} {item.plus} {item.minus} {control} {number(item.gain)}"]
    if isinstance(item, Behavioural):
        return _wrapped(f"{name} {item.plus} {item.minus} {item.quantity}={item.expression}")
    return _instance(name, item)


def _instance(name: str, item: Instance) -> list[str]:
    nodes = [" ".join(item.nodes[k : k + 16]) for k in range(0, len(item.nodes), 16)]
    tail = f"{item.subcircuit} {_parameters(item.parameters)}".strip()
    if len(nodes) == 1:
        return [f"{name} {nodes[0]} {tail}"]
    return [name, *(f"+ {line}" for line in nodes), f"+ {tail}"]


def _segments_of(array: Crossbar, word: str, bit: str) -> Iterator[str]:
    """The wires of an array, a row in one string; `word` and `bit` say what a segment is."""
    for wires in _wire_rows(array, word, bit):
        text = "".join(wires).rstrip("\n")
        if text:
            yield text


def _cells(array: Crossbar) -> Iterator[str]:
    """The cells of an array, a row in one string.

    They stand behind the wires, which have then numbered the nodes from the left and from above.
    """
    given = array.states or {"g": array.conductance_s}
    pairs = "".join(f" {check_identifier(name, 'a state')}=%r" for name in given)
    tables = [values.astype(float).tolist() for values in given.values()]
    letter = "n" if array.compiled else "x"
    for row, (places, conductances) in enumerate(
        zip(_place_rows(array), array.conductance_s.tolist(), strict=True)
    ):
        notes = [""] * array.cols
        if array.notes:
            notes = [f" ; {comment(note)}" for note in array.notes[row]]
        own = zip(*(table[row] for table in tables), strict=True)
        yield "\n".join(
            [
                f"{letter}{place} {array.cell}{pairs % values}{note}"
                if g
                else f"* {letter}{place.split()[0]} is open (0 S){note}"
                for place, g, values, note in zip(places, conductances, own, notes, strict=True)
            ]
        )


def _device_array(array: DeviceArray) -> Iterator[str]:
    """The lines of an array, a row in one string."""
    cell = check_identifier(array.cell, "the cell of an array")
    names = [check_identifier(name, "a parameter") for name in array.parameters]
    pairs = "".join(f" {name}=%r" for name in names)
    tables = [array.parameters[name].astype(float).tolist() for name in names]
    letter = array.cell_name(0, 0)[0]
    rows = zip(
        _wire_rows(array, *_values(array)), _place_rows(array), array.stuck_s.tolist(), strict=True
    )
    for row, (wires, places, stuck) in enumerate(rows):
        # Without parameters there is nothing to zip, and still an empty tuple for every cell.
        own = zip(*(table[row] for table in tables), strict=True) if tables else [()] * array.cols
        if array.access is not None:
            wires, places = _behind_access(array, array.access, row, wires, places)
        yield "\n".join(
            [
                f"{segments}{letter}{place} {cell}{pairs % values}"
                if math.isnan(g)
                else f"{segments}{_stuck_cell(place, g)}"
                for segments, place, g, values in zip(wires, places, stuck, own, strict=True)
            ]
        )


def _behind_access(
    array: DeviceArray, access: Access, row: int, wires: list[str], places: list[str]
) -> tuple[list[str], list[str]]:
    """The wires and places of a row's cells, with what stands before each among the former."""
    before, behind = [], []
    for col, (segments, place) in enumerate(zip(wires, places, strict=True)):
        name, word, bit = place.split()
        inner = array.inner_node(row, col)
        current = access.expression(word, inner, array.gate_node(row))
        before.append("\n".join([f"{segments}b{name} {word} {inner} i={current}", ""]))
        behind.append(f"{name} {inner} {bit}")
    return before, behind


def _stuck_cell(place: str, conductance_s: float) -> str:
    if conductance_s == 0:
        return f"* {place.split()[0]} is stuck open (0 S)"
    return f"r{place} {number(1 / conductance_s)} ; stuck at {conductance_s!r} S"


# They stand for the number of a row, that of the row below, and the end of a cell's part. None of
# them can be in a name or a number.
_ROW, _BELOW, _CUT = "@", "~", "|"


def _place_rows(array: Mesh) -> Iterator[list[str]]:
    """`cell_<row>_<col> <word node> <bit node>` of every cell of a row, row by row.

    Rows differ in their numbers only, so their text is put together once, and the numbers are put
    in by `str.replace`: in a million elements that saves the making of several million names.
    """
    if not array.wires.equal:  # shorts make nodes one, here and there
        for row in range(array.rows):
            yield [
                f"cell_{row}_{col} {array.word_node(row, col)} {array.bit_node(row, col)}"
                for col in range(array.cols)
            ]
        return
    places = _CUT.join(
        f"cell_{_ROW}_{col} {array.word_node(_ROW, col)} {array.bit_node(_ROW, col)}"
        for col in range(array.cols)
    )
    for row in range(array.rows):
        yield places.replace(_ROW, str(row)).split(_CUT)


def _wire_rows(array: Mesh, word: str, bit: str) -> Iterator[list[str]]:
    """The lines of its wire segments, each with its line end, of every cell of a row, row by row.

    Args:
        array: the array.
        word: what a word-line segment is: its value, or its model.
        bit: what a bit-line segment is; segments that differ have values of their own.
    """
    if not array.wires.equal:
        yield from _uneven_rows(array, word, bit)
        return
    cols = range(array.cols)
    inside = _CUT.join(
        _segments(array, col, array.bit_node(_BELOW, col), word, bit) for col in cols
    )
    at_the_end = _CUT.join(_segments(array, col, f"bl_{col}", word, bit) for col in cols)
    for row in range(array.rows):
        wires = inside if row < array.rows - 1 else at_the_end
        yield wires.replace(_ROW, str(row)).replace(_BELOW, str(row + 1)).split(_CUT)


def _uneven_rows(array: Mesh, word: str, bit: str) -> Iterator[list[str]]:
    """`_wire_rows` where segments differ: a short has no element, and an open a comment."""

    def segment(name: str, nodes: str, ohm: float, equal: str) -> str:
        if ohm == math.inf:
            return f"* {name} {nodes} is open\n"
        return f"{name} {nodes} {equal or number(ohm)}\n" if ohm > 0 else ""

    shape = array.rows, array.cols
    words = np.broadcast_to(array.wires.r_wordline_ohm, shape).tolist()
    bits = np.broadcast_to(array.wires.r_bitline_ohm, shape).tolist()
    cols = range(array.cols)
    here = [array.bit_node(0, col) for col in cols]
    for row in range(array.rows):
        last = row == array.rows - 1
        below = [f"bl_{col}" if last else array.bit_node(row + 1, col) for col in cols]
        nodes = [f"wl_{row}", *(array.word_node(row, col) for col in cols)]
        yield [
            segment(f"rw_{row}_{col}", f"{nodes[col]} {nodes[col + 1]}", words[row][col], word)
            + segment(f"rb_{row}_{col}", f"{here[col]} {below[col]}", bits[row][col], bit)
            for col in cols
        ]
        here = below


def _values(array: Mesh) -> tuple[str, str]:
    """Of equal segments of word and bit lines; empty where segments differ."""
    wires = array.wires
    word, bit = (
        number(ohm) if isinstance(ohm, float) else ""
        for ohm in (wires.r_wordline_ohm, wires.r_bitline_ohm)
    )
    return word, bit


def _segments(array: Mesh, col: int, below: str, word: str, bit: str) -> str:
    """The wire segments that belong to a cell of any row: to its left and below it."""
    text = ""
    r_wordline_ohm, r_bitline_ohm = array.wires.equal_ohm("a row whose text is put together once")
    if r_wordline_ohm > 0:
        left = f"wl_{_ROW}" if col == 0 else array.word_node(_ROW, col - 1)
        text += f"rw_{_ROW}_{col} {left} {array.word_node(_ROW, col)} {word}\n"
    if r_bitline_ohm > 0:
        text += f"rb_{_ROW}_{col} {array.bit_node(_ROW, col)} {below} {bit}\n"
    return text


def _wrapped(line: str, width: int = 200) -> list[str]:
    """A long expression over continuation lines, broken only at white space."""
    words = line.split(" ")
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"+ {word}")
    return lines


def _value(value: float | str) -> str:
    return value if isinstance(value, str) else number(value)


def _parameters(parameters: Mapping[str, float]) -> str:
    return " ".join(
        f"{check_identifier(k, 'a parameter')}={number(v)}" for k, v in parameters.items()
    )
