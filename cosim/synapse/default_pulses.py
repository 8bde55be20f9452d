"""Pulses that take a device through its range in some tens of them, found in torch.

Heights come from switching times at constant voltage. Between pulses a hot filament cools, and one
that runs away does not divide its time evenly: so the pulses are counted on the map of one pulse
and the heights mended a few times.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.polarity import polarity
from cosim.devices.switching_time import switching_state, switching_times
from cosim.surrogate.update_rows import from_rows
from cosim.synapse.place_map import PlaceMap, place_map, places_s
from cosim.tables.layout import QUICK, measured_rows
from cosim.tables.source import in_torch
from cosim.tables.update import MOST, check_levels, thresholds_v
from netlists.pulse import Pulse

Array = NDArray[np.float64]

EDGE = 0.02
"""Rise and fall, over the width."""
PULSES = 40
"""How many pulses a sweep of the range should take."""
MOST_COUNTED = 10_000
"""Pulses; more are not counted."""
_FEW, _MANY = 20, 100
MARGIN = 0.05
"""A level that is beyond a threshold by less, as a part of it, hangs on millivolts of a driver."""
_ROUGH = replace(QUICK, state_rounds=2)
_MENDED = 4
_LEVELS = 40
_ABOVE = np.geomspace(1e-3, 0.3, 16)  # a threshold, over it: there a level means the most
_LOWEST = 0.1  # level, over the amplitude
_FROM, _TO = 0.1, (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_LONGEST_S = 1e9
_SHORTEST_S = 1e-9  # a pulse that a driver can make


def default_pulses(
    model: CompactModel,
    parameter_set: ParameterSet,
    *,
    up_v: float | None = None,
    down_v: float | None = None,
    width_s: float | None = None,
) -> tuple[Pulse, Pulse]:
    """A pulse that raises the conductance and one that lowers it, of the same timing.

    Args:
        model: the device.
        parameter_set: its numbers.
        up_v: the level of the pulse up, with its sign [V]; None is found.
        down_v: the level of the pulse down [V]; likewise.
        width_s: how long the level lasts [s]; None is found. A pulse device moves by its published
            step where the voltage is beyond its threshold for its own width: that is the default.

    Raises:
        InputError: the device takes no pulses, a number cannot be, or no pulse moves the device.
    """
    for level in (up_v, down_v):
        check_levels(model, parameter_set, (-1e-9, 1e-9) if level is None else _around(level))
    if width_s is not None:
        Pulse(0.0, width_s, 1.0, 1.0)  # refuses what is no width
    if model.pulse is not None:
        return _of_pulse_device(model, parameter_set, up_v, down_v, width_s)
    rising, _ = places_s(model, parameter_set)
    return _by_times(model, parameter_set, rising, up_v, down_v, width_s)


def near_threshold(model: CompactModel, parameter_set: ParameterSet, pulse: Pulse) -> float | None:
    """The threshold that the level of a pulse is beyond by less than `MARGIN` of it [V].

    None where there is no such threshold, as in most devices that are not linear in the voltage.
    """
    level = pulse.amplitude_v
    for threshold in thresholds_v(model, parameter_set):
        if threshold * level > 0 and 0 <= abs(level) - abs(threshold) < MARGIN * abs(threshold):
            return threshold
    return None


def missed_aim(pulses_up: int, pulses_down: int) -> str:
    """Which sweep takes too few pulses or too many, in words; empty where both are as aimed at.

    Args:
        pulses_up: of a sweep up.
        pulses_down: of one down.
    """
    missed = [
        f"{count:,}{' or more' if count >= MOST_COUNTED else ''}"
        f" pulse{'' if count == 1 else 's'} {name}"
        for name, count in (("up", pulses_up), ("down", pulses_down))
        if not _FEW <= count <= _MANY
    ]
    if not missed:
        return ""
    return (
        f"no levels with one width were found at which a sweep of the state takes {_FEW} to "
        f"{_MANY} pulses: it takes {' and '.join(missed)}"
    )


def _around(level: float) -> tuple[float, float]:
    return (min(level, -1e-9), max(level, 1e-9))


def _shaped(level_v: float, width_s: float) -> Pulse:
    return Pulse(level_v, width_s, EDGE * width_s, EDGE * width_s)


def _of_pulse_device(
    model: CompactModel,
    parameter_set: ParameterSet,
    up_v: float | None,
    down_v: float | None,
    width_s: float | None,
) -> tuple[Pulse, Pulse]:
    pulse = model.pulse
    if pulse is None:
        raise AssertionError("asked for of a pulse device only")
    up = parameter_set.amplitude_v if up_v is None else up_v
    down = -parameter_set.amplitude_v if down_v is None else down_v
    if width_s is None:
        # The way up to the threshold does not count: what is left of level and edges does.
        part = 1 - parameter_set.values[pulse.threshold_v.name] / min(abs(up), abs(down))
        width_s = parameter_set.values[pulse.width_s.name] / (1 + 2 * EDGE * max(part, 0.0))
    return _shaped(up, width_s), _shaped(down, width_s)


def _by_times(
    model: CompactModel,
    parameter_set: ParameterSet,
    rising: bool,
    up_v: float | None,
    down_v: float | None,
    width_s: float | None,
) -> tuple[Pulse, Pulse]:
    curves = {}
    for name, given in (("up", up_v), ("down", down_v)):
        curves[name] = _curve(model, parameter_set, rising, name == "up", given)
    width = width_s or _common_width(parameter_set, curves["up"], curves["down"])
    goal = {"up": width, "down": width}
    best: tuple[float, tuple[Pulse, Pulse]] | None = None
    for _ in range(_MENDED + 1):
        levels = {name: _level(curves[name], goal[name]) for name in curves}
        pair = (_shaped(levels["up"], width), _shaped(levels["down"], width))
        counts = _counts(model, parameter_set, pair)
        off = sum(abs(math.log(max(n, 1) / PULSES)) for n in counts.values())
        if best is None or off < best[0]:
            best = (off, pair)
        if all(_FEW <= n <= _MANY for n in counts.values()):
            return pair
        free = [name for name, given in (("up", up_v), ("down", down_v)) if given is None]
        if not free:
            break
        for name in free:
            # A pulse of a level whose sweep takes so much less time takes so many fewer.
            goal[name] *= min(max(PULSES / max(counts[name], 1), 0.1), 10.0)
    if best is None:
        raise AssertionError("there is always a first pair")
    return best[1]


def _curve(
    model: CompactModel, parameter_set: ParameterSet, rising: bool, is_up: bool, given: float | None
) -> tuple[Array, Array, Array]:
    """Levels, the width at which a sweep takes `PULSES` pulses, and how uneven it is, [level]."""
    sizes = parameter_set.amplitude_v * np.geomspace(_LOWEST, MOST, _LEVELS)
    # A rate in |V| has a kink at 0 V too, but a pulse of no height is none.
    beside = [abs(v) * (1 + _ABOVE) for v in thresholds_v(model, parameter_set) if v]
    sizes = np.unique(np.concatenate([sizes, *beside]))
    sizes = sizes[sizes <= MOST * parameter_set.amplitude_v]
    how = polarity(model, parameter_set)
    known_sign = how.set_sign if is_up else how.reset_sign
    signs = (known_sign,) if known_sign else (1, -1)
    first = _FROM if is_up else 1 - _FROM
    for far in _TO:
        last = far if is_up else 1 - far
        curves = []
        for sign in signs if given is None else (1,):
            volts = sign * sizes if given is None else np.array([given])
            whole, half = (
                _times(model, parameter_set, volts, rising, first, first + part * (last - first))
                for part in (1.0, 0.5)
            )
            known = np.isfinite(whole) & np.isfinite(half) & (half > 0) & (whole > half)
            uneven = np.abs(np.log((whole[known] - half[known]) / half[known]))
            curves.append((volts[known], whole[known] / PULSES, uneven))
        # Of both signs the one that gets there sooner at the highest level.
        able = [one for one in curves if one[0].size]
        if able:
            return min(able, key=lambda one: float(one[1][-1]))
    if given is not None:  # the map will say what it does
        return np.array([given]), np.array([np.nan]), np.array([0.0])
    raise InputError(
        f"no pulse up to {MOST * parameter_set.amplitude_v:g} V moves the device "
        f"{'up' if is_up else 'down'} by a fifth of its range",
        where=f"model {model.name!r}, parameter set {parameter_set.name!r}",
        hint="give --amplitude-v, --amplitude-down-v and --width-s",
    )


def _times(
    model: CompactModel,
    parameter_set: ParameterSet,
    volts: Array,
    rising: bool,
    first: float,
    last: float,
) -> Array:
    return switching_times(
        model,
        parameter_set,
        torch.from_numpy(volts),
        from_fraction=first if rising else 1 - first,
        to_fraction=last if rising else 1 - last,
        longest_s=_LONGEST_S,
    ).numpy()


def _common_width(
    parameter_set: ParameterSet,
    up: tuple[Array, Array, Array],
    down: tuple[Array, Array, Array],
) -> float:
    """The width at which both levels are near the set's amplitude and both sweeps are even."""
    ends = [(np.nanmin(one[1]), np.nanmax(one[1])) for one in (up, down) if np.isfinite(one[1][0])]
    if not ends:
        return parameter_set.period_s / PULSES
    low = max(float(end[0]) for end in ends)
    high = min(float(end[1]) for end in ends)
    if low >= high:
        return low
    if high > _SHORTEST_S:
        low = max(low, _SHORTEST_S)
    tried = np.geomspace(low, high, 200)
    cost = 3.0 * np.maximum(0, np.log10(tried / parameter_set.period_s))
    for volts, width, uneven in (up, down):
        if len(volts) < 2:
            continue
        level = np.array([_level((volts, width, uneven), one) for one in tried])
        size, order = np.abs(level) / parameter_set.amplitude_v, np.argsort(width)
        cost += np.interp(np.log(tried), np.log(width[order]), uneven[order])
        cost += 2.0 * np.abs(np.log(size))
    return float(tried[int(np.argmin(cost))])


