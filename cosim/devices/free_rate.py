"""Cells whose rate depends on the voltage alone: their way along a ramp is an integral.

Between its bounds such a state moves by the integral of its rate over time, whatever it is; in the
edge before a bound it decays with that same integral as its clock. No steps are needed, and nothing
is approximated but the integral, whose error is known from two rules of different order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch

from compact_models.emit.torch_code import Value
from compact_models.emit.torch_model import TorchModel
from compact_models.kept_by_content import kept_by_content
from compact_models.model import CompactModel
from compact_models.normal_form import EDGE, normal_form, rates_without_states
from cosim.devices.cells import Cells

# Two Lobatto rules, exact to degrees 5 and 3: nodes on [-1, 1] and their weights in both. They look
# at the ends of a ramp as well: only there may it be beyond a threshold that is not straight in V.
# The ends are taken a hair inside, on the ramp's own side of a threshold where it begins or ends.
_NODES = (-1.0 + 1e-9, -math.sqrt(0.2), 0.0, math.sqrt(0.2), 1.0 - 1e-9)
_BEHIND = 2e-10  # of the ramp: `kinks_s` are half of this before the thresholds
_WEIGHTS = (
    (1 / 6, 5 / 6, 0.0, 5 / 6, 1 / 6),
    (1 / 3, 0.0, 4 / 3, 0.0, 1 / 3),
)


@kept_by_content(128)
def is_free(model: CompactModel) -> bool:
    """True for a model with one state, which has bounds, and a rate in which no state occurs."""
    one = len(model.states) == 1 and model.states[0].lower is not None
    return one and rates_without_states(normal_form(model))


def move_freely(
    functions: TorchModel,
    p: Mapping[str, Value],
    cells: Cells,
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
    kinks_s: torch.Tensor,
    tolerance: float,
) -> tuple[Cells, torch.Tensor]:
    """The cells at the end of a ramp, and which of them are as exact as asked for, [cell].

    Args:
        functions: a model for which `is_free` holds.
        p: its parameters.
        cells: the cells before.
        v_start: voltages at the beginning [V], [cell].
        v_end: voltages at the end [V], [cell].
        duration_s: how long it takes [s].
        kinks_s: when the ramps come to thresholds [s], [kink, cell]; infinite where they do not.
        tolerance: allowed error of the state, as a fraction of its range.
    """
    (s,) = cells.fractions
    way, error, turns = _way(functions, functions.prepared(p), v_start, v_end, duration_s, kinks_s)
    up, length = way > 0, way.abs()
    near = torch.where(up, 1.0 - s, s)  # the distance to the bound ahead
    beyond = length - (near - EDGE).clamp_min(0.0)  # what is left of the way in the edge
    decayed = near.clamp_max(EDGE) * torch.exp(beyond.clamp_min(0.0) / -EDGE)
    near = torch.where(beyond > 0, decayed, near - length)
    after = torch.where(up, 1.0 - near, near)
    sure = ~turns & (error <= tolerance) & torch.isfinite(after.detach())
    return replace(cells, fractions=(after,)), sure


def _way(
    functions: TorchModel,
    p: Mapping[str, Value],
    v_start: torch.Tensor,
    v_end: torch.Tensor,
    duration_s: float,
    kinks_s: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The integral of the rate over the ramp, its error, and where the rate changes its sign."""
    middle = torch.full_like(v_start, 0.5)  # where no edge holds the state

    def rate(v: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(functions.equations(v, middle, p)[0]).expand_as(v)

    rise = v_end - v_start
    if not rise.requires_grad and not bool(rise.any()):
        way = rate(v_start) * duration_s
        return way, torch.zeros_like(way), torch.zeros_like(way, dtype=torch.bool)
    # Parts of the ramp between thresholds, as fractions of it.
    ends = [*(kinks_s / duration_s).clamp_max(1.0).sort(0).values, torch.ones_like(v_start)]
    start = torch.zeros_like(v_start)
    ways = [torch.zeros_like(v_start) for _ in _WEIGHTS]
    least = greatest = torch.zeros_like(v_start)
    for end in ends:
        centre, half = 0.5 * (start + end), 0.5 * (end - start)
        for k, node in enumerate(_NODES):
            value = rate(torch.addcmul(v_start, rise, centre + node * half))
            least = torch.minimum(least, value.detach())
            greatest = torch.maximum(greatest, value.detach())
            for rule, weights in enumerate(_WEIGHTS):
                if weights[k]:
                    ways[rule] = ways[rule] + (weights[k] * duration_s) * half * value
        start = (end + _BEHIND).clamp_max(1.0)
    return ways[0], (ways[0] - ways[1]).detach().abs(), (least < 0) & (greatest > 0)
