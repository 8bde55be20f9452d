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

from cosim.nodal.dense import solve

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
        rows, cols = places(self.outputs, self.way), places(self.inputs, self.way)
        first_row, last_row = rows[outputs[0]].start, rows[outputs[-1]].stop
        first_col, last_col = cols[inputs[0]].start, cols[inputs[-1]].stop
        return self.hybrid[..., first_row:last_row, first_col:last_col]

    def only(self, outputs: str, inputs: str) -> Blocks:
        """The same blocks without the outputs and inputs of the other groups."""
        order = _ORDER[self.way]
        rows, cols = places(self.outputs, self.way), places(self.inputs, self.way)
        matrix = torch.cat([self.hybrid[..., rows[k], :] for k in order if k in outputs], -2)
        return Blocks(
            torch.cat([matrix[..., cols[k]] for k in order if k in inputs], -1),
            {k: self.outputs[k] if k in outputs else 0 for k in order},
            {k: self.inputs[k] if k in inputs else 0 for k in order},
            self.way,
        )


@dataclass(frozen=True)
class AtJoint:
    """What is at a joint because of sources inside the blocks: [..., port, vector]."""

    voltage: torch.Tensor
    current: torch.Tensor


@dataclass(frozen=True)
class Joint:
    """The ports at which two blocks became one, for unit inputs of the whole.

    Attributes:
        voltage: of the joint, [..., port, input].
        current: through it, to the right or downwards, [..., port, input].
        near: the inputs of the whole that belong to the nearer block, by group.
        far: those that belong to the farther one.
        ports: how many inputs each group of one block has; those that the whole lacks are zero.
        way: how the two lay beside each other.
        blocks: the grid of blocks before.
        following: how the result is joined next.
        kept: groups of the nearer and of the farther block whose outputs were kept.
        answer: voltages of the joint for voltages impressed on it, [..., port, port]; None where
            sources were not asked for.
    """

    voltage: torch.Tensor
    current: torch.Tensor
    near: Mapping[str, slice]
    far: Mapping[str, slice]
    ports: Mapping[str, int]
    way: Way
    blocks: Blocks
    following: Way
    kept: tuple[str, str]
    answer: torch.Tensor | None

    def inputs(self, of_whole: torch.Tensor, of_sources: AtJoint | None = None) -> torch.Tensor:
        """The inputs of the blocks of the grid, from those of the joined ones [..., input, vector].

        Args:
            of_whole: [..., block row, block col, input, vector].
            of_sources: what sources inside the blocks do at the joint; None without.
        """
        order = _ORDER[self.way]
        near = [self._part(of_whole, self.near[k], k) for k in order[:-1]]
        far = [self._part(of_whole, self.far[k], k) for k in order[1:]]
        voltage, current = self.voltage @ of_whole, self.current @ of_whole
        if of_sources is not None:
            voltage, current = voltage + of_sources.voltage, current + of_sources.current
        return self._side_by_side(torch.cat([*near, current], -2), torch.cat([voltage, *far], -2))

    def lifted(self, offset: torch.Tensor) -> tuple[torch.Tensor, AtJoint]:
        """What sources inside the blocks do at the ports of the whole, and at the joint.

        Args:
            offset: what they do at the ports of the blocks, [..., block row, block col, output,
                vector].
        """
        order = _ORDER[self.way]
        first, last = order[0], order[-1]
        grid = self.blocks
        rows = places(grid.outputs, self.way)
        near, far = _halved(grid, 0), _halved(grid, 1)
        of_near, of_far = (_halved(replace(grid, hybrid=offset), k).hybrid for k in (0, 1))
        if self.answer is None:
            raise AssertionError("asked for sources, which were not kept")
        out, conducts = near.part(last, last), far.part(first, first)
        drawn = of_far[..., rows[first], :]
        voltage = self.answer @ (of_near[..., rows[last], :] + out @ drawn)
        current = conducts @ voltage + drawn
        pieces = []
        for one, offsets, group, at_joint, keep in (
            (near, of_near, last, current, self.kept[0]),
            (far, of_far, first, voltage, self.kept[1]),
        ):
            cols = places(grid.inputs, self.way)[group]
            change = offsets + one.hybrid[..., cols] @ at_joint
            pieces.append({k: change[..., rows[k], :] for k in keep if k != group})
        parts = [one[k] for k in _ORDER[self.following] for one in pieces if k in one]
        return torch.cat(parts, -2), AtJoint(voltage, current)

    def congruent(self, of_whole: torch.Tensor) -> torch.Tensor:
        """P S P' for both blocks, where P makes their inputs from those of the whole.

        Args:
            of_whole: S, symmetric, [..., block row, block col, input, input].
        """
        order = _ORDER[self.way]
        found = []
        for joint, places_of, groups, last in (
            (self.current, self.near, order[:-1], True),
            (self.voltage, self.far, order[1:], False),
        ):
            at_joint = joint @ of_whole
            rest = torch.cat([self._part(of_whole, places_of[k], k) for k in groups], -2).mT
            rest = torch.cat([self._part(rest, places_of[k], k) for k in groups], -2)
            across = torch.cat([self._part(at_joint.mT, places_of[k], k) for k in groups], -2)
            own = at_joint @ joint.mT
            upper, lower = [rest, across], [across.mT, own]
            if not last:
                upper, lower = [own, across.mT], [across, rest]
            found.append(torch.cat([torch.cat(upper, -1), torch.cat(lower, -1)], -2))
        return self._side_by_side(*found)

    def _side_by_side(self, near: torch.Tensor, far: torch.Tensor) -> torch.Tensor:
        """The grid whose blocks are in turn the nearer and the farther ones."""
        if self.way == "across":
            return torch.stack((near, far), -3).flatten(-4, -3)
        return torch.stack((near, far), -4).flatten(-5, -4)

    def _part(self, of_whole: torch.Tensor, place: slice, group: str) -> torch.Tensor:
        found = of_whole[..., place, :]
        if place.stop > place.start:
            return found
        return found.new_zeros(*found.shape[:-2], self.ports[group], found.shape[-1])


