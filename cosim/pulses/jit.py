"""Loops over cells as machine code by numba: no compiler of the user's is needed.

What was compiled once is kept in the cache of `compact_models.files.cache_folder`, by the text of
this folder and of the function's own file: numba by itself writes beside the source, and does not
see that a function which it took into another one has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile

from compact_models.files import cache_folder

F = TypeVar("F", bound=Callable[..., Any])


def part(function: F) -> F:
    """A function that is taken into the loops which call it."""
    return cast(F, numba.njit(forceinline=True, error_model="numpy")(function))


def loop(function: F) -> F:
    """A loop that is called from Python; other threads run meanwhile. It divides as numpy does."""
    made = cast(F, numba.njit(nogil=True, error_model="numpy")(function))
    keep(made, "")
    return made


def sums(function: F) -> F:
    """A loop whose sums may be taken in any order, so that the processor takes many terms at once.

    They are the same whenever they are taken again on one machine.
    """
    made = cast(F, numba.njit(nogil=True, error_model="numpy", fastmath={"reassoc"})(function))
    keep(made, "")
    return made


def part_with(function: F, **parts: Any) -> F:
    """A part like `function` in which some global names stand for other parts."""
    return part(_with(function, parts))


def loop_with(function: F, text: str, **parts: Any) -> F:
    """A loop like `function` in which some global names stand for other parts.

    Args:
        function: plain Python.
        text: says what the parts do, for the cache.
        parts: by name.
    """
    made = cast(F, numba.njit(nogil=True, error_model="numpy")(_with(function, parts)))
    keep(made, text)
    return made


def _with(function: F, parts: Mapping[str, Any]) -> F:
    if not isinstance(function, FunctionType):
        raise TypeError(function)
    own = FunctionType(function.__code__, {**function.__globals__, **parts}, function.__name__)
    return cast(F, own)


def keep(made: Any, text: str) -> None:
    """Lets what `made` is compiled to be kept; without a cache that can be written it is not.

    Args:
        made: from numba, with nothing compiled yet.
        text: what it depends on beside these files.
    """
    folder = cache_folder() / "loops"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return
    except OSError:
        return
    made._cache = _Kept(made.py_func, folder, text)


@cache
def _stamp() -> str:
    """A digest of the files of this folder."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


class _Place:
    """Where one function is kept: what numba calls a locator."""

    def __init__(self, folder: Path, file: str) -> None:
        self.folder, self._py_file = folder, file

    def get_cache_path(self) -> str:
        return str(self.folder)

    def get_source_stamp(self) -> str:
        return _stamp()

    def ensure_cache_path(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)


class _Kept(FunctionCache):
    """numba's own cache of a function at another place."""

    def __init__(self, function: FunctionType, folder: Path, text: str) -> None:
        own = Path(function.__code__.co_filename).read_text(encoding="utf-8")
        digest = hashlib.sha256(f"{_stamp()}{own}{text}".encode()).hexdigest()[:16]
        base = f"{function.__name__}-{digest}.{sys.implementation.cache_tag}"
        self._name, self._py_func = repr(function), function
        self._impl = _Impl(_Place(folder, function.__code__.co_filename), function, base)
        self._cache_path = str(folder)
        self._cache_file = IndexDataCacheFile(
            cache_path=str(folder), filename_base=base, source_stamp=_stamp()
        )
        self._enabled = True

    def load_overload(self, *arguments: Any) -> Any:
        """What is kept; None where nothing is, or where it cannot be read: it is made anew then."""
        try:
            return super().load_overload(*arguments)  # type: ignore[no-untyped-call]
        except Exception:  # whatever a broken pickle raises
            with contextlib.suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]
            return None

    def save_overload(self, *arguments: Any) -> None:
        """Keeps what was compiled; a full disk costs the next process its time, no more."""
        with contextlib.suppress(OSError):
            super().save_overload(*arguments)  # type: ignore[no-untyped-call]


class _Impl(CompileResultCacheImpl):
    """How what was compiled is written and read, as numba does it."""

    def __init__(self, place: _Place, function: FunctionType, base: str) -> None:
        self._locator, self._filename_base = place, base
        self._lineno = function.__code__.co_firstlineno
