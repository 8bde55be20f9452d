"""Which switches of a kit's statistics are on, in files that draw devices at every start.

A kit multiplies what it draws by a parameter of 0 or 1. Of several assignments to one parameter the
last counts, in the order in which the deck brings files in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from netlists.circuit import SourceFiles
from netlists.foreign_cards import INCLUDES, spice_number
from netlists.foreign_lines import lines_of

_RANDOM = re.compile(r"\b(?:a?gauss|a?unif|limit)\s*\(")
_ASSIGNED = re.compile(r"([a-z_]\w*)\s*=(?!=)\s*('[^']*'|\{[^}]*\}|\"[^\"]*\"|[^\s=]+)")
_NAME = re.compile(r"(?<![\w.])[a-z_]\w*(?!\s*\()\b")
_EXPONENT = re.compile(r"(\d\.?)e[+-]")
# How kits call them: sw_stat_mismatch, mc_mm_switch. Other factors of 1 scale what is nominal.
_SWITCH = re.compile(r"(?:\A|_)(?:sw|switch|stat|statistics|mc|mm|mismatch|monte)(?:_|\Z)")
_COMMENT = re.compile(r"\s[;$].*")
_BRINGS = re.compile(r"""\s*\.(?:inc\w*|lib)\s+(?:"([^"]+)"|'([^']+)'|(\S+))""", re.IGNORECASE)


@dataclass(frozen=True)
class Switch:
    """A parameter of 1 that lets random numbers through.

    Args:
        name: of it.
        place: file and line where it is set last.
        off_before: file and line where it was set to 0 before that; empty where nowhere.
    """

    name: str
    place: str
    off_before: str = ""


def switches_on(files: SourceFiles) -> list[Switch]:
    """The switches of a block's files that are on, in the order in which they are set.

    They are guessed: factors of 0 or 1 of something that is drawn, those that are called like a
    switch where there are any.
    """
    set_to: dict[str, list[tuple[float, str]]] = {}
    expressions: list[tuple[str, str]] = []  # what is assigned to a name
    for file in _in_order(files):
        inside = 0
        for line in lines_of(files.texts[file], file):
            card = _COMMENT.sub("", line.card.lower())
            first = card.split(maxsplit=1)[0]
            inside += {".subckt": 1, ".ends": -1}.get(first, 0)
            for name, text in _ASSIGNED.findall(card):
                value = spice_number(text.strip("'\"{} "))
                if not isinstance(value, float):
                    expressions.append((name, text))
                elif inside == 0 and first in (".param", ".params"):
                    place = f"{file}, line {line.number}"
                    set_to.setdefault(name, []).append((value, place))
    random = _random_names(expressions)
    on = []
    for name, values in set_to.items():
        two_way = {value for value, _ in values} <= {0.0, 1.0}
        if two_way and values[-1][0] == 1.0 and _lets_through(name, expressions, random):
            off = [place for value, place in values if value == 0.0]
            on.append(Switch(name, values[-1][1], off[-1] if off else ""))
    return [one for one in on if _SWITCH.search(one.name)] or on


def _in_order(files: SourceFiles) -> Iterator[str]:
    """Names of files as ngspice comes to them, each once."""
    seen: set[str] = set()

    def visit(name: str, texts: Mapping[str, str]) -> Iterator[str]:
        if name in seen or name not in texts:
            return
        seen.add(name)
        for line in texts[name].splitlines():
            brought = _BRINGS.match(line)
            if brought and line.split()[0].lower() in (*INCLUDES, ".lib"):
                yield from visit(next(part for part in brought.groups() if part), texts)
        yield name

    for card in files.cards:
        brought = _BRINGS.match(card)
        if brought:
            yield from visit(next(part for part in brought.groups() if part), files.texts)


def _random_names(expressions: list[tuple[str, str]]) -> set[str]:
    """Names whose value is drawn, or made of such."""
    found = {name for name, text in expressions if _RANDOM.search(text)}
    while True:
        more = {
            name
            for name, text in expressions
            if name not in found and not found.isdisjoint(_NAME.findall(text))
        }
        if not more:
            return found
        found |= more


def _lets_through(name: str, expressions: list[tuple[str, str]], random: set[str]) -> bool:
    """Something drawn stands in a term with it."""
    drawn = random - {name}
    return any(
        name in (names := set(_NAME.findall(term)))
        and (_RANDOM.search(term) is not None or not drawn.isdisjoint(names))
        for _, text in expressions
        if name in text
        for term in _terms(text.strip("'\"{}"))
    )


def _terms(text: str) -> Iterator[str]:
    """What is added up in an expression, parentheses whole."""
    depth, term = 0, ""
    for character in _EXPONENT.sub(r"\1e", text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character in "+-" and depth == 0:
            yield term
            term = ""
        else:
            term += character
    yield term
