"""Arrays of the moment read in ngspice as well: how far the reads of a training are off the truth.

The exact solution is our own; this is the netlist of every tile, in ngspice, on inputs that the
training had. It costs a deck a tile, and so is done for a share of an epoch's inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from cosim.array.device_cells import DeviceCells
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.kept import KeptReads
from cosim.array.reads.spice import SpiceReads
from cosim.array.surroundings import Ends, TileWires
from cosim.network.in_situ import InSituNetwork
from cosim.network.models import exact_reads
from cosim.network.module import CrossbarNetwork
from cosim.network.run import code_full, converter_codes, drive_voltages
from cosim.network.surrogate import SurrogateModel
from cosim.ngspice import Ngspice, Outcome
from netlists.tiles import LayerPlan


@dataclass(frozen=True)
class SpiceCheck:
    """What is read in ngspice as well.

    Attributes:
        share: of the inputs of an epoch, in the order in which it took them.
        ngspice: the simulator.
        decks: that it solves at a time.
    """

    share: float
    ngspice: Ngspice
    decks: int = 1

    def some(self, x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """The share of inputs [image, in] that an epoch took first, at least one of them."""
        return x[order[: math.ceil(self.share * len(order))]]


@dataclass(frozen=True)
class SpiceErrors:
    """How far the currents of tiles are off those of ngspice, relative, in the Frobenius norm.

    Attributes:
        inputs: how many were read.
        errors: tile, and how far it is off; NaN where ngspice failed.
        outcome: how the reads in ngspice ended: ok, or how the first that failed did, and why.
    """

    inputs: int
    errors: tuple[tuple[str, float], ...]
    outcome: str

    @property
    def worst(self) -> tuple[str, float]:
        """The tile that is furthest off; one that is not known is further than any."""
        return max(self.errors, key=lambda one: math.inf if math.isnan(one[1]) else one[1])

    def line(self) -> dict[str, Any]:
        """What an epoch's line says of it: fields of `cosim.training.loop.Epoch`."""
        name, error = self.worst
        return {
            "spice_inputs": self.inputs,
            "spice_error": None if math.isnan(error) else error,
            "spice_array": name,
            "spice_outcome": self.outcome,
        }

    def beyond(self, tolerances: Mapping[str, float]) -> list[str]:
        """What must be said of it.

        Args:
            tolerances: largest error of a tile's currents, of each layer by its name.
        """
        if self.outcome != Outcome.OK.value:
            return [f"ngspice did not read the arrays of this epoch: {self.outcome}"]
        limits = [(name, off, tolerances[name.partition(".")[0]]) for name, off in self.errors]
        passed = [one for one in limits if not one[1] <= one[2]]
        if not passed:
            return []
        name, off, limit = max(passed, key=lambda one: one[1])
        return [
            f"{name}: currents of the training were off ngspice by {100 * off:.2g} % on"
            f" {self.inputs} inputs of the epoch, more than max_surrogate_error"
            f" ({100 * limit:.2g} %); {len(passed)} of {len(limits)} arrays are"
        ]


@dataclass(frozen=True, eq=False)
class _Layer:
    """Tiles as the training reads them, and what they stand in."""

    plan: LayerPlan
    conductance_s: torch.Tensor
    drive_v: torch.Tensor
    current_a: torch.Tensor
    wires: TileWires
    ends: Ends
    cells: DeviceCells | None


