"""What we add to ngspice: the text of decks, reading results, many decks, unit vectors."""

from __future__ import annotations

import os
import queue
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from cosim.array.spice_transfer import SpiceTransfer, measure_transfer
from cosim.ngspice import Deck, Ngspice, RawPlot, find_ngspice, read_raw, run_decks
from cosim.ngspice.bench import sweep_deck
from cosim.ngspice.binary import clean_environment
from cosim.ngspice.checks import value_problem
from cosim.nodal.transfer import solve_transfer
from netlists.array import ReadArray, array_circuit
from netlists.circuit import Circuit, Subcircuit
from netlists.crossbar import Crossbar
from netlists.device_array import DeviceArray
from netlists.dialects.ngspice import render
from netlists.wires import Wires

PAGE = "performance.md"
TITLE = "ngspice throughput"
TEXT = """
Conductances uniform in 1 to 100 uS, wires of 1 ohm a segment, drivers of 10 ohm. Text and reading
are CPU times of one thread, medians of 5. The raw file has 20,000 points of 2,500 signals, 400 MB,
in the page cache; `np.fromfile` reads the same bytes without a header. Decks over cores: 40 decks,
each a 32 x 32 array with 16 vectors, as many at a time as there are cores, beside bare `ngspice -b`
processes with the same options started by as many threads from finished deck files; wall times,
medians of 7 turns, `ratio` the median of the ratios within a turn. Both have sessions of their own,
since Linux shares the cores out by session. Unit vectors: the transfer matrix by one `.dc` sweep
beside one run of ngspice for every row, one at a time, wall times, medians of 3 and 1 run;
`check` is the largest difference to the nodal solver, of the largest entry.
"""

_SIDE = 577  # 998,787 cells and segments
_POINTS, _SIGNALS, _CHOSEN = 20_000, 2_500, 1_000
_DECKS, _N, _VECTORS = 40, 32, 16
_TURNS = 7
_SHAPES = ((32, 32), (64, 64), (96, 24))
_WIRES = Wires(r_wordline_ohm=1.0, r_bitline_ohm=1.0)

Row = list[str]


def rows() -> tuple[Row, list[Row]]:
    """All four parts, each on its own."""
    header = ["what", "ours", "beside it", "its time", "ratio", "wanted", "check"]
    ngspice = find_ngspice()
    table = [*_text(), *_raw(), _decks(ngspice)]
    for shape in _SHAPES:
        table.append(_unit_vectors(shape, ngspice))
    return header, table


def _array(rows_: int, cols: int, seed: int = 0) -> ReadArray:
    g = np.random.default_rng(seed).uniform(1e-6, 1e-4, (rows_, cols))
    return ReadArray(Crossbar(g, _WIRES), r_driver_ohm=10.0)


def _inputs(array: ReadArray) -> list[str]:
    return [f"in_{row}" for row in range(array.crossbar.rows)]


