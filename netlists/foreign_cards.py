"""What a card of a user's SPICE file says, and whether it only describes a circuit.

Nothing may run a command, start a program, read a file that would be left behind or act on the rest
of the deck.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from compact_models.errors import InputError
from netlists.foreign_lines import Line

_CARDS = (
    ".subckt", ".ends", ".model", ".param", ".params", ".func", ".global", ".nodeset",
    ".if", ".elseif", ".else", ".endif", ".lib", ".endl", ".include", ".inc", ".incl",
    ".option", ".options", ".temp",
)  # fmt: skip
INCLUDES = (".include", ".inc", ".incl")
# What changes the devices of a library and not the accuracy of the deck.
_OPTIONS = ("scale", "tnom", "temp", "parser")  # the last is for another simulator
_CONTROL = (".control", ".endc", ".exec", ".shell", "shell", "system")
# Code models of ngspice that start a program, and those that read a file which would be left behind
_PROGRAMS = ("d_process", "d_cosim")
_READERS = ("filesource", "d_source", "d_state", "table2d", "table3d")
# Parameters of the whole deck that our blocks and `design_deck` name: a second value would win.
OURS = ("r_wordline", "r_bitline", "r_driver", "v_read", "v_rail", "open_loop_gain")
_ASSIGNMENT = re.compile(r"\s*=\s*")


def check_card(line: Line, where: str, inside: int) -> None:
    """Holds that a card only describes a circuit.

    Args:
        line: the card.
        where: file and line, for messages.
        inside: how many subcircuits it stands in.

    Raises:
        InputError: it does something else.
    """
    words = line.card.split()
    first = words[0].lower()
    if first in _CONTROL or not (first[0].isalpha() or first[0] == "."):
        raise InputError("a block cannot run commands", where=where, value=line.card)
    if first.startswith(".") and first not in _CARDS:
        raise InputError(
            f"{first} has no place in a block",
            where=where,
            value=line.card,
            allowed=f"elements and {', '.join(_CARDS)}",
            hint="analyses and outputs belong to the deck",
        )
    if first[0].isalpha() and inside == 0:
        raise InputError(
            "an element outside of a subcircuit would stand beside the whole chip",
            where=where,
            value=line.card,
            hint="put it between .subckt and .ends",
        )
    if first in (".param", ".params") and inside == 0:
        for name in re.findall(r"([A-Za-z_]\w*)\s*=(?!=)", line.card):
            if name.lower() in OURS:
                raise InputError(
                    "the deck has a parameter of this name for all of its blocks",
                    where=where,
                    value=name,
                    hint="give it another name, or put it inside the subcircuit",
                )
    if first in (".option", ".options"):
        for word in _ASSIGNMENT.sub("=", line.card).split()[1:]:
            if word.partition("=")[0].lower() not in _OPTIONS:
                raise InputError(
                    "this option would change how the whole deck is solved",
                    where=where,
                    value=word,
                    allowed=", ".join(_OPTIONS),
                )
    if first == ".model" and len(words) > 2:
        kind = words[2].partition("(")[0].lower()
        if kind in (*_PROGRAMS, *_READERS):
            does = "starts a program" if kind in _PROGRAMS else "reads a file of its own"
            raise InputError(f"the model {kind} {does}", where=where, value=line.card)


def target_of(line: Line, where: str, more: int) -> list[str]:
    """What an `.include` or `.lib` card names: the file, and `more` words behind it.

    Raises:
        InputError: it names something else.
    """
    rest = re.split(r"\s[;$]", line.card.split(maxsplit=1)[-1], maxsplit=1)[0].strip()
    quoted = re.fullmatch(r"""(?:"([^"]+)"|'([^']+)'|([^\s"']+))((?:\s+[^\s"']+)*)""", rest)
    words = [] if quoted is None else quoted[4].split()
    if quoted is None or len(line.card.split()) < 2 or len(words) != more or len(line.raw) > 1:
        raise InputError(
            "this names no file",
            where=where,
            value=line.card,
            allowed='.include "file" or .lib "file" section, on one line',
        )
    return [next(part for part in quoted.groups()[:3] if part), *words]


def header_of(words: Sequence[str]) -> tuple[tuple[str, ...], dict[str, float | str]]:
    """Ports and parameters of a `.subckt` line, behind its name."""
    text = _ASSIGNMENT.sub("=", re.split(r"\s[;$]", f" {' '.join(words)}", maxsplit=1)[0])
    # Expressions in braces or quotes may hold white space.
    parts = re.findall(r"""[^\s="'{}]+=(?:\{[^}]*\}|'[^']*'|"[^"]*"|\S+)|\S+""", text)
    ports = [part.lower() for part in parts if "=" not in part and part.lower() != "params:"]
    assigned = dict(part.split("=", maxsplit=1) for part in parts if "=" in part)
    return tuple(ports), {
        name.lower().removeprefix("params:"): spice_number(value)
        for name, value in assigned.items()
    }


_NUMBER = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(t|g|meg|k|mil|m|u|n|p|f|a)?[a-z]*\Z"
)
_SUFFIX = {
    "": 1.0, "t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "mil": 25.4e-6, "m": 1e-3, "u": 1e-6,
    "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18,
}  # fmt: skip


def spice_number(text: str) -> float | str:
    """A number as SPICE writes it (`10k`, `2meg`, `1e-6`), or the text of an expression."""
    found = _NUMBER.match(text.strip().lower())
    return float(found[1]) * _SUFFIX[found[2] or ""] if found else text
