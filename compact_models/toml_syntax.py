"""What is wrong with a text that is no TOML: on which line, at which key, and what to write."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_HEADING = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*(?:(\w[\w-]*)|"(\w[\w-]*)"|'(\w[\w-]*)')\s*=\s*(.*)""", re.ASCII)
_COMMA = re.compile(r"([+-]?\d*),(\d+)((?:[eE][+-]?\d+)?)\s*(?:#.*)?")
_WITH_UNIT = re.compile(
    r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?:\s+|(?![eE]))[^\W\d_][\w/^*]*\s*(?:#.*)?"
)
_HALF = re.compile(r"(?=.*\d)([+-]?)(\d*)\.(\d*)((?:[eE][+-]?\d+)?)\s*(?:#.*)?")
# What tomllib says of a text that is not closed, by the kind of its quotation marks.
_NOT_CLOSED = (
    r"Illegal character '\n'",
    "Unterminated string",
    'Expected "\'"',
    "Expected \"'''\"",
)
_GROUP = 3  # digits between commas, where these make a large number easier to read
_MOST_READ = 1_000_000  # characters, all looks for the beginning together: under a second


@dataclass(frozen=True)
class Slip:
    """The first thing that keeps a text from being TOML.

    Attributes:
        line: on which it begins, from 1; None where that cannot be told.
        table: the heading above it; empty at the top.
        key: the key there; empty where there is none.
        what: what is wrong.
        value: what stands there.
        hint: what to do; empty where that depends on what the key may be.
    """

    line: int | None
    table: str
    key: str
    what: str
    value: str | None
    hint: str = ""

    def place(self, file: str) -> str:
        """Where it is: the file, the line and the key."""
        where = f"{file}:{self.line}" if self.line else file
        if self.key:
            where += f": {f'[{self.table}] ' if self.table else ''}{self.key}"
        return where


def find_slip(text: str, error: Exception) -> Slip:
    """What makes a text unreadable, by what `tomllib` says of it.

    Args:
        text: of the file.
        error: by which `tomllib.loads(text)` ended.
    """
    said = str(error)
    place = _PLACE.search(said)
    if place is None:  # a list in a list in a list ..., or an integer of 5,000 digits
        return Slip(None, "", "", f"not a TOML file ({said.partition(';')[0]})", None)
    lines = text.split("\n")
    number = _begins(lines, int(place[1]) if place[1] else len(lines))
    above = [found[1] for line in lines[: number - 1] if (found := _HEADING.match(line))]
    table, line = (above[-1] if above else ""), lines[number - 1]
    reason = said[: place.start()]
    heading = _HEADING.match(line)
    if heading is not None and reason.endswith("twice"):
        return Slip(
            number, "", "", f"the heading [{heading[1]}] stands there twice", None,
            "put all of its keys under one",
        )  # fmt: skip
    found = _KEY.match(line)
    if found is None:
        what = f"TOML cannot read this line ({reason[:1].lower()}{reason[1:]})"
        return Slip(number, table, "", what, line.strip(), "write key = value, or [table]")
    key, value = next(filter(None, found.groups()[:3])), found[4].strip()
    if "overwrite" in reason:
        what = f"the key {key!r} stands there twice"
        first = _first(lines[: number - 1], table, key)
        hint = f"leave out this one or that on line {first}" if first else "leave one of them out"
        return Slip(number, table, key, what, line.strip(), hint)
    what, hint = _of_value(key, value)
    if not what and reason in _NOT_CLOSED:
        what = "the text has no quotation mark at its end"
    what = what or f"TOML cannot read this value ({reason[:1].lower()}{reason[1:]})"
    return Slip(number, table, key, what, value or None, hint)


def _of_value(key: str, value: str) -> tuple[str, str]:
    """What is wrong with a value and what to write; empty where it is none of the usual slips."""
    if not value or value.startswith("#"):
        return "the value is missing", ""
    comma = _COMMA.fullmatch(value)
    if comma:
        whole, part, power = comma.groups()
        hint = f"write {key} = {whole if whole.strip('+-') else whole + '0'}.{part}{power}"
        if len(part) == _GROUP and whole.strip("+-0"):
            hint += f", or {whole}{part}{power} if it is in thousands"
        return "a number has a decimal point, not a comma", hint
    half = _HALF.fullmatch(value)
    if half and value[:1] not in "'\"":
        sign, whole, part, power = half.groups()
        hint = f"write {key} = {sign}{whole or '0'}.{part or '0'}{power}"
        return "a number has digits on both sides of its point", hint
    unit = _WITH_UNIT.fullmatch(value)
    if unit:
        return "a number stands alone, without its unit", f"write {key} = {unit[1]}"
    return "", ""


def _first(above: list[str], table: str, key: str) -> int | None:
    """The line, from 1, on which a key of a table was written first; None if that is not seen."""
    now = ""
    for number, line in enumerate(above, 1):
        heading, found = _HEADING.match(line), _KEY.match(line)
        now = heading[1] if heading else now
        if found and now == table and key in found.groups()[:3]:
            return number
    return None


def _begins(lines: list[str], noticed: int) -> int:
    """The line, from 1, with which the statement begins that is wrong by line `noticed`.

    A list or a text that nothing closes is noticed further down, at the end perhaps.
    """
    read = 0
    for before in range(min(noticed, len(lines)) - 1, -1, -1):
        above = "\n".join(lines[:before])
        read += len(above)
        if read > _MOST_READ:
            break
        try:
            tomllib.loads(above)
        except (ValueError, RecursionError):
            continue
        return before + 1
    return min(noticed, len(lines))
