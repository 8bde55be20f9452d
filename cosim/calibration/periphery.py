"""Calibrating amplifiers, neurons, converters and drivers over what their instances draw.

Each role has one bench a layer: instances at the corners of what is drawn, and fresh ones that are
held out (`cosim.calibration.drawn`). No instance of a chip itself is simulated, so that what is
found holds for all chips.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from cosim.calibration.drawn import REACH, Drawn, Instances, fit_block, fit_value, instances
from cosim.ngspice import Deck, RawPlot
from cosim.ngspice.bench import sweep_deck
from cosim.surrogate.drawn_curves import BlockCurves, DrawnValue
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
_AT_ONCE = 9  # instances of a deck
_MAX_SAMPLES = 8  # times those of a range without errors


@dataclass(frozen=True, eq=False)
class BlockSweep:
    """A bench and how to read it.

    Args:
        decks: the bench, a few instances each: many amplifiers made of transistors find no
            operating point together that each of them finds alone.
        x: swept input, [point]; amperes for amplifiers, volts for the others.
        within: the largest input that is fitted to; what lies beyond is there for instances that
            shift and scale it.
        works: the largest input where mapping lets the block work.
        instances: what is on the bench.
    """

    decks: tuple[Deck, ...]
    x: Array
    within: float
    works: float
    instances: Instances

    def read(self, node: str, plots: Sequence[RawPlot]) -> Array:
        """Voltages at every instance's `node`, `out` or `in`, [point, instance]."""
        parts = _parts(self.instances)
        signals = ([f"v({node}_{k})" for k in part] for part in parts)
        return np.concatenate(
            [plot.matrix(names) for plot, names in zip(plots, signals, strict=True)], 1
        )


Make = Callable[[int], list[Element]]
"""The elements of an instance by its number."""


def _parts(of: Instances) -> list[range]:
    return [range(k, min(k + _AT_ONCE, len(of))) for k in range(0, len(of), _AT_ONCE)]


@dataclass(frozen=True, eq=False)
class AmplifierFit:
    """Amplifiers of a layer as the surrogate knows them, over `rf` and `vos`.

    Args:
        curves: output voltage over input current.
        input_ohm: resistance seen by the bit line.
        held_v: voltage behind it.
        error_v: held-out output errors, [point, instance].
        input_error_v: held-out errors at the inputs, [point, instance].
    """

    curves: BlockCurves
    input_ohm: DrawnValue
    held_v: DrawnValue
    error_v: Array
    input_error_v: Array


@dataclass(frozen=True, eq=False)
class NeuronFit:
    """Neurons of a layer, over `vos` and `gain`; held-out errors [point, instance]."""

    curves: BlockCurves
    error_v: Array


@dataclass(frozen=True, eq=False)
class LineFit:
    """Converters or drivers of a layer as straight lines, over `vos` and `gain`.

    Args:
        gain: of the input.
        offset_v: added to it; what that makes is the output, or the code over the LSB.
        error: held out, [point, instance]: volts of drivers, of converters codes.
    """

    gain: DrawnValue
    offset_v: DrawnValue
    error: Array


def driver_sweep(chip: Chip, layer: int, seed: int) -> BlockSweep:
    """Drivers on one digital value, their lines open; `x` are the DACs' levels."""
    plan, spec = chip.plans[layer], chip.hardware.driver
    block = level.subcircuit(spec, signed=plan.signed_input)
    values = np.linspace(-1.0 if plan.signed_input else 0.0, 1.0, 2 * DRIVER_SAMPLES - 1)
    drawn = {"vos": Drawn(0.0, spec.sigma_offset_v), "gain": Drawn(1.0, spec.sigma_gain, True)}
    of = instances(drawn, seed=seed, path=f"{plan.name}/driver")
    decks = _decks(f"drivers of {plan.name}", block, of, values, _alone("driver", block, of))
    levels = level.level(torch.from_numpy(values), spec, signed=plan.signed_input).numpy()
    return BlockSweep(decks, levels, math.inf, math.inf, of)


