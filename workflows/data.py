"""The data sets that the command line knows: real ones that come inside scikit-learn, or a file."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

from compact_models.errors import InputError
from workflows.config import DataSpec

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """A data set, cut in two.

    Args:
        train_x: [sample, feature], in [0, 1] or [-1, 1].
        train_y: [sample].
        test_x: held-out samples, in a fixed random order.
        test_y: their labels.
        class_names: one name per class.
    """

    train_x: Array
    train_y: Labels
    test_x: Array
    test_y: Labels
    class_names: tuple[str, ...]

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits of the samples, of their labels and of the cut."""
        arrays = (self.train_x, self.train_y, self.test_x, self.test_y)
        content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
        return hashlib.sha256(content).hexdigest()[:12]


def load_split(spec: DataSpec, *, seed: int) -> Split:
    """Loads a data set and cuts it, classes in equal shares.

    Args:
        spec: which one.
        seed: decides the cut.

    Raises:
        InputError: a data file does not hold what it should.
    """
    x, y, names = _from_file(Path(spec.file)) if spec.name == "file" else _bundled(spec.name)
    counts = np.bincount(y, minlength=len(names))
    test = round(len(y) * spec.test_share)
    if counts.min() < 2 or test < len(names) or len(y) - test < len(names):
        raise InputError(
            "too few samples to cut into training and test",
            where=f"data {spec.name!r}",
            value=f"{len(y)} samples, {counts.min()} in the smallest class, {test} for testing",
            allowed="at least 2 of each class, and as many on each side as there are classes",
        )
    train_x, test_x, train_y, test_y = train_test_split(
        x, y, test_size=test, random_state=seed % 2**32, stratify=y
    )
    if spec.name != "file":
        # Features have their own units: each is brought to [0, 1] by what training may see.
        low, high = train_x.min(axis=0), train_x.max(axis=0)
        span = np.where(high > low, high - low, 1.0)
        train_x, test_x = ((part - low) / span for part in (train_x, test_x))
        test_x = test_x.clip(0, 1)
    return Split(train_x, train_y, test_x, test_y, names)


def _bundled(name: str) -> tuple[Array, Labels, tuple[str, ...]]:
    bunch = getattr(datasets, f"load_{name}")()
    x = np.asarray(bunch.data, dtype=np.float64)
    return x, np.asarray(bunch.target, np.int64), tuple(str(n) for n in bunch.target_names)


def _from_file(path: Path) -> tuple[Array, Labels, tuple[str, ...]]:
    where = str(path)
    if not path.name:
        raise InputError("no data file is named", where="[data] file", hint="give an .npz file")
    arrays = read_npz(path)
    for key in ("x", "y"):
        if key not in arrays:
            raise InputError(
                f"the data file has no array {key!r}", where=where, value=sorted(arrays)
            )
    x, y = numeric(arrays["x"], f"{where}: x"), arrays["y"]
    if x.ndim != 2 or y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise InputError(
            "wrong shape or type",
            where=where,
            value=f"x {x.shape} {x.dtype}, y {y.shape} {y.dtype}",
            allowed="x [sample, feature] and integer y [sample]",
        )
    if not x.size:
        raise InputError(
            "there is nothing to learn",
            where=f"{where}: x",
            value=x.shape,
            allowed="[sample, feature], at least one of each",
        )
    beyond = ~(np.abs(x) <= 1)  # NaN too
    if beyond.any():
        row, col = (int(k) for k in np.argwhere(beyond)[0])
        raise InputError(
            "inputs of a chip are shares of its read voltage",
            where=f"{where}: x[{row}, {col}]",
            value=float(x[row, col]),
            allowed="finite values in [0, 1] or [-1, 1]",
            hint="scale x, and fill or drop what is missing, before saving it",
        )
    if len(np.unique(y)) < 2:
        raise InputError("there is one class only", where=f"{where}: y", allowed="two or more")
    if y.min() < 0 or len(np.unique(y)) != int(y.max()) + 1:
        raise InputError(
            "labels must be 0, 1, ... without gaps",
            where=f"{where}: y",
            value=[int(v) for v in np.unique(y)[:10]],
        )
    return x, y.astype(np.int64), tuple(str(k) for k in range(int(y.max()) + 1))


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


def numeric(array: NDArray[np.generic], where: str) -> Array:
    """An array as doubles.

    Raises:
        InputError: it does not hold real numbers.
    """
    if not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise InputError("not real numbers", where=where, value=str(array.dtype))
    with np.errstate(over="ignore"):  # beyond the largest double: infinite, which callers refuse
        return array.astype(np.float64)
