"""The slope of a rate inside an edge, on the steeper side of its kink.

Inside its edge a state's rate is scaled down where it leads out of the range, and only there. So
where the free rate vanishes within an edge - a temperature hardly above the ambient one - the
slopes on both sides of the rest differ by up to a millionfold. A step with the flatter one, as long
as that allows, is thrown about by the other, and is rejected again and again. With the steeper one
on both sides the step is damped. That costs the order of the method, on a way as long as an edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from compact_models.normal_form import EDGE
from cosim.devices.rosenbrock import Slopes

_LEAST = 1e-3  # of the scale: below it the free slope would be rounding


def steeper(slopes: Slopes, fractions: Sequence[torch.Tensor], bounded: Sequence[bool]) -> Slopes:
    """`slopes` with the free rate's own slope where that is steeper than the scaled one's."""
    jacobian = [list(row) for row in slopes.jacobian]
    for k, (s, has_bounds) in enumerate(zip(fractions, bounded, strict=True)):
        if not has_bounds:
            continue
        velocity, place = slopes.values[k].detach(), s.detach()
        ahead = torch.where(velocity > 0, 1.0 - place, place)
        scaled = (ahead < EDGE) & (velocity != 0)
        if not bool(scaled.any()):
            continue
        # rate = free a with a = ahead / EDGE, so slope = free' a - |rate| / (a EDGE).
        scale = (ahead / EDGE).clamp_min(_LEAST)
        own = jacobian[k][k]
        free = (own.detach() + velocity.abs() / (scale * EDGE)) / scale
        jacobian[k][k] = torch.where(scaled & (free < own), free, own)
    return replace(slopes, jacobian=jacobian)