def amplifier_sweep(
    chip: Chip, layer: int, block: Block, seed: int, *, factor: float | None = None
) -> BlockSweep:
    """Amplifiers of a layer, each fed by a current source.

    A factor scales the feedback, and with it the output, but not the currents of the arrays: those
    are the same for all, and the amplifiers of the largest factor reach the rails first.

    Args:
        chip: the chip's description.
        layer: index of the layer.
        block: the amplifier.
        seed: the study's seed.
        factor: of the arrays that they belong to; None for that of the first.
    """
    plan, spec = chip.plans[layer], chip.hardware.tia
    factor = plan.factors[0] if factor is None else factor
    feedback = factor * plan.r_feedback_ohm
    full_v = spec.v_rail_v * factor / max(plan.factors)
    name = times(factor)
    drawn = _known(
        block,
        {
            "rf": Drawn(feedback, spec.sigma_feedback * feedback, True),
            "vos": Drawn(0.0, spec.sigma_offset_v),
        },
    )
    of = instances(drawn, seed=seed, path=f"{plan.name}/amplifier{name}")
    scaled, shifted = drawn["rf"].sigma / feedback, drawn["vos"].sigma
    volts, within = _swept(full_v, TIA_RANGE, scaled, shifted, TIA_SAMPLES)
    source = f"V(drive)/{number(feedback)}"

    def make(k: int) -> list[Element]:
        nodes = (f"in_{k}", f"out_{k}")
        return [
            BehaviouralCurrent(f"bin_{k}", "0", f"in_{k}", source),
            Instance(f"xtia_{k}", block.name, nodes, of.parameters(k, block.parameters)),
        ]

    decks = _decks(f"amplifiers of {plan.name}{name}", block, of, volts, make)
    works = RAIL_SHARE * full_v
    return BlockSweep(decks, volts / feedback, within / feedback, works / feedback, of)


def times(factor: float) -> str:
    """What names say of a factor: nothing where it is 1."""
    return "" if factor == 1 else f" times {factor:g}"


def neuron_sweep(chip: Chip, layer: int, block: Block, seed: int) -> BlockSweep:
    """Neurons of a layer on one input voltage."""
    plan, spec = chip.plans[layer], chip.hardware.neuron
    drawn = _known(
        block,
        {"vos": Drawn(0.0, spec.sigma_offset_v), "gain": Drawn(1.0, spec.sigma_gain, True)},
    )
    of = instances(drawn, seed=seed, path=f"{plan.name}/neuron")
    full, scaled, shifted = (
        chip.hardware.adc.v_full_scale_v,
        drawn["gain"].sigma,
        drawn["vos"].sigma,
    )
    volts, within = _swept(full, NEURON_RANGE, scaled, shifted, NEURON_SAMPLES)
    decks = _decks(f"neurons of {plan.name}", block, of, volts, _alone("neuron", block, of))
    return BlockSweep(decks, volts, within, full, of)


def converter_sweep(chip: Chip, layer: int, seed: int) -> BlockSweep:
    """Converters of a layer on one input voltage."""
    plan, adc = chip.plans[layer], chip.hardware.adc
    block = quantiser.subcircuit(adc, signed=plan.signed_output)
    drawn = {"vos": Drawn(0.0, adc.sigma_offset_v), "gain": Drawn(1.0, adc.sigma_gain, True)}
    of = instances(drawn, seed=seed, path=f"{plan.name}/converter")
    beyond = 5 * adc.sigma_offset_v  # where converters with an offset have their range
    reach = ADC_RANGE * (1 + 5 * adc.sigma_gain) * adc.v_full_scale_v + beyond
    low = -reach if plan.signed_output else -(ADC_RANGE - 1) * adc.v_full_scale_v - beyond
    volts = np.linspace(low, reach, ADC_POINTS)
    decks = _decks(f"converters of {plan.name}", block, of, volts, _alone("adc", block, of))
    return BlockSweep(decks, volts, math.inf, math.inf, of)


def _known(block: Block, drawn: Mapping[str, Drawn]) -> dict[str, Drawn]:
    """What the instances of a block differ in: a user's own block may know less."""
    return {
        name: one if name in block.parameters else Drawn(one.nominal, 0.0)
        for name, one in drawn.items()
    }


def _swept(
    full_v: float, times: float, scaled: float, shifted_v: float, samples: int
) -> tuple[Array, float]:
    """Inputs from end to end, and up to where no instance leaves them.

    They go further than `times` only where instances differ so much that a full scale would not be
    left: a user's amplifier may not converge far in its rails.

    Args:
        full_v: the full scale.
        times: how far beyond it blocks are swept.
        scaled: standard deviation of what scales inputs, relative.
        shifted_v: of what shifts them.
        samples: of the curve where nothing differs.
    """
    more, shift_v = 1 + REACH * scaled, REACH * shifted_v
    reach = max(times * full_v, full_v * more + shift_v)
    count = math.ceil(min(reach / (times * full_v), _MAX_SAMPLES) * (samples - 1) / 2) * 2 + 1
    return np.linspace(-reach, reach, 2 * count - 1), (reach - shift_v) / more


def _alone(role: str, block: Block, of: Instances) -> Make:
    """An instance of a block between the swept node and a node of its own."""

    def make(k: int) -> list[Element]:
        nodes = ("drive", f"out_{k}")
        return [Instance(f"x{role}_{k}", block.name, nodes, of.parameters(k, block.parameters))]

    return make


