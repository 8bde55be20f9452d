"""Arrays from .npz files of anybody's: nothing in them is ever executed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError

Array = NDArray[np.float64]


def read_npz(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays of an .npz file; nothing in it is ever executed.

    Raises:
        InputError: it cannot be read, is no .npz, or holds pickled objects.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read this file ({error.strerror})", where=str(path)) from error
    if not content.startswith((b"PK", b"\x93NUMPY")):  # numpy would take text for a pickle
        raise InputError(
            "this is not an .npz file of plain arrays (it does not begin as one)",
            where=str(path),
            hint="numpy.savez writes them",
        )
    try:
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError("this is one array, not an .npz file of named ones", where=str(path))
        arrays = {name: archive[name] for name in archive.files}
    except InputError:
        raise
    except Exception as error:  # of a spoilt archive: zlib, zipfile, tokenize, MemoryError, ...
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        reason = reason.split(" If you trust")[0]  # numpy's advice to load it unsafely
        raise InputError(
            f"this is not an .npz file of plain arrays ({reason})", where=str(path)
        ) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy hands out what is no .npy as bytes
            raise InputError(f"{name!r} is not an array", where=str(path))
    return arrays


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # its stub takes `allow_pickle` from **
    return buffer.getvalue()


def numeric(array: NDArray[np.generic], where: str) -> Array:
    """An array as doubles.

    Raises:
        InputError: it does not hold real numbers.
    """
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise InputError("not real numbers", where=where, value=str(array.dtype))
    with np.errstate(over="ignore"):  # beyond the largest double: infinite, which callers refuse
        return array.astype(np.float64)
