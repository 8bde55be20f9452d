"""From a planned network and a device to a network that learns in its own cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.cell_device import CellDevice
from compact_models.errors import InputError, closest
from compact_models.model import CompactModel, ParameterSet
from compact_models.ohmic import OhmicCell
from compact_models.variation import Stream
from cosim.array.combined import Policy
from cosim.array.paired_cells import Pair
from cosim.array.protocols import Reads, SimulatedReads
from cosim.array.reads.anchored import AnchoredReads
from cosim.array.reads.device_exact import DeviceExactReads
from cosim.array.reads.device_surrogate import DeviceSurrogateReads
from cosim.array.reads.exact import ExactReads
from cosim.array.reads.ideal import IdealReads
from cosim.array.reads.spice import SpiceReads
from cosim.array.reads.vectors import VectorReads
from cosim.array.updates.device import DeviceUpdates, check_double
from cosim.network.chip_cells import cells_of_chip
from cosim.network.dynamic_device import DynamicDevice
from cosim.network.held_chip import cells_of, held_chip
from cosim.network.in_situ import InSituNetwork
from cosim.network.in_situ_layer import InSituLayer
from cosim.network.learning_device import LearningDevice
from cosim.network.models import bent_cells, exact_reads
from cosim.network.pulsed_device import PulsedDevice
from cosim.network.run import NetworkModel
from cosim.network.surrogate import SurrogateModel
from cosim.network.weight_array import weight_array
from cosim.ngspice import find_ngspice
from cosim.periphery.backward import BackwardPeriphery
from cosim.periphery.exact import ExactPeriphery
from cosim.periphery.managed import ReadRule
from netlists.backward.drawn import draw_backward
from netlists.chip import Chip, LayerPeriphery
from netlists.drivers.level import DriverSpec
from netlists.graph import LinearStage
from netlists.hardware import Hardware
from netlists.mapping import plan_layers
from netlists.readout import tia
from netlists.tiles import LayerPlan

Array = NDArray[np.float64]
READS = ("ideal", "surrogate", "exact", "spice")
_SIGMAS = 6.0
_MOST_SIGMA_STEP = 2.0


def learning_device(
    model: CompactModel,
    nominal: ParameterSet,
    *,
    cell: OhmicCell,
    read_v: float,
    d2d: Mapping[str, float] | None,
    pair: Pair,
    sigma_step: float = 0.0,
) -> LearningDevice:
    """A device as cells that learn, whichever kind it is.

    Args:
        model: a pulse device or a compact model.
        nominal: its parameter set.
        cell: of the chip: what weights of a compact model span; where it is the default, all that
            the device reaches.
        read_v: the voltage at which conductances are meant [V].
        d2d: standard deviation from cell to cell; None for that of the set.
        pair: which cells of a pair pulses reach.
        sigma_step: standard deviation of a step from pulse to pulse, as a part of it.

    Raises:
        InputError: cells cannot differ so, or cannot hold weights.
    """
    if not 0 <= sigma_step <= _MOST_SIGMA_STEP:
        raise InputError(
            "a step cannot vary so from pulse to pulse",
            where="sigma_step",
            value=sigma_step,
            allowed=f"0 to {_MOST_SIGMA_STEP:g}, as a part of the step",
        )
    spread = dict(nominal.d2d if d2d is None else d2d)
    if model.pulse is not None:
        return PulsedDevice(model, nominal, spread, pair, sigma_step)
    range_s = None if cell == OhmicCell() else (cell.g_off_s, cell.g_on_s)
    device = CellDevice(model, nominal)
    return DynamicDevice(device, read_v, range_s, pair, sigma=spread, sigma_step=sigma_step)


@dataclass(frozen=True, eq=False)
class LayerInCells:
    """What the cells of one layer are, and who reads them.

    Attributes:
        device: what its cells are.
        read: who computes reads.
        tolerance: for `surrogate`: largest error of a tile's transfer (Frobenius, relative).
        managed: how reads are managed digitally; None for the chip's own converters.
        policy: what pulses reach where several arrays hold a layer (`LayerPlan.factors`).
        update: who computes what pulses do.
    """

    device: LearningDevice
    read: str
    tolerance: float
    managed: ReadRule | None = None
    policy: Policy = "all"
    update: str = "step"


def units(stages: Sequence[LinearStage], devices: Sequence[LearningDevice]) -> list[float]:
    """The logical weight that a cell's weight of 1 stands for, layer by layer.

    It is 1, as the devices' publications have it, unless weights to start from do not fit.
    """
    largest = [float(np.abs(stage.weight).max(initial=0.0)) for stage in stages]
    return [max(1.0, one / own.reach) for one, own in zip(largest, devices, strict=True)]


def plan_in_situ(
    stages: Sequence[LinearStage],
    typical: Sequence[LinearStage],
    hardware: Hardware,
    devices: Sequence[LearningDevice],
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
        pairs, updates = device.in_cells(hardware, plans, number, own.update, stream)
        if isinstance(updates, DeviceUpdates):
            check_double(dtype)
        if own.managed and own.read != "ideal" and bent_cells(hardware) is not None:
            raise InputError(
                "what manages reads digitally takes currents to be in proportion to voltages, and"
                " those of these cells are not",
                where="[train.periphery]",
                allowed='the chip\'s own converters, or read = "ideal"',
                hint="leave [train.periphery] out",
            )
        back = None
        if own.read != "ideal":
            back = BackwardPeriphery.of(hardware, plan, around.layout, [drawn[number]])
        array = weight_array(
            plan,
            around.layout,
            pairs,
            _reads(hardware, model, plan, number, own.read, own.tolerance, back, decks),
            updates,
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
    plan: LayerPlan,
    number: int,
    read: str,
    tolerance: float,
    back: BackwardPeriphery | None,
    decks: int,
) -> Reads | SimulatedReads:
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
    found = exact_reads(hardware, layout, sense, held)
    wires, forward, backward = found.wires, found.forward, back.ends
    if read == "spice":
        jobs, cells = min(layout.tiles, decks), cells_of(hardware)
        return SpiceReads(wires, forward, backward, find_ngspice(), jobs=jobs, cells=cells)
    if isinstance(found, DeviceExactReads):
        bent = DeviceExactReads(found.cells, wires, forward, backward)
        if read == "exact":
            return VectorReads(bent, bent)
        low_v, high_v = _driven_v(hardware, signed=plan.signed_input)
        surrogate = DeviceSurrogateReads(
            found.cells, wires, forward, backward, low_v=low_v, high_v=high_v, seed=number
        )
        return VectorReads(surrogate, bent)
    exact = ExactReads(wires, forward, backward)
    return exact if read == "exact" else AnchoredReads(exact, tolerance, weights)


def _driven_v(hardware: Hardware, *, signed: bool) -> tuple[float, float]:
    """The least and the largest voltage of drivers, those of the backward phase among the latter.

    What is drawn of a driver may be so many standard deviations off.
    """

    def most_v(driver: DriverSpec) -> float:
        return driver.v_read_v * (1 + _SIGMAS * driver.sigma_gain) + off_v(driver)

    def off_v(driver: DriverSpec) -> float:
        return _SIGMAS * driver.sigma_offset_v

    high_v = most_v(hardware.driver)
    low_v = -high_v if signed else -off_v(hardware.driver)
    return low_v, max(high_v, most_v(hardware.backward.driver))


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
    return held_chip(
        Chip(
            network.hardware,
            plans,
            tuple(periphery),
            tuple(tuple(layer) for layer in cells),
            tuple(layer.array.weight()[0].double().numpy() for layer in network.chain),
        )
    )