def check_in_ngspice(
    network: CrossbarNetwork | InSituNetwork, x: torch.Tensor, ngspice: Ngspice, *, decks: int = 1
) -> SpiceErrors | None:
    """Reads the arrays of a network in ngspice, each driven with what the training drives it with.

    Args:
        network: as it stands.
        x: inputs [batch, in].
        ngspice: the simulator.
        decks: that it solves at a time.

    Returns:
        None where no layer is read with its wires, or by anything but ngspice.
    """
    layers = _in_situ(network, x) if isinstance(network, InSituNetwork) else _module(network, x)
    errors: list[tuple[str, float]] = []
    outcome = Outcome.OK.value
    for layer in layers:
        reads = SpiceReads(layer.wires, layer.ends, Ends(), ngspice, jobs=decks, cells=layer.cells)
        read = reads.read(layer.conductance_s.double(), layer.drive_v.double())
        if read.outcome is not Outcome.OK and outcome == Outcome.OK.value:
            outcome = f"{read.outcome.value}, {layer.plan.name}, {read.reason}"
        size = torch.linalg.vector_norm(read.current_a, dim=(0, 2, 3))
        off = torch.linalg.vector_norm(layer.current_a - read.current_a, dim=(0, 2, 3))
        share = off / size.clamp_min(torch.finfo(size.dtype).tiny)
        errors += [
            (f"{layer.plan.name}.{tile.name}", float(one))
            for tile, one in zip(layer.plan.tiles, share, strict=True)
        ]
    return SpiceErrors(len(x), tuple(errors), outcome) if errors else None


def checked(
    network: CrossbarNetwork | InSituNetwork,
    x: torch.Tensor,
    order: torch.Tensor,
    check: SpiceCheck | None,
    tolerances: Sequence[float],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """What an epoch's line says of reads in ngspice; what is beyond a tolerance is said at once.

    Args:
        network: as it stands.
        x: inputs [image, in].
        order: in which the epoch took them, [image].
        check: what is read; None of nothing.
        tolerances: largest error of an array's currents, of each layer.
        say: is told what is wrong.
    """
    if check is None:
        return {}
    some = check.some(x, order)
    errors = check_in_ngspice(network, some, check.ngspice, decks=check.decks)
    if errors is None:
        return {}
    names = [plan.name for plan in network.plans]
    for text in errors.beyond(dict(zip(names, tolerances, strict=True))):
        say(text)
    return errors.line()


def _module(network: CrossbarNetwork, x: torch.Tensor) -> Iterator[_Layer]:
    """The layers of a network whose weights torch moves."""
    model, hardware = network.model, network.hardware
    if isinstance(model, SurrogateModel):
        model = model.as_watched()
    values = x.unsqueeze(0)
    with torch.no_grad():
        targets = network.target_conductances()
        for number, (plan, cells) in enumerate(zip(network.plans, targets, strict=True)):
            layer = model.layers[number]
            drive_v = drive_voltages(hardware, plan, layer, values)
            current_a = layer.reads.transfer(cells).current_a(drive_v)
            reads: Any = layer.reads
            if isinstance(model, SurrogateModel):
                ohmic = model.reads[number]
                reads = exact_reads(hardware, layer.layout, ohmic.wires.bit.sense_ohm, ohmic.held_v)
            around = _around(reads)
            if around is not None:
                known = around[2]
                held = cells if known is None else known.reached(cells)
                yield _Layer(plan, held, drive_v, current_a, *around)
            codes = converter_codes(layer, current_a)
            values = codes / code_full(hardware, plan)


def _in_situ(network: InSituNetwork, x: torch.Tensor) -> Iterator[_Layer]:
    """The layers of a network whose weights are in cells."""
    values = x.to(network.chain[0].array.w.dtype).unsqueeze(0)
    with torch.no_grad():
        for layer in network.chain:
            array = layer.array
            around = _around(array.reads)
            if around is not None:
                drive_v = array.layout.split_rows(layer.drive_v(values))
                tiles = array.layout.split_cells(array.conductance_s())
                yield _Layer(layer.plan, tiles, drive_v, array.read(drive_v), *around)
            values = layer(values) / code_full(network.hardware, layer.plan)


def _around(reads: object) -> tuple[TileWires, Ends, DeviceCells | None] | None:
    """What tiles stand in forward, and what their cells are; None where ngspice reads them."""
    reads = getattr(reads, "exact", reads)  # a surrogate has what it is compared with
    if isinstance(reads, KeptReads):
        reads = reads.reads
    if isinstance(reads, ExactReads):
        return reads.wires, reads.forward, None
    if isinstance(reads, DeviceExactReads):
        return reads.wires, reads.forward, reads.cells
    return None
