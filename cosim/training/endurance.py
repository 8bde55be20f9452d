"""What a training by pulses has asked of the cells of a layer, and what it made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.network.in_situ_layer import InSituLayer
from cosim.training.pulsed_sgd_spec import PulsedSgdSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LayerEndurance:
    """One layer at the end; cells are those that pulses reach.

    Attributes:
        layer: its name on the chip.
        cells: how many.
        learning_rate: that it was trained with.
        dw_min: the step that the rule reckoned with, in units of the weight.
        max_pulses: the longest train (BL).
        mean_coincidences: steps that a cell was asked for by a sample, in the mean.
        steps_max: steps that the busiest cell was asked for.
        steps_median: that the median cell was.
        never: share of cells that were asked for none.
        at_bound: share of cells that stand at a bound.
    """

    layer: str
    cells: int
    learning_rate: float
    dw_min: float
    max_pulses: int
    mean_coincidences: float
    steps_max: int
    steps_median: float
    never: float
    at_bound: float


@dataclass(frozen=True, eq=False)
class LayerCells:
    """The cells of a layer that pulses reach, [side, row, out] each, of the first chip.

    Attributes:
        steps: that each was asked for.
        conductance_s: at the end [S].
        low_s: the least that it can conduct [S].
        high_s: the most [S].
    """

    steps: Array
    conductance_s: Array
    low_s: Array
    high_s: Array

    @classmethod
    def of(cls, layer: InSituLayer) -> LayerCells:
        """Of a layer as it stands."""
        array = layer.array
        sides = list(array.cells.sides)
        low, high = (array.cells.conductance_s(one) for one in array.cells.bounds(array.w))
        planes = (array.steps, array.conductance_s(), low, high)
        return cls(*(one[0, sides].double().numpy() for one in planes))


@dataclass(frozen=True, eq=False)
class LearntLayer:
    """A layer whose cells have learnt: what is said of it, and its cells."""

    says: LayerEndurance
    cells: LayerCells


def endurance(
    layer: InSituLayer, cells: LayerCells, spec: PulsedSgdSpec, samples: int
) -> LayerEndurance:
    """What is said of a layer in the end.

    Args:
        layer: the layer.
        cells: its cells.
        spec: how it was trained.
        samples: that it was trained with, all epochs together.
    """
    steps, array = cells.steps, layer.array
    at = (cells.conductance_s <= cells.low_s) | (cells.conductance_s >= cells.high_s)
    return LayerEndurance(
        layer=layer.plan.name,
        cells=steps.size,
        learning_rate=spec.learning_rate,
        dw_min=array.cells.dw_min * array.unit * len(array.cells.sides),
        max_pulses=spec.pulses.max_pulses,
        mean_coincidences=float(steps.sum()) / (steps.size * max(1, samples)),
        steps_max=int(steps.max()),
        steps_median=float(np.median(steps)),
        never=float((steps == 0).mean()),
        at_bound=float(at.mean()),
    )
