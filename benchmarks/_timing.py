"""Medians of repeated runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def median_s(run: Callable[[], object], *, enough_s: float = 2.0, least: int = 3) -> float:
    """Median wall time [s] of `run` after one that warms up: `least` times, more if it is short."""
    run()
    walls: list[float] = []
    while len(walls) < least or (sum(walls) < enough_s and len(walls) < 31):
        started = time.perf_counter()
        run()
        walls.append(time.perf_counter() - started)
    return statistics.median(walls)


def paired_s(
    first: Callable[[], object], second: Callable[[], object], *, turns: int = 31
) -> tuple[float, float]:
    """Medians of two runs that take turns, so that both see the same machine."""
    one, other = in_turns_s(first, second, turns=turns)
    return one, other


def in_turns_s(*runs: Callable[[], object], turns: int = 31) -> list[float]:
    """The same of any number of runs, each after one that warms up."""
    for run in runs:
        run()
    walls: list[list[float]] = [[] for _ in runs]
    for _ in range(turns):
        for run, wall in zip(runs, walls, strict=True):
            started = time.perf_counter()
            run()
            wall.append(time.perf_counter() - started)
    return [statistics.median(wall) for wall in walls]
