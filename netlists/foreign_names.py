"""Names in the expressions of a user's block: each must be a parameter that is declared somewhere.

ngspice says of a name that it does not know only which line of its expanded deck it stood in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# `name=` of a `.param`, a `.subckt` or a call. Where in the files it stands is not asked.
_DECLARED = re.compile(r"([a-z_]\w*)\s*=(?!=)")
_FUNCTION = re.compile(r"\s*\.func\s+\S+?\s*\(([^)]*)\)")
_EXPRESSION = re.compile(r"\{([^}]*)\}")
# Node voltages and currents through elements; their arguments are no parameters.
_SIGNAL = re.compile(r"\b[vi]\s*\([^)]*\)|@\w+\[\w+\]")
_NAME = re.compile(r"(?<![\w.#])[a-z_][\w.]*(?!\s*\()\b")
# What ngspice knows by itself.
_KNOWN = frozenset(
    (
        "temper", "time", "hertz", "temp", "tnom", "pi", "e", "c", "i", "kelvin", "echarge",
        "boltz", "planck", "yes", "no", "true", "false", "vt",
    )
)  # fmt: skip
_FUNCTION_VALUE = re.compile(r"[a-z_]\w*\s*\([^()]*\)\s*=(?!=)")
_COMMENT = re.compile(r"\s[;$].*")


def declared(cards: Iterable[str]) -> frozenset[str]:
    """All names in lower case that these cards give a value, and arguments of functions."""
    found: set[str] = set()
    for card in cards:
        low = card.lower()
        found.update(_DECLARED.findall(low))
        function = _FUNCTION.match(low)
        if function:
            found.update(name.strip() for name in function[1].split(","))
    return frozenset(found)


def unknown_in_values(card: str, names: frozenset[str]) -> Iterator[str]:
    """Names in the values of a `.param` card that nobody declares, in lower case, in order."""
    text = _COMMENT.sub("", card.lower()).partition(".param")[2].removeprefix("s")
    if _FUNCTION_VALUE.search(text):  # its arguments are names of its own
        return
    for name in _NAME.findall(_SIGNAL.sub(" ", _DECLARED.sub(" ", text))):
        if name not in names and name not in _KNOWN:
            yield name


def unknown(card: str, names: frozenset[str]) -> Iterator[str]:
    """Names in the braces of a card that nobody declares, in lower case, in order."""
    for expression in _EXPRESSION.findall(_COMMENT.sub("", card.lower())):
        for name in _NAME.findall(_SIGNAL.sub(" ", expression)):
            if name not in names and name not in _KNOWN:
                yield name
