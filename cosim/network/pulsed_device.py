"""Cells that are pulse devices, as a network learns in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compact_models.model import CompactModel, ParameterSet
from compact_models.ohmic import ReferencedCell
from compact_models.variation import Stream
from cosim.array.cell_pulses import cell_pulses
from cosim.array.paired_cells import Pair
from cosim.array.pulse_pairs import PulsePairs, check_pulse_device, draw_pairs, referenced_cell
from cosim.array.updates.step import StepUpdates
from cosim.network.learning_device import check_update
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan
from netlists.update.spec import PulseSpec


@dataclass(frozen=True, eq=False)
class PulsedDevice:
    """What the cells of a network are.

    Attributes:
        model: a pulse device.
        nominal: its parameter set.
        sigma: standard deviation from cell to cell, by parameter.
        pair: which cells of a pair pulses reach.

    Raises:
        InputError: the model is no pulse device.
    """

    model: CompactModel
    nominal: ParameterSet
    sigma: Mapping[str, float] = field(default_factory=dict)
    pair: Pair = "reference"

    def __post_init__(self) -> None:
        """Checks that pulses move it."""
        check_pulse_device(self.model)

    @property
    def cell(self) -> ReferencedCell:
        """As a chip is planned with."""
        return referenced_cell(self.nominal, self.pair)

    def chip(self, hardware: Hardware) -> Hardware:
        """See `LearningDevice`: a pulse device is read as an ohmic cell is."""
        return hardware.model_copy(update={"cell": self.cell, "device": None})

    def check_pulses(self, pulse: PulseSpec) -> None:
        """See `LearningDevice`: its step is that of the parameter set, whatever the pulse."""

    def in_cells(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        number: int,
        update: str,
        stream: Stream,
    ) -> tuple[PulsePairs, StepUpdates]:
        """See `LearningDevice`."""
        plan = plans[number]
        check_update(update, ("step",), self.model.name)
        pairs = draw_pairs(
            self.model,
            self.nominal,
            self.sigma,
            (plan.rows, plan.outputs),
            pair=self.pair,
            seed=stream.seed,
            samples=(stream.sample,),
            path=f"{plan.name}/cells",
        )
        return pairs, StepUpdates(pulses=cell_pulses(self.nominal, hardware.pulse))

    @property
    def weight_range(self) -> float:
        """Between the ends of a cell, in its own units."""
        return self.nominal.values["w_max"] - self.nominal.values["w_min"]

    @property
    def reach(self) -> float:
        """The largest weight of a pair that has both signs, in units of a cell."""
        v = self.nominal.values
        reach = min(v["w_max"], -v["w_min"])
        return 2 * reach if self.pair == "both" else reach
