"""Rows of a sweep at which the source held the current: they say nothing of the device's own.

A source with a compliance lets the voltage go where the current would pass its limit: what is
recorded there is the voltage that was asked for, and the limit. On such rows the current rests
while the voltage moves. A device's own current does so only where it turns round, on a smooth arch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cosim.fitting.data import Array, Sweep, Waveform

_REST = 0.005  # of the limit: how much a held current still moves
_MOVES = 0.05  # of the largest voltage, in one row of rows at the limit: a peak moves less
_LEAST = 5  # rows side by side
_EXACT = 1e-6  # of the limit: a number that was written down again and again
_ARCH = 0.3  # part of the currents' spread that a parabola leaves, if they lie on one, at most


@dataclass(frozen=True)
class Held:
    """What a source has held.

    Attributes:
        rows: how many rows.
        limits_a: at which currents, with their signs [A].
    """

    rows: int
    limits_a: tuple[float, ...]


def without_compliance(sweep: Sweep) -> tuple[Sweep, Held | None]:
    """The sweep without what was held, to compare with; the voltage stays as it was asked for.

    Args:
        sweep: as measured.

    Returns:
        The sweep itself and None where nothing was held, or where nothing else is left.
    """
    held = np.zeros(len(sweep.time_s), dtype=bool)
    limits = []
    for sign in (1.0, -1.0):
        size = sign * sweep.current_a
        top = float(size.max())
        if top <= 0:
            continue
        for a, b in _runs(size >= (1 - _REST) * top):
            moves = float(np.ptp(sweep.voltage_v[a:b]))
            if b - a < _LEAST or _is_arch(size[a:b], top):
                continue
            if moves >= _MOVES * float(np.abs(sweep.voltage_v).max()):
                held[a:b] = True
                limits.append(sign * top)
    if not held.any() or held.all():
        return sweep, None
    left = replace(
        sweep,
        time_s=sweep.time_s[~held],
        voltage_v=sweep.voltage_v[~held],
        current_a=sweep.current_a[~held],
        stimulus=sweep.stimulus or Waveform(sweep.time_s, sweep.voltage_v),
    )
    return left, Held(int(held.sum()), tuple(dict.fromkeys(limits)))


def _is_arch(size: Array, top: float) -> bool:
    spread = float(size.std())
    if spread <= _EXACT * top:
        return False
    row = np.linspace(-1, 1, len(size))
    off = size - np.polyval(np.polyfit(row, size, 2), row)
    return float(off.std()) <= _ARCH * spread


def _runs(chosen: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last of all rows that lie side by side."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
