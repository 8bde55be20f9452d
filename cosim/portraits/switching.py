"""SET and RESET times over voltage, and the pulses that a device can be programmed with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compact_models.emit.torch_model import TorchModel, torch_model
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.integrate import advance, start
from cosim.devices.polarity import (
    GOAL,
    HIGHEST,
    LONGEST_S,
    START,
    Polarity,
    conductance_s,
    place_states,
)
from cosim.devices.switching_time import switching_times
from cosim.portraits.panel import Absent, Array, Detail, plain, plain_list

_LOWEST = 0.05  # voltage, over the amplitude
_FAR = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)  # places that a train may aim at, the farthest first
_NEAR = 0.1  # the place where a train starts
# Factors of a pulse's width, tried until the train gets where it should: at constant voltage
# a filament stays hot and runs away, between pulses it cools, and a train would end just before.
_LONGER = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 5.0, 10.0, 30.0)
_MISSED = 0.1  # of the way: a train that ends nearer to its goal has got there
_SHORTEST_S = 1e-9  # a pulse that a driver can make


@dataclass(frozen=True)
class SwitchingCurve:
    """How long SET and RESET take at constant voltages.

    Attributes:
        set_v: voltages of SET with their sign, [voltage]; empty where no polarity sets.
        set_s: times [voltage], NaN where the device does not switch within `LONGEST_S`.
        reset_v: the same for RESET.
        reset_s: the same for RESET.
    """

    set_v: Array
    set_s: Array
    reset_v: Array
    reset_s: Array

    def numbers(self) -> dict[str, Any]:
        """Voltages, times and the decades that the times span, for both directions."""
        return {
            "longest_s": LONGEST_S,
            "from_part": START,
            "to_part": GOAL,
            "set_times": _curve(self.set_v, self.set_s),
            "reset_times": _curve(self.reset_v, self.reset_s),
        }


def _curve(voltage_v: Array, time_s: Array) -> dict[str, Any]:
    found = np.isfinite(time_s)
    times = time_s[found]
    return {
        "voltage_v": plain_list(voltage_v[found]),
        "time_s": plain_list(times),
        "decades": float(np.log10(times.max() / times.min())) if times.size else None,
        "not_switched_v": plain_list(voltage_v[~found]),
    }


def switching_curve(
    model: CompactModel, numbers: ParameterSet, how: Polarity, detail: Detail
) -> SwitchingCurve | Absent:
    """SET and RESET times at voltages up to 1.25 times the set's amplitude."""
    size = numbers.amplitude_v * np.linspace(_LOWEST, HIGHEST, detail.voltages)
    curves = []
    for sign, place, goal in ((how.set_sign, START, GOAL), (how.reset_sign, 1 - START, 1 - GOAL)):
        volts = sign * size if sign else np.zeros(0)
        curves += [volts, _times(model, numbers, how, volts, place, goal)]
    if not any(np.isfinite(times).any() for times in curves[1::2]):
        return Absent(
            "Switching time",
            f"The device switches at no voltage up to {size[-1]:.3g} V within ten years.",
        )
    return SwitchingCurve(*curves)


def _times(
    model: CompactModel, numbers: ParameterSet, how: Polarity, volts: Array, place: float,
    goal: float,
) -> Array:  # fmt: skip
    if not volts.size:
        return np.zeros(0)
    return switching_times(
        model,
        numbers,
        torch.from_numpy(volts),
        from_fraction=how.fraction(place),
        to_fraction=how.fraction(goal),
        longest_s=LONGEST_S,
    ).numpy()


@dataclass(frozen=True)
class Pulse:
    """A rectangular pulse.

    Attributes:
        voltage_v: its height, with its sign [V].
        width_s: how long it is at that height [s].
    """

    voltage_v: float
    width_s: float


@dataclass(frozen=True)
class PulseTrain:
    """Identical pulses up, then identical pulses down.

    Attributes:
        conductance_s: before the first pulse and after each [pulse + 1].
        place: of the state, 0 at the least conducting bound and 1 at the other [pulse + 1].
        count: pulses in one direction.
        up: the pulse of SET.
        down: the pulse of RESET.
        read_v: voltage at which the conductance is read [V].
    """

    conductance_s: Array
    place: Array
    count: int
    up: Pulse
    down: Pulse
    read_v: float

    def numbers(self) -> dict[str, Any]:
        """The pulses and what they reached."""
        g = self.conductance_s
        return {
            "pulses_each_way": self.count,
            "up_v": self.up.voltage_v,
            "up_width_s": self.up.width_s,
            "down_v": self.down.voltage_v,
            "down_width_s": self.down.width_s,
            "read_v": self.read_v,
            "start_s": plain(g[0]),
            "top_s": plain(g[self.count]),
            "end_s": plain(g[-1]),
            "part_of_range": plain(float(np.ptp(self.place))),
            "up_half_after_pulses": _half(self.place[: self.count + 1]),
            "down_half_after_pulses": _half(self.place[self.count :]),
        }


def _half(place: Array) -> int:
    """After how many pulses half of the way is done."""
    way = np.abs(place - place[0])
    return int(np.argmax(way >= way[-1] / 2))


