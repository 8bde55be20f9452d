"""The hardware of a run as the report tells it: what the circuits are, and how far each spreads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from compact_models.ohmic import ReferencedCell
from cosim.array.cell_pulses import cell_pulses
from cosim.array.device_spec import DeviceSpec
from cosim.array.pulse_pairs import SPREAD
from netlists.adcs.quantiser import AdcSpec
from netlists.chip import Chip
from netlists.drivers.level import DriverSpec
from netlists.readout.tia import TiaSpec
from workflows.cell_device import found_device, spread_of
from workflows.config import Config
from workflows.report.text import quantity, quantity_range

Fact = tuple[str, str]


def hardware_facts(config: Config, chip: Chip) -> tuple[Fact, ...]:
    """Label and value with its unit, for every circuit of the chip that took part.

    Args:
        config: of the run.
        chip: its chip.
    """
    wires, neuron, own = config.hardware.wires, config.neuron, chip.hardware.blocks
    tiles = [f"{part.rows}x{part.cols}" for plan in chip.plans for part in plan.tiles]
    feedback = [quantity(plan.r_feedback_ohm, "Ω") for plan in chip.plans]
    shape = f"corner rounded over {quantity(neuron.v_knee_v, 'V')}, " * (
        any(plan.neuron == "relu" for plan in chip.plans)
    )
    of_neuron = (
        () if "neuron" in own
        else (("Neuron", shape + _sigmas(offset_v=neuron.sigma_offset_v, gain=neuron.sigma_gain)),)
    )  # fmt: skip
    return (
        ("Tiles (word lines x bit lines)", ", ".join(tiles)),
        *_cells(config),
        ("Word-line segment", _segments(wires.r_wordline_ohm)),
        ("Bit-line segment", _segments(wires.r_bitline_ohm)),
        ("Driver", _driver(config.driver)),
        ("Transimpedance amplifier", _amplifier(config.tia, ours="tia" not in own)),
        *of_neuron,
        *((f"Own block: {role}", one.description) for role, one in own.items()),
        ("Feedback resistor by layer", ", ".join(feedback)),
        ("ADC", _adc(config.adc)),
        *(_backward(config) if in_cells(config) else ()),
    )


def in_cells(config: Config) -> bool:
    """Whether the cells are devices that learn where they stand."""
    return isinstance(config.hardware.cell, ReferencedCell)


def pair_words(config: Config) -> str:
    """What the conductances of pairs crowd at: a sentence for their histogram."""
    cell = config.hardware.cell
    if not isinstance(cell, ReferencedCell):
        return "Cells crowded at the lower end are the unused halves of differential pairs."
    zero = quantity(cell.reference_s, "S")
    if cell.both:
        return (
            f"Both cells of a pair start at {zero}, a weight of 0, and move in opposite ways: cells"
            " crowded there are of weights near 0."
        )
    return (
        f"Cells crowded at {zero} are the minus cells of pairs, references of a weight of 0 that no"
        " pulse reaches; plus cells near them hold weights near 0."
    )


def _cells(config: Config) -> list[Fact]:
    cell = config.hardware.cell
    facts = [("Cell conductance", quantity_range(cell.g_off_s, cell.g_on_s, "S"))]
    facts += [
        (f"Cell conductance, {layer}", quantity_range(one.g_off_s, one.g_on_s, "S"))
        for layer, one in config.hardware.cells.items()
    ]
    several = {"": config.device, **{name: config.of_layer(name).device for name in config.layer}}
    facts += [
        (f"Devices a weight{', ' if layer else ''}{layer}", f"{one.devices_per_weight}, summed")
        for layer, one in several.items()
        if one.devices_per_weight > 1
    ]
    program = f"{cell.sigma_program:g}, standard deviation of ln G"
    if not config.device.name:
        return [*facts, ("Programming error", program)]
    model, numbers = found_device(config.device)
    named = f"{model.name}, set {numbers.name}"
    moved = {
        "reference": "pulses move the plus cell of a pair, the minus cell stays at weight 0",
        "both": "pulses move both cells of a pair, in opposite ways",
    }
    lines = _sigmas(amplitude=config.pulse.sigma_amplitude, width=config.pulse.sigma_width)
    if model.pulse is None and in_cells(config):
        pulse = config.pulse
        return [
            (
                "Cells",
                f"{named}, the compact model in every cell; pair: {moved[config.device.pair]}",
            ),
            *facts,
            ("Spread from cell to cell", _spread(spread_of(config.device), {})),
            ("Spread from step to step", f"{_share(config.device.sigma_step)} of a step"),
            ("Programming error", "none: the cells learnt where they stand"),
            (
                "Pulses",
                f"{quantity(pulse.amplitude_v, 'V')} up, {quantity(pulse.amplitude_down_v, 'V')}"
                f" down, {quantity(pulse.width_s, 's')} and two edges of"
                f" {quantity(pulse.edge_s, 's')}; from line to line: {lines}",
            ),
        ]
    if model.pulse is None:
        spread = _spread(config.device.d2d, {})
        return [
            ("Cells", f"{named}: the compact model in every cell"),
            *facts,
            ("Spread from cell to cell", spread),
            ("Programming error", program),
        ]
    by_law = getattr(config.train, "update", "step") == "step"
    noise = numbers.values["dw_min_std"] if by_law else config.device.sigma_step
    up, down = cell_pulses(numbers, config.pulse)
    volts = f"{quantity(up.amplitude_v, 'V')} up, {quantity(-down.amplitude_v, 'V')} down"
    return [
        ("Cells", f"{named}; pair: {moved[config.device.pair]}"),
        *facts,
        ("Step at weight 0", f"{numbers.values['dw_min']:g} of the weight"),
        ("Spread from cell to cell", _of_device(config.device)),
        *(
            (f"Spread from cell to cell, {name}", _of_device(config.of_layer(name).device))
            for name, own in config.layer.items()
            if "device" in own
        ),
        ("Spread from step to step", f"{_share(noise)} of a step"),
        ("Programming error", "none: the cells learnt where they stand"),
        (
            "Pulses",
            f"{volts}, {quantity(up.width_s, 's')} and two edges of {quantity(up.rise_s, 's')};"
            f" from line to line: {lines}",
        ),
    ]


def _of_device(device: DeviceSpec) -> str:
    return _spread(spread_of(device), SPREAD)


def _spread(sigma: Mapping[str, float], kinds: Mapping[str, str]) -> str:
    """Standard deviations by parameter; relative ones in per cent."""
    words = [
        f"{name} {f'{one:g}' if kinds.get(name) == 'absolute' else _share(one)}"
        for name, one in sigma.items()
    ]
    return ", ".join(words) or "none"


def _sigmas(**sigma: float) -> str:
    """Standard deviations from instance to instance: of what ends in _v in volts, else relative."""
    words = [
        f"sigma of {name.removesuffix('_v')} "
        + (quantity(one, "V") if name.endswith("_v") else _share(one))
        for name, one in sigma.items()
    ]
    return ", ".join(words)


def _share(of_one: float) -> str:
    """A setting that is a share, in per cent."""
    return f"{100 * of_one:.4g} %"


def _driver(spec: DriverSpec) -> str:
    return (
        f"{spec.dac_bits}-bit DAC, {quantity(spec.v_read_v, 'V')} full scale,"
        f" {quantity(spec.r_driver_ohm, 'Ω')} output,"
        f" {_sigmas(gain=spec.sigma_gain, offset_v=spec.sigma_offset_v)}"
    )


def _amplifier(spec: TiaSpec, *, ours: bool = True) -> str:
    gain = f"gain {spec.open_loop_gain:g}, " if ours else ""
    sigmas = _sigmas(offset_v=spec.sigma_offset_v, feedback=spec.sigma_feedback)
    return f"{gain}rails ±{quantity(spec.v_rail_v, 'V')}, {sigmas}"


def _adc(spec: AdcSpec) -> str:
    return (
        f"{spec.bits} bit, {quantity(spec.v_full_scale_v, 'V')} full scale,"
        f" {_sigmas(offset_v=spec.sigma_offset_v, gain=spec.sigma_gain)}"
    )


def _backward(config: Config) -> Sequence[Fact]:
    back = config.backward
    zero = "offsets subtracted by a read of nothing" if back.auto_zero else "offsets not subtracted"
    return (
        ("Backward driver", _driver(back.driver)),
        ("Backward amplifier", f"{_amplifier(back.tia)}, {zero}"),
        ("Backward ADC", _adc(back.adc)),
    )


def _segments(ohm: float | NDArray[np.float64]) -> str:
    """Of equal segments, or the range of those that differ."""
    if isinstance(ohm, float):
        return quantity(ohm, "Ω")
    between, mean = quantity_range(float(ohm.min()), float(ohm.max()), "Ω"), float(ohm.mean())
    return f"{between}, {quantity(mean, 'Ω')} in the mean, from a file"
