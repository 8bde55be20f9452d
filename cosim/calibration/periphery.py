"""Calibrating amplifiers, neurons and converters: every instance is swept in ngspice.

Each role has one bench with all its instances of a layer side by side. Every second point of a
sweep becomes a sample of the curve; the points between them are held out and give the error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.ngspice import Deck, RawPlot
from cosim.ngspice.bench import sweep_deck
from cosim.surrogate.curves import Curves, fit_curves
from netlists.adcs import quantiser
from netlists.chip import Chip
from netlists.circuit import (
    BehaviouralCurrent,
    Circuit,
    Element,
    ForeignSubcircuit,
    Instance,
    Subcircuit,
)
from netlists.drivers import level
from netlists.mapping import RAIL_SHARE
from netlists.names import number
from netlists.network import driver_errors, known, neuron_errors

Array = NDArray[np.float64]
Block = Subcircuit | ForeignSubcircuit

DRIVER_SAMPLES = 33
TIA_SAMPLES = 257
NEURON_SAMPLES = 1025
ADC_POINTS = 4097
# How far beyond their full-scale range blocks are swept.
TIA_RANGE = 1.5
NEURON_RANGE = 1.5
ADC_RANGE = 1.1
_LEAST_EDGES = 2


@dataclass(frozen=True, eq=False)
class BlockSweep:
    """A bench and how to read it.

    Args:
        deck: the bench.
        x: swept input, [point]; amperes for amplifiers, volts for the others.
        outputs: output signals, one per instance.
        inputs: input-node signals of amplifiers, one per instance; empty for the others.
    """

    deck: Deck
    x: Array
    outputs: tuple[str, ...]
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class AmplifierFit:
    """Amplifiers of a layer as the surrogate knows them, tiles one after another.

    Args:
        curves: output voltage over input current, one per amplifier.
        input_ohm: resistance seen by the bit line, [amplifier].
        held_v: voltage behind it, [amplifier].
        error_v: held-out output errors, [point, amplifier].
        input_error_v: held-out errors of the straight line at the inputs, [point, amplifier].
    """

    curves: Curves
    input_ohm: Array
    held_v: Array
    error_v: Array
    input_error_v: Array


@dataclass(frozen=True, eq=False)
class DriverFit:
    """Drivers of a layer as straight lines, tiles one after another: v = gain level + offset.

    Args:
        gain: [driver].
        offset_v: [driver].
        error_v: held-out errors, [point, driver].
    """

    gain: Array
    offset_v: Array
    error_v: Array


@dataclass(frozen=True, eq=False)
class NeuronFit:
    """Neurons of a layer: output over input voltage; held-out errors [point, neuron]."""

    curves: Curves
    error_v: Array


@dataclass(frozen=True, eq=False)
class ConverterFit:
    """Converters of a layer as straight lines: code = (gain v + offset) / lsb, each [converter].

    `error_lsb` is the held-out difference between the rounded line and the code, [point, conv].
    """

    gain: Array
    offset_v: Array
    error_lsb: Array


def driver_sweep(chip: Chip, layer: int) -> BlockSweep:
    """All drivers of a layer on one digital value, their lines open; `x` are the DACs' levels."""
    plan, spec = chip.plans[layer], chip.hardware.driver
    block = level.subcircuit(spec, signed=plan.signed_input)
    values = np.linspace(-1.0 if plan.signed_input else 0.0, 1.0, 2 * DRIVER_SAMPLES - 1)
    items: list[Element] = []
    for at, tile in enumerate(plan.tiles):
        for row in range(tile.rows):
            nodes = ("drive", f"out_{len(items)}")
            errors = driver_errors(chip, layer, at, row)
            items.append(Instance(f"xdriver_{len(items)}", block.name, nodes, errors))
    deck = _deck(f"drivers of {plan.name}", block, items, values)
    levels = level.level(torch.from_numpy(values), spec, signed=plan.signed_input).numpy()
    return BlockSweep(deck, levels, tuple(f"v(out_{k})" for k in range(len(items))))


def amplifier_sweep(chip: Chip, layer: int, block: Block) -> BlockSweep:
    """All amplifiers of a layer, each fed by a current source.

    Args:
        chip: the chip.
        layer: index of the layer.
        block: the amplifier.
    """
    feedback = chip.plans[layer].r_feedback_ohm
    reach = TIA_RANGE * chip.hardware.tia.v_rail_v
    volts = np.linspace(-reach, reach, 2 * TIA_SAMPLES - 1)
    items: list[Element] = []
    count = 0
    for tile in chip.periphery[layer].tiles:
        for rf, vos in zip(tile.r_feedback_ohm, tile.v_offset_v, strict=True):
            source = f"V(drive)/{number(feedback)}"
            items.append(BehaviouralCurrent(f"bin_{count}", "0", f"in_{count}", source))
            parameters = known(block, {"rf": float(rf), "vos": float(vos)})
            nodes = (f"in_{count}", f"out_{count}")
            items.append(Instance(f"xtia_{count}", block.name, nodes, parameters))
            count += 1
    deck = _deck(f"amplifiers of {chip.plans[layer].name}", block, items, volts)
    return BlockSweep(
        deck,
        volts / feedback,
        tuple(f"v(out_{k})" for k in range(count)),
        tuple(f"v(in_{k})" for k in range(count)),
    )


