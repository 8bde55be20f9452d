"""A circuit as text of a Python script: PySpice builds it, ngspice runs it, outputs are printed.

For a designer who reads it, changes it and runs it where nothing of this house is installed; to
write it needs no PySpice. PySpice's objects within a program are `netlists.pyspice`.

Every block is a `SubCircuit` class, an array one class for all of them with its cells as tables of
numbers, and elements that count up are loops. So the script of a chip with thousands of cells has a
few pages of structure and then its numbers. What PySpice has no object for, the text of blocks that
come as text, is raw SPICE in it.
"""

from __future__ import annotations

import itertools
import json
import keyword
import math
import re
import textwrap
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError
from netlists.circuit import (
    BehaviouralCurrent,
    BehaviouralVoltage,
    Circuit,
    Drawn,
    Element,
    ForeignSubcircuit,
    Instance,
    Note,
    Resistor,
    Subcircuit,
    Vcvs,
    VoltageSource,
)
from netlists.counting import Pattern, run_length
from netlists.crossbar import Crossbar
from netlists.dialects import pyspice_parts as parts
from netlists.names import comment, number
from netlists.python_text import (
    LOOP,
    WIDTH,
    call_text,
    f_string,
    filled,
    names_as_arguments,
    patterns_as_arguments,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScriptOutputs:
    """What a script prints.

    Attributes:
        nodes: voltages of these nodes.
        expected: what they should be, [vector, node].
        source: who computed that.
    """

    nodes: tuple[str, ...]
    expected: Array
    source: str


def pyspice_script(
    circuit: Circuit,
    inputs: Sequence[str],
    vectors: Array,
    outputs: ScriptOutputs,
    *,
    options: Sequence[str],
    about: Sequence[str] = (),
) -> str:
    """The text of the script.

    Args:
        circuit: any circuit of resistors, sources, blocks and arrays of two-terminal cells.
        inputs: nodes of its top level that get voltages.
        vectors: these voltages, [vector, input]; the script goes through the vectors.
        outputs: what it prints, and what that should be.
        options: of ngspice, `name` or `name=value` each.
        about: lines for its reader, behind those of the circuit's header.

    Raises:
        InputError: the circuit has something that cannot stand in such a script.
    """
    script = _Script(circuit)
    blocks = script.blocks()
    top = script.top()
    raw = "".join(
        f"\n\n# A block that came as text.\n{name} = {_raw(text)}\n"
        for name, text in script.raw.items()
    )
    head = f"{_docstring(circuit, about, bool(script.raw))}\n{parts.IMPORTS}\n{parts.HELPERS}"
    return (
        f"{head}{blocks}{raw}\n\n{top}\n\n"
        f"{_run(options)}{script.tables()}{_data(inputs, vectors, outputs)}\n\n"
        'if __name__ == "__main__":\n    main()\n'
    )


def _run(options: Sequence[str]) -> str:
    words = [f'"{one}"' for one in options if "=" not in one]
    words += [one for one in options if "=" in one]
    return parts.RUN.replace("__OPTIONS__", ", ".join(words))


@dataclass(eq=False)
class _Script:
    """What a script is put together of.

    Attributes:
        circuit: the circuit.
        numbers: tables by their names: what their columns are, and their rows.
        raw: texts of blocks by their names.
    """

    circuit: Circuit
    numbers: dict[str, tuple[str, list[list[float]]]] = field(default_factory=dict)
    raw: dict[str, str] = field(default_factory=dict)
    _classes: list[str] = field(default_factory=list)
    _arrays: dict[str, Crossbar] = field(default_factory=dict)

    def blocks(self) -> str:
        """The classes of all blocks, and texts of others into `raw`."""
        made = []
        for block in self.circuit.subcircuits:
            if isinstance(block, ForeignSubcircuit):
                self._foreign(block)
            elif len(block.items) == 1 and isinstance(block.items[0], Crossbar):
                self._arrays[block.name] = block.items[0]
            else:
                made.append(self._class(block))
        return f"{self._array_class()}{''.join(made)}"

    def _foreign(self, block: ForeignSubcircuit) -> None:
        if block.files is not None:
            raise InputError(
                "a block out of files of your own cannot stand in a script",
                where=f"the block {block.name!r}",
                hint="write the deck: spiceloop netlist ... -o FOLDER puts copies beside it",
            )
        self.raw[f"{block.name.upper()}_TEXT"] = block.text.strip()

    def _array_class(self) -> str:
        if not self._arrays:
            return ""
        if not self._equal:
            return parts.UNEVEN_ARRAY
        wires = next(iter(self._arrays.values())).wires
        word = parts.WORD_WIRE if wires.r_wordline_ohm else parts.NO_WORD_WIRE
        bit = parts.BIT_WIRE if wires.r_bitline_ohm else parts.NO_BIT_WIRE
        return parts.EQUAL_ARRAY.format(wires=f"{word}\n{bit}")

    @property
    def _equal(self) -> bool:
        """All segments of all arrays are."""
        wires = [array.wires for array in self._arrays.values()]
        return all(one.equal for one in wires) and (
            len({(one.r_wordline_ohm, one.r_bitline_ohm) for one in wires}) == 1
        )

    def _class(self, block: Subcircuit) -> str:
        name = _class_name(block.name, self._classes)
        self._classes.append(name)
        ports = names_as_arguments(block.ports)
        defaults = [_keyword(key, number(value)) for key, value in block.parameters.items()]
        head = call_text("super().__init__", [json.dumps(block.name), *ports, *defaults], 8)
        body = "\n".join(self._statements(block.items, block.name, "self", 8))
        return (
            f"\n\nclass {name}(SubCircuit):\n{_quoted(block.description or block.name, 4)}\n\n"
            f"    def __init__(self):\n{head}\n{body}\n"
        )

    def top(self) -> str:
        """The function that makes the whole circuit."""
        lines = ["def build():", '    """The circuit, without sources at its inputs."""']
        lines.append(f"    circuit = Circuit({json.dumps(comment(self.circuit.title))})")
        for one in self.circuit.shared:
            call = f"circuit.parameter({json.dumps(one.name)}, {number(one.value)})"
            lines.append(f"    {call}  # {comment(one.what)}")
        if self.raw:
            names = ", ".join(self.raw)
            lines.append(f'    circuit.raw_spice = "\\n".join([{names}])')
        if self._classes:
            end = ",):" if len(self._classes) == 1 else "):"
            lines.append(filled("    for block in (", self._classes, end, 8))
            lines.append("        circuit.subcircuit(block())")
        if self._arrays:
            lines.append("    for name, (cell, array) in ARRAYS.items():")
            given = "array" if self._equal else "*array"
            lines.append(f"        circuit.subcircuit(Array(name, cell, {given}))")
        lines += self._statements(self.circuit.items, "top", "circuit", 4)
        return "\n".join([*lines, "    return circuit", ""])

    def _statements(
        self, items: Sequence[Element], where: str, owner: str, indent: int
    ) -> Iterator[str]:
        """The lines that add elements: notes as comments, elements that count up as loops."""
        waiting: list[Element] = []
        for item in (*items, Note("")):
            if isinstance(item, Drawn):
                waiting += item.items
            elif isinstance(item, Note):
                yield from self._added(waiting, where, owner, indent)
                waiting = []
                if item.text:
                    yield f"{' ' * indent}# {comment(item.text)}"
            else:
                waiting.append(item)

    def _added(
        self, items: Sequence[Element], where: str, owner: str, indent: int
    ) -> Iterator[str]:
        # Elements of a kind together: their order means nothing, and so they count up.
        kinds: dict[tuple[object, ...], list[_Call]] = {}
        for item in items:
            call = _call_of(item, where)
            kind = (call.method, len(call.texts), tuple(call.values), _shape(call.texts))
            kinds.setdefault(kind, []).append(call)
        for calls in kinds.values():
            start = 0
            while start < len(calls):
                length, found = run_length([call.texts for call in calls[start:]])
                if length < LOOP:
                    found, length = tuple(Pattern((text,)) for text in calls[start].texts), 1
                run = calls[start : start + length]
                yield from self._loop(run, found, where, owner, indent)
                start += length

    def _loop(
        self,
        run: Sequence[_Call],
        found: tuple[Pattern, ...],
        where: str,
        owner: str,
        indent: int,
    ) -> Iterator[str]:
        first, space = run[0], " " * indent
        differ = [key for key in first.values if len({one.values[key] for one in run}) > 1]
        texts = list(found)
        named = [f"{key}={f_string(texts.pop())}" for key in reversed(first.keywords)][::-1]
        given = [f_string(texts[0]), *patterns_as_arguments(texts[1:])]
        given += named
        variables = {key: _variable(key) for key in differ}
        given += [
            _keyword(key, variables.get(key) or number(value))
            for key, value in first.values.items()
        ]
        call = f"{owner}.{first.method}"
        if len(run) == 1:
            yield call_text(call, given, indent)
            return
        counts = not all(one.constant for one in found)
        if not differ:
            yield f"{space}for k in range({len(run)}):"
        else:
            stem = re.sub(r"_?[0-9]+$", "", first.texts[0])
            table = _free(f"{where}_{stem}".upper(), self.numbers)
            names = ", ".join(variables.values())
            self.numbers[table] = names, [[one.values[key] for key in differ] for one in run]
            if counts:
                names = f"k, ({names})" if len(differ) > 1 else f"k, {names}"
                yield f"{space}for {names} in enumerate({table}):"
            else:
                yield f"{space}for {names} in {table}:"
        yield call_text(call, given, indent + 4)

    def tables(self) -> str:
        """The numbers: of wires, of elements that differ, and of the cells of all arrays."""
        made = []
        if self._arrays and self._equal:
            wires = next(iter(self._arrays.values())).wires
            for name, ohm, line in (
                ("R_WORDLINE_OHM", wires.r_wordline_ohm, "word"),
                ("R_BITLINE_OHM", wires.r_bitline_ohm, "bit"),
            ):
                if ohm:
                    made.append(f"{name} = {ohm!r}  # a segment of a {line} line\n")
        for name, (columns, rows) in self.numbers.items():
            made.append(
                f"# {columns}\n{filled(f'{name} = [', [_row(row) for row in rows], ']', 4)}\n"
            )
        if self._arrays:
            made.append("ARRAYS = {\n")
            for name, array in self._arrays.items():
                made += self._array(name, array)
            made.append("}\n")
        return "".join(made)

    def _array(self, name: str, array: Crossbar) -> Iterator[str]:
        given = array.states or {"g": array.conductance_s}
        yield f"    {json.dumps(name)}: (\n        {json.dumps(array.cell)},\n"
        if self._equal:
            yield "        {\n"
            for key, values in given.items():
                yield f"            {json.dumps(key)}: [\n"
                table = zip(values.tolist(), array.conductance_s.tolist(), strict=True)
                for row, opens in table:
                    cells = [number(v) if g else "None" for v, g in zip(row, opens, strict=True)]
                    yield f"{filled(' ' * 16 + '[', cells, '],', 20)}\n"
                yield "            ],\n"
            yield "        },\n"
        else:
            yield f"        ({array.rows}, {array.cols}, [\n"
            for segment in _segments(array):
                yield f"            {_tuple(segment)},\n"
            yield "        ], [\n"
            for row in range(array.rows):
                for col in range(array.cols):
                    if array.conductance_s[row, col]:
                        own = {key: float(values[row, col]) for key, values in given.items()}
                        nodes = array.word_node(row, col), array.bit_node(row, col)
                        yield f"            {_tuple((f'cell_{row}_{col}', *nodes, own))},\n"
            yield "        ]),\n"
        yield "    ),\n"


@dataclass(frozen=True)
class _Call:
    """An element as a call of PySpice.

    Attributes:
        method: the method of a netlist.
        texts: its texts: name, nodes and the texts of `keywords` behind them.
        keywords: which keywords the last texts belong to.
        values: numbers by keyword, or by "" if the number has none.
    """

    method: str
    texts: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)


