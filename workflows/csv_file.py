"""Text files with cells between separators: what is in them, and what is said of others."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compact_models.errors import InputError, closest

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}


@dataclass(frozen=True)
class FileText:
    """What a text file says.

    Attributes:
        text: without the mark that some programs put before it.
        encoding: by which its bytes were read: UTF-8, UTF-16 or cp1252.
    """

    text: str
    encoding: str

    def read_as(self) -> str:
        """In words, how it was read; empty where nothing had to be assumed."""
        return {
            "UTF-8": "",
            "UTF-16": "read as UTF-16, as its first bytes say",
            "cp1252": "read as cp1252 (Latin-1), for it is no UTF-8",
        }[self.encoding]


def csv_text(path: Path, what: str) -> FileText:
    """What is in the file: in UTF-8; in UTF-16 where its mark says so; else in cp1252.

    Instruments write micro and umlauts in the code page of an office machine, of which Latin-1 is
    a part. Any byte but five is a letter there, so that it is the last that is tried, and said.

    Raises:
        InputError: it cannot be read, or is no text; the message names the line.
    """
    if path.is_dir():
        raise InputError(
            f"this is a folder, the {what} is a CSV file", where=str(path), hint="name a file in it"
        )
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        beside = [one.name for one in path.parent.glob("*.csv")]
        raise InputError(
            f"there is no such {what}", where=str(path), hint=closest(path.name, beside)
        ) from error
    except OSError as error:
        raise InputError(
            f"the {what} cannot be read ({error.strerror})", where=str(path)
        ) from error
    found = _decoded(data)
    if isinstance(found, FileText):
        return found
    line = data.count(b"\n", 0, found) + 1
    raise InputError(
        f"the {what} is no text",
        where=f"{path}:{line}",
        value=data[found : found + 4],
        hint="save it as CSV with commas, in UTF-8",
    )


def _decoded(data: bytes) -> FileText | int:
    """The text, or where the first byte is that stands in none."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            return error.start
        return FileText(text, "UTF-16") if "\0" not in text else 2 + 2 * text.index("\0")
    if b"\0" in data:
        return data.index(b"\0")
    try:
        return FileText(data.decode("utf-8-sig"), "UTF-8")
    except UnicodeDecodeError:
        pass
    try:
        return FileText(data.decode("cp1252"), "cp1252")
    except UnicodeDecodeError as error:
        return error.start


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
