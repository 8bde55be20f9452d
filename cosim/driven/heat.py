"""What every cell of an array turns into heat while ngspice runs it.

ngspice keeps the voltages of the nodes and the states; the currents follow from the device's own
equation, which ngspice solved at the same points.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.model import CompactModel
from cosim.devices.operating_point import OperatingPoint, operating_point

Array = NDArray[np.float64]


def heat_j(
    model: CompactModel,
    values: Mapping[str, Array],
    states: Mapping[str, Array],
    time_s: Array,
    cell_v: Array,
    device_v: Array,
) -> Array:
    """The heat of cells [J], [cell], by the trapezoidal rule.

    Args:
        model: the device.
        values: its parameters, each [cell].
        states: its states in their units, each [time, cell].
        time_s: [time].
        cell_v: across each cell, selector or transistor included [V], [time, cell].
        device_v: across its memristor [V], [time, cell].
    """
    p = {name: torch.from_numpy(x) for name, x in values.items()}
    volts = torch.from_numpy(device_v)
    s = {name: torch.from_numpy(x) for name, x in states.items()}
    if model.internals:
        current_a = _followed(model, p, s, volts)
    else:
        current_a = operating_point(model, p, s, volts).current_a
    return np.asarray(np.trapezoid(cell_v * current_a.numpy(), time_s, axis=0))


def _followed(
    model: CompactModel,
    values: Mapping[str, torch.Tensor],
    states: Mapping[str, torch.Tensor],
    device_v: torch.Tensor,
) -> torch.Tensor:
    """The currents [A], [time, cell], one time after the other.

    Of several solutions each cell stays on the one on which it was.
    """
    found: list[torch.Tensor] = []
    point: OperatingPoint | None = None
    for k, volts in enumerate(device_v):
        guess = None if point is None else point.ahead(volts - device_v[k - 1])
        there = {name: x[k] for name, x in states.items()}
        point = operating_point(model, values, there, volts, guess=guess)
        found.append(point.current_a)
    return torch.stack(found)
