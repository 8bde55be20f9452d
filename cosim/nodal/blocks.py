"""Blocks of an array, known by what they do at their ports, and how two neighbours become one.

A block has four groups of ports: the word lines' left ends L and right ends R, the bit lines' lower
ends B and upper ends T. It maps (v_L, i_R, v_B, i_T) to (i_L, v_R, i_B, v_T), where i_L flows in,
i_R is drawn out to the right, i_T comes in from above and i_B flows out below: a hybrid matrix. In
this form wires of 0 ohm and cells of 0 S are numbers like all others, and joining two blocks solves
with I + (resistance) (conductance): no digits are lost where an admittance matrix of 1 S wires and
1 uS cells loses six.

Every word-line segment belongs to the cell on its right, every bit-line segment to the one above.
Row 0 of a grid of blocks is the lowest: next to the sense nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

Way = Literal["across", "up"]
# The order of the groups in a matrix that is about to be joined: the near ports of the farther
# block first, the far ports of the nearer one last, so that what remains is one piece.
_ORDER: dict[Way, str] = {"across": "LBTR", "up": "BLRT"}


@dataclass(frozen=True)
class Blocks:
    """A grid of blocks of one size.

    Attributes:
        hybrid: [..., block row, block col, output, input], in siemens, ohm and ratios.
        outputs: how many outputs each group of ports has; 0 where nobody asks for them.
        inputs: the same for inputs; 0 where they are always zero.
        way: how the blocks are joined next, which is the order of the groups.
    """

    hybrid: torch.Tensor
    outputs: Mapping[str, int]
    inputs: Mapping[str, int]
    way: Way

    def part(self, outputs: str, inputs: str) -> torch.Tensor:
        """The matrix from groups of inputs to groups of outputs, which stand side by side."""
        rows, cols = _places(self.outputs, self.way), _places(self.inputs, self.way)
        first_row, last_row = rows[outputs[0]].start, rows[outputs[-1]].stop
        first_col, last_col = cols[inputs[0]].start, cols[inputs[-1]].stop
        return self.hybrid[..., first_row:last_row, first_col:last_col]

    def only(self, outputs: str, inputs: str) -> Blocks:
        """The same blocks without the outputs and inputs of the other groups."""
        order = _ORDER[self.way]
        rows, cols = _places(self.outputs, self.way), _places(self.inputs, self.way)
        matrix = torch.cat([self.hybrid[..., rows[k], :] for k in order if k in outputs], -2)
        return Blocks(
            torch.cat([matrix[..., cols[k]] for k in order if k in inputs], -1),
            {k: self.outputs[k] if k in outputs else 0 for k in order},
            {k: self.inputs[k] if k in inputs else 0 for k in order},
            self.way,
        )


def blocks_of_cells(
    conductance_s: torch.Tensor, r_wordline_ohm: float, r_bitline_ohm: float, way: Way
) -> Blocks:
    """Small blocks, each solved whole: the currents of its cells from all of its inputs.

    With the drop R c that the wires have from the cells' own currents, c = G (P x - R c).

    Args:
        conductance_s: [..., block row, block col, row, col], rows counted from below.
        r_wordline_ohm: of every word-line segment.
        r_bitline_ohm: of every bit-line segment.
        way: how the blocks are joined next.
    """
    rows, cols = conductance_s.shape[-2:]
    eye_row = torch.eye(rows, dtype=conductance_s.dtype, device=conductance_s.device)
    eye_col = torch.eye(cols, dtype=conductance_s.dtype, device=conductance_s.device)
    up = r_bitline_ohm * eye_row.sum(0).cumsum(0)  # from below to each row
    right = r_wordline_ohm * eye_col.sum(0).cumsum(0)  # from the left to each column
    drop = torch.kron(eye_row, torch.minimum(right[:, None], right)) + torch.kron(
        torch.minimum(up[:, None], up), eye_col
    )
    # What a cell sees of each input, and what each output sees of a cell's current.
    of_word = torch.kron(eye_row, torch.ones_like(right)[:, None])
    of_bit = torch.kron(torch.ones_like(up)[:, None], eye_col)
    to_right, to_top = torch.kron(eye_row, right[:, None]), torch.kron(up[:, None], eye_col)
    seen = {"L": of_word, "R": -to_right, "B": -of_bit, "T": -to_top}
    given = {"L": of_word, "R": -to_right, "B": of_bit, "T": to_top}
    order, size = _ORDER[way], {"L": rows, "R": rows, "B": cols, "T": cols}
    g = conductance_s.flatten(-2).unsqueeze(-1)
    matrix = g * drop
    matrix.diagonal(dim1=-2, dim2=-1).add_(1.0)
    currents = torch.linalg.solve(matrix, g * torch.cat([seen[k] for k in order], 1))
    hybrid = torch.cat([given[k] for k in order], 1).mT @ currents
    # And what goes straight through the wires.
    place, straight = _places(size, way), hybrid.new_zeros(hybrid.shape[-2:])
    for one, other, eye, end in (("L", "R", eye_row, -right), ("B", "T", eye_col, up)):
        straight[place[one], place[other]] = eye
        straight[place[other], place[one]] = eye
        straight[place[other], place[other]] = end[-1] * eye
    return Blocks(hybrid + straight, size, size, way)


def behind(blocks: Blocks, group: str, series_ohm: torch.Tensor) -> Blocks:
    """Blocks with a resistance in series at the ends L or B of their lines.

    Args:
        blocks: the blocks.
        group: "L" or "B".
        series_ohm: [..., port], broadcast against the blocks.
    """
    rows, cols = _places(blocks.outputs, blocks.way), _places(blocks.inputs, blocks.way)
    # A driver's voltage falls by the current into the line; a sense node's rises by that out of it.
    signed = (-series_ohm if group == "L" else series_ohm).unsqueeze(-1)
    matrix = -blocks.part(group, group) * signed.mT
    matrix.diagonal(dim1=-2, dim2=-1).add_(1.0)
    current = torch.linalg.solve(matrix, blocks.hybrid[..., rows[group], :])
    change = blocks.hybrid[..., cols[group]] @ (signed * current)
    return replace(blocks, hybrid=blocks.hybrid + change)


def join(near: Blocks, far: Blocks, following: Way) -> Blocks:
    """Every block of `near` and its neighbour in `far` as one.

    Across, `near` is the left one; up, the lower one.

    Args:
        near: blocks with the ports R (or T) that are joined.
        far: blocks with the ports L (or B) that they are joined to.
        following: how the result is joined next.
    """
    order = _ORDER[near.way]
    first, last, rest_near, rest_far = order[0], order[-1], order[:-1], order[1:]
    out, conducts = near.part(last, last), far.part(first, first)
    matrix = -(out @ conducts)
    matrix.diagonal(dim1=-2, dim2=-1).add_(1.0)
    parts = [
        (one, k) for k in _ORDER[following] for one in (near, far)
        if k in (rest_near if one is near else rest_far)
    ]  # fmt: skip
    drawn = {k: far.part(first, k) for k in rest_far}
    driven = torch.cat(
        [near.part(last, k) if one is near else out @ drawn[k] for one, k in parts], -1
    )
    voltage = torch.linalg.solve(matrix, driven)
    outputs = _sum(near.outputs, far.outputs, rest_near, rest_far)
    inputs = _sum(near.inputs, far.inputs, rest_near, rest_far)
    rows = _halves(_places(outputs, following), near.outputs, rest_near, rest_far)
    cols = _halves(_places(inputs, following), near.inputs, rest_near, rest_far)
    current = conducts @ voltage
    for k in rest_far:
        current[..., cols[1][k]] += drawn[k]
    hybrid = voltage.new_empty(*voltage.shape[:-2], sum(outputs.values()), voltage.shape[-1])
    for one, rest, mine, change in (
        (near, rest_near, 0, near.part(rest_near, last) @ current),
        (far, rest_far, 1, far.part(rest_far, first) @ voltage),
    ):
        start = 0
        for k in rest:
            stop = start + one.outputs[k]
            hybrid[..., rows[mine][k], :] = change[..., start:stop, :]
            for j in rest:
                hybrid[..., rows[mine][k], cols[mine][j]] += one.part(k, j)
            start = stop
    return Blocks(hybrid, outputs, inputs, following)


def _halves(
    places: Mapping[str, slice],
    near: Mapping[str, int],
    rest_near: str,
    rest_far: str,
) -> tuple[dict[str, slice], dict[str, slice]]:
    """Where the ports of either block lie: in every group those of the near one come first."""
    halves: tuple[dict[str, slice], dict[str, slice]] = ({}, {})
    for k, place in places.items():
        middle = place.start + (near[k] if k in rest_near else 0)
        if k in rest_near:
            halves[0][k] = slice(place.start, middle)
        if k in rest_far:
            halves[1][k] = slice(middle, place.stop)
    return halves


def _places(sizes: Mapping[str, int], way: Way) -> dict[str, slice]:
    found, start = {}, 0
    for group in _ORDER[way]:
        found[group] = slice(start, start + sizes[group])
        start += sizes[group]
    return found


def _sum(
    near: Mapping[str, int], far: Mapping[str, int], rest_near: str, rest_far: str
) -> dict[str, int]:
    return {
        k: (near[k] if k in rest_near else 0) + (far[k] if k in rest_far else 0) for k in "LRBT"
    }
