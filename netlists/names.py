"""Names, numbers and comments that are safe inside a netlist.

Whatever comes from a user (the attribute names of a module, a file name, a class label) passes
through here before it reaches a deck, so that it can never become a card of its own.
"""

from __future__ import annotations

import math
import re
import unicodedata

from compact_models.errors import InputError

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*\Z")


def identifier(text: str) -> str:
    """A netlist name made of `text`: lower case letters, digits and underscores, letter first.

    SPICE folds case and gives meaning to dots, colons, braces and white space.
    """
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower().encode("ascii", "replace").decode()).strip("_")
    if not name or not name[0].isalpha():
        name = f"n_{name}" if name else "unnamed"
    return name[:64].rstrip("_")


def check_identifier(name: str, where: str) -> str:
    """Returns `name` if it is a netlist name already.

    Raises:
        InputError: it is not; nothing is guessed.
    """
    if not _IDENTIFIER.match(name):
        raise InputError(
            "not a netlist name",
            where=where,
            value=name,
            allowed="lower-case letters, digits and underscores, a letter first",
        )
    return name


def number(value: float) -> str:
    """`value` as a plain exponent that reads back as the same double: never `1M`, which is milli.

    Raises:
        InputError: the value is NaN or infinite.
    """
    value = float(value)
    if not math.isfinite(value):
        raise InputError("a netlist cannot hold this number", value=value, allowed="finite numbers")
    return repr(value)


_UNPRINTABLE = re.compile("[^ -~]")


def comment(text: str) -> str:
    """`text` on one line of printable ASCII, so that it stays behind its comment sign."""
    line = " ".join(str(text).split())
    return _UNPRINTABLE.sub("?", line)


_SPELLED = {
    "\u00b5": "u", "\u03bc": "u", "\u03a9": "Ohm", "\u2126": "Ohm", "\u00b0": "deg",
    "\u00df": "ss", "\u00b1": "+-", "\u00d7": "x", "\u2013": "-", "\u2014": "-",
}  # fmt: skip


def in_ascii(text: str) -> str:
    """`text` in printable ASCII: letters without their accents, signs of units spelled.

    What has no such spelling becomes `?`, a tab a blank.
    """
    spelled = "".join(_SPELLED.get(c, c) for c in text.replace("\t", " "))
    plain = (c for c in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(c))
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in plain)
