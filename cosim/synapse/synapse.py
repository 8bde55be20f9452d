"""A device as a synapse: what equal pulses up and down make of its weight.

The weight is the conductance, read at 0.1 V, on a straight scale from -1 to 1 between the ends
that these pulses reach. Steps (`dw_min`) are in this weight, as in aihwkit, so that a step of 0.02
is 1 % of the range of conductance. The state that switches has its own axis, in its own unit; where
the conductance is not straight in it, half of the state's range is not half of the weight's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.emit.torch_model import torch_model
from compact_models.model import CompactModel, ParameterSet
from cosim.devices.polarity import conductance_s, place_states
from cosim.devices.switching_time import switching_state
from cosim.ngspice import Ngspice
from cosim.surrogate.update import UpdateSurrogate
from cosim.synapse.default_pulses import MOST_COUNTED
from cosim.synapse.place_map import READ_V, PlaceMap, place_map
from cosim.synapse.verdicts import no_states, settled
from cosim.tables.kept_points import KeptPoints
from cosim.tables.layout import Effort
from cosim.tables.update import Report, calibrate_update
from netlists.pulse import Pulse

Array = NDArray[np.float64]

_EVEN = 201  # weights at which steps are fitted
_TAIL = 0.9  # weight from which a train counts as having arrived, either way
_FEWEST = 10  # pulses of a train
_BEYOND = 1.15  # of the pulses that a train needs are shown, so that one sees where it ends
_SHIFT = 2e-3  # between neighbours of the fine map: a part of the range of state and conductance
_HALVINGS = 14


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
        states: the range over the mean step; None where that says nothing.
        no_states: why there is no number of states; empty if there is one.
        largest_step: the largest step of either pulse from any state, in weight; near 2 where a
            device is abrupt.
        pulses_up: how many pulses up lead from 5 % to 95 % of the range of the state between the
            ends that these pulses reach; 10,000 if they are more.
        pulses_down: how many pulses down lead back, likewise.
        weight_pulses_up: the same from weight -0.9 to 0.9, 5 % to 95 % of the conductance.
        weight_pulses_down: how many pulses down lead back.
        pulses_from_low: how many pulses up lead from the lower end to weight 0.9; a device that
            has to be formed first needs most of them before anything is seen.
        train_up: pulses up, from the lower end, of a train that shows the whole way.
        train_down: pulses down after them.
        train_covers: how much of the range of conductance the pulses up of that train cover.
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
        state_name: the state that switches.
        state_unit: its unit.
        state_range: how far it goes, in that unit.
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
    states: float | None
    no_states: str
    largest_step: float
    pulses_up: int
    pulses_down: int
    weight_pulses_up: int
    weight_pulses_down: int
    pulses_from_low: int
    train_up: int
    train_down: int
    train_covers: float
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
    state_name: str
    state_unit: str
    state_range: float

    @property
    def weight_error(self) -> float:
        """The worst held-out error of the surrogate as a weight, where the conductance is steepest.

        It is that of one pulse: where pulses in turn lead can be off by a few times as much.
        """
        held = [one.held_out for one in (self.after_up, self.after_down)]
        worst = max(float("nan") if one is None else one.worst for one in held)
        place = self.map.place
        slope = np.diff(self.map.weight(place)) / np.diff(place)
        inside = (place[1:] > self.map.low) & (place[:-1] < self.map.high)
        return worst * float(slope[inside].max())

    @property
    def nrmse(self) -> float:
        """The held-out error of the surrogate, the larger one where there are two."""
        held = [one.held_out for one in (self.after_up, self.after_down)]
        return max(float("nan") if one is None else one.nrmse for one in held)

    def train_s(self, up: int, down: int | None = None) -> Array:
        """Conductances through pulses up from the lower end and pulses down [S], [up + down + 1].

        Args:
            up: how many pulses up.
            down: how many pulses down; None is as many.
        """
        places = [self.map.low]
        for turn in range(up + (up if down is None else down)):
            after = self.map.after_up if turn < up else self.map.after_down
            places.append(after(places[-1]))
        return np.interp(places, self.map.place, self.map.conductance_s)

    def alternated(self, weight: float, pairs: int) -> Array:
        """The weight before the first pair of a pulse up and one down, then the mean within each.

        Args:
            weight: where it begins, -1 to 1.
            pairs: how many.

        Returns:
            Weights [pair + 1].
        """
        now = self.map.low if weight <= -1 else self.map.high
        if -1 < weight < 1:
            now = float(np.interp(weight, self.map.weight(self.map.place), self.map.place))
        ends = [(now, now)]
        for _ in range(pairs):
            upper = self.map.after_up(now)
            now = self.map.after_down(upper)
            ends.append((upper, now))
        return np.asarray(self.map.weight(np.array(ends)).mean(1))


def characterise(
    model: CompactModel,
    parameter_set: ParameterSet,
    up: Pulse,
    down: Pulse,
    *,
    source: Ngspice | None = None,
    decks: int = 1,
    effort: Effort | None = None,
    report: Report | None = None,
    kept: KeptPoints | None = None,
) -> Synapse:
    """What equal pulses make of a device.

    Args:
        model: a device that is dynamic or a pulse device.
        parameter_set: its numbers.
        up: the pulse that raises the conductance.
        down: the pulse that lowers it.
        source: who measures: an ngspice, or None for torch.
        decks: that it solves at a time.
        effort: how finely, see `calibrate_update`.
        report: called with points done and points in all.
        kept: see `measure_update`.

    Raises:
        InputError: the device takes no pulses, a level is beyond what the model is good for, or a
            pulse does not move the device in its direction.
    """

    def calibrated(pulse: Pulse, levels: tuple[float, ...]) -> UpdateSurrogate:
        range_v = (min(0.0, *levels), max(0.0, *levels))
        return calibrate_update(
            model, parameter_set, pulse, range_v,
            ngspice=source, decks=decks, effort=effort, report=report, kept=kept,
        )  # fmt: skip

    if up.timing_s == down.timing_s:
        after_up = after_down = calibrated(up, (up.amplitude_v, down.amplitude_v))
    else:
        after_up = calibrated(up, (up.amplitude_v, up.amplitude_v))
        after_down = calibrated(down, (down.amplitude_v, down.amplitude_v))
    found = place_map(model, parameter_set, up, down, after_up, after_down)
    found = _finer(model, parameter_set, found, up, down, after_up, after_down)
    index = switching_state(model)

    def between(place: float) -> Place:
        """What pulses in turn come to rest around: the middle of both ends of their cycle."""
        lower, upper = place, found.after_up(place)
        x = torch.tensor([found.fraction((lower + upper) / 2)], dtype=torch.float64)
        state = place_states(torch_model(model), parameter_set, index, x)[index]
        weight = float(found.weight(np.array([lower, upper])).mean())
        return Place(weight, float(state), (found.read_s(lower) + found.read_s(upper)) / 2)

    weight, step_up, step_down = _steps(found)
    largest = _largest_step(found)
    rests, reason = settled(found, largest, weight, step_up + step_down)
    middle = float(np.interp(0.0, found.weight(found.place), found.place))
    where = middle if reason else (rests + found.after_up(rests)) / 2
    size = _mean_step(found, where)
    rise, fall = (float(np.interp(0.0, weight, step)) for step in (step_up, step_down))
    heats = []
    for surrogate, pulse in ((after_up, up), (after_down, down)):
        x = torch.tensor(found.fraction(middle), dtype=torch.float64)
        heats.append(float(surrogate.energy(x, torch.full_like(x, pulse.amplitude_v))))
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    state_ends = place_states(torch_model(model), parameter_set, index, ends)[index]
    meaningless = no_states(largest, weight, step_up, step_down)
    pulses_up, pulses_down = found.pulses_up(MOST_COUNTED), found.pulses_down(MOST_COUNTED)
    from_low, train_up, top = _train(found, found.low, pulses_up, up=True)
    _, train_down, _ = _train(found, top, pulses_down, up=False)
    return Synapse(
        g_min_s=found.read_s(found.low),
        g_max_s=found.read_s(found.high),
        dw_min=size,
        slope_up=float(np.polyfit(weight, step_up, 1)[0]),
        slope_down=float(np.polyfit(weight, step_down, 1)[0]),
        asymmetry=(rise + fall) / (rise - fall) if rise > fall else float("nan"),
        symmetry_point=None if reason else between(rests),
        no_symmetry=reason,
        settles_at=between(rests),
        states=None if meaningless or not size > 0 else 2 / size,
        no_states=meaningless,
        largest_step=largest,
        pulses_up=pulses_up,
        pulses_down=pulses_down,
        weight_pulses_up=_crossing(found, up=True),
        weight_pulses_down=_crossing(found, up=False),
        pulses_from_low=from_low,
        train_up=train_up,
        train_down=train_down,
        train_covers=float(found.weight(np.array([top]))[0] + 1) / 2,
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
        state_name=model.states[index].name,
        state_unit=model.states[index].unit,
        state_range=float((state_ends[1] - state_ends[0]).abs()),
    )


def _finer(
    model: CompactModel,
    parameter_set: ParameterSet,
    found: PlaceMap,
    up: Pulse,
    down: Pulse,
    after_up: UpdateSurrogate,
    after_down: UpdateSurrogate,
) -> PlaceMap:
    """The same map with more places where a pulse or the conductance changes fast.

    A device that runs away has a cliff in its map. On even places a straight line across the cliff
    leaves each pulse a little short, and hundreds of pulses in turn add that up to a drift that
    neither the device nor its surrogate has.
    """

    def looked(place: Array) -> tuple[Array, Array, Array]:
        x = torch.from_numpy(place if found.rising else 1 - place)
        moved = [
            surrogate.after(x, torch.full_like(x, pulse.amplitude_v)).numpy()
            for surrogate, pulse in ((after_up, up), (after_down, down))
        ]
        rise, fall = (y if found.rising else 1 - y for y in moved)
        states = place_states(torch_model(model), parameter_set, switching_state(model), x)
        return rise, fall, conductance_s(model, parameter_set, states, READ_V).numpy()

    place, curves = found.place, np.stack(looked(found.place))
    for _ in range(_HALVINGS):
        scale = np.array([1.0, 1.0, np.ptp(curves[2])])[:, None]
        far = (np.abs(np.diff(curves)) > _SHIFT * scale).any(0)
        if not far.any():
            break
        between = (place[:-1][far] + place[1:][far]) / 2
        at = np.flatnonzero(far) + 1
        place = np.insert(place, at, between)
        curves = np.insert(curves, at, np.stack(looked(between)), axis=1)
    return replace(found, place=place, up=curves[0], down=curves[1], conductance_s=curves[2])


def _crossing(found: PlaceMap, *, up: bool) -> int:
    """Pulses from 5 % to 95 % of the range of conductance, or back; `MOST_COUNTED` if more."""
    ends = np.interp([-_TAIL, _TAIL], found.weight(found.place), found.place)
    low, high = float(ends[0]), float(ends[1])
    now, last, after = (low, high, found.after_up) if up else (high, low, found.after_down)
    for k in range(MOST_COUNTED):
        if now >= last if up else now <= last:
            return k
        now = after(now)
    return MOST_COUNTED


def _train(found: PlaceMap, first: float, least: int, *, up: bool) -> tuple[int, int, float]:
    """Pulses in one direction that lead all but to the end, those to be shown, and their end."""
    goal = float(np.interp(_TAIL if up else -_TAIL, found.weight(found.place), found.place))
    after = found.after_up if up else found.after_down
    now, there, shown, k = first, MOST_COUNTED, MOST_COUNTED, 0
    while k < shown:
        if there == MOST_COUNTED and (now >= goal if up else now <= goal):
            there, shown = k, min(max(int(_BEYOND * max(k, least)) + 3, _FEWEST), MOST_COUNTED)
        now, k = after(now), k + 1
    return there, k, now


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
