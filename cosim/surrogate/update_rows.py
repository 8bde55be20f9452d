"""Measured pulses, made the table of an update surrogate; and how far the table is from others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from cosim.surrogate.update import PLACES, HeldOut, UpdateSurrogate
from netlists.pulse import Pulse

Array = NDArray[np.float64]

_TINY = 1e-300
_STEEPEST = 0.9  # of w beyond the range: with 1 no state would ever be reached


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

    def table(self) -> tuple[Array, Array]:
        """The change w and energy [J] over `PLACES`, each [place].

        Beside an unknown point the energy is NaN, which says so of both.
        """
        place = PLACES
        known = np.isfinite(self.after) & np.isfinite(self.energy_j)
        if known.sum() < 2:
            return np.zeros(len(PLACES)), np.full(len(PLACES), np.nan)
        x = self.x[known]
        # What a simulator's error turns round is put right: u has to rise with x.
        u = np.maximum.accumulate(x + np.clip(self.after[known], 0, 1))
        w = u - 2 * x
        # Below and above what any state leads to it goes on straight, so that there is no corner.
        ends = np.concatenate([[0.0], u, [2.0]])
        steep = [(w[i] - w[j]) / max(u[i] - u[j], _TINY) for i, j in ((1, 0), (-1, -2))]
        slopes = np.clip(steep, -1.0, _STEEPEST)
        heights = [w[0] - slopes[0] * u[0], *w, w[-1] + slopes[1] * (2.0 - u[-1])]
        change = np.interp(place, ends, heights)
        energy = np.interp(place, u, self.energy_j[known])
        for k in np.flatnonzero(~known):
            near = [self.x[j] for j in (k - 1, k + 1) if 0 <= j < len(self.x)]
            doubt = (place - change >= 2 * min(near)) & (place - change <= 2 * max(near))
            energy = np.where(doubt, np.nan, energy)
        return change, energy


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
    change, energy = (np.stack(column) for column in zip(*(r.table() for r in rows), strict=True))
    levels = np.array([row.voltage_v for row in rows])
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


def ideal_step(surrogate: UpdateSurrogate) -> UpdateSurrogate:
    """The negative control: one step for all states and voltages of a sign, as ideal devices have.

    It is that of the middle of the range at the full level, cut short by the bounds. It gives up
    how the step depends on the state and on the voltage that arrives.
    """
    levels = surrogate.voltage_v
    full = torch.where(levels > 0, levels[-1], levels[0]) * (levels != 0)
    middle = torch.full_like(levels, 0.5)
    step = (surrogate.lookup(middle, full)[0] - middle).numpy()
    rows = []
    for level, one in zip(surrogate.voltage_v.tolist(), step.tolist(), strict=True):
        x = np.unique(np.clip(np.array([0.0, -one, 1 - one, 1.0]), 0, 1))
        rows.append(Row(level, x, np.clip(x + one, 0, 1), np.zeros_like(x)))
    made = from_rows(
        rows,
        model=surrogate.model,
        parameter_set=surrogate.parameter_set,
        pulse=surrogate.pulse,
        state=surrogate.state,
        source="constant step",
        smooth=False,
    )
    return replace(made, held_out=None)


def _over(error: Array, size: Array) -> float:
    if not size.size:
        return float("nan")
    return float(np.sqrt(np.mean(error**2) / max(float(np.mean(size**2)), _TINY)))
