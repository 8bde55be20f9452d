"""The error that a user sees: what is wrong, where, the value, what is allowed, what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self


class InputError(ValueError):
    """Something that the user gave cannot be used.

    The command line prints it as one sentence and exits with code 2; in a script it is an
    ordinary ValueError.

    Args:
        what: what is wrong, as a sentence without its full stop.
        where: the file, key, array or hierarchy path in which it was found.
        value: the offending value, shown by `repr` and shortened.
        allowed: the allowed range or the list of choices, in words.
        hint: the next action.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        value: object = None,
        allowed: str = "",
        hint: str = "",
    ) -> None:
        self.what = what
        self.where = where
        self.value = value
        self.allowed = allowed
        self.hint = hint
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """The whole error on one line."""
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.value is not None:
            parts.append(f"got {_shorten(repr(self.value))}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.hint:
            parts.append(self.hint)
        return "; ".join(" ".join(part.split()) for part in parts)

    def within(self, place: str) -> Self:
        """The same error, with the file or line that it was found in before its place."""
        return type(self)(
            self.what,
            where=f"{place}: {self.where}" if self.where else place,
            value=self.value,
            allowed=self.allowed,
            hint=self.hint,
        )

    def at(self, place: str) -> Self:
        """The same error, found in another place: a key, say, that its finder did not know of."""
        return type(self)(
            self.what, where=place, value=self.value, allowed=self.allowed, hint=self.hint
        )


def closest(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or an empty string.

    Args:
        word: what the user wrote.
        known: the words that would have been right.
    """
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""


def _shorten(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
