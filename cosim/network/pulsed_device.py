"""Cells that are pulse devices, as a network learns in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.model import CompactModel, ParameterSet
from compact_models.ohmic import ReferencedCell
from compact_models.variation import Stream
from cosim.array.cell_pulses import cell_pulses, driven_widths
from cosim.array.driven_pulse_pairs import DrivenPulsePairs
from cosim.array.paired_cells import Pair
from cosim.array.pulse_pairs import PulsePairs, check_pulse_device, draw_pairs, referenced_cell
from cosim.array.updates.device import DeviceUpdates
from cosim.array.updates.step import StepUpdates
from cosim.network.driven_updates import driven_updates
from cosim.network.learning_device import UPDATES, check_update
from cosim.tables.layout import QUICK
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
        sigma_step: standard deviation of a step from pulse to pulse, as a part of it, where the
            voltage moves cells; the law of a step has that of the parameter set.

    Raises:
        InputError: the model is no pulse device.
    """

    model: CompactModel
    nominal: ParameterSet
    sigma: Mapping[str, float] = field(default_factory=dict)
    pair: Pair = "reference"
    sigma_step: float = 0.0

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

    def check_pulses(self, pulse: PulseSpec, update: str) -> None:
        """See `LearningDevice`: by its law of a step it is that of its set, whatever the pulse."""
        self._check_noise(update)
        if update != "step":
            driven_widths(self.model, self.nominal, cell_pulses(self.nominal, pulse))

    def _check_noise(self, update: str) -> None:
        if update == "step" and self.sigma_step:
            raise InputError(
                "the law of a step has the noise of the parameter set, dw_min_std",
                where="[device] sigma_step",
                value=self.sigma_step,
                allowed='0 with update = "step"',
                hint="leave it out, or take table, ode or spice",
            )

    def in_cells(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        number: int,
        update: str,
        stream: Stream,
    ) -> tuple[PulsePairs, StepUpdates | DeviceUpdates]:
        """See `LearningDevice`."""
        plan = plans[number]
        check_update(update, UPDATES, self.model.name)
        self._check_noise(update)
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
        pulses = cell_pulses(self.nominal, hardware.pulse)
        if update == "step":
            return pairs, StepUpdates(pulses=pulses)
        widths = driven_widths(self.model, self.nominal, pulses)
        device = CellDevice(self.model, self.nominal)
        updates = driven_updates(
            update, device, pulses, hardware, plans, number, stream, QUICK, self.sigma_step
        )
        return DrivenPulsePairs.of(pairs, widths), updates

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
