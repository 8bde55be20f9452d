"""The exact transfer of one array and of many, its gradient, and reads of nonlinear cells."""

from __future__ import annotations

import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu

from cosim.nodal.lines import Lines
from cosim.nodal.nonlinear import sinh_cell, solve_nonlinear
from cosim.nodal.transfer import solve_transfer

TITLE = "Exact transfer, gradients and nonlinear reads beside peers"
TEXT = """
Conductances uniform in 1 to 100 uS, segments of 1 ohm on word and bit lines, no further resistance,
float64. `transfer` is T of one array; `with gradient` T and the gradient of a sum of its squares,
as a ratio to T alone. `sparse LU` is scipy's SuperLU of the nodal matrix with all rows as
right-hand sides, and `difference` the largest difference to it, of the largest entry. `read` is
1,024 vectors with programming (T, then one product) beside badcrossbar (`pip install --no-deps
badcrossbar sigfig pathvalidate`; - where it is not installed). `many` are 100 arrays at once;
`sinh` 64 vectors through cells of i = g v0 sinh(v / v0), 10 % above ohmic at 0.2 V, to 1e-12 V.
Medians of repeated runs in one process, milliseconds, threads as in the last line.
"""

_SIZES = (32, 64, 128, 256, 512, 1024)
_LARGEST_LU, _LARGEST_PEER = 256, 128
_OHM = 1.0
_WIRES = {"r_wordline_ohm": _OHM, "r_bitline_ohm": _OHM}
_ENOUGH_S = 2.0
_V0 = 0.2 / 0.7632  # sinh(0.7632) / 0.7632 = 1.1


def rows() -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """One row per size."""
    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    torch.set_num_threads(threads)
    header = (
        "rows = cols", "transfer", "with gradient", "sparse LU", "difference", "read",
        "badcrossbar", "times faster", "many", "sinh",
    )  # fmt: skip
    table = []
    for n in _SIZES:
        table.append(_row(n))
        print(" ".join(table[-1]), flush=True)
    table.append((f"threads: {threads}", *[""] * (len(header) - 1)))
    return header, table


def _row(n: int) -> tuple[str, ...]:
    rng = np.random.default_rng(n)
    values = rng.uniform(1e-6, 1e-4, (n, n))
    g = torch.from_numpy(values)
    volts = torch.from_numpy(rng.uniform(0, 0.2, (1024, n)))
    plain = _median(lambda: solve_transfer(g, **_WIRES))
    free = g.clone().requires_grad_()

    def with_gradient() -> None:
        solve_transfer(free, **_WIRES).transfer_s.square().sum().backward()

    both = _median(with_gradient)
    read = _median(lambda: solve_transfer(g, **_WIRES).current_a(volts))
    lu, difference = "-", "-"
    if n <= _LARGEST_LU:
        started = time.perf_counter()
        known = _by_sparse_lu(values)
        lu = f"{1e3 * (time.perf_counter() - started):.0f}"
        ours = solve_transfer(g, **_WIRES).transfer_s.numpy()
        difference = f"{np.abs(ours - known).max() / known.max():.0e}"
    peer, faster = _peer(values, volts.numpy()) if n <= _LARGEST_PEER else None, "-"
    if peer is not None:
        faster = f"{peer / read:.0f}"
    many = sinh = "-"
    if n == 64:
        several = torch.from_numpy(rng.uniform(1e-6, 1e-4, (100, n, n)))
        many = f"{1e3 * _median(lambda: solve_transfer(several, **_WIRES)):.0f}"
        cell, lines = sinh_cell(g, _V0), Lines(**_WIRES)
        sinh = f"{1e3 * _median(lambda: solve_nonlinear(cell, lines, volts[:64], (n, n))):.0f}"
    return (
        str(n), f"{1e3 * plain:.1f}", f"{both / plain:.1f} x", lu, difference,
        f"{1e3 * read:.1f}", "-" if peer is None else f"{1e3 * peer:.0f}", faster, many, sinh,
    )  # fmt: skip


def _median(run: Callable[[], object]) -> float:
    run()
    walls: list[float] = []
    while len(walls) < 3 or (sum(walls) < _ENOUGH_S and len(walls) < 31):
        started = time.perf_counter()
        run()
        walls.append(time.perf_counter() - started)
    return statistics.median(walls)


def _by_sparse_lu(conductance_s: np.ndarray) -> np.ndarray:
    """T from the whole nodal matrix: the bit lines' last currents for unit voltages of each row."""
    n = len(conductance_s)
    word = np.arange(n * n).reshape(n, n)
    bit = word + n * n
    first = np.concatenate([word.ravel(), word[:, :-1].ravel(), bit[:-1].ravel()])
    second = np.concatenate([bit.ravel(), word[:, 1:].ravel(), bit[1:].ravel()])
    wire = np.full(n * (n - 1), 1 / _OHM)
    value = np.concatenate([conductance_s.ravel(), wire, wire])
    y = coo_matrix((-value, (first, second)), shape=(2 * n * n, 2 * n * n)).tocsr()
    y = y + y.T
    diagonal = -np.asarray(y.sum(1)).ravel()
    rhs = np.zeros((2 * n * n, n))
    diagonal[word[:, 0]] += 1 / _OHM
    diagonal[bit[-1]] += 1 / _OHM
    rhs[word[:, 0], np.arange(n)] = 1 / _OHM
    v = splu((y + diags(diagonal)).tocsc()).solve(rhs)
    return np.asarray(v[bit[-1]].T / _OHM)


def _peer(conductance_s: np.ndarray, volts: np.ndarray) -> float | None:
    """How long badcrossbar takes for all vectors [s]; None where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import badcrossbar
        except ImportError:
            return None
        logging.getLogger("badcrossbar").setLevel(logging.WARNING)

    def run() -> object:
        return badcrossbar.compute(
            volts.T, 1 / conductance_s, r_i=_OHM, node_voltages=False, all_currents=False
        )

    started = time.perf_counter()
    run()
    return time.perf_counter() - started
