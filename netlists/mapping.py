"""Mapping a chain of stages to tiles: scales and feedback resistances.

A weight w becomes a differential pair on neighbouring bit lines, plus first: a weight of
`weight_scale` is `g_on_s` on one side and `g_off_s` on the other. The bias is one more word line
that is always driven with 1. Inputs of a layer are digital values x = h / input_scale, so that a
pre-activation y becomes the voltage y * v_full / span after the amplifiers; `span` and with it
the feedback resistance are chosen from the pre-activations of sample inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from netlists.graph import LinearStage
from netlists.hardware import Hardware
from netlists.neurons.spec import neuron_by_name
from netlists.readout.tia import TiaSpec
from netlists.tiles import LayerPlan, augmented, cut, differential
from netlists.wires import MOST_OHM

Array = NDArray[np.float64]

# Share of pre-activations that the converter's range must hold, and how far single amplifiers
# may go towards their rails: tanh(0.6) is 10 % below its argument, and the surrogate knows it.
RANGE_QUANTILE = 0.999
RAIL_SHARE = 0.6

# What rounding leaves beyond [-1, 1] or below 0, in single precision too; less than half a step of
# any DAC.
INPUT_ROUNDING = 1e-6

# Far wider than anything that can be made; beyond it simulators lose digits, then the range.
LEAST_FEEDBACK_OHM, MOST_FEEDBACK_OHM = 1e-6, 1e15


def plan_layers(
    stages: Sequence[LinearStage],
    hardware: Hardware,
    sample_inputs: Array,
    *,
    full_scale: float = 1.0,
    weight_scales: Sequence[float] | None = None,
    factors: Sequence[tuple[float, ...]] | None = None,
) -> tuple[LayerPlan, ...]:
    """Chooses scales and cuts for every stage.

    Args:
        stages: the network; its weights set the weight scales.
        hardware: the chip.
        sample_inputs: typical inputs [batch, in] as shares of the read voltage, in [0, 1] or
            [-1, 1].
        full_scale: the network's input that a share of 1 stands for.
        weight_scales: the weight that the whole range of a cell stands for, layer by layer; without
            them that of a layer's largest weight.
        factors: of the arrays that hold each layer together (`LayerPlan`); None for one a layer.

    Raises:
        InputError: the inputs do not fit the network or are not finite, or these factors are no
            feedbacks of the chip's amplifiers.
    """
    for own in factors or ():
        check_factors(own, hardware)
    hidden = np.asarray(sample_inputs, dtype=np.float64)
    if hidden.ndim != 2 or hidden.shape[1] != stages[0].weight.shape[1] or not len(hidden):
        raise InputError(
            "inputs do not fit the network",
            where="sample inputs",
            value=hidden.shape,
            allowed=f"[batch, {stages[0].weight.shape[1]}]",
        )
    if not np.isfinite(hidden).all() or np.abs(hidden).max() > 1 + INPUT_ROUNDING:
        raise InputError(
            "inputs must lie in [-1, 1]", where="sample inputs", value=float(np.abs(hidden).max())
        )
    plans: list[LayerPlan] = []
    input_scale, signed = full_scale, bool((hidden < -INPUT_ROUNDING).any())
    hidden = hidden * full_scale
    for index, stage in enumerate(stages):
        scale = None if weight_scales is None else weight_scales[index]
        own = (1.0,) if factors is None else factors[index]
        plan, pre_activation = _plan(
            index, stage, hardware, hidden, input_scale, signed, scale, own
        )
        plans.append(plan)
        neuron = neuron_by_name(stage.activation)
        limited = torch.from_numpy(pre_activation).clamp(-plan.span, plan.span)
        hidden = neuron.ideal(limited).numpy()
        input_scale, signed = plan.output_scale, plan.signed_output
    return tuple(plans)


def _plan(
    index: int,
    stage: LinearStage,
    hardware: Hardware,
    hidden: Array,
    input_scale: float,
    signed: bool,
    weight_scale: float | None,
    factors: tuple[float, ...],
) -> tuple[LayerPlan, Array]:
    outputs, inputs = stage.weight.shape
    rows = augmented(stage.weight, stage.bias, input_scale)
    if weight_scale is None:
        weight_scale = float(np.abs(rows).max()) or 1.0
    drive = np.concatenate(
        [hidden / input_scale, np.ones((len(hidden), rows.shape[0] - inputs))], axis=1
    )
    pre_activation = input_scale * (drive @ rows)
    span = float(np.quantile(np.abs(pre_activation), RANGE_QUANTILE)) or 1.0
    tiles = cut(rows.shape[0], outputs, hardware.tile, arrays=len(factors))
    cell, v_full = hardware.cell_of(stage.name), hardware.adc.v_full_scale_v

    # Volts after the amplifiers per ampere of difference: v_full must stand for `span`.
    # Every array holds all weights, so their weighted sum is so many times the current of one.
    per_unit_a = hardware.driver.v_read_v * (cell.g_on_s - cell.g_off_s) * sum(factors)
    for_span_a = span * per_unit_a
    r_feedback = v_full * weight_scale * input_scale / for_span_a if for_span_a > 0 else math.inf
    # A single bit line carries more current than the difference of two: keep it off the rails.
    largest = 0.0
    for tile in tiles:
        block = rows[tile.row_start : tile.row_stop, tile.out_start : tile.out_stop]
        pairs = differential(torch.from_numpy(block / weight_scale), cell).numpy()
        current = hardware.driver.v_read_v * (drive[:, tile.row_start : tile.row_stop] @ pairs)
        largest = max(largest, float(np.quantile(np.abs(current), RANGE_QUANTILE)))
    too_far = max(factors) * r_feedback * largest / (RAIL_SHARE * hardware.tia.v_rail_v)
    if too_far > 1:
        r_feedback /= too_far
        span *= too_far
    for factor in {min(factors), max(factors)}:
        check_feedback(factor * r_feedback, hardware.tia, where=f"layer_{index} ({stage.name})")
    plan = LayerPlan(
        name=f"layer_{index}",
        source=stage.name,
        neuron=stage.activation,
        inputs=inputs,
        outputs=outputs,
        has_bias=stage.bias is not None,
        signed_input=signed,
        weight_scale=weight_scale,
        input_scale=input_scale,
        span=span,
        r_feedback_ohm=r_feedback,
        tiles=tiles,
        factors=factors,
    )
    return plan, pre_activation


def check_factors(factors: tuple[float, ...], hardware: Hardware) -> None:
    """Refuses factors of arrays (`LayerPlan`) that their amplifiers cannot have.

    Raises:
        InputError: a factor is no gain of an amplifier, or they differ and the user's own amplifier
            has one feedback for all.
    """
    if not factors or not all(0 < one < math.inf for one in factors):
        raise InputError(
            "a factor is the gain of an array's amplifiers, their feedback over that of the layer",
            where="factors",
            value=list(factors),
            allowed="finite numbers > 0",
            hint="an array of factor 0 is in no sum: leave it out of the layer",
        )
    own = hardware.blocks.get("tia")
    if own is not None and len(set(factors)) > 1 and "rf" not in own.parameters:
        raise InputError(
            "arrays of different factors need amplifiers of different feedback, and the user's has"
            " no parameter rf",
            where=f"tia, {own.name}",
            value=", ".join(f"{one:g}" for one in factors),
            hint=f"declare it, .subckt {own.name} {' '.join(own.ports)} rf=10k, and use {{rf}} as"
            " the feedback resistor",
        )


def check_feedback(r_feedback_ohm: float, spec: TiaSpec, *, where: str, section: str = "") -> float:
    """Returns the feedback resistance of amplifiers, if they can be built with it.

    Args:
        r_feedback_ohm: the resistance that ranges ask for.
        spec: the amplifiers.
        where: the layer, for messages.
        section: what stands before the names of the sections in messages.

    Raises:
        InputError: they cannot.
    """
    if not LEAST_FEEDBACK_OHM <= r_feedback_ohm <= MOST_FEEDBACK_OHM:
        raise InputError(
            "cells, read voltage and converter range ask for a feedback that nobody builds",
            where=where,
            value=r_feedback_ohm,
            allowed=f"{LEAST_FEEDBACK_OHM:g} to {MOST_FEEDBACK_OHM:g} ohm",
            hint="change g_on_s, v_read_v, v_full_scale_v or v_rail_v",
        )
    r_input_ohm = r_feedback_ohm / (1 + spec.open_loop_gain)
    if r_input_ohm > MOST_OHM:
        raise InputError(
            "amplifiers of so little gain hold no line at ground",
            where=where,
            value=f"{r_input_ohm:.3g} ohm of input resistance",
            allowed=f"up to {MOST_OHM:g} ohm, feedback / (1 + gain)",
            hint=f"raise [{section}tia] open_loop_gain, or v_read_v and g_on_s",
        )
    return r_feedback_ohm
