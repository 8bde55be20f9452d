"""How long before its stimulus a simulation may start without moving a state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import torch_model
from compact_models.model import CompactModel
from cosim.devices.integrate import start

Array = NDArray[np.float64]

# Of the first interval: this time is nothing to what it does.
_PART = 1e-6
# Of its range: so far a state may move.
_MOVE = 1e-5
# A state that moves by more of its range in the shortest time that a simulator can tell from none
# switches on the way to the first voltage: it is given so many such times, to be followed in.
_FAST = 0.1
_SWITCHING = 1000
# Parts of the first voltage at which rates are looked at: it is reached from zero.
_ON_THE_WAY = 16


@dataclass(frozen=True)
class Start:
    """What devices do when their first voltage is applied.

    Attributes:
        fractions: the states of the normal form, in the model's order, each [...].
        current_a: the current [...].
        rate: the fastest that any state of any device moves at the first voltage or below [1/s].
    """

    fractions: tuple[torch.Tensor, ...]
    current_a: torch.Tensor
    rate: float


def at_start(
    model: CompactModel,
    values: Mapping[str, Value],
    initial: Mapping[str, Value],
    voltage_v: torch.Tensor,
) -> Start:
    """What devices do at a voltage and on the way to it from zero.

    Args:
        model: the device.
        values: its parameters in SI units: floats, or tensors [...] with one value per device.
        initial: its states, likewise.
        voltage_v: the voltages [...].
    """
    functions = torch_model(model)
    v = voltage_v.to(torch.float64)
    parts = torch.linspace(0, 1, _ON_THE_WAY + 1, dtype=torch.float64)[1:]
    volts = (v[..., None] * parts).reshape(-1)

    def flat(value: Value) -> Value:
        if not isinstance(value, torch.Tensor):
            return value
        return value.expand(v.shape)[..., None].expand(*v.shape, _ON_THE_WAY).reshape(-1)

    p = functions.parameters({name: flat(value) for name, value in values.items()})
    states = [
        torch.as_tensor(flat(x), dtype=torch.float64).expand(volts.shape)
        for x in functions.in_order(initial)
    ]
    with torch.no_grad():
        cells = start(functions, p, functions.fractions(states, p), volts)
        inner = [] if cells.internal is None else [cells.internal]
        rates = functions.rates(volts, *cells.fractions, *inner, p)
        (current,) = functions.current(volts, *cells.fractions, *inner, p)

    def last(value: Value) -> torch.Tensor:
        shaped = torch.as_tensor(value, dtype=torch.float64).expand(volts.shape)
        return shaped.reshape(*v.shape, _ON_THE_WAY)[..., -1]

    fastest = max((float(torch.as_tensor(rate).abs().max()) for rate in rates), default=0.0)
    return Start(tuple(last(s) for s in cells.fractions), last(current), fastest)


def lead_s(time_s: Array, begun: Start, least_s: float) -> float:
    """Time before the stimulus in which no state moves by more than a hundred-thousandth.

    Where a state is so fast that no time is short enough, it is one in which a simulator can follow
    it while it switches, and still nothing to the first interval.

    Args:
        time_s: times of the stimulus, rising, at least two, [time].
        begun: from `at_start`.
        least_s: the shortest that a simulator can tell from none; a state that is faster may move.
    """
    longest = _PART * float(time_s[1] - time_s[0])
    # A rate that is no number is one beyond all numbers.
    still = _MOVE / begun.rate if begun.rate > 0 else longest if begun.rate == 0 else 0.0
    if not begun.rate * least_s <= _FAST:
        return min(longest, _SWITCHING * least_s)
    return min(longest, max(still, least_s))
