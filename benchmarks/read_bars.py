"""The read path against the bars that it was built for, in one run."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from benchmarks._peers import badcrossbar, by_badcrossbar, by_sparse_lu
from benchmarks._timing import median_s, paired_s
from cosim.array.layer import CrossbarArray
from cosim.budget.memory import keep_freed_memory
from cosim.ngspice import find_ngspice, run_deck
from cosim.ngspice.bench import sweep_deck
from cosim.nodal.lines import Lines
from cosim.nodal.nonlinear import sinh_cell, solve_nonlinear
from cosim.nodal.transfer import solve_transfer
from cosim.surrogate.anchored import AnchoredTransfer
from cosim.surrogate.wires import wire_model
from netlists.array import ReadArray, array_circuit
from netlists.circuit import BehaviouralCurrent, Subcircuit
from netlists.crossbar import Crossbar
from netlists.wires import Wires

PAGE = "performance.md"
TITLE = "The read path against its bars"
TEXT = """
Conductances uniform in 1 to 100 uS and segments of 1 ohm on word and bit lines, if nothing else is
said; float64; medians of repeated runs, in a process for each kind of work, whose freed memory
stays with it (`cosim.budget.memory`). `difference` is the largest to scipy's sparse LU of the nodal
matrix, of the largest entry. badcrossbar: `pip install --no-deps badcrossbar sigfig pathvalidate`.
badcrossbar's
own time varies most from run to run, 2.0 to 2.9 s, and the ratio with it: 195 to 260.
Errors of transfers are relative in the Frobenius norm. The sinh cells conduct a tenth more at 0.2 V
than at 0 V. The layer is single precision, as `torch.nn.Linear` is, 64 vectors, anchored once.
"""

_V0 = 0.2 / 0.7632  # sinh(0.7632) / 0.7632 = 1.1
_ONE = {"r_wordline_ohm": 1.0, "r_bitline_ohm": 1.0}
_BARS_MS = {64: 4, 128: 15, 256: 100, 512: 900, 1024: 6000}
Line = tuple[str, str, str, bool | None]


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per bar."""
    found: list[list[str]] = []
    for part in (_exact, _many, _gradient, _peer, _nonlinear, _closed, _anchored, _layer):
        # A process for each: what one leaves behind in memory and threads slows the next one down.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            lines = process.submit(_lines, part).result()
        for work, bar, measured, met in lines:
            verdict = "-" if met is None else "yes" if met else "**no**"
            found.append([work, bar, measured, verdict])
    return ["work", "bar", "measured", "met"], found


def _lines(part: Callable[[], Iterator[Line]]) -> list[Line]:
    keep_freed_memory()
    return list(part())


def _conductances(rows: int, cols: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(1e-6, 1e-4, (rows, cols)))


def _relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