def _call_of(item: Element, where: str) -> _Call:
    if isinstance(item, Resistor):
        return _valued("R", (item.name[1:], item.a, item.b), item.resistance_ohm)
    if isinstance(item, VoltageSource):
        return _valued("V", (item.name[1:], item.plus, item.minus), item.dc_v)
    if isinstance(item, Vcvs):
        nodes = (item.plus, item.minus, item.control_plus, item.control_minus)
        gain = {"voltage_gain": item.gain}
        return _Call("VoltageControlledVoltageSource", (item.name[1:], *nodes), values=gain)
    if isinstance(item, BehaviouralVoltage | BehaviouralCurrent):
        key = "v" if isinstance(item, BehaviouralVoltage) else "i"
        texts = (item.name[1:], item.plus, item.minus, item.expression)
        return _Call("B", texts, (key,))
    if isinstance(item, Instance):
        # PySpice wants the block before the nodes.
        called = (item.name[1:], item.subcircuit, *item.nodes)
        return _Call("X", called, values=dict(item.parameters))
    raise InputError(
        "a script by PySpice cannot hold this element",
        where=f"{where}: {type(item).__name__}",
        allowed="resistors, sources, blocks and arrays of two-terminal cells",
    )


def _valued(method: str, texts: tuple[str, ...], value: float | str) -> _Call:
    if isinstance(value, str):
        return _Call(method, (*texts, value))
    return _Call(method, texts, values={"": value})


