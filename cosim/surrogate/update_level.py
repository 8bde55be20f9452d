"""The level of a pulse that leads from one state to another, by the update surrogate.

Where a cell is and where it should be give u = x + y and w = y - x at once; of the table's column
at that u it is asked where it comes to w.
"""

from __future__ import annotations

import torch

from cosim.surrogate.update import PLACES, UpdateSurrogate

_BISECTIONS = 8  # within an interval of levels; a straight line leaves a part in 1e6 of it


def leading_level(surrogate: UpdateSurrogate, x: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """The least level, in size, of a pulse that leads to the goal or beyond it [V], [cell].

    Where none does it is the highest of the polarity that goes there.

    Args:
        surrogate: of the device and the pulse.
        x: fractions of the state before, 0 to 1, [cell].
        goal: fractions after, likewise.
    """
    nodes = surrogate.voltage_v
    places, u = torch.from_numpy(PLACES), (x + goal).clamp(0, 2)
    below = (torch.searchsorted(places, u, right=True) - 1).clamp(0, len(PLACES) - 2)
    part = (u - places[below]) / (places[below + 1] - places[below])

    def over_levels(table: torch.Tensor) -> torch.Tensor:  # from [place, level] to [cell, level]
        return torch.lerp(table[below], table[below + 1], part[:, None])

    def at(found: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return found.gather(1, level[:, None]).squeeze(1)

    wanted = goal - x
    change = over_levels(surrogate.change_by_place)
    # Outwards from 0 V, on the side on which the state goes the right way.
    raises = sign_that_raises(surrogate)
    positive = (wanted >= 0) == (raises > 0)
    up = wanted >= 0
    sign = torch.where(up, 1.0, -1.0).to(x.dtype)
    enough = sign[:, None] * (change - wanted[:, None]) >= 0  # False where nothing is known
    enough &= torch.where(positive[:, None], nodes > 0, nodes < 0)
    end = torch.where(positive, nodes[-1], nodes[0])
    least, first = torch.where(enough, nodes.abs(), torch.inf).min(1)
    found = torch.isfinite(least)
    beside = (first + torch.where(positive, -1, 1)).clamp(0, len(nodes) - 1)
    lower = torch.minimum(first, beside).clamp(max=len(nodes) - 2)
    length = nodes[lower + 1] - nodes[lower]
    y0, y1 = at(change, lower), at(change, lower + 1)
    m0, m1 = y1 - y0, y1 - y0
    if surrogate.slope_by_place is not None:
        slopes = over_levels(surrogate.slope_by_place)
        m0, m1 = at(slopes, lower) * length, at(slopes, lower + 1) * length

    # What is still missing, times the direction: below 0 where a level is not enough.
    fall = y0 - y1
    c0, c1 = sign * (y0 - wanted), sign * m0
    c2, c3 = sign * (-3 * fall - 2 * m0 - m1), sign * (2 * fall + m0 + m1)

    def beyond(t: torch.Tensor) -> torch.Tensor:
        return c0 + t * (c1 + t * (c2 + t * c3))

    # From the level that is not enough to the one that is.
    near = torch.where(positive, 0.0, 1.0).to(x.dtype)
    far = 1 - near
    for _ in range(_BISECTIONS):
        middle = 0.5 * (near + far)
        there = beyond(middle) >= 0
        far, near = torch.where(there, middle, far), torch.where(there, near, middle)
    y_near, y_far = beyond(near), beyond(far)
    rise = y_far - y_near
    part = torch.where(rise == 0, 1.0, -y_near / torch.where(rise == 0, 1.0, rise))
    place = near + part.clamp(0, 1) * (far - near)
    return torch.where(found, nodes[lower] + place * length, end)


def sign_that_raises(surrogate: UpdateSurrogate) -> int:
    """The polarity of the pulses that raise the state: 1 or -1."""
    middle = len(PLACES) // 2
    return 1 if float(surrogate.change[-1, middle]) > float(surrogate.change[0, middle]) else -1
