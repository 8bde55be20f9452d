"""What is read and written as an array is, made in a state or of drawn devices."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from compact_models.library import find_model
from cosim.array.analog_array import AnalogArray
from cosim.array.combined import POLICIES, Combined, Policy
from cosim.array.layout import TileLayout
from cosim.array.paired_cells import Pair
from cosim.array.protocols import Reads
from cosim.array.pulse_pairs import PulsePairs, draw_pairs
from cosim.array.updates.step import StepUpdates
from tests.array.conformance.cases import Case, uniform

MakesReads = Callable[[Case], Any]
"""Makes a reader for a case."""

SIGMA = {"dw_min": 0.3, "w_max": 0.3, "w_min": 0.3, "up_down": 0.01}


@dataclass(frozen=True)
class Kind:
    """One kind of array.

    Attributes:
        in_state: from a case and who reads to an array whose cells conduct as the case has them.
        drawn: an array of drawn devices, programmed with weights; keywords pair, chips, samples,
            device, sigma.
        refreshes: how often its forward transfers have been computed, of the array that most.
        arrays: how many arrays it is made of.
    """

    in_state: Callable[[Case, MakesReads], Any]
    drawn: Callable[..., Any]
    refreshes: Callable[[Any], int]
    arrays: int = 1


def one_in_state(case: Case, reads: MakesReads) -> AnalogArray:
    """One array in the state of a case; readers that keep something have seen another before."""
    assert case.layout is not None
    assert case.planes is not None
    model = find_model("constant_step")
    cells = PulsePairs(model, model.parameter_sets[0], pair="both")
    array = AnalogArray(case.layout, cells, reads(case), StepUpdates(), chips=len(case.g), unit=0.5)
    random = torch.Generator().manual_seed(4)
    away = 1 + 2e-5 * (2 * torch.rand(case.planes.shape, generator=random).double() - 1)
    steps = torch.zeros(case.planes.shape, dtype=torch.int32)
    if hasattr(array.reads, "transfer"):
        array.load_state_dict({"w": cells.weight_of(case.planes * away), "steps": steps})
        array.transfer()
        array.transposed()
    array.load_state_dict({"w": cells.weight_of(case.planes), "steps": steps})
    return array


def one_drawn(
    layout: TileLayout,
    how: Reads,
    *,
    pair: Pair = "reference",
    chips: int = 2,
    samples: tuple[int, ...] | None = None,
    device: str = "soft_bounds",
    sigma: Mapping[str, float] = SIGMA,
    path: str = "layer_0",
) -> AnalogArray:
    """One array of drawn devices."""
    model = find_model(device)
    drawn = samples or tuple(range(chips))
    cells = draw_pairs(
        model, model.parameter_sets[0], sigma, (layout.rows, layout.outs),
        pair=pair, seed=5, samples=drawn, path=path,
    )  # fmt: skip
    made = AnalogArray(layout, cells, how, StepUpdates(), chips=len(drawn))
    made.program(weights(layout))
    return made


def weights(layout: TileLayout) -> torch.Tensor:
    """That an array is programmed with, [row, out]."""
    return uniform(np.random.default_rng(2), -0.4, 0.4, layout.rows, layout.outs)


FACTORS = 0.75, 1.5


def sum_in_state(case: Case, reads: MakesReads) -> Combined:
    """Two arrays with factors in the state of a case."""
    return Combined([one_in_state(one, reads) for one in case.each], FACTORS)


def sum_drawn(layout: TileLayout, how: Any, *, policy: Policy, **named: Any) -> Combined:
    """Two arrays of drawn devices, whose sum is programmed as one array is."""
    parts = [
        one_drawn(layout, copy.deepcopy(how), path=f"layer_0/array_{k}", **named) for k in range(2)
    ]
    made = Combined(parts, FACTORS, updates=policy)
    made.program(weights(layout))
    return made


def _refreshes(one: AnalogArray) -> int:
    return one._matrices[0].refreshes


def _sum(policy: Policy) -> Kind:
    return Kind(
        sum_in_state,
        partial(sum_drawn, policy=policy),
        lambda one: max(_refreshes(part) for part in one.each),
        len(FACTORS),
    )


KINDS: dict[str, Kind] = {
    "AnalogArray": Kind(one_in_state, one_drawn, _refreshes),
    **{f"Combined, {policy}": _sum(policy) for policy in POLICIES if policy != "refused"},
}

READ_ALIKE = {kind.in_state: name for name, kind in reversed(KINDS.items())}
READ: dict[str, Kind] = {name: KINDS[name] for name in reversed(READ_ALIKE.values())}
"""One of every kind that is read in its own way: policies of updates are none."""
