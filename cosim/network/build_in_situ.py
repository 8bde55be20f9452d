"""From a planned network and a device to a network that learns in its own cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from compact_models.ohmic import ReferencedCell
from compact_models.variation import Stream
from cosim.array.analog_array import Reads
from cosim.array.cell_pulses import cell_pulses
from cosim.array.combined import Policy
from cosim.array.paired_cells import Pair
from cosim.array.pulse_pairs import check_pulse_device, draw_pairs, referenced_cell
from cosim.array.reads.anchored import AnchoredReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.ideal import IdealReads
from cosim.array.reads.spice import SpiceReads
from cosim.array.updates.step import StepUpdates
from cosim.network.chip_cells import cells_of_chip
from cosim.network.in_situ import InSituLayer, InSituNetwork
from cosim.network.models import exact_reads
from cosim.network.run import NetworkModel
from cosim.network.surrogate import SurrogateModel
from cosim.network.weight_array import weight_array
from cosim.ngspice import find_ngspice
from cosim.periphery.backward import BackwardPeriphery
from cosim.periphery.exact import ExactPeriphery
from cosim.periphery.managed import ReadRule
from netlists.backward.drawn import draw_backward
from netlists.chip import Chip, LayerPeriphery
from netlists.graph import LinearStage
from netlists.hardware import Hardware
from netlists.mapping import plan_layers
from netlists.readout import tia
from netlists.tiles import LayerPlan

Array = NDArray[np.float64]
READS = ("ideal", "surrogate", "exact", "spice")


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


@dataclass(frozen=True, eq=False)
class LayerInCells:
    """What the cells of one layer are, and who reads them.

    Attributes:
        device: what its cells are.
        read: who computes reads.
        tolerance: for `surrogate`: largest error of a tile's transfer (Frobenius, relative).
        managed: how reads are managed digitally; None for the chip's own converters.
        policy: what pulses reach where several arrays hold a layer (`LayerPlan.factors`).
    """

    device: PulsedDevice
    read: str
    tolerance: float
    managed: ReadRule | None = None
    policy: Policy = "all"


def units(stages: Sequence[LinearStage], devices: Sequence[PulsedDevice]) -> list[float]:
    """The logical weight that a cell's weight of 1 stands for, layer by layer.

    It is 1, as the devices' publications have it, unless weights to start from do not fit.
    """
    largest = [float(np.abs(stage.weight).max(initial=0.0)) for stage in stages]
    return [max(1.0, one / own.reach) for one, own in zip(largest, devices, strict=True)]


def plan_in_situ(
    stages: Sequence[LinearStage],
    typical: Sequence[LinearStage],
    hardware: Hardware,
    devices: Sequence[PulsedDevice],
    sample_inputs: Array,
    *,
    full_scale: float = 1.0,
    factors: Sequence[tuple[float, ...]] | None = None,
) -> tuple[LayerPlan, ...]:
    """Chooses scales and cuts for weights that cells hold.

    Args:
        stages: the network to start from.
        typical: the same layers as they may become; they set the ranges.
        hardware: the chip, whose cells are the devices'.
        devices: what the cells of each layer are.
        sample_inputs: typical inputs [batch, in] as shares of the read voltage.
        full_scale: the network's input that a share of 1 stands for.
        factors: of the arrays that hold each layer together; None for one a layer.
    """
    scales = units(stages, devices)
    reachable = [
        LinearStage(
            stage.name,
            np.clip(stage.weight, -own.reach * unit, own.reach * unit),
            stage.bias,
            stage.activation,
        )
        for stage, own, unit in zip(typical, devices, scales, strict=True)
    ]
    return plan_layers(
        reachable,
        hardware,
        sample_inputs,
        full_scale=full_scale,
        weight_scales=[unit * own.weight_range for own, unit in zip(devices, scales, strict=True)],
        factors=factors,
    )


def in_situ_network(
    hardware: Hardware,
    plans: Sequence[LayerPlan],
    stages: Sequence[LinearStage],
    model: NetworkModel,
    cells: Sequence[LayerInCells],
    *,
    stream: Stream,
    dtype: torch.dtype = torch.float64,
    refuse_clipping: bool = False,
    decks: int = 1,
) -> InSituNetwork:
    """A network in cells, programmed with weights to start from.

    Args:
        hardware: the chip's description.
        plans: the layers.
        stages: the weights.
        model: what stands around the arrays, and for `surrogate` what calibration has found.
        cells: what those of each layer are, and who reads them.
        stream: of the chip's sample; cells, noise and pulses are drawn from it.
        dtype: of the cells' states.
        refuse_clipping: see `InSituNetwork`.
        decks: that ngspice solves at a time.

    Raises:
        InputError: an unknown fidelity, or single precision where reads are solved exactly.
    """
    layers = []
    drawn = draw_backward(hardware, plans, seed=stream.seed, sample=stream.sample)
    for number, (plan, stage, around, own) in enumerate(
        zip(plans, stages, model.layers, cells, strict=True)
    ):
        device = own.device
        pairs = draw_pairs(
            device.model,
            device.nominal,
            device.sigma,
            (plan.rows, plan.outputs),
            pair=device.pair,
            seed=stream.seed,
            samples=(stream.sample,),
            path=f"{plan.name}/cells",
        )
        back = None
        if own.read != "ideal":
            back = BackwardPeriphery.of(hardware, plan, around.layout, [drawn[number]])
        array = weight_array(
            plan,
            around.layout,
            pairs,
            _reads(hardware, model, number, own.read, own.tolerance, back, decks),
            StepUpdates(pulses=cell_pulses(device.nominal, hardware.pulse)),
            unit=plan.weight_scale / device.weight_range,
            policy=own.policy,
            stream=stream,
            dtype=dtype,
        )
        layers.append(
            InSituLayer(
                plan,
                hardware,
                array,
                around.periphery,
                stage,
                backward=None if own.managed else back,
                managed=own.managed,
                stream=stream,
            )
        )
    return InSituNetwork(hardware, layers, refuse_clipping=refuse_clipping)


def _reads(
    hardware: Hardware,
    model: NetworkModel,
    number: int,
    read: str,
    tolerance: float,
    back: BackwardPeriphery | None,
    decks: int,
) -> Reads | SpiceReads:
    """Who computes the reads of one layer."""
    if read not in READS:
        raise InputError(
            "no such fidelity of reads in training",
            where="read",
            value=read,
            allowed=", ".join(READS),
            hint=closest(read, READS),
        )
    if read == "ideal" or back is None:
        return IdealReads()
    layout = model.layers[number].layout
    if isinstance(model, SurrogateModel):
        of_layer = model.reads[number]
        sense, held = of_layer.wires.bit.sense_ohm, of_layer.held_v
        weights = of_layer.wires.weights
    elif isinstance(around := model.layers[number].periphery, ExactPeriphery):
        sense = tia.input_resistance_ohm(hardware.tia, around.drawn.r_feedback_ohm)
        held = tia.input_offset_v(hardware.tia, around.drawn.v_offset_v)
        weights = AnchoredReads.weights
    else:
        raise InputError(
            f"reads of {read} need the amplifiers that bit lines end in",
            where="read",
            value=f"{read}, with the periphery of {model.name}",
            allowed="a calibrated surrogate, or the exact model of a chip",
        )
    forward = exact_reads(hardware, layout, sense, held)
    exact = ExactReads(forward.wires, forward.forward, back.ends)
    if read == "spice":
        ends = exact.forward, exact.backward
        return SpiceReads(exact.wires, *ends, find_ngspice(), jobs=min(layout.tiles, decks))
    return exact if read == "exact" else AnchoredReads(exact, tolerance, weights)


def chip_of(network: InSituNetwork, periphery: Sequence[LayerPeriphery]) -> Chip:
    """The chip of a network as its cells stand; the first one where there are many.

    Args:
        network: the network.
        periphery: what was drawn for the chip.
    """
    plans = network.plans
    stacked = [
        layer.array.layout.split_cells(layer.array.conductance_s()[:1]).double()
        for layer in network.chain
    ]
    cells = cells_of_chip(plans, stacked)
    return Chip(
        network.hardware,
        plans,
        tuple(periphery),
        tuple(tuple(layer) for layer in cells),
        tuple(layer.array.weight()[0].double().numpy() for layer in network.chain),
    )