def _shape(texts: Sequence[str]) -> tuple[str, ...]:
    """What texts have in common that count up."""
    return tuple(re.sub(r"\d+", "#", text) for text in texts)


def _free(name: str, taken: Container[str]) -> str:
    """The name, or the name with a number behind it, that is not taken."""
    tried = (f"{name}_{k}" if k else name for k in itertools.count())
    return next(one for one in tried if one not in taken)


def _class_name(block: str, taken: Sequence[str]) -> str:
    name = "".join(part.capitalize() for part in block.split("_"))
    return _free(name, {"Array", "Circuit", "SubCircuit", "RawFile", "Results", *taken})


def _variable(key: str) -> str:
    """A variable of a loop that stands for the numbers of a keyword."""
    if not key:
        return "value"
    return f"{key}_" if keyword.iskeyword(key) or key == "k" else key


def _keyword(key: str, value: str) -> str:
    """An argument of a call; SPICE has parameters whose names Python keeps to itself."""
    if not key:
        return value
    return f"**{{{json.dumps(key)}: {value}}}" if keyword.iskeyword(key) else f"{key}={value}"


def _row(values: Sequence[float]) -> str:
    return number(values[0]) if len(values) == 1 else f"({', '.join(map(number, values))})"


def _tuple(values: Sequence[object]) -> str:
    return f"({', '.join(json.dumps(one) for one in values)})"


