"""Where a user's own block may stand in a chip, and what its text may hold.

A block of the user is text that goes into the deck as it is. So it is read here first: it must be
one subcircuit with the ports and parameters of its role, and nothing in it may act outside it.
"""

from __future__ import annotations

from dataclasses import dataclass

from compact_models.errors import InputError, closest
from netlists.circuit import ForeignSubcircuit
from netlists.names import check_identifier, number


@dataclass(frozen=True)
class Role:
    """A place in a chip that a user's own block can take.

    Args:
        ports: what the two ports are, in order; the block may call them otherwise.
        required: parameters that it must have.
        optional: parameters that are set where it has them.
    """

    ports: tuple[str, str]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


ROLES = {
    "cell": Role(("wl", "bl"), required=("g",)),
    "tia": Role(("in", "out"), optional=("rf", "vos")),
    "neuron": Role(("in", "out"), optional=("vos",)),
}

# Everything else with a dot acts on the whole deck, reads a file or runs something.
_CARDS = (".subckt", ".ends", ".model", ".param", ".func")
_HINTS = {
    ".include": "put the models' text into the subcircuit itself",
    ".inc": "put the models' text into the subcircuit itself",
    ".lib": "put the models' text into the subcircuit itself",
    ".end": "the deck's end is written by spiceloop",
}


def check_role(role: str) -> Role:
    """The role of that name.

    Raises:
        InputError: there is none; the message lists those there are.
    """
    if role not in ROLES:
        raise InputError(
            "there is no such role for a block",
            where="role",
            value=role,
            allowed=", ".join(ROLES),
            hint=closest(role, ROLES),
        )
    return ROLES[role]


def check_block(role: str, block: ForeignSubcircuit, at: str = "") -> ForeignSubcircuit:
    """Returns `block` if it can take the place `role` in a chip.

    `at` is the file and the line where it is defined, for messages.

    Raises:
        InputError: its name, ports, parameters or text do not allow that.
    """
    place = check_role(role)
    where = f"the user's {role} {block.name!r}"
    check_identifier(block.name, f"the name of {where}")
    _check_ports(place, block.ports, f"{where}{f', {at}' if at else ''}")
    missing = [name for name in place.required if name not in block.parameters]
    if missing:
        raise InputError(
            f"the parameter {missing[0]!r} is missing",
            where=where,
            value=sorted(block.parameters),
            allowed=f"parameters {', '.join((*place.required, *place.optional))} and more",
            hint=_declaration(block, missing[0]),
        )
    for name, value in block.parameters.items():
        check_identifier(name, f"a parameter of {where}")
        if not isinstance(value, str):
            number(value)
    if block.files is None:  # otherwise `foreign_files` has read every line of them
        _check_text(block, where)
    return block


def _declaration(block: ForeignSubcircuit, parameter: str) -> str:
    """How a block's author declares a parameter, in the language that he wrote it in."""
    if block.files is None:
        return f"declare it with a default: SubCircuit(..., {parameter}=1e-6)"
    return (
        "declare it with a default and use it:"
        f" .subckt {block.name} {' '.join(block.ports)} {parameter}=1e-6"
    )


def _check_ports(place: Role, ports: tuple[str, ...], where: str) -> None:
    expected = f"2, in the order {', '.join(place.ports)}"
    low = [port.lower() for port in ports]
    if len(low) != 2 or len(set(low)) != 2:
        raise InputError("it must have two ports", where=where, value=ports, allowed=expected)
    if {"0", "gnd"} & set(low):
        raise InputError(
            "ground is no port: it is the same node everywhere",
            where=where,
            value=ports,
            allowed=expected,
        )
    if tuple(low) == place.ports[::-1]:
        raise InputError(
            "the ports stand in the wrong order", where=where, value=ports, allowed=expected
        )


def _check_text(block: ForeignSubcircuit, where: str) -> None:
    depth = 0
    closed = False
    for count, raw in enumerate(block.text.strip().split("\n"), start=1):
        line = raw.strip()
        place = f"{where}, line {count}"
        _check_characters(line, place)
        if not line or line.startswith("*"):
            continue
        card = line.split()[0].lower()
        if card.startswith(".") and card not in _CARDS:
            raise InputError(
                f"{card} has no place in a block",
                where=place,
                value=line,
                allowed=f"elements and {', '.join(_CARDS)}",
                hint=_HINTS.get(card, "analyses and options belong to the deck"),
            )
        if depth == 0 and (closed or card != ".subckt"):
            raise InputError(
                "the text must be one subcircuit and nothing beside it",
                where=place,
                value=line,
                allowed=f".subckt {block.name} ... .ends",
                hint="subcircuits that it uses belong inside it",
            )
        depth += {".subckt": 1, ".ends": -1}.get(card, 0)
        closed = depth == 0
    if not closed:
        raise InputError(".ends is missing", where=where, allowed=".subckt ... .ends, in pairs")
    _check_header(block, where)


def _check_characters(line: str, place: str) -> None:
    if line.startswith("*#"):
        raise InputError("ngspice runs what stands behind *# as a command", where=place, value=line)
    visible = line if not line.startswith("*") else ""
    if any(ord(c) < 32 and c != "\t" for c in line) or not visible.isascii():
        raise InputError(
            "there are characters that a netlist cannot hold",
            where=place,
            value=line,
            allowed="printable ASCII; anything in comments",
            hint="give values as plain numbers, without signs such as the ohm or the micro",
        )


def _check_header(block: ForeignSubcircuit, where: str) -> None:
    """Name and ports in the text must be those that the chip connects."""
    words: list[str] = []
    for raw in block.text.strip().split("\n"):
        line = raw.strip().lower()
        if line.startswith("*"):
            continue
        if words and not line.startswith("+"):
            break
        words += line.removeprefix("+").split()
    names = []
    for word in words[1:]:
        if "=" in word or word.startswith("params:"):
            break
        names.append(word)
    expected = [block.name, *(port.lower() for port in block.ports)]
    if names != expected:
        raise InputError(
            "the text begins otherwise than the block says",
            where=where,
            value=" ".join(names),
            allowed=" ".join(expected),
        )
