"""The loop of current over voltage that a sinusoid draws, for one device and for a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.variation import Lognormal, lognormal_factor
from compact_models.variation.draw import AMBIENT, Variation, draw, draw_initial
from cosim.devices.run_torch import run_torch
from cosim.portraits.panel import Absent, Array, Detail, plain

_PERIODS = 2
_DIFFERS = 0.01  # of the largest current: more than that, and the first period is shown as well
_WINDOW = 0.25  # voltage at which the branches are compared, over the amplitude
_SPREAD, _SEED = 0.05, 1


@dataclass(frozen=True)
class Loop:
    """Two periods of a sweep, or one where they are alike.

    Attributes:
        voltage_v: [time], from the first point of the first period to the last of the last.
        current_a: [time].
        period: points of a period; the last belongs to the next one as well.
        set_sign: the polarity of SET, 0 if there is none.
        window: largest over smallest current of the branches at `window_v` of either polarity.
        window_v: where `window` is found [V], with its sign.
    """

    voltage_v: Array
    current_a: Array
    period: int
    set_sign: int
    window: float
    window_v: float

    @property
    def periods(self) -> int:
        """How many there are to show."""
        return (len(self.voltage_v) - 1) // self.period

    def numbers(self) -> dict[str, Any]:
        """Largest currents of the last period and the ratio of its branches."""
        last = self.current_a[-self.period - 1 :]
        return {
            "periods_shown": self.periods,
            "largest_current_a": plain(last.max()),
            "least_current_a": plain(last.min()),
            "on_off_ratio": plain(self.window),
            "on_off_ratio_at_v": plain(self.window_v),
        }


@dataclass(frozen=True)
class Fan:
    """The last period of a sweep for a sample of devices.

    Attributes:
        voltage_v: [time].
        current_a: [device, time]; NaN for a device that was lost.
        nominal_a: the device without variation [time]; None where it went through another sweep.
        varied: the parameters that vary.
        initial: the states whose initial value varies: those that do not start at 0.
        spread: standard deviation of the logarithms of both.
        lost: how many devices could not be solved.
        set_sign: the polarity of SET, 0 if there is none.
    """

    voltage_v: Array
    current_a: Array
    nominal_a: Array | None
    varied: tuple[str, ...]
    initial: tuple[str, ...]
    spread: float
    lost: int
    set_sign: int

    @property
    def drawn(self) -> list[str]:
        """Everything that varies, in words."""
        return [*self.varied, *(f"initial {name}" for name in self.initial)]

    def numbers(self) -> dict[str, Any]:
        """What varied and by how much, and what came of it."""
        peak = np.abs(self.current_a).max(1)
        with np.errstate(invalid="ignore"):
            spread = float(np.nanstd(np.log(peak[np.isfinite(peak) & (peak > 0)])))
        return {
            "devices": len(self.current_a),
            "devices_lost": self.lost,
            "varied": self.drawn,
            "spread_ln": self.spread,
            "seed": _SEED,
            "largest_current_spread_ln": plain(spread),
        }


def sweep(
    model: CompactModel, numbers: ParameterSet, detail: Detail, set_sign: int
) -> Loop | Absent:
    """A sinusoid of the set's amplitude and period, from its initial state.

    Args:
        model: the device.
        numbers: its parameter set.
        detail: how finely.
        set_sign: the polarity of SET, 0 if there is none.
    """
    time_s, voltage = _sinusoid(numbers, detail.points, _PERIODS)
    with torch.no_grad():
        trace = run_torch(model, numbers.values, numbers.initial, time_s, voltage)
    v, i = voltage.numpy(), trace.current_a.numpy()
    if not np.isfinite(i).all():
        at_s = float(time_s[int(np.argmax(~np.isfinite(i)))])
        return Absent("I-V loop", f"The device could not be solved at {at_s:.3g} s.")
    n = detail.points
    if np.abs(i[: n + 1] - i[-n - 1 :]).max() <= _DIFFERS * np.abs(i).max():
        v, i = v[: n + 1], i[: n + 1]
    window, window_v = _window(v[-n - 1 :], i[-n - 1 :], numbers.amplitude_v)
    return Loop(v, i, n, set_sign, window, window_v)


def fan(
    model: CompactModel, numbers: ParameterSet, detail: Detail, loop: Loop | Absent
) -> Fan | Absent:
    """The same sweep for a sample: every parameter with a unit varies, and the initial state.

    Exponents and the shapes of windows have no unit and stay; so does what is 0, of which a factor
    changes nothing; the ambient temperature is that of the die.

    Args:
        model: the device.
        numbers: its parameter set.
        detail: how finely, and how many devices.
        loop: the sweep of the device without variation.
    """
    title = "Variability"
    if isinstance(loop, Absent):
        return Absent(title, loop.reason)
    varied = tuple(
        x.name
        for x in model.parameters
        if x.unit != "1" and x.name != AMBIENT and numbers.values[x.name] != 0
    )
    shape = (1, detail.devices)
    spread = Lognormal(sigma=_SPREAD)
    try:
        drawn = draw(
            Variation(device=dict.fromkeys(varied, spread)),
            model, numbers, shape, seed=_SEED, sample=0, path="portrait",
        )  # fmt: skip
    except InputError as error:
        return Absent(title, f"A sample could not be drawn: {error.what}.")
    initial = _vary_initial(model, numbers, drawn, shape)
    values = dict(numbers.values) | {k: torch.from_numpy(x[0]) for k, x in drawn.items()}
    if model.internals:
        voltage, current = _one_by_one(model, numbers, values, initial, detail, loop.set_sign)
        nominal = None
    else:
        time_s, whole = _sinusoid(numbers, detail.points, loop.periods)
        with torch.no_grad():
            trace = run_torch(model, values, initial, time_s, whole.expand(detail.devices, -1))
        last = slice(-detail.points - 1, None)
        voltage, current = whole.numpy()[last], trace.current_a.numpy()[:, last]
        nominal = loop.current_a[last]
    lost = ~np.isfinite(current).all(1)
    if lost.all():
        return Absent(title, f"None of the {detail.devices} devices could be solved.")
    return Fan(
        voltage_v=voltage,
        current_a=current,
        nominal_a=nominal,
        varied=varied,
        initial=tuple(x.name for x in model.states if numbers.initial[x.name] != 0),
        spread=_SPREAD,
        lost=int(lost.sum()),
        set_sign=loop.set_sign,
    )


def _one_by_one(
    model: CompactModel,
    numbers: ParameterSet,
    values: dict[str, Any],
    initial: dict[str, torch.Tensor],
    detail: Detail,
    set_sign: int,
) -> tuple[Array, Array]:
    """A sweep [time] and its currents [device, time] where each point is an equation to solve.

    One device at a time, because Newton's method in floats is faster than on a small batch that
    waits for its slowest device; one period, begun in the direction of SET so that it shows both.
    """
    time_s, voltage = _sinusoid(numbers, detail.solved_points, 1)
    voltage = voltage * (set_sign or 1)
    currents = []
    with torch.no_grad():
        for k in range(detail.devices):
            own = {n: float(x[k]) if isinstance(x, torch.Tensor) else x for n, x in values.items()}
            first = {name: x[k] for name, x in initial.items()}
            currents.append(run_torch(model, own, first, time_s, voltage).current_a)
    return voltage.numpy(), torch.stack(currents).numpy()


def _vary_initial(
    model: CompactModel, numbers: ParameterSet, drawn: dict[str, Array], shape: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """Initial states [device]: where the bounds of each device put them, times a factor."""
    functions = torch_model(model)
    tensors = {k: torch.from_numpy(x) for k, x in drawn.items()}
    p = functions.parameters({**numbers.values, **tensors})
    placed = draw_initial(model, numbers, drawn, shape)
    states = []
    for state in model.states:
        factor = lognormal_factor(_SEED, 0, f"portrait/initial/{state.name}", _SPREAD, shape)
        states.append(torch.from_numpy(placed[state.name] * factor))
    fractions = [
        x if state.lower is None else x.clamp(0.0, 1.0)
        for state, x in zip(model.states, functions.fractions(states, p), strict=True)
    ]
    inside = functions.states(fractions, p)
    return {x.name: s.expand(shape)[0] for x, s in zip(model.states, inside, strict=True)}


def _sinusoid(
    numbers: ParameterSet, points: int, periods: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Times [s] and voltages [V] of a sinusoid that starts at zero and rises."""
    phase = torch.linspace(0, periods, periods * points + 1, dtype=torch.float64)
    voltage = numbers.amplitude_v * torch.sin(2 * torch.pi * phase)
    voltage[:: points // 2] = 0.0  # where rounding would leave a little
    return numbers.period_s * phase, voltage


def _window(v: Array, i: Array, amplitude_v: float) -> tuple[float, float]:
    """The largest ratio of the two branches of a period at a quarter of the amplitude, and where.

    Args:
        v: voltages of one period that starts at zero and rises [time].
        i: currents [time].
        amplitude_v: the amplitude.
    """
    quarter = (len(v) - 1) // 4
    best, best_v = 1.0, _WINDOW * amplitude_v
    for first, sign in ((0, 1), (2, -1)):
        there = slice(first * quarter, (first + 1) * quarter + 1)
        back = slice((first + 1) * quarter, (first + 2) * quarter + 1)
        at = _WINDOW * amplitude_v
        out = abs(float(np.interp(at, sign * v[there], i[there])))
        home = abs(float(np.interp(at, sign * v[back][::-1], i[back][::-1])))
        if min(out, home) > 0 and max(out, home) / min(out, home) > best:
            best, best_v = max(out, home) / min(out, home), sign * at
    return best, best_v