def _segments(array: Crossbar) -> Iterator[tuple[str, str, str, float]]:
    """Name, nodes and ohms of every segment that is a resistor; others are shorts or open."""
    shape = array.rows, array.cols
    words = np.broadcast_to(array.wires.r_wordline_ohm, shape).tolist()
    bits = np.broadcast_to(array.wires.r_bitline_ohm, shape).tolist()
    for row in range(array.rows):
        for col in range(array.cols):
            word, bit = array.word_node(row, col), array.bit_node(row, col)
            left = array.word_node(row, col - 1) if col else f"wl_{row}"
            below = array.bit_node(row + 1, col) if row < array.rows - 1 else f"bl_{col}"
            if 0 < words[row][col] < math.inf:
                yield f"w_{row}_{col}", left, word, words[row][col]
            if 0 < bits[row][col] < math.inf:
                yield f"b_{row}_{col}", bit, below, bits[row][col]


def _data(inputs: Sequence[str], vectors: Array, outputs: ScriptOutputs) -> str:
    def table(name: str, values: Array) -> str:
        rows = [
            filled("    [", ["np.nan" if math.isnan(v) else number(v) for v in row], "],", 8)
            for row in values.tolist()
        ]
        return "\n".join([f"{name} = [", *rows, "]"])

    return "\n".join(
        [
            filled("INPUTS = [", names_as_arguments(inputs), "]", 4),
            filled("OUTPUTS = [", names_as_arguments(outputs.nodes), "]", 4),
            f"SOURCE = {json.dumps(comment(outputs.source))}",
            table("VECTORS", vectors),
            table("EXPECTED", outputs.expected),
            "",
        ]
    )


def _quoted(text: str, indent: int) -> str:
    """A docstring of one paragraph."""
    space = " " * indent
    safe = comment(text).replace("\\", "\\\\").replace('"', "'")
    lines = textwrap.wrap(safe, WIDTH - indent - 6) or ["-"]
    if len(lines) == 1:
        return f'{space}"""{lines[0]}"""'
    return "\n".join(
        [f'{space}"""{lines[0]}', *(f"{space}{one}" for one in lines[1:]), f'{space}"""']
    )


def _docstring(circuit: Circuit, about: Sequence[str], raw: bool) -> str:
    lines = [comment(circuit.title), ""]
    lines += [comment(line) for line in (*circuit.header, *about)]
    if raw:
        lines.append("blocks that came as text are raw SPICE: PySpice has no object for them")
    lines += ["needs PySpice 1.5 and ngspice, nothing else: python THIS_FILE"]
    safe = [line.replace("\\", "\\\\").replace('"', "'") for line in lines]
    wrapped = [
        one for line in safe for one in (textwrap.wrap(line, WIDTH, subsequent_indent="  ") or [""])
    ]
    return "\n".join([f'"""{wrapped[0]}', *wrapped[1:], '"""'])


def _raw(text: str) -> str:
    """A text over several lines as a literal."""
    if '"""' in text or text.endswith('"'):
        return repr(text)
    return f'r"""\n{text}\n"""'
