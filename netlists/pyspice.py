"""PySpice's own objects, in this process: for a program that goes on with them.

`to_pyspice` gives a circuit of ours as PySpice's, `from_pyspice` takes a user's SubCircuit as a
block of a chip. A chip as a file for a reader, which needs nothing of this house to run, is what
`netlists.dialects.pyspice_script` writes.

`to_pyspice` keeps the hierarchy: a block becomes a SubCircuit, an element an element. Only an
array goes over as text inside its subcircuit: PySpice takes about a hundred times longer for an
element than for a line. `from_pyspice` makes text of a user's SubCircuit and checks it.

PySpice is imported when a circuit is handed over, not with this module.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from compact_models.errors import InputError
from netlists.circuit import (
    BehaviouralCurrent,
    BehaviouralVoltage,
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
    Vcvs,
    VoltageSource,
)
from netlists.crossbar import Crossbar, CrossbarCells
from netlists.device_array import DeviceArray
from netlists.dialects.ngspice import render_items, render_shared
from netlists.foreign import check_block, check_role
from netlists.names import comment, number

# PySpice warns of nodes with the name of a Python keyword; `in` is what our inputs are called.
_NODE_LOG = "PySpice.Spice.Netlist.Node"


# What PySpice has no object for, or takes too long for.
_AS_TEXT = (
    Crossbar, CrossbarCells, DeviceArray, LibrarySection, ModelCard, PiecewiseVoltage,
    SegmentModel, Segments,
)  # fmt: skip


def pyspice_netlist() -> Any:
    """The module `PySpice.Spice.Netlist`, imported without its warnings."""
    with warnings.catch_warnings():
        # Docstrings of PySpice 1.5 have invalid escapes: Python warns when it compiles them first.
        warnings.simplefilter("ignore")
        return importlib.import_module("PySpice.Spice.Netlist")


def to_pyspice(circuit: Circuit) -> Any:
    """A circuit as a `PySpice.Spice.Netlist.Circuit`.

    Elements keep their names with the first letter in upper case, as PySpice has it (`rin` is
    `circuit.Rin`); nodes, subcircuits and parameters keep theirs. Comments are gathered at the
    top of their block, a user's own block and the cells and wires of an array are raw text.

    Args:
        circuit: any circuit; sources and analyses are PySpice's or the caller's business.

    Raises:
        InputError: an element has a name that does not say what it is.
    """
    netlist = pyspice_netlist()
    made = netlist.Circuit(comment(circuit.title))
    text = [f"* {comment(line)}" for line in circuit.header]
    text += render_shared(circuit.shared)
    with _quiet(_NODE_LOG):
        for block in circuit.subcircuits:
            if isinstance(block, ForeignSubcircuit):
                text += [f"* {comment(block.name)}: {comment(block.description)}"]
                text += block.text.strip().split("\n")
                continue
            part = netlist.SubCircuit(block.name, *block.ports, **_numbers(block.parameters))
            heading = [f"* {comment(block.description)}"] if block.description else []
            part.raw_spice = "\n".join([*heading, *_fill(part, block.items)])
            made.subcircuit(part)
        made.raw_spice = "\n".join([*text, *_fill(made, circuit.items)])
    return made


def _fill(netlist: Any, items: Sequence[Element]) -> list[str]:
    """Adds elements to a PySpice netlist; returns the lines of what PySpice has no object for."""
    lines: list[str] = []
    for item in items:
        if isinstance(item, Note):
            lines.append(f"* {comment(item.text)}")
        elif isinstance(item, Drawn):
            lines += _fill(netlist, item.items)
        elif isinstance(item, _AS_TEXT):
            lines += render_items((item,), "the circuit")
        else:
            _add(netlist, item)
    return lines


def _add(netlist: Any, item: Element) -> None:
    if isinstance(item, Resistor):
        netlist.R(_short(item.name, "r"), item.a, item.b, _value(item.resistance_ohm))
    elif isinstance(item, VoltageSource):
        netlist.V(_short(item.name, "v"), item.plus, item.minus, _value(item.dc_v))
    elif isinstance(item, Vcvs):
        nodes = (item.plus, item.minus, item.control_plus, item.control_minus)
        gain = _value(item.gain)
        netlist.VoltageControlledVoltageSource(_short(item.name, "e"), *nodes, voltage_gain=gain)
    elif isinstance(item, BehaviouralVoltage):
        netlist.B(_short(item.name, "b"), item.plus, item.minus, v=item.expression)
    elif isinstance(item, BehaviouralCurrent):
        netlist.B(_short(item.name, "b"), item.plus, item.minus, i=item.expression)
    elif isinstance(item, Instance):
        parameters = _numbers(item.parameters)
        netlist.X(_short(item.name, "x"), item.subcircuit, *item.nodes, **parameters)


def _short(name: str, letter: str) -> str:
    """An element's name without its letter, which PySpice puts there itself."""
    if not name.startswith(letter) or len(name) < 2:
        raise InputError(
            "PySpice cannot carry an element of this name",
            where=name,
            allowed=f"{letter!r} and more behind it",
        )
    return name[1:]


