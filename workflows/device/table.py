"""Text for a terminal: columns, and lines that are no longer than it is wide."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

_WIDTH = 100  # of a file or a pipe
_LEAST = 40


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """One line a row, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def line_width() -> int:
    """How many characters a line on stdout may have: those of the terminal, if it is one."""
    if not sys.stdout.isatty():
        return _WIDTH
    return max(_LEAST, shutil.get_terminal_size((_WIDTH, 24)).columns)


def wrapped(text: str, width: int, *, indent: int = 0) -> list[str]:
    """The lines of a text, all but the first indented further; no word (a DOI, say) is broken."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )
