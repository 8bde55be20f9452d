"""Where a device's single step is larger than what a cell may be off its target.

A device whose step the amplitude does not change jumps over such a window as often as it lands in
it: no loop can promise to meet it, however many pulses it has.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cosim.surrogate.update import UpdateSurrogate
from cosim.write.verify import MeanDevice

Array = NDArray[np.float64]


def smallest_step_s(device: MeanDevice, surrogate: UpdateSurrogate, target_s: Array) -> Array:
    """The smaller one of a full pulse up and one down at a conductance [S], like `target_s`.

    Args:
        device: the mean device as it is read.
        surrogate: of pulses in both directions.
        target_s: conductances [S], any shape; NaN stays NaN.
    """
    place = device.place(np.nan_to_num(target_s, nan=device.least_s))
    order = np.argsort(device.fraction)
    fraction, conductance_s = device.fraction[order], device.conductance_s[order]
    x = torch.from_numpy(np.asarray(place))
    steps = []
    for level_v in surrogate.range_v:
        after = surrogate.after(x, torch.full_like(x, level_v)).numpy()
        ends = (np.interp(one, fraction, conductance_s) for one in (after, place))
        steps.append(np.abs(np.subtract(*ends)))
    return np.where(np.isnan(target_s), np.nan, np.minimum(*steps))
