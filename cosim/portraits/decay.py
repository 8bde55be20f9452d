"""How a device forgets: its conductance over the time at no voltage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compact_models.emit.torch_model import torch_model
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.polarity import (
    GOAL,
    LONGEST_S,
    START,
    Polarity,
    conductance_s,
    place_states,
    polarity,
)
from cosim.devices.switching_time import switching_times
from cosim.portraits.panel import Array, plain

_PLACES = 25  # on the way from one end to the other


@dataclass(frozen=True)
class Decay:
    """A state that leaves one end of its range by itself.

    Attributes:
        time_s: at no voltage, from 0 on [place].
        conductance_s: then [place].
        half_s: until half of the range is lost [s].
        from_on: whether it starts at the end at which the device conducts.
        read_v: voltage at which the conductance is read [V].
    """

    time_s: Array
    conductance_s: Array
    half_s: float
    from_on: bool
    read_v: float

    @property
    def way(self) -> str:
        """What is lost in `half_s`, in words."""
        ends = (1 - START, 1 - GOAL) if self.from_on else (START, GOAL)
        return f"from {100 * ends[0]:.3g} to {100 * ends[1]:.3g} % of its range"

    def numbers(self) -> dict[str, Any]:
        """From where to where the device goes, and how fast."""
        return {
            "from_on": self.from_on,
            "half_of_range_s": plain(self.half_s),
            "read_v": self.read_v,
            "start_s": plain(self.conductance_s[0]),
            "end_s": plain(self.conductance_s[-1]),
            "time_s": plain(self.time_s[-1]),
        }


def decay(model: CompactModel, numbers: ParameterSet) -> Decay | None:
    """How the device forgets within ten years; None where it remembers.

    Args:
        model: a device that switches by voltage.
        numbers: its parameter set.
    """
    try:
        how = polarity(model, numbers)
    except InputError:
        return None
    for from_on in (True, False):
        half_s = _time(model, numbers, how, from_on, GOAL)
        if np.isfinite(half_s):
            return _curve(model, numbers, how, from_on, half_s)
    return None


def _curve(
    model: CompactModel, numbers: ParameterSet, how: Polarity, from_on: bool, half_s: float
) -> Decay:
    places = np.linspace(START, 1 - START, _PLACES)
    times = [0.0, *(_time(model, numbers, how, from_on, place) for place in places[1:].tolist())]
    time_s = np.array(times)
    reached = np.isfinite(time_s)  # it may come to rest on its way
    lost = torch.from_numpy(places[reached])
    fraction = torch.tensor(
        [how.fraction(1 - x if from_on else x) for x in lost.tolist()], dtype=torch.float64
    )
    states = place_states(torch_model(model), numbers, how.state, fraction)
    g = conductance_s(model, numbers, states, how.read_v).numpy()
    return Decay(time_s[reached], g, half_s, from_on, how.read_v)


def _time(
    model: CompactModel, numbers: ParameterSet, how: Polarity, from_on: bool, lost: float
) -> float:
    """Until a part of the range is lost at no voltage [s]; NaN where it is not within ten years."""
    ends = (1 - START, 1 - lost) if from_on else (START, lost)
    found = switching_times(
        model, numbers, [0.0], from_fraction=how.fraction(ends[0]),
        to_fraction=how.fraction(ends[1]), longest_s=LONGEST_S,
    )  # fmt: skip
    return float(found[0])
