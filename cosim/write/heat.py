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
from cosim.devices.operating_point import operating_point

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
    point = operating_point(
        model,
        {name: torch.from_numpy(x) for name, x in values.items()},
        {name: torch.from_numpy(x) for name, x in states.items()},
        torch.from_numpy(device_v),
    )
    power_w = cell_v * point.current_a.numpy()
    return np.asarray(np.trapezoid(power_w, time_s, axis=0))
