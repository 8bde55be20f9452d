"""What every node and every cell of an ohmic array does while it is read."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compact_models.errors import InputError
from cosim.nodal.blocks import places
from cosim.nodal.hierarchy import Whole, joined
from cosim.nodal.lines import Lines, check_array


@dataclass(frozen=True)
class ArrayState:
    """An array under some input vectors.

    Attributes:
        cell_a: current through every cell, from word line to bit line [A], [..., batch, row, col].
        word_v: voltage of every word-line node [V], [..., batch, row, col].
        bit_v: voltage of every bit-line node [V], [..., batch, row, col].
        driver_a: current out of the drivers into every word line [A], [..., batch, row].
        sense_a: current out of every bit line into its sense nodes [A], [..., batch, col].
        power_w: what the array, its wires and the resistances at its ends turn into heat [W],
            [..., batch].
    """

    cell_a: torch.Tensor
    word_v: torch.Tensor
    bit_v: torch.Tensor
    driver_a: torch.Tensor
    sense_a: torch.Tensor
    power_w: torch.Tensor


def solve_state(
    conductance_s: torch.Tensor,
    lines: Lines,
    drive_v: torch.Tensor,
    sense_v: torch.Tensor | None = None,
) -> ArrayState:
    """Every cell's current and every node's voltage; differentiable in all that it is given.

    Args:
        conductance_s: [..., row, col] in siemens, >= 0.
        lines: what runs through the array.
        drive_v: voltages of the drivers, [..., batch, row].
        sense_v: voltages of the sense nodes, [..., batch, col] or [col]; None is ground.

    Raises:
        InputError: as `solve_transfer`, or the voltages do not fit the array.
    """
    check_array(conductance_s, lines)
    return state_of(factorise(conductance_s, lines), lines, drive_v, sense_v)


def factorise(conductance_s: torch.Tensor, lines: Lines) -> Whole:
    """The array with everything that `state_of` needs, for as many vectors as come."""
    right, top = lines.r_driver_right_ohm is not None, lines.r_sense_top_ohm is not None
    ports = "LB" + "R" * right + "T" * top
    return joined(conductance_s, lines, outputs=ports, inputs=ports, keep=True)


def state_of(
    whole: Whole, lines: Lines, drive_v: torch.Tensor, sense_v: torch.Tensor | None = None
) -> ArrayState:
    """The state of a factorised array; see `solve_state`."""
    rows, cols = whole.grid.rows, whole.grid.cols
    sense = drive_v.new_zeros(cols) if sense_v is None else sense_v
    for name, volts, count in (("drive_v", drive_v, rows), ("sense_v", sense, cols)):
        if volts.shape[-1] != count:
            raise InputError(
                "as many voltages as lines",
                where=name,
                value=tuple(volts.shape),
                allowed=str(count),
            )
    sense = sense.expand(*drive_v.shape[:-1], cols)
    right, top = lines.r_driver_right_ohm is not None, lines.r_sense_top_ohm is not None
    block = whole.block
    place = places(block.inputs, block.way)
    inputs = drive_v.new_zeros(*drive_v.shape[:-1], block.hybrid.shape[-1])
    for group, volts in (("L", drive_v.flip(-1)), ("B", sense)):
        inputs[..., place[group].start : place[group].start + volts.shape[-1]] = volts
    for group, volts, is_held in (("R", drive_v.flip(-1), right), ("T", sense, top)):
        if is_held:
            inputs[..., place[group].start : place[group].start + volts.shape[-1]] = volts
    of_inputs = inputs.mT
    outputs = (block.hybrid @ of_inputs).mT
    out = places(block.outputs, block.way)

    def output(group: str, count: int) -> torch.Tensor:
        return outputs[..., out[group].start : out[group].start + count]

    driver = output("L", rows) + (output("R", rows) if right else 0.0)
    sensed = output("B", cols) + (output("T", cols) if top else 0.0)
    driver = driver.flip(-1)
    current, word, bit = whole.inner(of_inputs)
    power = (driver * drive_v).sum(-1) - (sensed * sense).sum(-1)
    return ArrayState(current, word, bit, driver, sensed, power)