def pulse_train(
    model: CompactModel, numbers: ParameterSet, how: Polarity, detail: Detail
) -> PulseTrain | Absent:
    """Pulses up and down of the height and width with which the device moves most evenly.

    Of the voltages between 0.3 and 1.25 times the amplitude the one is taken at which both halves
    of the way take the most equal times, near the amplitude and with pulses that a driver can make,
    of a nanosecond at least if any is.
    """
    title = "Potentiation and depression"
    functions = torch_model(model)
    first = place_states(
        functions, numbers, how.state, torch.tensor([how.fraction(_NEAR)], dtype=torch.float64)
    )
    up, top = _choose(model, numbers, how, how.set_sign, _NEAR, detail)
    if up is None:
        return _unmoved(title, numbers, "SET")
    up, rise = _until_there(functions, numbers, how, first, up, top, detail)
    reached = float(_places(functions, numbers, how, rise)[-1])
    if abs(reached - top) > _MISSED * abs(top - _NEAR):
        top = min(max(reached, 2 * _NEAR), 1 - START)  # at a bound some windows hold it for good
    down, foot = _choose(model, numbers, how, how.reset_sign, top, detail)
    if down is None:
        return _unmoved(title, numbers, "RESET")
    down, fall = _until_there(functions, numbers, how, [x[-1:] for x in rise], down, foot, detail)
    states = [torch.cat([a, b[1:]]) for a, b in zip(rise, fall, strict=True)]
    g = conductance_s(model, numbers, states, how.read_v).numpy()
    if not np.isfinite(g).all():
        lost = int(np.argmax(~np.isfinite(g)))
        return Absent(title, f"The device could not be solved in pulse {lost}.")
    place = _places(functions, numbers, how, states)
    return PulseTrain(g, place, detail.pulses, up, down, how.read_v)


def _unmoved(title: str, numbers: ParameterSet, word: str) -> Absent:
    return Absent(
        title,
        f"No pulse up to {HIGHEST * numbers.amplitude_v:.3g} V moves the device by a fifth of "
        f"its range in the direction of {word}.",
    )


def _until_there(
    functions: TorchModel,
    numbers: ParameterSet,
    how: Polarity,
    states: Sequence[torch.Tensor],
    pulse: Pulse,
    goal: float,
    detail: Detail,
) -> tuple[Pulse, list[torch.Tensor]]:
    """The pulse, longer if its train would end before its goal, and the states of that train.

    Args:
        functions: the model.
        numbers: its parameter set.
        how: how the device switches.
        states: before the first pulse, each [1].
        pulse: whose train would arrive if the device did not rest between pulses.
        goal: the place to arrive at.
        detail: how many pulses.
    """
    longer, record = pulse, list(states)
    for factor in _LONGER:
        longer = Pulse(pulse.voltage_v, factor * pulse.width_s)
        record = _after_pulses(functions, numbers, states, [longer] * detail.pulses)
        place = _places(functions, numbers, how, record)
        way = goal - float(place[0])
        if not (place[-1] - goal) / way < -_MISSED:  # there, beyond, or lost
            break
    return longer, record


def _places(
    functions: TorchModel, numbers: ParameterSet, how: Polarity, states: Sequence[torch.Tensor]
) -> Array:
    """Places of the state that switches [pulse + 1]."""
    p = functions.parameters(dict(numbers.values))
    fraction: Array = functions.fractions(states, p)[how.state].numpy()
    return fraction if how.rising else 1 - fraction


def _after_pulses(
    functions: TorchModel,
    numbers: ParameterSet,
    states: Sequence[torch.Tensor],
    pulses: Sequence[Pulse],
) -> list[torch.Tensor]:
    """Every state before the first pulse and after each, [pulse + 1].

    The pulses are rectangular, and after each the device rests for as long as it took.

    Args:
        functions: the model.
        numbers: its parameter set.
        states: before the first pulse, each [1].
        pulses: what is applied.
    """
    p = functions.parameters(dict(numbers.values))
    now = functions.fractions(states, p)
    record = [states]
    with torch.no_grad():
        for pulse in pulses:
            for level in (pulse.voltage_v, 0.0):
                v = torch.tensor([level], dtype=torch.float64)
                # Started anew at each voltage, because an internal quantity jumps with it.
                cells = advance(functions, p, start(functions, p, now, v), v, v, pulse.width_s)
                now = [torch.where(cells.alive, x, torch.nan) for x in cells.fractions]
            record.append(functions.states(now, p))
    return [torch.cat(column) for column in zip(*record, strict=True)]


def _choose(
    model: CompactModel, numbers: ParameterSet, how: Polarity, sign: int, start: float,
    detail: Detail,
) -> tuple[Pulse | None, float]:  # fmt: skip
    """A pulse whose train leads from a place through most of the range, and where to."""
    if not sign:
        return None, start
    parts = np.linspace(0.3, HIGHEST, 20)
    volts = sign * numbers.amplitude_v * parts
    goals = _FAR if start < 0.5 else tuple(1 - far for far in _FAR if 1 - far <= start - _NEAR)
    for goal in goals:
        whole = _times(model, numbers, how, volts, start, goal)
        if not np.isfinite(whole).any():
            continue
        half = _times(model, numbers, how, volts, start, (start + goal) / 2)
        width = whole / detail.pulses
        with np.errstate(invalid="ignore", divide="ignore"):
            cost = (
                np.abs(np.log((whole - half) / half))
                + np.abs(parts - 1)
                + 3.0 * np.maximum(0, np.log10(_SHORTEST_S / width))
                + 3.0 * np.maximum(0, np.log10(width / numbers.period_s))
            )
        able = np.isfinite(cost)
        if (able & (width >= _SHORTEST_S)).any():
            able &= width >= _SHORTEST_S
        best = int(np.argmin(np.where(able, cost, np.inf)))
        return Pulse(float(volts[best]), float(width[best])), goal
    return None, start