def _decks(name: str, block: Block, of: Instances, volts: Array, make: Make) -> tuple[Deck, ...]:
    decks = []
    for number_of, part in enumerate(_parts(of)):
        items = [item for k in part for item in make(k)]
        title = f"{name}, {number_of}" if number_of else name
        circuit = Circuit(f"spiceloop: {title}", (block,), tuple(items))
        file = title.replace(", ", "_").replace(" ", "_")
        decks.append(sweep_deck(circuit, ["drive"], volts[:, None], name=file))
    return tuple(decks)


def fit_amplifiers(sweep: BlockSweep, plots: Sequence[RawPlot]) -> AmplifierFit:
    """Fits the curve of the outputs, and a straight line to the inputs, of amplifiers."""
    of, at_input = sweep.instances, sweep.read("in", plots)
    curves, error = fit_block(of, sweep.x, sweep.read("out", plots), within=sweep.within)
    # The virtual ground: v = held + input_ohm i, where mapping lets amplifiers work. Beyond, a
    # user's amplifier may be in its rails, and its input anywhere.
    inside = np.abs(sweep.x) <= sweep.works
    x, volts = sweep.x[inside], at_input[inside]
    slope, start = np.polyfit(x[::2], volts[::2], 1)
    ohm, held = fit_value(of, slope), fit_value(of, start)
    line = held.at(*of.tensors()).numpy() + ohm.at(*of.tensors()).numpy() * x[1::2, None]
    input_error = (line - volts[1::2])[:, of.fresh]
    return AmplifierFit(curves, ohm, held, error, input_error)


def fit_neurons(sweep: BlockSweep, plots: Sequence[RawPlot]) -> NeuronFit:
    """Fits the curve of the outputs of neurons."""
    outputs = sweep.read("out", plots)
    return NeuronFit(*fit_block(sweep.instances, sweep.x, outputs, within=sweep.within))


def fit_drivers(sweep: BlockSweep, plots: Sequence[RawPlot]) -> LineFit:
    """Fits straight lines to the outputs of drivers."""
    out = sweep.read("out", plots)
    gain, offset = np.polyfit(sweep.x[::2], out[::2], 1)
    return _lines(sweep, gain, offset, lambda line: line - out)


def fit_converters(sweep: BlockSweep, plots: Sequence[RawPlot], chip: Chip, layer: int) -> LineFit:
    """Fits straight lines through the edges between the codes of converters.

    The edge between k - 1 and k stands for k - 1/2. A line through all samples of a staircase
    would be flatter than its steps, by 1/N^2 of N codes.

    Raises:
        InputError: too few edges were met in the sweep.
    """
    signed = chip.plans[layer].signed_output
    low, high = quantiser.code_range(chip.hardware.adc, signed=signed)
    lsb = quantiser.lsb_v(chip.hardware.adc, signed=signed)
    codes = np.rint(sweep.read("out", plots))
    x, seen = sweep.x[::2], codes[::2]
    gain, offset = np.empty(codes.shape[1]), np.empty(codes.shape[1])
    for k in range(codes.shape[1]):
        steps = np.diff(seen[:, k])
        at = np.flatnonzero(steps)
        if len(at) < _LEAST_EDGES:
            raise InputError(
                "a converter's offset dwarfs its range: no line can be fitted to its codes",
                where=f"{chip.plans[layer].name}, converters",
                value=f"{len(at)} edges between codes in the sweep",
                hint="lower [adc] sigma_offset_v or raise v_full_scale_v",
            )
        edge_v = (x[at] + x[at + 1]) / 2
        # Where samples are coarser than codes, an edge stands for the middle of what it jumps.
        stands_for = (seen[at, k] + seen[at + 1, k]) / 2
        slope, start = np.polyfit(edge_v, stands_for, 1)
        gain[k], offset[k] = slope * lsb, start * lsb
    return _lines(
        sweep,
        gain,
        offset,
        lambda line: np.clip(np.floor(line / lsb + 0.5), low, high) - codes,
    )


def _lines(
    sweep: BlockSweep, gain: Array, offset_v: Array, off: Callable[[Array], Array]
) -> LineFit:
    """Lines over what is drawn; `off` says how far off their outputs [point, instance] are."""
    of = sweep.instances
    gains, offsets = (fit_value(of, one, straight=True) for one in (gain, offset_v))
    line = sweep.x[:, None] * gains.at(*of.tensors()).numpy() + offsets.at(*of.tensors()).numpy()
    return LineFit(gains, offsets, off(line)[1::2, of.fresh])
