"""Mapping a chain of stages to tiles: scales, feedback resistances and cuts.

A weight w becomes a differential pair on neighbouring bit lines, plus first: a weight of
`weight_scale` is `g_on_s` on one side and `g_off_s` on the other. The bias is one more word line
that is always driven with 1. Inputs of a layer are digital values x = h / input_scale, so that a
pre-activation y becomes the voltage y * v_full / span after the amplifiers; `span` and with it
the feedback resistance are chosen from the pre-activations of sample inputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from compact_models.errors import InputError
from compact_models.ohmic import OhmicCell
from netlists.graph import LinearStage
from netlists.hardware import Hardware, TileSpec
from netlists.names import identifier
from netlists.neurons.spec import neuron_by_name
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


@dataclass(frozen=True)
class TilePlan:
    """The part of a layer that one array holds: word lines and outputs, both half-open ranges."""

    name: str
    row_start: int
    row_stop: int
    out_start: int
    out_stop: int

    @property
    def rows(self) -> int:
        """Number of word lines."""
        return self.row_stop - self.row_start

    @property
    def cols(self) -> int:
        """Number of bit lines, two per output."""
        return 2 * (self.out_stop - self.out_start)


@dataclass(frozen=True)
class LayerPlan:
    """How one stage becomes tiles.

    Args:
        name: `layer_<n>`, the name in the netlist.
        source: the module's path in the user's network.
        neuron: name of the activation.
        inputs: values that enter the layer, bias not counted.
        outputs: values that leave it.
        has_bias: whether the last word line is the bias.
        signed_input: whether its inputs take both signs.
        weight_scale: the weight that a fully-on cell stands for.
        input_scale: the input that a digital 1 stands for.
        span: the pre-activation that full-scale voltage stands for.
        r_feedback_ohm: nominal feedback resistance of its amplifiers.
        tiles: its tiles.
    """

    name: str
    source: str
    neuron: str
    inputs: int
    outputs: int
    has_bias: bool
    signed_input: bool
    weight_scale: float
    input_scale: float
    span: float
    r_feedback_ohm: float
    tiles: tuple[TilePlan, ...]

    @property
    def rows(self) -> int:
        """Word lines of the whole layer."""
        return self.inputs + int(self.has_bias)

    @property
    def output_scale(self) -> float:
        """The activation that a full code of its converter stands for."""
        return neuron_by_name(self.neuron).output_span(self.span)

    @property
    def signed_output(self) -> bool:
        """Whether its converter is signed."""
        return neuron_by_name(self.neuron).signed


def cut(rows: int, outputs: int, spec: TileSpec) -> tuple[TilePlan, ...]:
    """Cuts a layer into tiles of nearly equal size, row by row of tiles."""
    row_edges = _even_edges(rows, spec.max_rows)
    out_edges = _even_edges(outputs, spec.max_cols // 2)
    spans = [(r0, r1, o0, o1) for r0, r1 in pairwise(row_edges) for o0, o1 in pairwise(out_edges)]
    return tuple(TilePlan(f"tile_{k}", *span) for k, span in enumerate(spans))


def _even_edges(size: int, largest: int) -> list[int]:
    parts = math.ceil(size / largest)
    return [size * k // parts for k in range(parts + 1)]


def plan_layers(
    stages: Sequence[LinearStage],
    hardware: Hardware,
    sample_inputs: Array,
    *,
    full_scale: float = 1.0,
) -> tuple[LayerPlan, ...]:
    """Chooses scales and cuts for every stage.

    Args:
        stages: the network; its weights set the weight scales.
        hardware: the chip.
        sample_inputs: typical inputs [batch, in] as shares of the read voltage, in [0, 1] or
            [-1, 1].
        full_scale: the network's input that a share of 1 stands for.

    Raises:
        InputError: the inputs do not fit the network or are not finite.
    """
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
        plan, pre_activation = _plan(index, stage, hardware, hidden, input_scale, signed)
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
) -> tuple[LayerPlan, Array]:
    outputs, inputs = stage.weight.shape
    rows = augmented(stage.weight, stage.bias, input_scale)
    weight_scale = float(np.abs(rows).max()) or 1.0
    drive = np.concatenate(
        [hidden / input_scale, np.ones((len(hidden), rows.shape[0] - inputs))], axis=1
    )
    pre_activation = input_scale * (drive @ rows)
    span = float(np.quantile(np.abs(pre_activation), RANGE_QUANTILE)) or 1.0
    tiles = cut(rows.shape[0], outputs, hardware.tile)
    cell, v_full = hardware.cell, hardware.adc.v_full_scale_v

    # Volts after the amplifiers per ampere of difference: v_full must stand for `span`.
    per_unit_a = hardware.driver.v_read_v * (cell.g_on_s - cell.g_off_s)
    for_span_a = span * per_unit_a
    r_feedback = v_full * weight_scale * input_scale / for_span_a if for_span_a > 0 else math.inf
    # A single bit line carries more current than the difference of two: keep it off the rails.
    largest = 0.0
    for tile in tiles:
        block = rows[tile.row_start : tile.row_stop, tile.out_start : tile.out_stop]
        pairs = differential(torch.from_numpy(block / weight_scale), cell).numpy()
        current = hardware.driver.v_read_v * (drive[:, tile.row_start : tile.row_stop] @ pairs)
        largest = max(largest, float(np.quantile(np.abs(current), RANGE_QUANTILE)))
    too_far = r_feedback * largest / (RAIL_SHARE * hardware.tia.v_rail_v)
    if too_far > 1:
        r_feedback /= too_far
        span *= too_far
    if not LEAST_FEEDBACK_OHM <= r_feedback <= MOST_FEEDBACK_OHM:
        raise InputError(
            "cells, read voltage and converter range ask for a feedback that nobody builds",
            where=f"layer_{index} ({stage.name})",
            value=r_feedback,
            allowed=f"{LEAST_FEEDBACK_OHM:g} to {MOST_FEEDBACK_OHM:g} ohm",
            hint="change g_on_s, v_read_v, v_full_scale_v or v_rail_v",
        )
    r_input = r_feedback / (1 + hardware.tia.open_loop_gain)
    if r_input > MOST_OHM:
        raise InputError(
            "amplifiers of so little gain hold no bit line at ground",
            where=f"layer_{index} ({stage.name})",
            value=f"{r_input:.3g} ohm of input resistance",
            allowed=f"up to {MOST_OHM:g} ohm, feedback / (1 + gain)",
            hint="raise [tia] open_loop_gain, or v_read_v and g_on_s",
        )
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
    )
    return plan, pre_activation


def augmented(weight: Array, bias: Array | None, input_scale: float) -> Array:
    """The weights as they stand in the array: [row, out], the bias as the last word line."""
    columns = np.asarray(weight, dtype=np.float64).T
    if bias is None:
        return columns
    return np.concatenate([columns, (np.asarray(bias) / input_scale)[None, :]], axis=0)


def differential(share: torch.Tensor, cell: OhmicCell) -> torch.Tensor:
    """Target conductances of weights.

    Args:
        share: weights as shares of the weight scale, [row, out]; clipped to [-1, 1].
        cell: the conductance range.

    Returns:
        Conductances in siemens, [row, 2 * out]: plus and minus bit lines in turn.
    """
    span = cell.g_on_s - cell.g_off_s
    pair = torch.stack([share.clamp(0, 1), (-share).clamp(0, 1)], dim=-1)
    return cell.g_off_s + span * pair.flatten(start_dim=-2)


def tile_targets(plan: LayerPlan, share: torch.Tensor, cell: OhmicCell) -> list[torch.Tensor]:
    """Target conductances of a layer's tiles, each [row, col] in siemens.

    Args:
        plan: the layer.
        share: its weights as shares of the weight scale, [row, out].
        cell: the conductance range.
    """
    return [
        differential(share[tile.row_start : tile.row_stop, tile.out_start : tile.out_stop], cell)
        for tile in plan.tiles
    ]


def block_name(layer: LayerPlan, tile: TilePlan) -> str:
    """The name of a tile's subcircuit."""
    return identifier(f"{layer.name}_{tile.name}")