def _cpu_s(function: Callable[[], object], repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def _text() -> list[Row]:
    array = _array(_SIDE, _SIDE)
    circuit = array_circuit(array, title="a million elements")
    drive = np.random.default_rng(1).uniform(0, 0.2, (64, _SIDE))
    rng = np.random.default_rng(2)
    own = {name: rng.random((_SIDE, _SIDE)) for name in ("x0", "scale")}
    devices = DeviceArray(np.full((_SIDE, _SIDE), np.nan), _WIRES, "card", True, own)
    cells = Circuit("t", (Subcircuit("tile_0", devices.ports, (devices,)),), ())
    assert render(circuit).count("\n") > circuit.element_count() > 0.99e6

    def line(what: str, function: Callable[[], object]) -> Row:
        return [what, f"{_cpu_s(function):.2f} s", "-", "-", "-", "1 s", "-"]

    return [
        line(f"text of {_SIDE} x {_SIDE} ohmic cells with wires", lambda: render(circuit)),
        line(
            "the same as a deck of 64 vectors",
            lambda: sweep_deck(circuit, _inputs(array), drive, name="t"),
        ),
        line("as many compiled cells, two parameters each", lambda: render(cells)),
    ]


def _raw() -> list[Row]:
    values = np.random.default_rng(0).uniform(0, 0.2, (_POINTS, _SIGNALS))
    names = [f"v(xtile_0.w_{k // 50}_{k % 50})" for k in range(_SIGNALS)]
    listed = "".join(f"\t{k}\t{name}\tvoltage\n" for k, name in enumerate(names))
    header = (
        f"Title: t\nDate: d\nPlotname: DC transfer characteristic\nFlags: real\n"
        f"No. Variables: {_SIGNALS}\nNo. Points: {_POINTS}\nVariables:\n{listed}Binary:\n"
    ).encode()
    chosen = np.random.default_rng(1).permutation(_SIGNALS)[:_CHOSEN]
    wanted = [names[k] for k in chosen]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.raw")
        with path.open("wb") as stream:
            stream.write(header)
            stream.write(values.tobytes())

        def bare() -> np.ndarray:
            with path.open("rb") as stream:
                stream.seek(len(header))
                return np.fromfile(stream, np.float64)

        def checked() -> RawPlot:
            plot = read_raw(path)[0]
            assert value_problem(plot, 1e9) == ""
            return plot

        plot = read_raw(path)[0]
        assert np.array_equal(plot.data, values)
        assert np.array_equal(plot.matrix(wanted), values[:, chosen])
        bare_s = _cpu_s(bare)
        read_s, check_s = _cpu_s(lambda: read_raw(path)), _cpu_s(checked)
    megabytes = values.nbytes / 1e6
    gather_s, take_s = _cpu_s(lambda: plot.matrix(wanted)), _cpu_s(lambda: values.take(chosen, 1))

    def line(what: str, ours_s: float, other: str, other_s: float, aim: str) -> Row:
        ms = f"{1e3 * ours_s:.0f} ms ({megabytes / ours_s:,.0f} MB/s)"
        return [what, ms, other, f"{1e3 * other_s:.0f} ms", f"{ours_s / other_s:.2f}", aim, "-"]

    return [
        line("reading 400 MB", read_s, "np.fromfile", bare_s, "about 1"),
        line("reading and checking every value", check_s, "np.fromfile", bare_s, "-"),
        line(f"{_CHOSEN} of its signals as a matrix", gather_s, "ndarray.take", take_s, "about 1"),
    ]


def _decks(ngspice: Ngspice) -> Row:
    jobs = len(os.sched_getaffinity(0))
    decks = []
    for seed in range(_DECKS):
        array = _array(_N, _N, seed)
        drive = np.random.default_rng(seed).uniform(0, 0.2, (_VECTORS, _N))
        decks.append(
            sweep_deck(
                array_circuit(array, title="one of many"),
                _inputs(array),
                drive,
                name=f"deck_{seed}",
                expected_signals=tuple(f"i(vsense_{col})" for col in range(_N)),
            )
        )
    turns = []
    for _ in range(_TURNS):
        bare_s = _bare_s(decks, ngspice, jobs)
        start = time.perf_counter()
        results = run_decks(decks, ngspice, jobs=jobs, timeout_s=120)
        turns.append((time.perf_counter() - start, bare_s))
        assert all(result.ok for result in results)
    ours_s, other_s = (statistics.median(side) for side in zip(*turns, strict=True))
    ratio = statistics.median(ours / other for ours, other in turns)
    what = f"{_DECKS} decks, {jobs} at a time"
    return [what, f"{ours_s:.2f} s", "ngspice -b", f"{other_s:.2f} s", f"{ratio:.2f}", "1.1", "-"]


def _bare_s(decks: Sequence[Deck], ngspice: Ngspice, jobs: int) -> float:
    """Wall time of plain processes; their files are new, since to overwrite some costs disk."""
    waiting: queue.SimpleQueue[Path] = queue.SimpleQueue()
    command = [str(ngspice.path), "-n", "-b", "-r", "out.raw", "deck.cir"]

    def work() -> None:
        while True:
            try:
                folder = waiting.get_nowait()
            except queue.Empty:
                return
            with (folder / "log").open("wb") as log:
                subprocess.run(
                    command,
                    cwd=folder,
                    env=clean_environment(folder),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    check=True,
                )

    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root, str(place)) for place in range(len(decks))]
        for folder, deck in zip(folders, decks, strict=True):
            folder.mkdir()
            (folder / "deck.cir").write_text(deck.text, encoding="utf-8")
            waiting.put(folder)
        threads = [threading.Thread(target=work) for _ in range(jobs)]
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall_s = time.perf_counter() - start
        assert all((folder / "out.raw").stat().st_size for folder in folders)
    return wall_s


def _unit_vectors(shape: tuple[int, int], ngspice: Ngspice) -> Row:
    array = _array(*shape)
    rows_, cols = shape
    found: list[SpiceTransfer] = [measure_transfer(array, ngspice=ngspice) for _ in range(3)]
    assert found[-1].outcome == "ok", found[-1].reason
    ours_s = statistics.median(one.wall_s for one in found)
    circuit = array_circuit(array, title="one vector")
    signals = tuple(f"i(vsense_{col})" for col in range(cols))
    start = time.perf_counter()
    alone = run_decks(
        [
            sweep_deck(circuit, _inputs(array), one[None], name="one", expected_signals=signals)
            for one in np.eye(rows_)
        ],
        ngspice,
        jobs=1,
        timeout_s=120,
    )
    measured = np.concatenate([result.plot.matrix(signals) for result in alone])
    other_s = time.perf_counter() - start
    exact = solve_transfer(
        torch.from_numpy(array.crossbar.conductance_s),
        r_wordline_ohm=_WIRES.r_wordline_ohm,
        r_bitline_ohm=_WIRES.r_bitline_ohm,
        r_driver_ohm=array.r_driver_ohm,
    ).transfer_s.numpy()
    assert np.abs(measured - exact).max() < 1e-9 * exact.max()
    difference = np.abs(found[-1].transfer_s - exact).max() / exact.max()
    return [
        f"unit vectors, {rows_} x {cols}", f"{ours_s:.2f} s", f"{rows_} runs", f"{other_s:.2f} s",
        f"{ours_s / other_s:.2f}", "-", f"{difference:.0e}",
    ]  # fmt: skip