def _value(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(number(value))


def _numbers(parameters: Mapping[str, float]) -> dict[str, float | str]:
    return {name: _value(value) for name, value in parameters.items()}


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Drops what a logger has to say while the block runs."""

    def drop(_record: logging.LogRecord) -> bool:
        return False

    log = logging.getLogger(logger)
    log.addFilter(drop)
    try:
        yield
    finally:
        log.removeFilter(drop)


def from_pyspice(subcircuit: Any, *, role: str) -> ForeignSubcircuit:
    """A user's PySpice subcircuit as a block of a chip: `Hardware(blocks={role: block})`.

    Args:
        subcircuit: a PySpice `SubCircuit`, or a class of them that needs no arguments. Ports by
            role: cell (word line, bit line), tia (in, out), neuron (in, out). Parameters, given
            to PySpice with their defaults: a cell must have `g` [S]; a tia is set `rf` [ohm] and
            `vos` [V], a neuron `vos` [V], where it has them; others keep their defaults.
        role: `cell`, `tia` or `neuron`.

    Raises:
        InputError: this is no SubCircuit, or its ports, parameters or text do not fit the role;
            analyses, includes, libraries, control blocks and `.end` are refused.
    """
    check_role(role)
    made = _instance_of(subcircuit, role)
    name = str(made.name).lower()
    where = f"the user's {role} {name!r}"
    ports = tuple(str(port) for port in made.external_nodes)
    parameters = {
        str(key).lower(): _default(value, f"{where}: the parameter {key!r}")
        for key, value in made.parameters.items()
    }
    # PySpice writes a default with a unit as `1 kOhm`, which ngspice does not read: the first
    # line is written here, from the numbers.
    body = str(made).strip().split("\n")[1:]
    header = " ".join(
        [".subckt", name, *ports, *(f"{key}={number(value)}" for key, value in parameters.items())]
    )
    block = ForeignSubcircuit(
        name=name,
        ports=ports,
        text="\n".join([header, *(line.rstrip() for line in body)]),
        parameters=parameters,
        description=f"{role}: the user's own, from PySpice",
    )
    return check_block(role, block)


def _instance_of(subcircuit: Any, role: str) -> Any:
    base = pyspice_netlist().SubCircuit
    made = subcircuit
    if isinstance(subcircuit, type) and issubclass(subcircuit, base):
        try:
            with _quiet(_NODE_LOG):
                made = subcircuit()
        except TypeError as error:
            raise InputError(
                f"this class cannot be made without arguments ({error})",
                where=f"the user's {role} {subcircuit.__name__}",
                hint="give an instance instead of the class",
            ) from error
    if not isinstance(made, base):
        raise InputError(
            "this is no PySpice subcircuit",
            where=f"the user's {role}",
            value=made,
            allowed="an instance or a class of PySpice.Spice.Netlist.SubCircuit",
        )
    return made


def _default(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise InputError(
            "the default is not a number",
            where=where,
            value=value,
            allowed="numbers, with or without a PySpice unit",
            hint="write 10e3, not '10k'",
        ) from error
