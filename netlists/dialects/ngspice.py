"""The text of a circuit for ngspice 39 and later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netlists.circuit import (
    BehaviouralCurrent,
    BehaviouralVoltage,
    Circuit,
    Element,
    ForeignSubcircuit,
    Instance,
    ModelCard,
    Note,
    PiecewiseVoltage,
    Resistor,
    Subcircuit,
    Vcvs,
    VoltageSource,
)
from netlists.crossbar import Crossbar, Mesh
from netlists.device_array import DeviceArray
from netlists.names import check_identifier, comment, number


def render(circuit: Circuit) -> str:
    """The circuit without analyses and without `.end`: title, header, blocks, top level."""
    lines = [f"* {comment(circuit.title)}"]
    lines += [f"* {comment(line)}" for line in circuit.header]
    for block in circuit.subcircuits:
        lines.append("")
        if isinstance(block, ForeignSubcircuit):
            lines.append(f"* {comment(block.name)}: {comment(block.description)}")
            lines.append(block.text.strip())
        else:
            lines += render_subcircuit(block)
    lines.append("")
    for item in circuit.items:
        lines += _element(item, "the top level")
    return "\n".join(lines) + "\n"


def render_subcircuit(block: Subcircuit) -> list[str]:
    """The lines of one block, `.subckt` to `.ends`."""
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
        return list(_crossbar(item))
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
    if isinstance(item, ModelCard):
        return [f".model {name} {check_identifier(item.module, 'a compiled module')}"]
    if isinstance(item, Vcvs):
        control = f"{item.control_plus} {item.control_minus}"
        return [f"{name} {item.plus} {item.minus} {control} {number(item.gain)}"]
    if isinstance(item, BehaviouralVoltage):
        return _wrapped(f"{name} {item.plus} {item.minus} V={item.expression}")
    if isinstance(item, BehaviouralCurrent):
        return _wrapped(f"{name} {item.plus} {item.minus} I={item.expression}")
    return _instance(name, item)


def _instance(name: str, item: Instance) -> list[str]:
    nodes = [" ".join(item.nodes[k : k + 16]) for k in range(0, len(item.nodes), 16)]
    tail = f"{item.subcircuit} {_parameters(item.parameters)}".strip()
    if len(nodes) == 1:
        return [f"{name} {nodes[0]} {tail}"]
    return [name, *(f"+ {line}" for line in nodes), f"+ {tail}"]


def _crossbar(array: Crossbar) -> Iterator[str]:
    conductances = array.conductance_s.tolist()
    for row in range(array.rows):
        for col in range(array.cols):
            word, bit = array.word_node(row, col), array.bit_node(row, col)
            yield from _segments(array, row, col)
            note = f" ; {comment(array.notes[row][col])}" if array.notes else ""
            if conductances[row][col] == 0:
                yield f"* xcell_{row}_{col} is open (0 S){note}"
            else:
                g = conductances[row][col]
                yield f"xcell_{row}_{col} {word} {bit} {array.cell} g={g!r}{note}"


def _device_array(array: DeviceArray) -> Iterator[str]:
    cell = check_identifier(array.cell, "the cell of an array")
    names = [check_identifier(name, "a parameter") for name in array.parameters]
    values = [array.parameters[name].tolist() for name in names]
    stuck = array.stuck_s.tolist()
    for row in range(array.rows):
        for col in range(array.cols):
            word, bit = array.word_node(row, col), array.bit_node(row, col)
            yield from _segments(array, row, col)
            g = stuck[row][col]
            if g == 0:
                yield f"* cell_{row}_{col} is stuck open (0 S)"
            elif g > 0:
                yield f"rcell_{row}_{col} {word} {bit} {number(1 / g)} ; stuck at {g!r} S"
            else:
                own = zip(names, values, strict=True)
                pairs = "".join(f" {name}={number(table[row][col])}" for name, table in own)
                yield f"{array.cell_name(row, col)} {word} {bit} {cell}{pairs}"


def _segments(array: Mesh, row: int, col: int) -> Iterator[str]:
    """The wire segments that belong to a cell: to its left and below it."""
    if array.wires.r_wordline_ohm > 0:
        left = f"wl_{row}" if col == 0 else f"w_{row}_{col - 1}"
        r_word = number(array.wires.r_wordline_ohm)
        yield f"rw_{row}_{col} {left} {array.word_node(row, col)} {r_word}"
    if array.wires.r_bitline_ohm > 0:
        below = f"bl_{col}" if row == array.rows - 1 else f"b_{row + 1}_{col}"
        r_bit = number(array.wires.r_bitline_ohm)
        yield f"rb_{row}_{col} {array.bit_node(row, col)} {below} {r_bit}"


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
