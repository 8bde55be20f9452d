"""A device as a synapse: what equal pulses up and down make of its weight.

The weight is the conductance, read at 0.1 V, on a straight scale from -1 to 1 between the ends
that these pulses reach. Steps (`dw_min`) are in this weight, as in aihwkit, so that a step of 0.02
is 1 % of the range of conductance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.model import CompactModel, ParameterSet
from cosim.calibration.update import Effort, Report, calibrate_update
from cosim.devices.switching_time import switching_state
from cosim.ngspice import Ngspice
from cosim.portraits.polarity import place_states
from cosim.surrogate.update import UpdateSurrogate
from cosim.write.place_map import PlaceMap, place_map
from netlists.pulse import Pulse

Array = NDArray[np.float64]

_EVEN = 201  # weights at which steps are fitted
_ABRUPT = 0.5  # of the range of conductance, in one pulse
_CUT = 2.5e-3  # of the range: a pulse that ends so near to a bound was cut short by it
_ALIKE = 1e-2  # of a step: what a pair of pulses leaves everywhere counts as nothing
_MOST = 10_000


@dataclass(frozen=True)
class Place:
    """A place in a device's range.

    Attributes:
        weight: from -1 to 1.
        state: of the state that switches, in its unit.
        conductance_s: read at 0.1 V [S].
    """

    weight: float
    state: float
    conductance_s: float


@dataclass(frozen=True, eq=False)
class Synapse:
    """What equal pulses make of a device.

    Attributes:
        g_min_s: conductance at the lower end of what the pulses reach [S].
        g_max_s: at the upper end [S].
        dw_min: mean size of a step up and one down at the symmetry point, or in the middle where
            there is none, in weight.
        slope_up: change of the step up with the weight, by least squares.
        slope_down: the same of the step down, which is negative.
        asymmetry: (up + down) / (up - down) in the middle; 0 where they cancel.
        symmetry_point: where a pulse up and one down cancel and to which pulses in turn lead: the
            middle between the two ends of what they settle in. None if there is none.
        no_symmetry: why there is none; empty if there is one.
        settles_at: where pulses in turn end, whether or not that is a symmetry point.
        states: the range over the mean step.
        largest_step: the largest step of either pulse from any state, in weight; near 2 where a
            device is abrupt.
        pulses_up: how many pulses up lead from 5 % to 95 % of the way; 10,000 if they are more.
        pulses_down: how many pulses down lead back, likewise.
        energy_up_j: heat of a pulse up at weight 0 [J].
        energy_down_j: the same of a pulse down [J].
        up: the pulse up.
        down: the pulse down.
        weight: even weights from -1 to 1 [weight].
        step_up: steps at them, in weight [weight].
        step_down: the same of pulses down, negative [weight].
        map: what the pulses do, over all places.
        after_up: the update surrogate of pulses up, with its held-out error.
        after_down: that of pulses down; the same one where both have one timing.
    """

    g_min_s: float
    g_max_s: float
    dw_min: float
    slope_up: float
    slope_down: float
    asymmetry: float
    symmetry_point: Place | None
    no_symmetry: str
    settles_at: Place
    states: float
    largest_step: float
    pulses_up: int
    pulses_down: int
    energy_up_j: float
    energy_down_j: float
    up: Pulse
    down: Pulse
    weight: Array
    step_up: Array
    step_down: Array
    map: PlaceMap
    after_up: UpdateSurrogate
    after_down: UpdateSurrogate

    @property
    def nrmse(self) -> float:
        """The held-out error of the surrogate, the larger one where there are two."""
        held = [one.held_out for one in (self.after_up, self.after_down)]
        return max(float("nan") if one is None else one.nrmse for one in held)

    def train_s(self, count: int) -> Array:
        """Conductances through `count` pulses up and as many down [S], [2 count + 1]."""
        places = [self.map.low]
        for turn in range(2 * count):
            after = self.map.after_up if turn < count else self.map.after_down
            places.append(after(places[-1]))
        return np.array([self.map.read_s(place) for place in places])


def characterise(
    model: CompactModel,
    parameter_set: ParameterSet,
    up: Pulse,
    down: Pulse,
    *,
    source: Ngspice | None = None,
    effort: Effort | None = None,
    report: Report | None = None,
) -> Synapse:
    """What equal pulses make of a device.

    Args:
        model: a device that is dynamic or a pulse device.
        parameter_set: its numbers.
        up: the pulse that raises the conductance.
        down: the pulse that lowers it.
        source: who measures: an ngspice, or None for torch.
        effort: how finely, see `calibrate_update`.
        report: called with points done and points in all.

    Raises:
        InputError: the device takes no pulses, a level is beyond what the model is good for, or a
            pulse does not move the device in its direction.
    """

    def calibrated(pulse: Pulse, levels: tuple[float, ...]) -> UpdateSurrogate:
        range_v = (min(0.0, *levels), max(0.0, *levels))
        return calibrate_update(
            model, parameter_set, pulse, range_v, ngspice=source, effort=effort, report=report
        )

    if up.timing_s == down.timing_s:
        after_up = after_down = calibrated(up, (up.amplitude_v, down.amplitude_v))
    else:
        after_up = calibrated(up, (up.amplitude_v, up.amplitude_v))
        after_down = calibrated(down, (down.amplitude_v, down.amplitude_v))
    found = place_map(model, parameter_set, up, down, after_up, after_down)

    def between(place: float) -> Place:
        """What pulses in turn come to rest around: the middle of both ends of their cycle."""
        lower, upper = place, found.after_up(place)
        x = torch.tensor([found.fraction((lower + upper) / 2)], dtype=torch.float64)
        index = switching_state(model)
        state = place_states(torch_model(model), parameter_set, index, x)[index]
        weight = float(found.weight(np.array([lower, upper])).mean())
        return Place(weight, float(state), (found.read_s(lower) + found.read_s(upper)) / 2)

    weight, step_up, step_down = _steps(found)
    settled, reason = _settled(found)
    middle = float(np.interp(0.0, found.weight(found.place), found.place))
    where = middle if reason else (settled + found.after_up(settled)) / 2
    size = _mean_step(found, where)
    rise, fall = (float(np.interp(0.0, weight, step)) for step in (step_up, step_down))
    heats = []
    for surrogate, pulse in ((after_up, up), (after_down, down)):
        x = torch.tensor(found.fraction(middle), dtype=torch.float64)
        heats.append(float(surrogate.energy(x, torch.full_like(x, pulse.amplitude_v))))
    return Synapse(
        g_min_s=found.read_s(found.low),
        g_max_s=found.read_s(found.high),
        dw_min=size,
        slope_up=float(np.polyfit(weight, step_up, 1)[0]),
        slope_down=float(np.polyfit(weight, step_down, 1)[0]),
        asymmetry=(rise + fall) / (rise - fall) if rise > fall else float("nan"),
        symmetry_point=None if reason else between(settled),
        no_symmetry=reason,
        settles_at=between(settled),
        states=2 / size if size > 0 else float("inf"),
        largest_step=_largest_step(found),
        pulses_up=found.pulses_up(_MOST),
        pulses_down=found.pulses_down(_MOST),
        energy_up_j=heats[0],
        energy_down_j=heats[1],
        up=up,
        down=down,
        weight=weight,
        step_up=step_up,
        step_down=step_down,
        map=found,
        after_up=after_up,
        after_down=after_down,
    )


def _steps(found: PlaceMap) -> tuple[Array, Array, Array]:
    """Even weights, and the steps up and down at each, in weight."""
    before = found.weight(found.place)
    even = np.linspace(-1, 1, _EVEN)
    up, down = (
        np.interp(even, before, found.weight(after) - before) for after in (found.up, found.down)
    )
    return even, np.asarray(up), np.asarray(down)


def _largest_step(found: PlaceMap) -> float:
    """The largest step of either pulse from a place within the reach, in weight."""
    inside = (found.place >= found.low) & (found.place <= found.high)
    before = found.weight(found.place)[inside]
    steps = [np.abs(found.weight(after[inside]) - before) for after in (found.up, found.down)]
    return float(np.max(steps))


def _mean_step(found: PlaceMap, place: float) -> float:
    """Mean size of a step up and one down at a place, in weight."""
    ends = found.weight(np.array([found.after_up(place), found.after_down(place)]))
    return float(ends[0] - ends[1]) / 2


def _settled(found: PlaceMap) -> tuple[float, str]:
    """The lower end of the cycle in which pulses in turn settle, and why it is none of symmetry."""
    place = found.place
    after_pair = np.interp(found.up, place, found.down)
    left = after_pair - place
    inside = (place >= found.low) & (place <= found.high)
    uncut = inside & (found.up < 1 - _CUT) & (after_pair > _CUT) & (place > _CUT)
    if uncut.any() and bool((np.abs(left) < _ALIKE * (found.up - place))[uncut].all()):
        return (found.low + found.high) / 2, "a pulse up and one down cancel at every weight"
    k = int(np.searchsorted(place, found.start))
    k = min(max(k, 1), len(place) - 2)
    if left[k] > 0:  # upwards from the start until the pair turns back
        ends = np.flatnonzero(left[k:] <= 0)
        first = k + int(ends[0]) if ends.size else len(place) - 1
        lower = _between(place, left, first - 1)
    else:
        ends = np.flatnonzero(left[: k + 1] >= 0)
        first = int(ends[-1]) if ends.size else 0
        lower = _between(place, left, first)
    upper = found.after_up(lower)
    largest = _largest_step(found) / 2
    if largest > _ABRUPT:
        return lower, f"the device is abrupt: one pulse can cover {largest:.0%} of the range"
    if upper > 1 - _CUT or lower < _CUT:
        strong, end = ("up", "upper") if upper > 1 - _CUT else ("down", "lower")
        return lower, (
            f"pulses {strong} are stronger at every weight: pulses in turn end at the {end} bound"
        )
    return lower, ""


def _between(place: Array, left: Array, k: int) -> float:
    """The zero of `left` between the places `k` and `k + 1`."""
    k = min(max(k, 0), len(place) - 2)
    a, b = float(left[k]), float(left[k + 1])
    part = a / (a - b) if a * b < 0 else (0.0 if abs(a) < abs(b) else 1.0)
    return float(place[k] + part * (place[k + 1] - place[k]))
