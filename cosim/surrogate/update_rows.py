"""Measured pulses, made the table of an update surrogate; and how far the table is from others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from cosim.surrogate.update import PLACES, HeldOut, UpdateSurrogate
from netlists.pulse import Pulse

Array = NDArray[np.float64]

_TINY = 1e-300
_STEEPEST = 0.98  # of w beyond the range: with 1 no state would ever be reached


@dataclass(frozen=True, eq=False)
class Row:
    """Pulses of one level, measured.

    Attributes:
        voltage_v: the level [V].
        x: states before, rising, 0 and 1 among them [point].
        after: states after [point]; NaN where the source has no answer.
        energy_j: energies [J], [point].
    """

    voltage_v: float
    x: Array
    after: Array
    energy_j: Array

    def table(self, beside: Array | None = None) -> tuple[Array, Array]:
        """The change w and energy [J] over `PLACES`, each [place].

        Beside an unknown point the energy is NaN, which says so of both.

        Args:
            beside: w of the row nearer to 0 V [place], as which this one goes on where no state
                leads to; None where there is none, and it goes on straight.
        """
        place = PLACES
        known = np.isfinite(self.after) & np.isfinite(self.energy_j)
        if known.sum() < 2:
            return np.zeros(len(PLACES)), np.full(len(PLACES), np.nan)
        x = self.x[known]
        # What a simulator's error turns round is put right: u has to rise with x.
        u = np.maximum.accumulate(x + np.clip(self.after[known], 0, 1))
        w = u - 2 * x
        change = _between(place, u, w)
        if beside is None:
            for out, end, inner in ((place < u[0], 0, 1), (place > u[-1], -1, -2)):
                gap = u[inner] - u[end]
                steep = (w[inner] - w[end]) / gap if gap else 0.0
                change[out] = w[end] + np.clip(steep, -1.0, _STEEPEST) * (place[out] - u[end])
        else:
            _go_on(change, beside, (u[0], w[0]), (u[-1], w[-1]))
        energy = np.interp(place, u, self.energy_j[known])
        for k in np.flatnonzero(~known):
            near = [self.x[j] for j in (k - 1, k + 1) if 0 <= j < len(self.x)]
            doubt = (place - change >= 2 * min(near)) & (place - change <= 2 * max(near))
            energy = np.where(doubt, np.nan, energy)
        return change, energy


def _between(place: Array, u: Array, w: Array) -> Array:
    """The change w over places of u, through measured ones: monotone cubics where these can be.

    Steps that fall off like an exponential bend between points, and straight lines would make all
    of them too long. But states must not change their order: where a cubic might be steeper than 1
    it is a straight line, as at a cliff.
    """
    straight = np.interp(place, u, w)
    gaps = np.diff(u)
    if len(u) < 3 or (gaps <= 0).any():
        return straight
    cubic = PchipInterpolator(u, w)
    # Both ends of a cubic have the sign of its chord, so that it is nowhere steeper than the
    # steeper end or 3/2 of the chord.
    ends = np.abs(cubic.derivative()(u))
    steepest = np.max([1.5 * np.abs(np.diff(w) / gaps), ends[:-1], ends[1:]], axis=0)
    k = np.clip(np.searchsorted(u, place, side="right") - 1, 0, len(gaps) - 1)
    fits = (steepest[k] <= _STEEPEST) & (place >= u[0]) & (place <= u[-1])
    return np.where(fits, cubic(place), straight)


def _go_on(
    change: Array, beside: Array, first: tuple[float, float], last: tuple[float, float]
) -> None:
    """Lets a row go on beyond its ends as the row beside it does, moved along x to begin there.

    What is read between two rows is a mean of both, with states that only one of them leads to. A
    row at whose level every filament gives way knows nothing of the edge from which on they hold
    at the level before: to go on as that row does is to have the edge just out of the range.

    Args:
        change: w of the row [place], what is beyond its ends is written over.
        beside: w of the row beside it [place].
        first: u and w of the state 0.
        last: of the state 1.
    """
    place = PLACES
    before, after = (place - beside) / 2, (place + beside) / 2
    for (u, w), top in ((first, False), (last, True)):
        y = (u + w) / 2  # where the end leads to; the nearest state beside it that leads there
        k = int(np.searchsorted(after, y, side="right" if top else "left"))
        k = min(max(k, 1), len(place) - 1)
        rise = after[k] - after[k - 1]
        part = min(max((y - after[k - 1]) / rise, 0.0), 1.0) if rise > _TINY else float(top)
        moved = (u - w) / 2 - (before[k - 1] + part * (before[k] - before[k - 1]))
        shape = np.interp(place, place + moved, beside - moved)
        out = place > u if top else place < u
        far = (shape - _STEEPEST * place)[out]
        start = w - _STEEPEST * u
        if top:
            far = np.minimum(np.minimum.accumulate(far), start)
        else:
            far = np.maximum(np.maximum.accumulate(far[::-1])[::-1], start)
        change[out] = far + _STEEPEST * place[out]


def from_rows(
    rows: list[Row],
    *,
    model: str,
    parameter_set: str,
    pulse: Pulse,
    state: str,
    source: str,
    smooth: bool,
) -> UpdateSurrogate:
    """The table through measured rows.

    Args:
        rows: of rising levels, two at least.
        model: the device's name.
        parameter_set: its set's.
        pulse: a pulse of the timing that was measured.
        state: the state's name.
        source: who measured.
        smooth: monotone cubics over the voltage (Fritsch and Carlson, SIAM J. Numer. Anal. 17,
            1980, through scipy); False for straight lines.
    """
    levels = np.array([row.voltage_v for row in rows])
    change, energy = (np.stack(column) for column in zip(*_tables(rows, levels), strict=True))
    heat = np.empty_like(energy)
    heat[levels != 0] = energy[levels != 0] / levels[levels != 0, None] ** 2
    for k in np.flatnonzero(levels == 0):  # where it is 0 / 0: as beside it
        beside = [heat[j] for j in (k - 1, k + 1) if 0 <= j < len(levels)]
        heat[k] = np.mean(beside, axis=0)
    slope = None
    if smooth:
        found = PchipInterpolator(levels, change, axis=0).derivative()(levels)
        slope = torch.from_numpy(found)
    return UpdateSurrogate(
        model=model,
        parameter_set=parameter_set,
        pulse=pulse.at(float(levels[np.argmax(np.abs(levels))])),
        state=state,
        source=source,
        voltage_v=torch.from_numpy(levels),
        change=torch.from_numpy(change),
        change_slope=slope,
        heat_j_per_v2=torch.from_numpy(heat),
    )


def _tables(rows: list[Row], levels: Array) -> list[tuple[Array, Array]]:
    """What `Row.table` makes of every row, from the one nearest to 0 V outwards."""
    first = int(np.abs(levels).argmin())
    found = {first: rows[first].table()}
    for side in (range(first + 1, len(rows)), range(first - 1, -1, -1)):
        inner = first
        for k in side:
            found[k] = rows[k].table(found[inner][0])
            inner = k
    return [found[k] for k in range(len(rows))]


def compared(
    surrogate: UpdateSurrogate, x: Array, voltage_v: Array, after: Array, energy_j: Array
) -> HeldOut:
    """The error of a surrogate on measured points, each array [point]."""
    ours, energy = surrogate.lookup(torch.from_numpy(x), torch.from_numpy(voltage_v))
    known = np.isfinite(after) & np.isfinite(ours.numpy()) & np.isfinite(energy_j)
    error = (ours.numpy() - after)[known]
    heat = (energy.numpy() - energy_j)[known]
    return HeldOut(
        points=int(known.sum()),
        lost=int((~known).sum()),
        nrmse=_over(error, (after - x)[known]),
        worst=float(np.abs(error).max(initial=0.0)),
        energy_nrmse=_over(heat, energy_j[known]),
    )


def _over(error: Array, size: Array) -> float:
    if not size.size:
        return float("nan")
    return float(np.sqrt(np.mean(error**2) / max(float(np.mean(size**2)), _TINY)))
