"""Pulse-response devices: the train up and down, the size of the steps, and where they cancel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compact_models.model import CompactModel, ParameterSet
from compact_models.variation import Stream
from cosim.devices.polarity import conductance_s
from cosim.portraits.panel import Absent, Array, Detail, plain, plain_list
from cosim.pulses.device_steps import (
    apply_pulses,
    asymmetry,
    number_of_states,
    steps,
    symmetry_point,
)

_MOST_PULSES = 10_000  # in one direction
_ENOUGH = 1.2  # pulses in one direction, over the number of states
_FEWEST = 20
_PLACES = 201  # weights at which the steps are shown
_SHOWN = 21  # of them in the numbers
_SEED = 1


@dataclass(frozen=True)
class WeightTrain:
    """Pulses up from the least weight, then as many down; with noise, a sample of devices.

    Attributes:
        weight: mean device, before the first pulse and after each [pulse + 1].
        conductance_s: the same as conductance [pulse + 1].
        noisy_s: conductances of devices with noise from pulse to pulse [device, pulse + 1]; None
            where the set has no noise.
        count: pulses in one direction.
        threshold_v: how high a pulse must be [V].
        width_s: how long a pulse is [s].
    """

    weight: Array
    conductance_s: Array
    noisy_s: Array | None
    count: int
    threshold_v: float
    width_s: float

    def numbers(self) -> dict[str, Any]:
        """What the train reached."""
        g = self.conductance_s
        found = {
            "pulses_each_way": self.count,
            "threshold_v": self.threshold_v,
            "width_s": self.width_s,
            "start_s": plain(g[0]),
            "top_s": plain(g[self.count]),
            "end_s": plain(g[-1]),
        }
        if self.noisy_s is not None:
            top = self.noisy_s[:, self.count]
            found |= {"devices": len(top), "seed": _SEED, "top_spread_s": plain(float(top.std()))}
        return found


@dataclass(frozen=True)
class StepSizes:
    """The step of one pulse over the weight.

    Attributes:
        weight: [place].
        up: mean change by a pulse up [place].
        down: the same by one down, negative where the weight falls [place].
        symmetry_point: the weight at which they cancel.
        inside: whether they do cancel there, and not everywhere.
        states: range over mean step there.
        asymmetry_middle: (up + down) / (up - down) in the middle of the range.
    """

    weight: Array
    up: Array
    down: Array
    symmetry_point: float
    inside: bool
    states: float
    asymmetry_middle: float

    def numbers(self) -> dict[str, Any]:
        """Symmetry point, number of states, and steps at some weights."""
        few = slice(None, None, (_PLACES - 1) // (_SHOWN - 1))
        return {
            "symmetry_point": plain(self.symmetry_point),
            "cancels_at_one_weight": self.inside,
            "number_of_states": plain(self.states),
            "asymmetry_middle": plain(self.asymmetry_middle),
            "weight": plain_list(self.weight[few]),
            "step_up": plain_list(self.up[few]),
            "step_down": plain_list(self.down[few]),
        }


@dataclass(frozen=True)
class Alternation:
    """Pulses up and down in turn, from three weights.

    Attributes:
        weight: before the first pair, then the mean of those after a pair's two pulses
            [start, pair + 1].
        symmetry_point: where they should lead.
    """

    weight: Array
    symmetry_point: float

    def numbers(self) -> dict[str, Any]:
        """Where the pulses led."""
        return {
            "pairs": self.weight.shape[1] - 1,
            "from_weight": plain_list(self.weight[:, 0]),
            "to_weight": plain_list(self.weight[:, -1]),
            "symmetry_point": plain(self.symmetry_point),
        }


def _states(model: CompactModel, numbers: ParameterSet) -> float:
    point = symmetry_point(model, numbers.values)
    return float(number_of_states(model, numbers.values, point))


def _pulses(model: CompactModel, numbers: ParameterSet) -> int:
    """Pulses in one direction: enough to cross the range at the step of the symmetry point."""
    states = _states(model, numbers)
    wanted = _ENOUGH * states if math.isfinite(states) else _MOST_PULSES
    return int(min(max(wanted, _FEWEST), _MOST_PULSES))


def _range(model: CompactModel, numbers: ParameterSet) -> tuple[float, float]:
    pulse = model.pulse
    bounds = None if pulse is None else model.bounds(numbers.values)[pulse.state.name]
    if bounds is None:
        raise AssertionError("a pulse device has a state with bounds")
    return bounds


def weight_train(model: CompactModel, numbers: ParameterSet, detail: Detail) -> WeightTrain:
    """Pulses up from the least weight until the range is crossed, then as many down."""
    pulse = model.pulse
    if pulse is None:
        raise AssertionError("asked for of a pulse device only")
    count = _pulses(model, numbers)
    low, _ = _range(model, numbers)
    train = torch.cat([torch.ones(count), -torch.ones(count)])
    start = torch.tensor([low], dtype=torch.float64)
    mean = torch.cat([start[:, None], apply_pulses(model, numbers.values, start, train)], -1)
    read_v = numbers.amplitude_v
    noisy = None
    if float(_noise(model, numbers, mean[0])) > 0:
        devices = start.expand(detail.devices)
        moved = apply_pulses(model, numbers.values, devices, train, Stream(_SEED).at("portrait", 0))
        whole = torch.cat([devices[:, None], moved], -1)
        flat = conductance_s(model, numbers, [whole.reshape(-1)], read_v)
        noisy = flat.reshape(whole.shape).numpy()
    return WeightTrain(
        weight=mean[0].numpy(),
        conductance_s=conductance_s(model, numbers, [mean[0]], read_v).numpy(),
        noisy_s=noisy,
        count=count,
        threshold_v=numbers.values[pulse.threshold_v.name],
        width_s=numbers.values[pulse.width_s.name],
    )


def _noise(model: CompactModel, numbers: ParameterSet, w: torch.Tensor) -> torch.Tensor:
    """The largest difference that noise makes to one pulse, over some weights."""
    up = torch.ones(1)
    mean = apply_pulses(model, numbers.values, w, up)
    noisy = apply_pulses(model, numbers.values, w, up, Stream(_SEED).at("is there noise", 0))
    return (noisy - mean).abs().max()


def step_sizes(model: CompactModel, numbers: ParameterSet) -> StepSizes:
    """The mean steps over the whole range, and the weight at which they cancel."""
    low, high = _range(model, numbers)
    weight = torch.linspace(low, high, _PLACES, dtype=torch.float64)
    up, down = steps(model, numbers.values, weight)
    point = symmetry_point(model, numbers.values)
    imbalance = (up + down).abs()
    at_point, down_there = steps(model, numbers.values, point)
    cancels = abs(float(at_point + down_there)) < 1e-6 * float(at_point - down_there)
    middle = torch.tensor((low + high) / 2, dtype=torch.float64)
    return StepSizes(
        weight=weight.numpy(),
        up=up.numpy(),
        down=down.numpy(),
        symmetry_point=float(point),
        inside=cancels and bool((imbalance > 1e-9 * (up - down)).any()),
        states=float(number_of_states(model, numbers.values, point)),
        asymmetry_middle=float(asymmetry(model, numbers.values, middle)),
    )


def alternation(model: CompactModel, numbers: ParameterSet) -> Alternation:
    """Pulses up and down in turn from both bounds and from the middle."""
    low, high = _range(model, numbers)
    pairs = _pulses(model, numbers)
    train = torch.tensor([1.0, -1.0]).repeat(pairs)
    first = torch.tensor([high, (low + high) / 2, low], dtype=torch.float64)
    after = apply_pulses(model, numbers.values, first, train)
    moved = (after[:, 0::2] + after[:, 1::2]) / 2
    return Alternation(
        weight=np.concatenate([first[:, None].numpy(), moved.numpy()], 1),
        symmetry_point=float(symmetry_point(model, numbers.values)),
    )


def noise_fan(train: WeightTrain) -> WeightTrain | Absent:
    """The train with its sample; absent where the set has no noise."""
    if train.noisy_s is None:
        return Absent("Noise from pulse to pulse", "The parameter set has no noise of its steps.")
    return train
