"""A pulsed update of a large tile by stochastic trains, beside aihwkit's where it is installed."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch

from compact_models.library import find_model
from compact_models.variation import Stream
from cosim.budget.memory import keep_freed_memory
from cosim.pulses.cells import pulse_cells
from cosim.pulses.trains import UpdateRule
from cosim.pulses.update import pulsed_update

PAGE = "performance.md"
TITLE = "A pulsed update of a tile"
TEXT = """
A 512 x 512 tile, 64 samples one after another, x and d uniform in -1 to 1, lr 0.01 and steps of
0.001: trains of ten pulses and 2.5 coincidences per cell and sample in the mean. Single precision;
the step varies by 30 % from cell to cell and from pulse to pulse, the bounds by 30 % from cell to
cell. Drawing the trains is part of the time. The lowest and the median of sixty repetitions, on as
many threads as said, in a process of their own, without the first one, which compiles (no compiler
of the machine's is asked for). `copy` is
the time in which the same threads copy the tile's weights and its eight tensors of parameters
once: it says how busy the memory is.
"""

_N, _BATCH, _BAR_MS, _TURNS = 512, 64, 30, 60
Line = tuple[str, str, str, bool | None]


def rows() -> tuple[list[str], list[list[str]]]:
    """One line per device and number of threads."""
    found: list[list[str]] = []
    parts = [
        *(partial(_update, name, threads) for name in ("soft_bounds",) for threads in (2, 1)),
        *(partial(_update, name, 2) for name in ("constant_step", "linear_step")),
        _peer,
    ]
    for part in parts:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            lines = process.submit(_lines, part).result()
        for work, bar, measured, met in lines:
            found.append([work, bar, measured, "-" if met is None else "yes" if met else "**no**"])
    return ["work", "bar", "measured", "met"], found


def _lines(part: Callable[[], Iterator[Line]]) -> list[Line]:
    keep_freed_memory()
    return list(part())


def _values(name: str) -> dict[str, Any]:
    """A device of dw_min 0.001 and bounds 0.6, with its spread from cell to cell."""
    rng = np.random.default_rng(0)
    given: dict[str, Any] = dict(find_model(name).parameter_sets[0].values)
    given |= {"dw_min_std": 0.3, "up_down": 0.0}
    for key, mean in (("dw_min", 0.001), ("w_min", -0.6), ("w_max", 0.6)):
        share = np.maximum(0.05, 1 + 0.3 * rng.standard_normal((_N, _N)))
        given[key] = torch.from_numpy(mean * share)
    return given


def _pair() -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(1)
    x, d = (torch.from_numpy(rng.uniform(-1, 1, (_BATCH, _N))).float() for _ in range(2))
    return x, d


def _timed_ms(run: Callable[[int], object], turns: int = _TURNS) -> tuple[float, float]:
    """The lowest and the median."""
    run(0)
    walls = []
    for turn in range(1, turns + 1):
        started = time.perf_counter()
        run(turn)
        walls.append(1e3 * (time.perf_counter() - started))
    return min(walls), float(np.median(walls))


def _update(name: str, threads: int) -> Iterator[Line]:
    torch.set_num_threads(threads)
    w = torch.zeros(_N, _N)
    cells = pulse_cells(find_model(name), _values(name), w)
    x, d = _pair()
    rule = UpdateRule(0.01, 0.001)

    def run(step: int) -> None:
        w.zero_()
        pulsed_update(cells, w, x, d, rule, Stream(0).at("tile", step), threads=threads)

    run(0)
    wanted = -0.01 * x.T @ d
    slope = float((w * wanted).sum() / wanted.square().sum())
    assert 0.7 < slope < 1.1, slope  # soft bounds take less than the whole
    lowest, median = _timed_ms(run)
    nine = torch.zeros(9, _N, _N)
    other = torch.empty_like(nine)
    copied, _ = _timed_ms(lambda _: other.copy_(nine))
    bar = _BAR_MS if (name, threads) == ("soft_bounds", 2) else None
    text = f"{lowest:.1f} ms (median {median:.1f}; copy {copied:.2f} ms)"
    work = f"{name}, {threads} thread{'s' if threads > 1 else ''}"
    yield work, f"{bar} ms" if bar else "-", text, lowest <= bar if bar else None


def _peer() -> Iterator[Line]:
    work = "aihwkit SoftBoundsDevice, 1 thread"
    try:
        from aihwkit.simulator.configs import SingleRPUConfig, SoftBoundsDevice
        from aihwkit.simulator.tiles import AnalogTile
    except ImportError:
        yield work, "-", "aihwkit is not installed (1.2.0 elsewhere: 63 ms of CPU time)", None
        return
    torch.set_num_threads(1)
    tile = AnalogTile(_N, _N, SingleRPUConfig(device=SoftBoundsDevice()))
    tile.set_learning_rate(0.01)
    x, d = _pair()
    lowest, median = _timed_ms(lambda _: tile.update(x, d))
    yield work, "-", f"{lowest:.1f} ms (median {median:.1f})", None
