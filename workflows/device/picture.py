"""Where a picture goes: the formats there are, refused before the work that leads to it."""

from __future__ import annotations

from pathlib import Path

from compact_models.errors import InputError, closest
from compact_models.files import check_place

FORMATS = (".png", ".svg", ".pdf")


def check_picture(path: Path, option: str) -> str:
    """Refuses a place or a format that a picture cannot have.

    Args:
        path: the file that is to be written.
        option: by which the user gave it.

    Returns:
        The format, such as `png`.

    Raises:
        InputError: the ending is not one of `FORMATS`, or no file can be written there.
    """
    if path.is_dir():  # said before the ending, which is not what is wrong with a folder
        check_place(path, option)
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InputError(
            "no such picture format",
            where=option,
            value=path.name,
            allowed=", ".join(FORMATS),
            hint=closest(suffix, FORMATS),
        )
    check_place(path, option)
    return suffix.lstrip(".")
