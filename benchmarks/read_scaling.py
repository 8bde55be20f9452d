"""Cost of exact reads against array size and batch, beside peers, on the same random arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks._peers import badcrossbar, by_badcrossbar, by_sparse_lu
from benchmarks._timing import median_s
from cosim.array.read_one import read_array
from cosim.array.spice_transfer import measure_transfer
from cosim.budget.memory import keep_freed_memory
from cosim.nodal.transfer import solve_transfer
from netlists.array import ReadArray
from netlists.crossbar import Crossbar
from netlists.wires import Wires

PAGE = "performance.md"
TITLE = "Exact reads: cost against size and batch, beside peers"
TEXT = """
The same arrays for all: conductances uniform in 1 to 100 uS, segments of 1 ohm, no further
resistance. Up to 64 vectors per array count programming as well: everything from the conductances
to the currents. `ours` solves T and multiplies; `sparse LU` is scipy's SuperLU of the nodal matrix
with all rows as right-hand sides, then the product; badcrossbar solves its nodal matrix with the
vectors as right-hand sides; ngspice 46 with KLU reads the vectors in one `.dc` sweep, or unit
vectors where there are no more rows than vectors, a process from its start to its end.
Medians of repeated runs, one run where one takes over two seconds;
milliseconds; - where it was not run or is not installed.

![Cost against size and batch](performance.svg)
"""

_SIZES = (16, 32, 64, 128, 256, 512, 1024)
_LARGEST = {"sparse LU": 256, "badcrossbar": 256, "ngspice": 128}
_BATCHES = (1, 16, 64, 256, 1024)
_BATCH_SIZE = 128
_LARGEST_NGSPICE_BATCH = 64
_WIRES = {"r_wordline_ohm": 1.0, "r_bitline_ohm": 1.0}
_WAYS = ("ours", "sparse LU", "badcrossbar", "ngspice")
Array = NDArray[np.float64]


def rows() -> tuple[list[str], list[list[str]]]:
    """A line per size, then one per batch."""
    keep_freed_memory()
    cases = [(n, 64) for n in _SIZES] + [(_BATCH_SIZE, batch) for batch in _BATCHES if batch != 64]
    table = []
    for n, batch in cases:
        row = [f"{n} x {n}", str(batch)]
        for run in _ways(n, batch).values():
            if run is None:
                row.append("-")
                continue
            row.append(f"{1e3 * median_s(run, enough_s=1.0, least=1):.3g}")
        table.append(row)
    return ["array", "vectors", *_WAYS], table


def _ways(n: int, batch: int) -> dict[str, Callable[[], object] | None]:
    rng = np.random.default_rng(n)
    values, volts = rng.uniform(1e-6, 1e-4, (n, n)), rng.uniform(0, 0.2, (batch, n))
    g, v = torch.from_numpy(values), torch.from_numpy(volts)
    module = badcrossbar()
    array = ReadArray(Crossbar(values, Wires(r_wordline_ohm=1.0, r_bitline_ohm=1.0)))
    few = batch <= _LARGEST_NGSPICE_BATCH

    def ngspice() -> Array:
        if batch >= n:  # as many vectors as rows: unit vectors and a product are no more
            return measure_transfer(array).current_a(volts)
        return read_array(array, volts, "spice").current_a

    return {
        "ours": lambda: solve_transfer(g, **_WIRES).current_a(v),
        "sparse LU": (lambda: volts @ by_sparse_lu(values, 1.0))
        if n <= _LARGEST["sparse LU"]
        else None,
        "badcrossbar": (lambda: by_badcrossbar(module, values, volts, 1.0))
        if module is not None and n <= _LARGEST["badcrossbar"]
        else None,
        "ngspice": ngspice if n <= _LARGEST["ngspice"] and few else None,
    }


def _duration(ms: float, _place: int) -> str:
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def figures(table: list[list[str]]) -> dict[str, Figure]:
    """Log-log plots of what `rows` has found, by file name."""
    from workflows.report.style import WIDTH_IN

    figure = Figure((WIDTH_IN, 0.42 * WIDTH_IN), layout="constrained")
    left, right = figure.subplots(1, 2)
    colours = ("#0072b2", "#e69f00", "#009e73", "#d55e00")
    for place, (way, colour) in enumerate(zip(_WAYS, colours, strict=True), start=2):
        for axes, axis in ((left, 0), (right, 1)):
            found = sorted(
                (size_and_batch[axis], float(line[place]))
                for line in table
                if line[place] != "-"
                for size_and_batch in [(int(line[0].split(" ")[0]), int(line[1]))]
                if size_and_batch[1 - axis] == (64, _BATCH_SIZE)[axis]
            )
            if found:
                x, wall_ms = zip(*found, strict=True)
                axes.loglog(x, wall_ms, "o-", color=colour, label=way)
    left.set(title="64 vectors", xlabel="rows and columns", ylabel="time")
    right.set(title=f"{_BATCH_SIZE} x {_BATCH_SIZE} cells", xlabel="vectors", ylabel="time")
    for axes, ticks in ((left, _SIZES), (right, _BATCHES)):
        axes.set_xticks(ticks, [str(one) for one in ticks])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(_duration)  # the page's style draws no mathematics
        axes.grid(visible=True, which="major")
    left.legend()
    return {"performance.svg": figure}
