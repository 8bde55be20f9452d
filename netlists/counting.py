"""Texts that count up: many names that differ in their numbers as one pattern of k.

`wl_0_0, wl_0_1, wl_0_2` are `wl_0_{k}`; `V(v_0_1)-V(v_0_0), V(v_0_3)-V(v_0_2)` are
`V(v_0_{2 * k + 1})-V(v_0_{2 * k})`. So a script has a loop where a netlist has a thousand lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Pattern:
    """Texts that are functions of k.

    Attributes:
        parts: what stands one behind the other: a text as it is, or (first, step) of a number,
            which is first + step k.
    """

    parts: tuple[str | tuple[int, int], ...]

    def text(self, k: int) -> str:
        """The text of one k."""
        return "".join(
            part if isinstance(part, str) else str(part[0] + part[1] * k) for part in self.parts
        )

    @property
    def constant(self) -> bool:
        """It is the same text for every k."""
        return all(isinstance(part, str) for part in self.parts)

    def names(self) -> tuple[str, int] | None:
        """(name, first) where it is `name_<first + k>`; None where it is anything else."""
        match self.parts:
            case (str(name), (int(first), 1)) if name.endswith("_"):
                return name[:-1], first
        return None


def pattern(first: str, second: str) -> Pattern | None:
    """The pattern of the texts of k = 0 and 1; None if they differ in more than numbers."""
    ours, theirs = _NUMBER.split(first), _NUMBER.split(second)
    if len(ours) != len(theirs) or ours[::2] != theirs[::2]:
        return None
    parts: list[str | tuple[int, int]] = []
    for k, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if k % 2 and one != other:
            parts.append((int(one), int(other) - int(one)))
        elif parts and isinstance(parts[-1], str):
            parts[-1] += one
        else:
            parts.append(one)
    found = Pattern(tuple(part for part in parts if part != ""))
    # A number with zeros before it, the fraction of 0.05 say, does not count up.
    return found if (found.text(0), found.text(1)) == (first, second) else None


def run_length(texts: Sequence[Sequence[str]]) -> tuple[int, tuple[Pattern, ...]]:
    """How many of these tuples of texts, from the first on, count up together; and their patterns.

    Args:
        texts: at least one tuple; all are of one length.
    """
    made = [pattern(*pair) for pair in zip(texts[0], texts[min(1, len(texts) - 1)], strict=True)]
    found = tuple(one for one in made if one is not None)
    if len(texts) == 1 or len(found) < len(made):
        return 1, tuple(Pattern((text,)) for text in texts[0])
    for k, own in enumerate(texts):
        if any(one.text(k) != text for one, text in zip(found, own, strict=True)):
            return k, found
    return len(texts), found
