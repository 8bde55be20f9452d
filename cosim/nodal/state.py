"""What every node and every cell of an ohmic array does while it is read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch

from compact_models.errors import InputError
from cosim.nodal.blocks import places
from cosim.nodal.hierarchy import Whole, joined
from cosim.nodal.leaves import Keep
from cosim.nodal.lines import Lines, check_array, check_volts


@dataclass(frozen=True)
class ArrayState:
    """An array under some input vectors.

    Attributes:
        cell_a: current through every cell, from word line to bit line [A], [..., batch, row, col].
        word_v: voltage of every word-line node [V], [..., batch, row, col]; 0 where nothing but
            open segments and cells of 0 S ties it to a driver or a sense node.
        bit_v: voltage of every bit-line node [V], likewise.
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
        drive_v: voltages of the drivers, [..., batch, row]; [batch, row] for all arrays alike.
        sense_v: voltages of the sense nodes, [..., batch, col] or [col]; None is ground.

    Raises:
        InputError: as `solve_transfer`, or the voltages do not fit the array or are not finite.
    """
    check_array(conductance_s, lines)
    return state_of(factorise(conductance_s, lines, "inside"), lines, drive_v, sense_v)


def factorise(conductance_s: torch.Tensor, lines: Lines, keep: Keep) -> Whole:
    """The array with what `state_of` needs, or what sources need as well, for any vectors."""
    right, top = lines.r_driver_right_ohm is not None, lines.r_sense_top_ohm is not None
    ports = "LB" + "R" * right + "T" * top
    return joined(conductance_s, lines, outputs=ports, inputs=ports, keep=keep)


def state_of(
    whole: Whole, lines: Lines, drive_v: torch.Tensor, sense_v: torch.Tensor | None = None
) -> ArrayState:
    """The state of a factorised array; see `solve_state`."""
    inputs = port_inputs(whole, lines, drive_v, sense_v)
    outputs = whole.block.hybrid @ inputs
    return state_from(whole, lines, drive_v, sense_v, outputs, *whole.inner(inputs))


def port_inputs(
    whole: Whole, lines: Lines, drive_v: torch.Tensor, sense_v: torch.Tensor | None
) -> torch.Tensor:
    """The inputs of the block that an array is, [..., input, batch]; arguments of `solve_state`.

    Raises:
        InputError: the voltages do not fit the array or are not finite.
    """
    rows, cols = whole.grid.rows, whole.grid.cols
    check_volts("drive_v", drive_v, rows)
    if sense_v is not None:
        check_volts("sense_v", sense_v, cols)
    sense = _sense(drive_v, sense_v, cols)
    block = whole.block
    place = places(block.inputs, block.way)
    arrays = _arrays(block.hybrid.shape[:-2], drive_v)
    inputs = drive_v.new_zeros(*arrays, drive_v.shape[-2], block.hybrid.shape[-1])
    held = {"L": drive_v.flip(-1), "B": sense}
    if lines.r_driver_right_ohm is not None:
        held["R"] = held["L"]
    if lines.r_sense_top_ohm is not None:
        held["T"] = sense
    for group, volts in held.items():
        start = place[group].start
        inputs[..., start : start + volts.shape[-1]] = volts
    return inputs.mT


def _arrays(solved: torch.Size, drive_v: torch.Tensor) -> torch.Size:
    """How many arrays there are, [...]: the same voltages may be for all."""
    with suppress(RuntimeError):
        if drive_v.ndim > 1:
            return torch.Size(torch.broadcast_shapes(solved, drive_v.shape[:-2]))
    raise InputError(
        "no batch of voltages for so many arrays",
        where="drive_v",
        value=tuple(drive_v.shape),
        allowed=f"[batch, row], or [{''.join(f'{n}, ' for n in solved)}batch, row]",
    )


def _sense(drive_v: torch.Tensor, sense_v: torch.Tensor | None, cols: int) -> torch.Tensor:
    if sense_v is None:
        return drive_v.new_zeros(*drive_v.shape[:-1], cols)
    return sense_v.expand(*drive_v.shape[:-1], sense_v.shape[-1])


def state_from(
    whole: Whole,
    lines: Lines,
    drive_v: torch.Tensor,
    sense_v: torch.Tensor | None,
    outputs: torch.Tensor,
    cell_a: torch.Tensor,
    word_v: torch.Tensor,
    bit_v: torch.Tensor,
) -> ArrayState:
    """The state of an array of which ports [..., output, batch] and cells are known."""
    block, rows, cols = whole.block, whole.grid.rows, whole.grid.cols
    out = places(block.outputs, block.way)

    def output(group: str, count: int) -> torch.Tensor:
        return outputs[..., out[group].start : out[group].start + count, :].mT

    driver, sensed = output("L", rows), output("B", cols)
    if lines.r_driver_right_ohm is not None:
        driver = driver + output("R", rows)
    if lines.r_sense_top_ohm is not None:
        sensed = sensed + output("T", cols)
    driver = driver.flip(-1)
    power = (driver * drive_v).sum(-1) - (sensed * _sense(drive_v, sense_v, cols)).sum(-1)
    return ArrayState(cell_a, word_v, bit_v, driver, sensed, power)
