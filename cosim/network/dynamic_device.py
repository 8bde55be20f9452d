"""Cells that are compact models, as a network learns in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError
from compact_models.ohmic import ReferencedCell
from compact_models.variation import Stream
from cosim.array.device_cells import DeviceCells, device_cells
from cosim.array.device_pairs import DevicePairs
from cosim.array.device_spread import check_spread, draw_cells
from cosim.array.one_pulse import OneStep, one_step
from cosim.array.paired_cells import Pair
from cosim.array.updates.device import DeviceUpdates
from cosim.driven.engines import FIDELITIES
from cosim.driven.train_pulses import TrainPulses
from cosim.network.chip_updates import raising_sign
from cosim.network.driven_updates import driven_updates
from cosim.network.learning_device import check_update
from cosim.tables.layout import QUICK, Effort
from netlists.hardware import Hardware
from netlists.tiles import LayerPlan
from netlists.update.spec import PulseSpec


@dataclass(frozen=True, eq=False)
class DynamicDevice:
    """What the cells of a network are.

    Attributes:
        device: a compact model with its numbers.
        read_v: the voltage at which its conductance is meant [V].
        range_s: conductances of the least and the largest weight [S]; None for all that it reaches.
        pair: which cells of a pair pulses reach.
        effort: how fine the table of `update = "table"` is.
        sigma: standard deviation from cell to cell, by parameter, as a part of it.
        sigma_step: standard deviation of a step from pulse to pulse, as a part of it.

    Raises:
        InputError: its cells cannot hold weights, do not reach this range, or cannot differ so.
    """

    device: CellDevice
    read_v: float
    range_s: tuple[float, float] | None = None
    pair: Pair = "reference"
    effort: Effort = QUICK
    sigma: Mapping[str, float] = field(default_factory=dict)
    sigma_step: float = 0.0

    def __post_init__(self) -> None:
        """Checks spread and range."""
        check_spread(self.device, self.sigma)
        low, high = self.cells.range_s
        first, last = self.ends_s
        if not low * (1 - 1e-9) <= first < last <= high * (1 + 1e-9):
            raise InputError(
                f"cells of {self.device.label} do not have these conductances",
                where="[cell] g_off_s, g_on_s",
                value=self.ends_s,
                allowed=f"{low:.4g} to {high:.4g} S at {self.read_v:g} V",
                hint="leave [cell] out for all that the device reaches",
            )

    @property
    def cells(self) -> DeviceCells:
        """The device as it is read."""
        return device_cells(self.device, self.read_v)

    @property
    def ends_s(self) -> tuple[float, float]:
        """Conductances of the least and the largest weight [S]."""
        return self.range_s or self.cells.range_s

    @property
    def cell(self) -> ReferencedCell:
        """As a chip is planned with."""
        low, high = self.ends_s
        return ReferencedCell(
            g_off_s=low,
            g_on_s=high,
            sigma_program=0.0,
            reference_s=0.5 * (low + high),
            both=self.pair == "both",
        )

    @property
    def weight_range(self) -> float:
        """Weights of a cell are -1 to 1."""
        return 2.0

    @property
    def reach(self) -> float:
        """See `LearningDevice`."""
        return 2.0 if self.pair == "both" else 1.0

    def chip(self, hardware: Hardware) -> Hardware:
        """See `LearningDevice`."""
        return hardware.model_copy(update={"cell": self.cell, "device": self.device})

    def check_pulses(self, pulse: PulseSpec, update: str) -> None:
        """See `LearningDevice`."""
        self._check_table(update)
        self.step(pulse)

    def _check_table(self, update: str) -> None:
        if update == "table" and any(self.sigma.values()):
            raise InputError(
                "the table of a pulse is of the device with the numbers of its set: cells that"
                " differ have none",
                where="[device.d2d], update",
                value=f"{', '.join(self.sigma)}; table",
                hint='update = "ode" or "spice", or no spread',
            )

    def step(self, pulse: PulseSpec) -> OneStep:
        """What one pulse of a chip does to a cell in the middle of its range.

        Raises:
            InputError: such pulses cannot train these cells.
        """
        sign = raising_sign(self.device)
        timing = pulse.edge_s, pulse.width_s
        levels = sign * pulse.amplitude_v, -sign * pulse.amplitude_down_v
        return _kept_step(self.cells, self.ends_s, levels, timing)

    def in_cells(
        self,
        hardware: Hardware,
        plans: Sequence[LayerPlan],
        number: int,
        update: str,
        stream: Stream,
    ) -> tuple[DevicePairs, DeviceUpdates]:
        """See `LearningDevice`."""
        check_update(update, FIDELITIES, self.device.label)
        self._check_table(update)
        plan = plans[number]
        path = f"{plan.name}/cells"
        own = draw_cells(
            self.device, self.sigma, (plan.rows, plan.outputs),
            seed=stream.seed, samples=(stream.sample,), path=path,
        )  # fmt: skip
        step = 2.0 * self.step(hardware.pulse).size
        pairs = DevicePairs(self.cells, self.ends_s, step, self.pair, own, self.sigma, path)
        trains = TrainPulses.of(hardware.pulse, up_sign=raising_sign(self.device))
        updates = driven_updates(
            update, self.device, (trains.up, trains.down), hardware, plans, number, stream,
            self.effort, self.sigma_step,
        )  # fmt: skip
        return pairs, updates


@lru_cache(maxsize=16)
def _kept_step(
    cells: DeviceCells,
    ends_s: tuple[float, float],
    levels_v: tuple[float, float],
    timing_s: tuple[float, float],
) -> OneStep:
    """`one_step` of cells that `device_cells` keeps."""
    edge_s, width_s = timing_s
    spec = PulseSpec(amplitude_v=abs(levels_v[0]), width_s=width_s, edge_s=edge_s)
    up = spec.nominal.at(levels_v[0])
    return one_step(cells, ends_s, TrainPulses(up, up.at(levels_v[1])))
