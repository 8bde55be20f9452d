"""One array at the four fidelities: errors against ngspice, and time."""

from __future__ import annotations

import statistics

import numpy as np

from cosim.array.read_one import ArrayCurrents, read_array
from cosim.ngspice import find_ngspice
from netlists.array import ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires

TITLE = "One array: exact and surrogate against ngspice"
TEXT = """
Conductances uniform in 1 to 100 uS, 64 input vectors uniform in 0 to 0.2 V. `exact` is the
largest current difference to ngspice relative to the largest current; `surrogate` and `ideal` are
relative errors in the Frobenius norm. The surrogate here is the closed form with the weights of
theory, fitted to nothing. Times are medians of 3, two ngspice processes at a time.
"""

_SHAPES = ((16, 16), (32, 32), (48, 20), (64, 64), (128, 128))


def rows() -> tuple[list[str], list[list[str]]]:
    """Reads every shape at 1 and 5 ohm."""
    header = [
        "rows x cols", "ohm", "mean current loss", "exact", "surrogate", "ideal",
        "exact ms", "surrogate ms", "ngspice ms",
    ]  # fmt: skip
    return header, [_case(m, n, r) for m, n in _SHAPES for r in (1.0, 5.0)]


def _case(rows_: int, cols: int, r_ohm: float) -> list[str]:
    rng = np.random.default_rng(0)
    g = rng.uniform(1e-6, 1e-4, (rows_, cols))
    array = ReadArray(Crossbar(g, Wires(r_wordline_ohm=r_ohm, r_bitline_ohm=r_ohm)))
    drive = rng.uniform(0, 0.2, (64, rows_))
    ngspice = find_ngspice()
    read: dict[str, ArrayCurrents] = {}
    ms: dict[str, float] = {}
    for fidelity in ("ideal", "surrogate", "exact", "spice"):
        repeats = [read_array(array, drive, fidelity, ngspice=ngspice, jobs=2) for _ in range(3)]
        read[fidelity] = repeats[-1]
        ms[fidelity] = 1e3 * statistics.median(r.wall_s for r in repeats)
    spice = read["spice"].current_a
    assert read["spice"].outcome == "ok", read["spice"].reason

    def frobenius(name: str) -> str:
        difference = np.linalg.norm(read[name].current_a - spice) / np.linalg.norm(spice)
        return f"{100 * difference:.3f} %"

    largest = np.abs(read["exact"].current_a - spice).max() / np.abs(spice).max()
    return [
        f"{rows_} x {cols}",
        f"{r_ohm:g}",
        f"{100 * (1 - spice.sum() / read['ideal'].current_a.sum()):.1f} %",
        f"{largest:.1e}",
        frobenius("surrogate"),
        frobenius("ideal"),
        *(f"{ms[name]:.1f}" for name in ("exact", "surrogate", "spice")),
    ]
