"""The lines of a user's SPICE file: continued ones together, comments with what follows them.

Nothing in a comment, and no character, may make ngspice do something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compact_models.errors import InputError
from netlists.names import in_ascii

_DECORATION = re.compile(r"\*[*#=\-_ ]*\Z")
_LARGEST_BYTES = 500_000_000


@dataclass(frozen=True)
class Line:
    """A line with the comments before it and what continues it, and all of it as one card."""

    number: int
    comments: tuple[str, ...]
    raw: tuple[str, ...]
    card: str


def text_of(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: it cannot be read, or is larger than any netlist.
    """
    try:
        if path.is_file() and path.stat().st_size > _LARGEST_BYTES:
            raise InputError(
                "this file is too large for a netlist",
                where=str(path),
                value=f"{path.stat().st_size} bytes",
                allowed=f"up to {_LARGEST_BYTES}",
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"this file cannot be read ({reason})", where=str(path)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # As Windows writes it; only comments may hold such characters.
        text = data.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def lines_of(text: str, where: str) -> Iterator[Line]:
    """The lines of a file, continuation lines with the line they belong to.

    Args:
        text: of the file.
        where: its name, for messages.

    Raises:
        InputError: ngspice would run a comment, or a netlist cannot hold a character.
    """
    number = 0
    raw: list[str] = []
    before: list[str] = []
    after: list[str] = []
    for count, line in enumerate(text.split("\n"), start=1):
        bare = line.strip()
        if not bare or bare[0] in "*$;" or bare.startswith("//"):
            after.append(_comment(bare, f"{where}, line {count}"))
            continue
        _check_characters(line, f"{where}, line {count}")
        if bare[0] == "+" and raw:
            raw += [*after, line]
            after = []
            continue
        if raw:
            yield _line(number, before, raw)
        number, raw, before, after = count, [line], after, []
    if raw:
        yield _line(number, before, raw)


def _line(number: int, before: list[str], raw: list[str]) -> Line:
    parts = (part.strip().removeprefix("+") for part in raw if not part.startswith("*"))
    return Line(number, tuple(before), tuple(raw), " ".join(parts))


def _comment(bare: str, where: str) -> str:
    """A comment, or an empty line, as it may stand in a copy."""
    text = in_ascii(bare)  # before it is judged: a wide # becomes one
    if text.startswith("*#") and _DECORATION.match(text):
        return f"* {text[1:]}"
    if text.startswith("*#") or text.lower().startswith("*ng_script"):
        raise InputError(
            "ngspice runs what stands behind *# as a command",
            where=where,
            value=bare,
            hint="begin the comment with '* #' if it is one",
        )
    return text if not text or text.startswith("*") else f"* {text}"


def _check_characters(line: str, where: str) -> None:
    if line.isascii() and line.isprintable() and "`" not in line and "\\" not in line:
        return
    visible = re.split(r"[;$]", line, maxsplit=1)[0]
    if any(ord(c) < 32 and c != "\t" for c in line) or not visible.isascii():
        raise InputError(
            "there are characters that a netlist cannot hold",
            where=where,
            value=line,
            allowed="printable ASCII; anything in comments",
            hint="give values as plain numbers, without signs such as the ohm or the micro",
        )
    if "`" in visible or visible.rstrip().endswith("\\"):
        raise InputError(
            "a backquote or a backslash at the end has no place in a block",
            where=where,
            value=line,
            hint="continue a line with + at the beginning of the next",
        )
