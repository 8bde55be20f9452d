"""Samples with their labels from a file of the user's: .npz or .csv.

Labels are integers from any start, whole numbers, texts, or one-hot rows; a class is named by what
stands in the file. Numbers are checked here, scales are not chosen here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from workflows.csv_file import FileText, check_separator, csv_lines, csv_text
from workflows.csv_heading import MISSING, SAY_WHICH, is_number, read_heading, read_number
from workflows.npz import numeric, read_npz

Array = NDArray[np.float64]

_FILL = "fill it in, or leave the whole sample out"


@dataclass(frozen=True, eq=False)
class Samples:
    """What a file holds.

    Args:
        x: finite values in the user's units, [sample, feature].
        labels: of the samples, one text each, [sample].
        class_names: every class, integers in their order, texts in that of the alphabet.
        feature_names: one per column of x; empty where the file has no names.
        place: names a value by its row and column, for errors.
        label_place: names a label by its row.
        read: how text was read; None of what is none.
    """

    x: Array
    labels: list[str]
    class_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    place: Callable[[int, int], str]
    label_place: Callable[[int], str]
    read: FileText | None = None


def read_samples(path: Path, label: str) -> Samples:
    """Reads a file of samples.

    Args:
        path: .npz with x [sample, feature] and labels y [sample] or one-hot [sample, class]; or
            .csv, a sample a line, with or without a line of names.
        label: in an .npz, the name of the array of labels if it is not y; in a .csv, the name of
            their column or its number, from 0, -1 for the last.

    Raises:
        InputError: it cannot be read, holds something else than numbers and labels, lacks a
            value, or there is nothing to tell apart; the message names the place.
    """
    samples = _from_npz(path, label) if _is_npz(path) else _from_csv(path, label)
    if not samples.x.size:
        raise InputError(
            "there is nothing to learn",
            where=str(path),
            value=samples.x.shape,
            allowed="[sample, feature], at least one of each",
        )
    return samples


def _is_npz(path: Path) -> bool:
    """By what is in it where the name does not say so: a table is text."""
    if path.suffix.lower() == ".npz":
        return True
    try:
        with path.open("rb") as stream:
            return stream.read(2) == b"PK"
    except OSError:
        return False


def _from_npz(path: Path, label: str) -> Samples:
    where = str(path)
    arrays, name = read_npz(path), label or "y"
    for key in ("x", name):
        if key not in arrays:
            raise InputError(
                f"the data file has no array {key!r}",
                where=where,
                value=sorted(arrays),
                hint=closest(key, arrays),
            )
    x = numeric(arrays["x"], f"{where}: x")
    y = arrays[name]
    if x.ndim != 2 or y.ndim not in (1, 2) or len(y) != len(x):
        raise InputError(
            "wrong shape",
            where=where,
            value=f"x {x.shape}, {name} {y.shape}",
            allowed=f"x [sample, feature] and {name} [sample] or, one-hot, [sample, class]",
            hint="x.reshape(len(x), -1) makes rows of images" if x.ndim > 2 else "",
        )

    def place(row: int, col: int) -> str:
        return f"{where}: x[{row}, {col}]"

    _refuse_infinite(x, place)
    if y.ndim == 2:
        y = _one_hot(y, f"{where}: {name}")

    def label_place(row: int) -> str:
        return f"{where}: {name}[{row}]"

    classes = _classes(_label_texts(y, f"{where}: {name}"), label_place)
    return Samples(x, classes.labels, classes.names, (), place, label_place)


def _one_hot(y: NDArray[np.generic], where: str) -> NDArray[np.int64]:
    """The class [sample] of one-hot rows."""
    hot = y.astype(np.float64) if y.dtype == np.bool_ else numeric(y, where)
    wrong = np.flatnonzero(~(((hot == 0) | (hot == 1)).all(axis=1) & (hot.sum(axis=1) == 1)))
    if wrong.size:
        raise InputError(
            "this row is not one-hot",
            where=f"{where}[{int(wrong[0])}]",
            value=hot[wrong[0]].tolist(),
            allowed="one 1 and zeros in each row of [sample, class]",
        )
    return np.asarray(hot.argmax(axis=1), dtype=np.int64)


def _label_texts(y: NDArray[np.generic], where: str) -> list[str]:
    """Labels as they would stand in a table."""
    if y.dtype.kind == "S":
        return [bytes(value).decode("utf-8", "replace").strip() for value in y.tolist()]
    if y.dtype.kind in "UbiuT":
        return [str(value).strip() for value in y.tolist()]
    return [repr(value) for value in numeric(y, where).tolist()]


def _from_csv(path: Path, label: str) -> Samples:
    found = csv_text(path, "data file")
    lines = csv_lines(found.text, path, "data file")
    if not lines:
        raise InputError(
            "the data file is empty", where=str(path), hint="write a sample a line, and its label"
        )
    first, width = lines[0], len(lines[0][1])
    check_separator(f"{path}:{first[0]}", first[1])
    names = [cell.strip() for cell in first[1]]
    heading = read_heading([row for _, row in lines], label, f"{path}:{first[0]}")
    headed, column = heading.headed, heading.label_column
    features = [k for k in range(width) if k != column]
    rows = lines[1:] if headed else lines
    shown = [repr(names[k]) if headed and names[k] else f"{k + 1}" for k in range(width)]

    def place(row: int, col: int) -> str:
        return f"{path}:{rows[row][0]}: column {shown[features[col]]}"

    def label_place(row: int) -> str:
        return f"{path}:{rows[row][0]}: column {shown[column]}"

    for number, row in rows:
        if len(row) != width:
            raise InputError(
                f"this line has {'more' if len(row) > width else 'fewer'} fields than the first",
                where=f"{path}:{number}",
                value=",".join(row),
                allowed=f"{width} fields",
                hint="write numbers with a decimal point, texts with commas in quotation marks",
            )
    x = np.empty((len(rows), len(features)))
    for index, (_, row) in enumerate(rows):
        cells = [row[k] for k in features]
        try:
            x[index] = [read_number(cell) for cell in cells]
        except ValueError:
            col = next(k for k, cell in enumerate(cells) if not is_number(cell))
            raise _no_number(cells[col].strip(), place(index, col)) from None
    _refuse_infinite(x, place)
    if headed and not names[0] and column != 0 and counts(x[:, 0]):
        raise InputError(
            "the first column has no name and counts the lines: that is no feature",
            where=f"{path}:{first[0]}",
            hint="save the table without its index, or leave this column out",
        )
    texts = [row[column].strip() for _, row in rows]
    classes = _classes(texts, label_place)
    feature_names = tuple(names[k] for k in features) if headed else ()
    return Samples(x, classes.labels, classes.names, feature_names, place, label_place, found)


def _no_number(text: str, where: str) -> InputError:
    if text.lower() in MISSING:
        return InputError(
            "a value is missing", where=where, value=text, allowed="a number", hint=_FILL
        )
    return InputError(
        "this is text in a column that is not the label's",
        where=where,
        value=text,
        allowed="a number with a decimal point",
        hint=f"code it in numbers or leave the column out; if it is the label, {SAY_WHICH}",
    )


def _refuse_infinite(x: Array, place: Callable[[int, int], str]) -> None:
    bad = ~np.isfinite(x)
    if bad.any():
        row, col = (int(k) for k in np.argwhere(bad)[0])
        missing = bool(np.isnan(x[row, col]))
        raise InputError(
            "a value is missing" if missing else "a value is infinite",
            where=place(row, col),
            value=float(x[row, col]),
            allowed="finite numbers",
            hint=_FILL,
        )


def counts(column: Array) -> bool:
    """Whether a column is 0, 1, 2 and so on, or 1, 2, 3."""
    steps = np.arange(len(column))
    return len(column) > 1 and (np.array_equal(column, steps) or np.array_equal(column, steps + 1))


@dataclass(frozen=True)
class _Classes:
    labels: list[str]
    names: tuple[str, ...]


def _classes(texts: Sequence[str], place: Callable[[int], str]) -> _Classes:
    """Labels in one spelling, and the classes in order.

    Args:
        texts: the labels as they stand in the file.
        place: names a label by its row, for errors.
    """
    for row, text in enumerate(texts):
        if text.lower() in ("", "nan"):
            raise InputError("a label is missing", where=place(row), value=text, hint=_FILL)
    distinct = dict.fromkeys(texts)
    if not all(is_number(text) for text in distinct):
        return _Classes(list(texts), tuple(sorted(distinct)))
    for text in distinct:
        value = float(text)
        if not math.isfinite(value) or value != round(value):
            raise InputError(
                "labels are classes, this is a measured number",
                where=place(list(texts).index(text)),
                value=text,
                allowed="integers or texts",
                hint="only classification is trained; cut the range into classes",
            )
    # 3, 3.0 and 03 are one class; int() of the text keeps digits that a double would lose.
    whole = {text: _whole(text) for text in distinct}
    return _Classes(
        [str(whole[text]) for text in texts], tuple(str(k) for k in sorted(set(whole.values())))
    )


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(float(text))
