"""`spiceloop solve`: the currents of one array, from a file to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.files import check_place, set_aside, write_text_atomic
from cosim.array.read_one import ArrayCurrents, read_array
from cosim.budget.budget import Budget
from cosim.ngspice import Outcome
from netlists.array import ReadArray
from netlists.crossbar import Crossbar, check_conductances
from netlists.wires import Wires
from workflows.npz import numeric, read_npz
from workflows.runfolder import write_npz
from workflows.wires_file import SEGMENTS, ends, segments

Array = NDArray[np.float64]

_LARGE_S = 1.0  # a cell of 1 ohm conducts more than the lines to it
_REQUIRED = ("conductance_s", "input_v", "r_wordline_ohm", "r_bitline_ohm")
_OPTIONAL = ("r_driver_ohm", "r_sense_ohm")
_PYTHON_ONLY = ("r_driver_right_ohm", "r_sense_top_ohm")


@dataclass(frozen=True, eq=False)
class Solved:
    """What a solve came to.

    Args:
        currents: as read.
        set_aside: where a result of an earlier solve is now that this one failed; None if there
            was none.
        doubt: a sentence about numbers that can hardly be meant; or nothing.
    """

    currents: ArrayCurrents
    set_aside: str | None
    doubt: str = ""


def solve_file(array_file: Path, out: Path, fidelity: str) -> Solved:
    """Solves the array in a file and writes `current_a` [batch, col].

    If that fails there is no file `out` afterwards: one of an earlier solve, which would read like
    the result of this one, gets another name.

    Args:
        array_file: .npz with conductance_s [row, col], input_v [batch, row]; r_wordline_ohm and
            r_bitline_ohm, one value, one for every line or one for every segment [row, col]; and
            optionally r_driver_ohm and r_sense_ohm, one value or one for every line. In arrays
            infinity is an open.
        out: .npz or .csv to write; nothing is written unless the outcome is ok.
        fidelity: ideal, surrogate, exact or spice.

    Raises:
        InputError: the file does not hold what it should, or `out` cannot be written.
    """
    check_place(out, "-o")
    if out.suffix.lower() not in _WRITERS:
        raise InputError(
            "a result has no such form",
            where="-o",
            value=str(out),
            allowed="a name that ends in .npz or .csv",
        )
    if out.exists() and array_file.exists() and out.samefile(array_file):
        raise InputError("the result would replace the array", where="-o", value=str(out))
    array, input_v = load_array(array_file)
    result = read_array(array, input_v, fidelity, jobs=Budget.of_process().decks)
    doubt = _doubt(array.crossbar.conductance_s)
    if result.outcome is not Outcome.OK:
        return Solved(result, set_aside(out, "-o"), doubt)
    _WRITERS[out.suffix.lower()](out, result.current_a)
    return Solved(result, None, doubt)


def _doubt(conductance_s: Array) -> str:
    largest_s = float(conductance_s.max())
    if largest_s <= _LARGE_S:
        return ""
    return (
        f"conductance_s has cells of up to {largest_s:.3g} S, which is {1 / largest_s:.2g} ohm: it"
        " is meant in siemens, 1e-6 for a microsiemens"
    )


def _write_npz(out: Path, current_a: Array) -> None:
    write_npz(out, {"current_a": current_a})


def _write_csv(out: Path, current_a: Array) -> None:
    """A line for every input, with all digits."""
    lines = [",".join(["input", *(f"bl_{col} [A]" for col in range(current_a.shape[1]))])]
    lines += [",".join([str(k), *map(repr, row)]) for k, row in enumerate(current_a.tolist())]
    write_text_atomic(out, "\n".join(lines) + "\n")


_WRITERS = {".npz": _write_npz, ".csv": _write_csv}


def load_array(path: Path) -> tuple[ReadArray, Array]:
    """The array and the inputs in a file."""
    stored = read_npz(path)
    where = str(path)
    known = (*_REQUIRED, *_OPTIONAL)
    for name in stored:
        if name not in known:
            raise InputError(
                f"unknown key {name!r}",
                where=where,
                allowed=", ".join(known),
                hint="a file has one end to a line; cosim.nodal.transfer.solve_transfer has both"
                if name in _PYTHON_ONLY
                else closest(name, known),
            )
    for name in _REQUIRED:
        if name not in stored:
            raise InputError(f"the key {name!r} is missing", where=where, value=sorted(stored))
    values = {name: numeric(array, f"{where}: {name}") for name, array in stored.items()}
    check_conductances(values["conductance_s"], f"{where}: conductance_s")
    input_v = values["input_v"]
    rows = values["conductance_s"].shape[0]
    if input_v.ndim != 2 or input_v.shape[1] != rows or not len(input_v):
        raise InputError(
            "wrong shape",
            where=f"{where}: input_v",
            value=input_v.shape,
            allowed=f"[batch, row] with {rows} rows, as many as conductance_s has",
        )
    if not np.isfinite(input_v).all():
        index = [int(k) for k in np.argwhere(~np.isfinite(input_v))[0]]
        raise InputError(
            "inputs must be finite",
            where=f"{where}: input_v{index}",
            value=float(input_v[tuple(index)]),
        )
    cells = values["conductance_s"]
    none = np.zeros(())
    crossbar = Crossbar(
        cells,
        Wires(
            *(
                segments(values[name], name, where, (cells.shape[0], cells.shape[1]))
                for name in SEGMENTS
            )
        ),
    )
    driver, sense = (
        ends(values.get(name, none), name, where, lines)
        for name, lines in zip(("r_driver_ohm", "r_sense_ohm"), cells.shape, strict=True)
    )
    return ReadArray(crossbar, driver, sense), input_v
