"""What one pulse does to the weight of a cell that is a compact model, by its equations alone.

It says which step an update rule may reckon with, and whether pulses of some levels can be used at
all: pulses that move nothing, run through the range at once, or move cells of which only one line
has a pulse are refused with levels that do better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.array.device_cells import DeviceCells
from cosim.driven.ode import run_ode
from cosim.driven.train_pulses import TrainPulses
from cosim.driven.writable import WritableArray
from cosim.tables.update import MOST
from netlists.pulse import Pulse
from netlists.wires import Wires
from netlists.write_schemes import Levels

Array = NDArray[np.float64]

_TOLERANCE = 1e-5  # of a state's range, in a step of time
_LEAST, _MOST = 1e-5, 0.3  # of the range: a step that moves a cell, and one that is a step
_HALF = 0.1  # of a step: what half of the level may do
_AIM = 0.005  # of the range: a step of pulses that are proposed
_LEVELS, _FINER = 40, 2  # that are tried for that, and again between two of them
_LOWEST = 0.02  # of these, over the highest


@dataclass(frozen=True)
class OneStep:
    """What one pulse does to a cell in the middle of its range, in parts of it.

    Attributes:
        up: change of the conductance where two pulses meet that raise it.
        down: where two meet that lower it.
        half_up: where one line alone has a pulse in a slot that steps cells up.
        half_down: likewise down.
    """

    up: float
    down: float
    half_up: float
    half_down: float

    @property
    def size(self) -> float:
        """The mean of both directions."""
        return 0.5 * (abs(self.up) + abs(self.down))

    @property
    def disturb(self) -> float:
        """What half of a level does, as a part of what the whole level does."""
        return max(abs(self.half_up), abs(self.half_down)) / max(self.size, 1e-300)


def one_step(cells: DeviceCells, ends_s: tuple[float, float], pulses: TrainPulses) -> OneStep:
    """One pulse on a cell whose conductance is in the middle of a range.

    Args:
        cells: the device.
        ends_s: the range [S].
        pulses: what lines carry, without errors of their own.

    Raises:
        InputError: pulses of these levels cannot train these cells; it proposes others.
    """
    up_v, down_v = pulses.up.amplitude_v, pulses.down.amplitude_v
    levels = np.array([up_v, down_v, 0.5 * up_v, 0.5 * down_v])
    found = OneStep(*_changes(cells, ends_s, pulses.up, levels).tolist())
    why = _useless(found)
    if why:
        raise InputError(
            f"{why} (conductance {sum(ends_s) / 2:.3g} S, pulses of {pulses.up.width_s:g} s)",
            where="[pulse] amplitude_v, amplitude_down_v, width_s",
            value=(abs(up_v), abs(down_v), pulses.up.width_s),
            hint=_proposed(cells, ends_s, pulses),
        )
    return found


def _useless(step: OneStep) -> str:
    """Why such pulses cannot train cells, in words; empty where they can."""
    if not all(math.isfinite(one) for one in (step.up, step.down, step.half_up, step.half_down)):
        return "the device's equations have no solution for these pulses"
    if not (step.up >= _LEAST and -step.down >= _LEAST):
        return (
            f"these pulses do not step cells: one up moves a cell by {100 * step.up:.2g} % of its"
            f" range and one down by {100 * step.down:.2g} %"
        )
    if max(step.up, -step.down) > _MOST:
        return (
            f"one of these pulses takes a cell through much of its range: {100 * step.up:.0f} % up,"
            f" {-100 * step.down:.0f} % down"
        )
    if step.disturb > _HALF:
        return (
            "these pulses move cells of which only one line has a pulse, by"
            f" {100 * step.disturb:.0f} % of a step"
        )
    return ""


def _changes(
    cells: DeviceCells, ends_s: tuple[float, float], timing: Pulse, levels_v: Array
) -> Array:
    """What pulses of some levels do to the conductance in parts of the range, [level].

    One cell a level, each on a line of its own without wires; NaN where there is no solution.
    """
    middle = torch.full((len(levels_v), 1), 0.5 * sum(ends_s), dtype=torch.float64)
    rest = cells.device.parameter_set.initial
    states = {one.name: np.full(middle.shape, rest[one.name]) for one in cells.device.model.states}
    array = WritableArray(
        cells.device.model,
        cells.device.parameter_set,
        Wires(0.0, 0.0),
        {**states, cells.memory: cells.states_for(middle).numpy()},
    )
    driven = array.under(Levels(levels_v, np.zeros(1), None), timing)
    after = run_ode(driven, tolerance=_TOLERANCE)
    if not after.ok:
        if len(levels_v) == 1:
            return np.full(1, np.nan)
        each = [_changes(cells, ends_s, timing, levels_v[k : k + 1]) for k in range(len(levels_v))]
        return np.concatenate(each)
    with torch.no_grad():
        now = cells.conductance_s(torch.from_numpy(np.asarray(after.states[cells.memory])))
    return np.asarray((now - middle).numpy()[:, 0] / (ends_s[1] - ends_s[0]))


def _proposed(cells: DeviceCells, ends_s: tuple[float, float], pulses: TrainPulses) -> str:
    """Levels of pulses of the same width that do better, in words."""
    highest_v = MOST * cells.device.parameter_set.amplitude_v
    found = []
    for way, pulse in ((1, pulses.up), (-1, pulses.down)):
        sizes = highest_v * np.geomspace(_LOWEST, 1.0, _LEVELS)
        for _ in range(_FINER):  # a device with a threshold begins to move between two levels
            levels = np.sign(pulse.amplitude_v) * sizes
            change = way * _changes(cells, ends_s, pulses.up, levels)
            enough = np.flatnonzero(change >= _AIM)
            k = int(enough[0]) if len(enough) else 0
            if not len(enough) or (k and not np.isfinite(change[k - 1])):
                return (
                    f"no level up to {highest_v:.3g} V steps them {'up' if way > 0 else 'down'} by"
                    f" {100 * _AIM:g} %: take another width_s, or a narrower [cell] g_off_s to"
                    " g_on_s"
                )
            best = float(sizes[k])
            sizes = np.linspace(sizes[max(k - 1, 0)], best, _LEVELS)
        found.append(float(f"{best:.4g}"))
    up, down = np.sign(pulses.up.amplitude_v) * found[0], -np.sign(pulses.up.amplitude_v) * found[1]
    some = np.array([up, down, 0.5 * up, 0.5 * down])
    better = OneStep(*_changes(cells, ends_s, pulses.up, some).tolist())
    why = _useless(better)
    if why:
        return (
            f"no levels of this width were found that do: with {found[0]:g} V up and {found[1]:g} V"
            f" down {why}; take another width_s or device"
        )
    return (
        f"amplitude_v = {found[0]:g}, amplitude_down_v = {found[1]:g}: steps of"
        f" {100 * better.up:.2g} % up and {-100 * better.down:.2g} % down"
    )
