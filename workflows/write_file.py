"""The files of `spiceloop write`: the array as it is, and the conductances it should have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.library import find_model, find_set
from cosim.driven.writable import WritableArray
from netlists.access import Access, Selector, Transistor
from netlists.wires import ALLOWED_OHM, Wires, zero_or_buildable
from workflows.npz import numeric, read_npz

Array = NDArray[np.float64]

_TEXTS = ("device", "parameters")
_OHMS = ("r_wordline_ohm", "r_bitline_ohm", "r_driver_ohm")
_SELECTOR = {"selector_i_0_a": "i_0_a", "selector_v_0_v": "v_0_v"}
_TRANSISTOR = {
    "transistor_threshold_v": "threshold_v",
    "transistor_i_spec_a": "i_spec_a",
    "transistor_slope": "slope",
}
_KNOWN = ("conductance_s", "state", *_TEXTS, *_OHMS, *_SELECTOR, *_TRANSISTOR)


@dataclass(frozen=True, eq=False)
class WriteJob:
    """What is written, and into what.

    Attributes:
        array: with the states it begins from.
        target_s: [row, col]; NaN where a cell is to be left alone.
    """

    array: WritableArray
    target_s: Array


def load_job(array_file: Path, target_file: Path, needs: str, read_v: float) -> WriteJob:
    """The array and its targets.

    Args:
        array_file: .npz, see `spiceloop write --help`.
        target_file: .npz with conductance_s [row, col].
        needs: what the scheme needs before every memristor: nothing, selector or transistor.
        read_v: at which conductances are read [V].

    Raises:
        InputError: a file does not hold what it should, or a cell cannot have its conductance.
    """
    stored = _read(array_file, _KNOWN)
    where = str(array_file)
    for name in ("device", "r_wordline_ohm", "r_bitline_ohm"):
        if name not in stored:
            raise InputError(f"the key {name!r} is missing", where=where, allowed=", ".join(_KNOWN))
    begun = [name for name in ("conductance_s", "state") if name in stored]
    if len(begun) != 1:
        raise InputError(
            "give the cells' conductance_s or their state, one of the two",
            where=where,
            value=begun or None,
            allowed="conductance_s [S] or state [the device's unit], [row, col]",
        )
    model = find_model(_text(stored["device"], f"{where}: device"))
    chosen = stored.get("parameters")
    numbers = find_set(model, None if chosen is None else _text(chosen, f"{where}: parameters"))
    ohms = {
        name: _ohm(numeric(stored[name], f"{where}: {name}"), f"{where}: {name}")
        for name in _OHMS
        if name in stored
    }
    table = _table(stored[begun[0]], f"{where}: {begun[0]}")
    base = WritableArray(
        model=model,
        parameter_set=numbers,
        wires=Wires(ohms["r_wordline_ohm"], ohms["r_bitline_ohm"]),
        states={x.name: np.full(table.shape, numbers.initial[x.name]) for x in model.states},
        r_word_driver_ohm=ohms.get("r_driver_ohm", 0.0),
        r_bit_driver_ohm=ohms.get("r_driver_ohm", 0.0),
        access=_access(stored, needs, where),
    )
    try:
        if begun[0] == "state":
            array = base.after({**base.states, base.memory: table})
            _check_state(array, table)
        else:
            array = base.at_conductance(table, read_v)
    except InputError as error:
        raise error.within(where) from error
    goal = _read(target_file, ("conductance_s",))
    if "conductance_s" not in goal:
        raise InputError("the key 'conductance_s' is missing", where=str(target_file))
    target = numeric(goal["conductance_s"], f"{target_file}: conductance_s")
    if target.shape != array.shape:
        raise InputError(
            "wrong shape",
            where=f"{target_file}: conductance_s",
            value=target.shape,
            allowed=f"{array.shape}, as the array has",
        )
    if np.isnan(target).all():
        raise InputError(
            "the schedule never selects a cell: all targets are NaN",
            where=f"{target_file}: conductance_s",
            hint="give at least one cell a target",
        )
    return WriteJob(array, target)


def _read(path: Path, known: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    stored = read_npz(path)
    for name in stored:
        if name not in known:
            raise InputError(
                f"unknown key {name!r}",
                where=str(path),
                allowed=", ".join(known),
                hint=closest(name, known),
            )
    return dict(stored)


def _access(stored: dict[str, NDArray[np.generic]], needs: str, where: str) -> Access | None:
    """What stands before every memristor, with the file's numbers or the defaults."""
    for key, names in (("selector", _SELECTOR), ("transistor", _TRANSISTOR)):
        given = {k: names[k] for k in names if k in stored}
        if given and key != needs:
            raise InputError(
                f"the cells have a {key} and the scheme needs {needs}",
                where=f"{where}: {next(iter(given))}",
                hint=f"use {'1s1r' if key == 'selector' else '1t1r'}, or leave the key out",
            )
        if key != needs:
            continue
        values = {
            own: float(_single(numeric(stored[k], f"{where}: {k}"), f"{where}: {k}"))
            for k, own in given.items()
        }
        try:
            return Selector(**values) if key == "selector" else Transistor(**values)
        except InputError as error:
            raise InputError(
                f"no {key} has this value: {error.what}",
                where=f"{where}: {key}_{error.where.rpartition('.')[2]}",
                value=error.value,
                allowed=error.allowed,
            ) from error
    return None


def _check_state(array: WritableArray, table: Array) -> None:
    place = array.fractions()
    wrong = ~((place >= -1e-9) & (place <= 1 + 1e-9))
    if wrong.any():
        row, col = (int(k) for k in np.argwhere(wrong)[0])
        low, high = array.model.bounds(dict(array.parameter_set.values))[array.memory] or (0, 0)
        raise InputError(
            f"state {array.memory!r} is out of bounds in {int(wrong.sum())} of {wrong.size} cells",
            where=f"state[{row}, {col}]",
            value=float(table[row, col]),
            allowed=f"{low!r} to {high!r}",
        )


def _table(stored: NDArray[np.generic], where: str) -> Array:
    table = numeric(stored, where)
    if table.ndim != 2 or 0 in table.shape:
        raise InputError(
            "wrong shape", where=where, value=table.shape, allowed="[row, col], at least 1x1"
        )
    if not np.isfinite(table).all():
        at = [int(k) for k in np.argwhere(~np.isfinite(table))[0]]
        raise InputError("not a finite number", where=f"{where}{at}", value=float(table[tuple(at)]))
    return table


def _text(stored: NDArray[np.generic], where: str) -> str:
    if stored.size != 1 or stored.dtype.kind not in "US":
        raise InputError("not one text", where=where, value=stored.dtype, allowed="a name")
    value = stored.reshape(()).item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _single(array: Array, where: str) -> float:
    if array.size != 1:
        raise InputError("not one number", where=where, value=array.shape, allowed="a scalar")
    return float(array.reshape(()))


def _ohm(array: Array, where: str) -> float:
    value = _single(array, where)
    try:
        return zero_or_buildable(value)
    except ValueError as error:
        raise InputError(
            "a resistance cannot be built", where=where, value=value, allowed=ALLOWED_OHM
        ) from error
