"""Text files with cells between separators: what is in them, and what is said of others."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from compact_models.errors import InputError

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}


def csv_text(path: Path, what: str) -> str:
    """What is in the file, without the mark that spreadsheets put before it."""
    if path.is_dir():
        raise InputError(
            f"this is a folder, the {what} is a CSV file", where=str(path), hint="name a file in it"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("no such file", where=str(path)) from error
    except OSError as error:
        raise InputError(
            f"the {what} cannot be read ({error.strerror})", where=str(path)
        ) from error
    binary = data.find(0)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        binary = error.start if binary < 0 else min(binary, error.start)
        text = ""
    if binary >= 0:
        line = data.count(b"\n", 0, binary) + 1
        raise InputError(
            f"the {what} is no text in UTF-8",
            where=f"{path}:{line}",
            value=data[binary : binary + 4],
            hint="save it as CSV with commas, in UTF-8",
        )
    return text


def csv_lines(
    text: str, path: Path, what: str, separator: str = ",", before: int = 0
) -> list[tuple[int, list[str]]]:
    """The number and the cells of every line that has any; lines that start with # have none.

    Args:
        text: of the file, or what stands in it after some lines.
        path: the file, for messages.
        what: what it is to the user.
        separator: between the cells.
        before: how many lines stand before the text.

    Raises:
        InputError: it is no CSV; the message names the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        rows = [(before + reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(
            f"the {what} is no CSV file ({error})", where=f"{path}:{before + reader.line_num}"
        ) from error
    return [
        (number, row)
        for number, row in rows
        if any(cell.strip() for cell in row) and not row[0].lstrip().startswith("#")
    ]


def check_separator(where: str, heading: Sequence[str]) -> None:
    """Refuses a heading of one name that other separators would make several of."""
    found = [one for one in _SEPARATORS if one in heading[0]]
    if len(heading) == 1 and found:
        raise InputError(
            f"columns must be separated by commas, not by {_SEPARATORS[found[0]]}",
            where=where,
            value=heading[0],
            hint="save the file as CSV with commas, and numbers with a decimal point",
        )
