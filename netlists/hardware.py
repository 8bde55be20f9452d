"""The hardware in one description: what the netlist, the solver and the surrogate all read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    field_validator,
    model_validator,
)

from compact_models.cell_device import CellDevice
from compact_models.ohmic import OhmicCell
from compact_models.spec import Spec
from netlists.adcs.quantiser import AdcSpec
from netlists.backward.spec import BackwardSpec
from netlists.circuit import ForeignSubcircuit
from netlists.drivers.level import DriverSpec
from netlists.foreign import check_block
from netlists.neurons.spec import NeuronSpec
from netlists.readout.tia import TiaSpec
from netlists.update.spec import PulseSpec
from netlists.wires import Wires


class TileSpec(Spec):
    """The largest array that is built; larger layers are cut."""

    max_rows: int = Field(64, ge=1, le=4096, description="word lines of a tile")
    max_cols: int = Field(64, ge=2, le=4096, description="bit lines of a tile, two a weight")


def _as_wires(value: object) -> Wires:
    if isinstance(value, Mapping) and {*value} <= {"r_wordline_ohm", "r_bitline_ohm"}:
        return Wires(**value)
    if not isinstance(value, Wires):
        raise ValueError("wires are a netlists.wires.Wires, r_wordline_ohm and r_bitline_ohm")
    return value


def _as_numbers(wires: Wires) -> dict[str, object]:
    ohms = {"r_wordline_ohm": wires.r_wordline_ohm, "r_bitline_ohm": wires.r_bitline_ohm}
    return {k: v if isinstance(v, float) else v.tolist() for k, v in ohms.items()}


def _as_device(value: object) -> CellDevice | None:
    if value is not None and not isinstance(value, CellDevice):
        raise ValueError("a device is a compact_models.cell_device.CellDevice")
    return value


def _as_names(device: CellDevice | None) -> dict[str, str] | None:
    return None if device is None else {"name": device.label, "content": device.content}


class Hardware(Spec):
    """Cells, wires, drivers, amplifiers, neurons and converters of a chip, in all its phases.

    `blocks` are the user's own, by role (`netlists.foreign.ROLES`), in place of ours. Netlist,
    calibration and SPICE use them; fidelities that have no equations for them refuse them.

    Wires whose segments differ are those of a whole tile, `max_rows` x `max_cols`; a smaller one is
    built of the cells nearest to drivers and sense nodes (`Wires.near_ends`).

    `device` is what the cells are where they are compact models: they are programmed to
    conductances between those of `cell`, which are meant at the read voltage, and their current is
    the device's. Without it they are ohmic.

    `cells` are those of layers that have others than `cell`, by the layer's module path.
    """

    cell: OhmicCell = OhmicCell()
    wires: Annotated[Wires, PlainValidator(_as_wires), PlainSerializer(_as_numbers)] = Wires()
    tile: TileSpec = TileSpec()
    driver: DriverSpec = DriverSpec()
    tia: TiaSpec = TiaSpec()
    neuron: NeuronSpec = NeuronSpec()
    adc: AdcSpec = AdcSpec()
    backward: BackwardSpec = BackwardSpec()
    pulse: PulseSpec = PulseSpec()
    blocks: Mapping[str, ForeignSubcircuit] = Field(default_factory=dict)
    cells: Mapping[str, SerializeAsAny[OhmicCell]] = Field(default_factory=dict)
    device: Annotated[CellDevice | None, PlainValidator(_as_device), PlainSerializer(_as_names)] = (
        None
    )

    def cell_of(self, layer: str) -> OhmicCell:
        """The cells of a layer, by its module path."""
        return self.cells.get(layer, self.cell)

    @model_validator(mode="after")
    def _one_cell(self) -> Self:
        if self.device is not None and "cell" in self.blocks:
            raise ValueError(
                f"a cell of the user's own and the device {self.device.label} are two cells"
            )
        if self.cells and (self.device is not None or "cell" in self.blocks):
            raise ValueError("layers of different cells are ohmic, or of pulse devices")
        return self

    @field_validator("blocks")
    @classmethod
    def _blocks_fit(
        cls, blocks: Mapping[str, ForeignSubcircuit]
    ) -> Mapping[str, ForeignSubcircuit]:
        return {role: check_block(role, block) for role, block in blocks.items()}