def _exact() -> Iterator[Line]:
    sizes, walls = [], []
    for n, bar in _BARS_MS.items():
        g = _conductances(n, n)
        wall = 1e3 * median_s(lambda g=g: solve_transfer(g, **_ONE), enough_s=4.0)
        sizes.append(n)
        walls.append(wall)
        difference = ""
        good = wall <= bar
        if n <= 256:
            known = by_sparse_lu(g.numpy(), 1.0)
            off = np.abs(solve_transfer(g, **_ONE).transfer_s.numpy() - known).max() / known.max()
            difference, good = f", difference {off:.0e}", good and off <= 1e-11
        yield f"exact T, {n} x {n}", f"{bar} ms, 1e-11", f"{wall:.3g} ms{difference}", good
    slope = float(np.polyfit(np.log(sizes[1:]), np.log(walls[1:]), 1)[0])
    yield "growth of exact T, 128 to 1024", "n^3.1", f"n^{slope:.2f}", slope <= 3.1
    code = (
        "import resource, torch; from cosim.nodal.transfer import solve_transfer; "
        "g = 1e-6 + 1e-4 * torch.rand(1024, 1024, dtype=torch.float64); "
        "solve_transfer(g, r_wordline_ohm=1.0, r_bitline_ohm=1.0); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    gib = int(done.stdout) / (1 << 20)
    yield "memory of a process for 1024 x 1024", "3 GB", f"{gib:.2f} GiB", gib <= 3 / 1.0737


def _many() -> Iterator[Line]:
    several = torch.stack([_conductances(64, 64, seed) for seed in range(100)])
    wall = median_s(lambda: solve_transfer(several, **_ONE))
    yield "T of 100 arrays 64 x 64", "0.25 s", f"{wall:.3f} s", wall <= 0.25


def _gradient() -> Iterator[Line]:
    g = _conductances(128, 128)
    free = g.clone().requires_grad_()

    def both() -> None:
        solve_transfer(free, **_ONE).transfer_s.square().sum().backward()

    plain, whole = paired_s(lambda: solve_transfer(g, **_ONE), both)
    ratio = whole / plain
    text = f"{ratio:.2f} x ({1e3 * whole:.0f} ms)"
    yield "forward and backward through exact T, 128 x 128", "3 x", text, ratio <= 3


def _peer() -> Iterator[Line]:
    g = _conductances(128, 128)
    volts = torch.from_numpy(np.random.default_rng(1).uniform(0, 0.2, (1024, 128)))
    ours = median_s(lambda: solve_transfer(g, **_ONE).current_a(volts))
    work, bar = "1,024 vectors through 128 x 128, programming included", "200 x badcrossbar"
    module = badcrossbar()
    if module is None:
        yield work, bar, f"{1e3 * ours:.1f} ms; badcrossbar is not installed", None
        return
    peer = median_s(
        lambda: by_badcrossbar(module, g.numpy(), volts.numpy(), 1.0), enough_s=0.0, least=3
    )
    current = solve_transfer(g, **_ONE).current_a(volts).numpy()
    known = by_badcrossbar(module, g.numpy(), volts.numpy(), 1.0)
    off = np.abs(current - known).max() / np.abs(known).max()
    text = f"{1e3 * ours:.1f} ms to {peer:.2f} s: {peer / ours:.0f} x, difference {off:.0e}"
    yield work, bar, text, peer / ours >= 200


def _nonlinear() -> Iterator[Line]:
    n = 64
    g = _conductances(n, n)
    volts = torch.from_numpy(np.random.default_rng(1).uniform(0, 0.2, (64, n)))
    cell, lines = sinh_cell(g, _V0), Lines(**_ONE)
    wall = median_s(lambda: solve_nonlinear(cell, lines, volts, (n, n)))
    block = Subcircuit(
        "sinh_cell", ("wl", "bl"),
        (BehaviouralCurrent("bcell", "wl", "bl", f"g*{_V0!r}*sinh(v(wl,bl)/{_V0!r})"),),
        parameters={"g": 1e-6},
    )  # fmt: skip
    array = ReadArray(Crossbar(g.numpy(), Wires(r_wordline_ohm=1.0, r_bitline_ohm=1.0)))
    deck = sweep_deck(
        array_circuit(array, title="sinh cells", cell=block),
        [f"in_{row}" for row in range(n)],
        volts[:2].numpy(),
        name="sinh",
    )
    result = run_deck(deck, find_ngspice(), timeout_s=600)
    assert result.ok, result.reason
    known = result.plot.matrix([f"i(vsense_{col})" for col in range(n)])
    found = solve_nonlinear(cell, lines, volts[:2], (n, n)).state.sense_a.numpy()
    off = np.abs(found - known).max() / np.abs(known).max()
    text = f"{wall:.2f} s, {off:.0e} of ngspice"
    yield "sinh cells 64 x 64, 64 vectors", "1.5 s, 1e-8", text, wall <= 1.5 and off <= 1e-8


def _closed() -> Iterator[Line]:
    for n, ohm, bar in ((128, 1.0, 2e-2), (64, 0.8, 3e-3)):
        g = _conductances(n, n)
        wires = {"r_wordline_ohm": ohm, "r_bitline_ohm": ohm}
        exact = solve_transfer(g, **wires).transfer_s
        off = _relative(wire_model(n, n, **wires).transfer_s(g), exact)
        drop = 1 - float(exact.sum() / g.sum())
        work = f"closed form, {n} x {n}, {ohm:g} ohm, mean loss {100 * drop:.1f} %"
        yield work, f"{100 * bar:g} %", f"{100 * off:.3f} %", off <= bar
    # A second OpenMP comes with it: only where it is used.
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    digits = load_digits()
    network = MLPClassifier((64,), max_iter=100, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it has learnt by then
        network.fit(digits.data / 16, digits.target)
    assert network.score(digits.data / 16, digits.target) > 0.98
    weight = torch.from_numpy(np.asarray(network.coefs_[0]))
    share = weight / weight.abs().max()
    pairs = torch.stack([share.clamp(min=0), (-share).clamp(min=0)], -1).flatten(1)
    g = 1e-6 + 99e-6 * pairs
    exact = solve_transfer(g, **_ONE).transfer_s
    off = _relative(wire_model(*g.shape, **_ONE).transfer_s(g), exact)
    work = f"closed form, trained weights (digits, {g.shape[0]} x {g.shape[1]}), 1 ohm"
    yield work, "0.1 %", f"{100 * off:.4f} %", off <= 1e-3


def _anchored() -> Iterator[Line]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    x, y = torch.from_numpy(digits.data) / 16.0, torch.from_numpy(digits.target)
    for rate in (0.03, 0.3):
        generator = torch.Generator().manual_seed(0)
        start = 0.2 * torch.randn(64, 20, dtype=torch.float64, generator=generator)
        weight = start.requires_grad_()
        wires = {"r_wordline_ohm": 8.0, "r_bitline_ohm": 8.0, "r_driver_ohm": 20.0}

        def exact(g: torch.Tensor, wires: dict[str, float] = wires) -> torch.Tensor:
            return solve_transfer(g, **wires).transfer_s

        anchored = AnchoredTransfer(wire_model(64, 20, **wires), exact, tolerance=1e-3)
        optimiser = torch.optim.Adam([weight], lr=rate)
        worst = 0.0
        for _ in range(100):
            batch = torch.randint(len(x), (64,), generator=generator)
            g = 1e-6 + 99e-6 * torch.sigmoid(2 * weight)
            transfer = anchored.transfer_s(g)
            worst = max(worst, _relative(transfer.detach(), exact(g.detach())))
            current = x[batch] @ transfer
            outputs = (current[:, 0::2] - current[:, 1::2]) * 3e4
            loss = torch.nn.functional.cross_entropy(outputs, y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        work = f"anchored, 100 steps of Adam at {rate:g} on digits, 64 x 20, 8 ohm: worst step"
        text = f"{100 * worst:.3f} %, {anchored.anchors} anchors"
        yield work, "0.1 %", text, worst <= 1e-3


def _layer() -> Iterator[Line]:
    n = 512
    level = torch.rand(n, n, generator=torch.Generator().manual_seed(0))
    layer = CrossbarArray(level, g_off_s=1e-7, g_on_s=1e-5, **_ONE, tolerance=1.0)
    linear = torch.nn.Linear(n, n)
    volts = torch.rand(64, n, generator=torch.Generator().manual_seed(1), requires_grad=True)

    def step(module: torch.nn.Module) -> Callable[[], None]:
        def run() -> None:
            module.zero_grad()
            volts.grad = None
            module(volts).square().sum().backward()

        return run

    ours, plain = paired_s(step(layer), step(linear))
    bar = 2 * plain + 10e-3
    text = f"{1e3 * ours:.1f} ms; Linear {1e3 * plain:.2f} ms"
    work = "layer 512 x 512, 64 vectors, forward and backward with new levels"
    yield work, f"2 x Linear + 10 ms = {1e3 * bar:.1f} ms", text, ours <= bar