def _level(curve: tuple[Array, Array, Array], width_s: float) -> float:
    """The level whose sweep takes `PULSES` pulses of a width; the nearest where none does."""
    volts, width, _ = curve
    if len(volts) < 2:
        return float(volts[0])
    order = np.argsort(width)
    size = np.interp(math.log(width_s), np.log(width[order]), np.log(np.abs(volts[order])))
    return math.copysign(float(f"{math.exp(size):.6g}"), volts[0])


def _counts(
    model: CompactModel, parameter_set: ParameterSet, pair: tuple[Pulse, Pulse]
) -> dict[str, int]:
    """Pulses of a sweep up and of one down; a very large number where one moves nothing."""
    try:
        found = rough_map(model, parameter_set, pair)
    except InputError:
        return {"up": 10 * _MANY, "down": 10 * _MANY}
    return {"up": found.pulses_up(10 * _MANY), "down": found.pulses_down(10 * _MANY)}


def rough_map(
    model: CompactModel, parameter_set: ParameterSet, pair: tuple[Pulse, Pulse]
) -> PlaceMap:
    """The map of two pulses of one timing from torch, without a word on its error."""
    up, down = pair
    levels = sorted({up.amplitude_v, down.amplitude_v})
    guide = in_torch(model, parameter_set, up, looks=0, tolerance=1e-5)
    rows = measured_rows(guide, np.array(levels), _ROUGH)
    made = from_rows(
        rows,
        model=model.name,
        parameter_set=parameter_set.name,
        pulse=up,
        state=model.states[switching_state(model)].name,
        source="torch",
        smooth=False,
    )
    return place_map(model, parameter_set, up, down, made, made)