def join(
    blocks: Blocks, following: Way, outputs: str, inputs: str, *, sources: bool
) -> tuple[Blocks, Joint]:
    """Every other block of a grid and its neighbour as one, and what is at their joint.

    Across, the nearer one is the left one; up, the lower one.

    Args:
        blocks: a grid with an even number of blocks the way that they are joined.
        following: how the result is joined next.
        outputs: the groups of ports at the edges of the whole array whose outputs are asked for.
        inputs: the same for inputs that are not zero.
        sources: the joint is to answer sources inside the blocks.
    """
    across = blocks.way == "across"
    near, far = _halved(blocks, 0), _halved(blocks, 1)
    kept = ("LRBT", "LRBT")
    if near.hybrid.shape[-3 if across else -4] == 1:  # their outer ports are the array's own edges
        ahead, behind = ("L", "R") if across else ("B", "T")
        kept = (_but(ahead, outputs), _but(behind, outputs))
        near = near.only(kept[0], _but(ahead, inputs))
        far = far.only(kept[1], _but(behind, inputs))
    order = _ORDER[near.way]
    first, last, rest_near, rest_far = order[0], order[-1], order[:-1], order[1:]
    sizes = _sum(near.outputs, far.outputs, rest_near, rest_far)
    widths = _sum(near.inputs, far.inputs, rest_near, rest_far)
    cols = _halves(places(widths, following), near.inputs, rest_near, rest_far)
    out, conducts = near.part(last, last), far.part(first, first)
    matrix = -(out @ conducts)
    matrix.diagonal(dim1=-2, dim2=-1).add_(1.0)
    # Columns of the result in their order: in every group the nearer block's ports come first.
    drawn = far.part(first, rest_far)
    parts = (
        _cut(near.part(last, rest_near), near.inputs, rest_near),
        _cut(out @ drawn, far.inputs, rest_far),
    )
    driven = torch.cat([one[k] for k in _ORDER[following] for one in parts if k in one], -1)
    answer = None
    if sources:
        size, unit = driven.shape[-1], torch.eye(matrix.shape[-1]).to(matrix)
        found = solve(matrix, torch.cat([driven, unit.expand_as(matrix)], -1))
        voltage, answer = found[..., :size], found[..., size:]
    else:
        voltage = solve(matrix, driven)
    current = conducts @ voltage
    for k, part in _cut(drawn, far.inputs, rest_far).items():
        current[..., cols[1][k]] += part
    pieces = []
    for one, rest, mine, change in (
        (near, rest_near, 0, near.part(rest_near, last) @ current),
        (far, rest_far, 1, far.part(rest_far, first) @ voltage),
    ):
        for k, part in _cut(one.part(rest, rest), one.inputs, rest).items():
            change[..., cols[mine][k]] += part
        pieces.append(_cut(change.mT, one.outputs, rest))
    hybrid = torch.cat([one[k].mT for k in _ORDER[following] for one in pieces if k in one], -2)
    joint = Joint(
        voltage, current, cols[0], cols[1], blocks.inputs, near.way, blocks, following, kept, answer
    )
    return Blocks(hybrid, sizes, widths, following), joint


def _halved(blocks: Blocks, first: int) -> Blocks:
    """Every other block of a grid, the way that they are joined."""
    across = blocks.way == "across"
    hybrid = blocks.hybrid
    return replace(
        blocks, hybrid=hybrid[..., first::2, :, :] if across else hybrid[..., first::2, :, :, :]
    )


def _cut(matrix: torch.Tensor, sizes: Mapping[str, int], groups: str) -> dict[str, torch.Tensor]:
    """The columns of a matrix by groups of ports; groups without any are left out."""
    present = [k for k in groups if sizes[k]]
    parts = torch.split_with_sizes(matrix, [sizes[k] for k in present], -1)
    return dict(zip(present, parts, strict=True))


def _but(group: str, wanted: str) -> str:
    """All groups of ports, without this one if it is not wanted."""
    return "LRBT" if group in wanted else "LRBT".replace(group, "")


def _halves(
    whole: Mapping[str, slice],
    near: Mapping[str, int],
    rest_near: str,
    rest_far: str,
) -> tuple[dict[str, slice], dict[str, slice]]:
    """Where the ports of either block lie: in every group those of the near one come first."""
    halves: tuple[dict[str, slice], dict[str, slice]] = ({}, {})
    for k, place in whole.items():
        middle = place.start + (near[k] if k in rest_near else 0)
        if k in rest_near:
            halves[0][k] = slice(place.start, middle)
        if k in rest_far:
            halves[1][k] = slice(middle, place.stop)
    return halves


def places(sizes: Mapping[str, int], way: Way) -> dict[str, slice]:
    """Where each group of ports lies in a matrix of blocks that are joined that way next."""
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