def neuron_sweep(chip: Chip, layer: int, block: Block) -> BlockSweep:
    """All neurons of a layer on one input voltage."""
    plan = chip.plans[layer]
    reach = NEURON_RANGE * chip.hardware.adc.v_full_scale_v
    volts = np.linspace(-reach, reach, 2 * NEURON_SAMPLES - 1)
    items = []
    for k in range(plan.outputs):
        errors = known(block, neuron_errors(chip, layer, k))
        items.append(Instance(f"xneuron_{k}", block.name, ("drive", f"out_{k}"), errors))
    deck = _deck(f"neurons of {plan.name}", block, items, volts)
    return BlockSweep(deck, volts, tuple(f"v(out_{k})" for k in range(plan.outputs)))


def converter_sweep(chip: Chip, layer: int) -> BlockSweep:
    """All converters of a layer on one input voltage."""
    plan, periphery = chip.plans[layer], chip.periphery[layer]
    block = quantiser.subcircuit(chip.hardware.adc, signed=plan.signed_output)
    adc = chip.hardware.adc
    beyond = 5 * adc.sigma_offset_v  # where converters with an offset have their range
    reach = ADC_RANGE * (1 + 5 * adc.sigma_gain) * adc.v_full_scale_v + beyond
    low = -reach if plan.signed_output else -(ADC_RANGE - 1) * adc.v_full_scale_v - beyond
    volts = np.linspace(low, reach, ADC_POINTS)
    items = [
        Instance(
            f"xadc_{k}",
            block.name,
            ("drive", f"out_{k}"),
            {"vos": float(vos), "gain": float(gain)},
        )
        for k, (vos, gain) in enumerate(
            zip(periphery.adc_offset_v, periphery.adc_gain, strict=True)
        )
    ]
    deck = _deck(f"converters of {plan.name}", block, items, volts)
    return BlockSweep(deck, volts, tuple(f"v(out_{k})" for k in range(plan.outputs)))


def _deck(name: str, block: Block, items: Sequence[Element], volts: Array) -> Deck:
    circuit = Circuit(f"spiceloop: {name}", (block,), tuple(items))
    return sweep_deck(circuit, ["drive"], volts[:, None], name=name.replace(" ", "_"))


def fit_amplifiers(sweep: BlockSweep, plot: RawPlot) -> AmplifierFit:
    """Fits curves to the outputs and a straight line to the inputs of amplifiers."""
    out, at_input = plot.matrix(sweep.outputs), plot.matrix(sweep.inputs)
    curves, error = _curves(sweep.x, out)
    # The virtual ground: v = held + input_ohm i, where mapping lets amplifiers work. Beyond, a
    # user's amplifier may be in its rails, and its input anywhere.
    inside = np.abs(sweep.x) <= RAIL_SHARE / TIA_RANGE * np.abs(sweep.x).max()
    x, volts = sweep.x[inside], at_input[inside]
    slope, held = np.polyfit(x[::2], volts[::2], 1)
    input_error = held + slope * x[1::2, None] - volts[1::2]
    return AmplifierFit(curves, slope, held, error, input_error)


def fit_drivers(sweep: BlockSweep, plot: RawPlot) -> DriverFit:
    """Fits straight lines to the outputs of drivers."""
    out = plot.matrix(sweep.outputs)
    gain, offset = np.polyfit(sweep.x[::2], out[::2], 1)
    return DriverFit(gain, offset, offset + gain * sweep.x[1::2, None] - out[1::2])


def fit_neurons(sweep: BlockSweep, plot: RawPlot) -> NeuronFit:
    """Fits curves to the outputs of neurons."""
    return NeuronFit(*_curves(sweep.x, plot.matrix(sweep.outputs)))


def _curves(x: Array, y: Array) -> tuple[Curves, Array]:
    curves = fit_curves(x[::2], y[::2])
    between = torch.from_numpy(np.repeat(x[1::2, None], y.shape[1], axis=1))
    return curves, curves(between).numpy() - y[1::2]


def fit_converters(sweep: BlockSweep, plot: RawPlot, chip: Chip, layer: int) -> ConverterFit:
    """Fits straight lines through the edges between the codes of converters.

    The edge between k - 1 and k stands for k - 1/2. A line through all samples of a staircase
    would be flatter than its steps, by 1/N^2 of N codes.

    Raises:
        InputError: too few edges were met in the sweep.
    """
    signed = chip.plans[layer].signed_output
    low, high = quantiser.code_range(chip.hardware.adc, signed=signed)
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=signed)
    codes = np.rint(plot.matrix(sweep.outputs))
    x, seen = sweep.x[::2], codes[::2]
    gain, offset = np.empty(codes.shape[1]), np.empty(codes.shape[1])
    for k in range(codes.shape[1]):
        steps = np.diff(seen[:, k])
        at = np.flatnonzero(steps)
        if len(at) < _LEAST_EDGES:
            raise InputError(
                "a converter's offset dwarfs its range: no line can be fitted to its codes",
                where=f"{chip.plans[layer].name}.xadc_{k}",
                value=f"{len(at)} edges between codes in the sweep",
                hint="lower [adc] sigma_offset_v or raise v_full_scale_v",
            )
        edge_v = (x[at] + x[at + 1]) / 2
        # Where samples are coarser than codes, an edge stands for the middle of what it jumps.
        stands_for = (seen[at, k] + seen[at + 1, k]) / 2
        slope, start = np.polyfit(edge_v, stands_for, 1)
        gain[k], offset[k] = slope * lsb, start * lsb
    line = (sweep.x[1::2, None] * gain + offset) / lsb
    rounded = np.clip(np.floor(line + 0.5), low, high)
    return ConverterFit(gain, offset, rounded - codes[1::2])
