"""Text of Python: literals, arguments and calls within the width of a line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from netlists.counting import Pattern, run_length

WIDTH = 100
LOOP = 3  # so many names that count up are one argument, so many elements a loop


def f_string(found: Pattern) -> str:
    """A pattern as a literal of Python."""
    if found.constant:
        return json.dumps(found.text(0))
    parts = []
    for part in found.parts:
        if isinstance(part, str):
            parts.append(json.dumps(part)[1:-1].replace("{", "{{").replace("}", "}}"))
        else:
            first, step = part
            times = "k" if step == 1 else f"{step} * k"
            parts.append(f"{{{times} + {first}}}" if first else f"{{{times}}}")
    return f'f"{"".join(parts)}"'


def names_as_arguments(names: Sequence[str]) -> list[str]:
    """Names as arguments: what counts up in one."""
    made, start = [], 0
    while start < len(names):
        length, (found,) = run_length([(name,) for name in names[start:]])
        counted = found.names()
        if length >= LOOP and counted is not None:
            stem, first = counted
            made.append(f"*numbered({json.dumps(stem)}, {length}{f', {first}' if first else ''})")
        elif length >= LOOP and not found.constant:
            made.append(f"*({f_string(found)} for k in range({length}))")
        else:
            made.append(json.dumps(names[start]))
            length = 1
        start += length
    return made


def patterns_as_arguments(found: Sequence[Pattern]) -> list[str]:
    """Patterns as arguments; what counts up among constant ones in one."""
    if all(one.constant for one in found):
        return names_as_arguments([one.text(0) for one in found])
    return [f_string(one) for one in found]


def call_text(head: str, arguments: Sequence[str], indent: int) -> str:
    """A call, indented by so many blanks."""
    return filled(f"{' ' * indent}{head}(", arguments, ")", indent + 4)


def filled(head: str, parts: Sequence[str], tail: str, indent: int) -> str:
    """Parts with commas between them, on one line or on as few as hold them."""
    line = f"{head}{', '.join(parts)}{tail}"
    if len(line) <= WIDTH:
        return line
    lines = [" " * indent]
    for part in parts:
        for piece in _pieces(part, WIDTH - indent - 1):
            if lines[-1].strip() and len(lines[-1]) + len(piece) + 2 > WIDTH:
                lines[-1] = lines[-1].rstrip()
                lines.append(" " * indent)
            lines[-1] += piece
        lines[-1] += ", "
    lines[-1] = lines[-1].rstrip()
    return "\n".join([head, *lines, f"{' ' * (indent - 4)}{tail}"])


_ATOM = re.compile(r"\{\{|\}\}|\{[^{}]*\}|\\.|[^{}\\]?[^{}\\ ,*+]*[ ,*+]?|.")


def _pieces(argument: str, width: int) -> list[str]:
    """A long text as several literals one behind the other; anything else as it is."""
    match = re.fullmatch(r'((?:\w+=)?)(f?)"(.*)"', argument)
    if len(argument) <= width or match is None:
        return [argument]
    key, kind, text = match.groups()
    lines = [""]
    for atom in _ATOM.findall(text):
        if lines[-1] and len(lines[-1]) + len(atom) > width - len(key) - 6:
            lines.append("")
        lines[-1] += atom
    literals = [f'{kind}"{line}"' for line in lines]
    return [f"{key}{literals[0]} ", *(f"{one} " for one in literals[1:-1]), literals[-1]]
