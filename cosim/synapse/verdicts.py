"""What can be said of a device under equal pulses, and the sentence where a number has no meaning.

A sentence says what was measured - a pair of pulses, or one step - and from which weights, so that
no curve of the figure contradicts it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cosim.synapse.place_map import PlaceMap

Array = NDArray[np.float64]

_ABRUPT = 0.5  # of the range of conductance, in one pulse
_CUT = 2.5e-3  # of the range: a pulse that ends so near to a bound was cut short by it
_ALIKE = 1e-2  # of a step: what a pair of pulses leaves everywhere counts as nothing
_SEEN = 1e-3  # of the largest difference of two steps: less is not seen in the figure
_SOME = 0.8  # of the weights, around the middle: there steps are compared with each other
_UNEVEN = 10.0  # the largest step over the least: beyond this no one step stands for the range


def no_states(largest: float, weight: Array, step_up: Array, step_down: Array) -> str:
    """Why the range over a mean step is no number of states; empty if it is one."""
    if largest / 2 > _ABRUPT:
        return (
            f"one pulse can cover {50 * largest:.0f} % of the range: such pulses have two ends and "
            "no number of steps between them"
        )
    mean = ((step_up - step_down) / 2)[np.abs(weight) <= _SOME]
    least, most = float(mean.min()), float(mean.max())
    if most > _UNEVEN * least:
        return (
            f"the mean step goes from {least:.2g} to {most:.2g} between the weights {-_SOME:g} and "
            f"{_SOME:g}: beyond a factor of {_UNEVEN:g} no one step stands for the range"
        )
    return ""


def settled(found: PlaceMap, largest: float, weight: Array, both: Array) -> tuple[float, str]:
    """The lower end of the cycle in which pulses in turn settle, and why it is none of symmetry.

    Args:
        found: the map.
        largest: the largest step of either pulse, in weight.
        weight: even weights.
        both: a step up and one down, added, from each of them.
    """
    place = found.place
    after_pair = np.interp(found.up, place, found.down)
    left = after_pair - place
    inside = (place >= found.low) & (place <= found.high)
    uncut = inside & (found.up < 1 - _CUT) & (after_pair > _CUT) & (place > _CUT)
    abrupt = ""
    if largest / 2 > _ABRUPT:
        abrupt = f"the device is abrupt: one pulse can cover {50 * largest:.0f} % of the range"
    if uncut.any() and bool((np.abs(left) < _ALIKE * (found.up - place))[uncut].all()):
        first, last = found.weight(place[uncut][[0, -1]])
        cancel = (
            "a pulse up and one down cancel wherever no bound cuts them short, that is from the "
            f"weights {_short(first)} to {_short(last)}"
        )
        return (found.low + found.high) / 2, "; ".join(filter(None, (abrupt, cancel)))
    k = int(np.searchsorted(place, found.start))
    k = min(max(k, 1), len(place) - 2)
    if left[k] > 0:  # upwards from the start until the pair turns back
        ends = np.flatnonzero(left[k:] <= 0)
        first_end = k + int(ends[0]) if ends.size else len(place) - 1
        lower = _between(place, left, first_end - 1)
    else:
        ends = np.flatnonzero(left[: k + 1] >= 0)
        first_end = int(ends[-1]) if ends.size else 0
        lower = _between(place, left, first_end)
    upper = found.after_up(lower)
    if abrupt:
        return lower, abrupt
    if upper > 1 - _CUT:
        return lower, _led_to_bound(found, left, uncut, (weight, both), 1)
    if lower < _CUT:
        return lower, _led_to_bound(found, left, uncut, (weight, both), -1)
    return lower, ""


def _led_to_bound(
    found: PlaceMap,
    left: Array,
    uncut: NDArray[np.bool_],
    steps: tuple[Array, Array],
    sign: int,
) -> str:
    """What a pair of pulses does where pulses in turn end at a bound, and what one step does.

    A pair is not two steps from one weight: its second pulse starts where the first has led. So
    single steps can say the opposite, and the sentence names where they do.
    """
    more, end = ("higher", "upper") if sign > 0 else ("lower", "lower")
    if uncut.any() and bool((sign * left[uncut] > 0).all()):
        where = "wherever no bound cuts them short"
    else:
        where = f"on the way from weight {_short(found.weight(np.array([found.start]))[0])}"
    told = (
        f"a pulse up and then one down leave the weight {more} {where}: pulses in turn end at the "
        f"{end} bound"
    )
    weight, both = steps
    against = -sign * both > _SEEN * np.abs(both).max()
    if against.any():
        strong = "down" if sign > 0 else "up"
        told += (
            f". One step {strong} by itself is the larger one between the weights "
            f"{_short(weight[against][0])} and {_short(weight[against][-1])}, but the second pulse "
            "of a pair starts where the first has led"
        )
    return told


def _short(weight: float) -> str:
    return f"{0.0 if abs(weight) < 5e-4 else weight:.3g}"


def _between(place: Array, left: Array, k: int) -> float:
    """The zero of `left` between the places `k` and `k + 1`."""
    k = min(max(k, 0), len(place) - 2)
    a, b = float(left[k]), float(left[k + 1])
    part = a / (a - b) if a * b < 0 else (0.0 if abs(a) < abs(b) else 1.0)
    return float(place[k] + part * (place[k + 1] - place[k]))
